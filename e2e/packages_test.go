//go:build e2e && linux

package e2e

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
	"github.com/latchkey-auth/latchkey/internal/pulptest"
)

// testPackages has clients of package repositories fetch from behind a content
// guard, with the token where their own documentation puts a password. They
// differ in whether they send it before they are asked to.
func testPackages(t *testing.T, b *behind) {
	token := b.secret(t, b.person(t, "installer"))
	publish := func(at, name, content string) string {
		return b.pulp.Publish(t, pulptest.File{
			BasePath: at, Name: name, Content: content, Guarded: true, Readers: []string{"installer"},
		})
	}
	publish("debs", "Packages", "Package: hello\nVersion: 1\nArchitecture: all\nFilename: debs/hello.deb\nSize: 1\n\n")
	wheel := "hello_latchkey-1-py3-none-any.whl"
	file := publish("hello-latchkey", wheel, makeWheel(t))
	t.Run("apt", func(t *testing.T) { aptUpdates(t, b, token) })
	t.Run("pip/netrc", func(t *testing.T) { pipDownloads(t, b, b.url, token, wheel) })
	t.Run("pip/URL", func(t *testing.T) {
		pipDownloads(t, b, strings.Replace(b.url, "http://", "http://__token__:"+token+"@", 1), "", wheel)
	})
	t.Run("wget", func(t *testing.T) {
		_, err := runIn(t, t.TempDir(), "wget", "--no-config", "--quiet", "--user=x", "--password="+token, b.url+file)
		must(t, err)
	})
}

// runIn runs a program that the machine has.
func runIn(t *testing.T, dir, name string, args ...string) (stdout string, err error) {
	t.Helper()
	path := name
	if !filepath.IsAbs(name) {
		if path, err = exec.LookPath(name); err != nil {
			t.Skipf("%s is not on this machine", name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stdout, _, err = proctest.Run(ctx, proctest.Spec{
		Name: name, Path: path, Args: args, Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C.UTF-8"},
	})
	return stdout, err
}

// aptUpdates reads the index of an apt repository, with a machine's entry in
// auth.conf.d (apt_auth.conf(5)) and without.
func aptUpdates(t *testing.T, b *behind, token string) {
	dir := t.TempDir()
	for _, folder := range []string{"etc/auth.conf.d", "etc/preferences.d", "state/lists/partial", "cache/archives/partial"} {
		must(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(dir, "etc/sources.list"), fmt.Appendf(nil, "deb [trusted=yes] %s/pulp/content debs/\n", b.url), 0o644))
	update := func() error {
		_, err := runIn(t, dir, "apt-get", "-o", "Dir::Etc="+dir+"/etc", "-o", "Dir::State="+dir+"/state", "-o", "Dir::Cache="+dir+"/cache",
			"-o", "APT::Sandbox::User=root", "-o", "Acquire::http::Proxy::127.0.0.1=DIRECT", "-o", "Acquire::Retries=0", "--error-on=any", "update")
		return err
	}
	if err := update(); err == nil {
		t.Error("apt-get update without a token works, want it refused")
	}
	entry := fmt.Appendf(nil, "machine %s/pulp/content/debs login anything password %s\n", b.url, token)
	must(t, os.WriteFile(filepath.Join(dir, "etc/auth.conf.d/pulp.conf"), entry, 0o600))
	must(t, update())
	lists, err := filepath.Glob(filepath.Join(dir, "state/lists/*Packages*"))
	if err != nil || len(lists) != 1 {
		t.Errorf("apt-get update has fetched %q, %v; want the index", lists, err)
	}
}

// pipDownloads fetches a package with the pip that Pulp's client was installed
// by. A token is put into ~/.netrc.
func pipDownloads(t *testing.T, b *behind, origin, token, wheel string) {
	dir := t.TempDir()
	if token != "" {
		entry := "machine 127.0.0.1\nlogin __token__\npassword " + token + "\n"
		must(t, os.WriteFile(filepath.Join(dir, ".netrc"), []byte(entry), 0o600))
	}
	_, err := runIn(t, dir, filepath.Join(filepath.Dir(b.pulpClient(t, "").Program()), "pip"), "--isolated", "--no-input", "--no-cache-dir",
		"--disable-pip-version-check", "download", "--no-deps", "--index-url", origin+"/pulp/content/", "hello-latchkey")
	must(t, err)
	if _, err := os.Stat(filepath.Join(dir, wheel)); err != nil {
		t.Errorf("pip has not fetched the package: %v", err)
	}
}

// makeWheel makes a Python package with nothing in it.
func makeWheel(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range map[string]string{
		"METADATA": "Metadata-Version: 2.1\nName: hello-latchkey\nVersion: 1\n",
		"WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"RECORD":   "",
	} {
		f, err := z.Create("hello_latchkey-1.dist-info/" + name)
		must(t, err)
		_, err = f.Write([]byte(content))
		must(t, err)
	}
	must(t, z.Close())
	return b.String()
}
