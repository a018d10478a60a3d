//go:build e2e && linux

package e2e

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// need ends the test when a program is not there.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			proctest.Missing(t, name)
		}
	}
}

// inRepository runs a program in the repository and returns what it printed.
func inRepository(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, tail(stderr.String(), 3000))
	}
	return strings.TrimSpace(string(out))
}

// TestDeb builds the Debian package in two versions and takes them through
// their life: installed, run with the configuration that came along, used,
// backed up and restored, upgraded, removed, purged. All that happens on a copy
// of this machine's file system, of which nothing stays.
func TestDeb(t *testing.T) {
	need(t, "dpkg-deb", "unshare", "curl", "runuser", "man")
	if os.Geteuid() != 0 {
		proctest.Forbidden(t, "installing a package, which takes root")
	}
	var files, versions []string
	for _, version := range []string{"v1.0.0-rc.1", "v1.0.0"} {
		env := []string{"VERSION=" + version, "COMPRESSION=gzip"}
		out := inRepository(t, env, "packaging/build-deb.sh")
		file, err := filepath.Abs(filepath.Join(root, out[strings.LastIndex(out, "\n")+1:]))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(file) })
		files = append(files, file)
		versions = append(versions, inRepository(t, env, "packaging/build-deb.sh", "--version"))
	}
	if err := exec.Command("dpkg", "--compare-versions", versions[0], "lt", versions[1]).Run(); err != nil {
		t.Errorf("the package version %s is not less than %s", versions[0], versions[1])
	}
	on := reserve(t)
	_, port, err := net.SplitHostPort(on.address)
	if err != nil {
		t.Fatal(err)
	}
	on.release()
	if out, err := exec.Command("unshare", "--mount", "--pid", "--fork", "true").CombinedOutput(); err != nil {
		proctest.Forbidden(t, "to make a namespace for mounts: "+tail(string(out), 300))
	}
	script, err := filepath.Abs("testdata/deb.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", script, t.TempDir(), files[0], files[1], versions[0], versions[1], port)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "HOME=/root"}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 77 {
		proctest.Forbidden(t, "to mount an overlay of the file system: "+tail(string(out), 300))
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, tail(string(out), 4000))
	}
}

// TestDebVersions sees that versions sort as releases do.
func TestDebVersions(t *testing.T) {
	need(t, "dpkg", "git")
	described := []string{"v0.9.0", "v1.0.0-beta.2", "v1.0.0-rc.1", "v1.0.0-rc.1-3-gabcdef0", "v1.0.0", "v1.0.0-5-g0123456", "v1.0.0-12-gfedcba9", "v1.0.1"}
	last := inRepository(t, []string{"VERSION=1d5a2e3-dirty", "SOURCE_DATE_EPOCH=1790000000"}, "packaging/build-deb.sh", "--version")
	if want := "0~20260921.141320.1d5a2e3+dirty"; last != want {
		t.Errorf("the version without a tag = %s, want %s", last, want)
	}
	for _, d := range described {
		v := inRepository(t, []string{"VERSION=" + d}, "packaging/build-deb.sh", "--version")
		if err := exec.Command("dpkg", "--compare-versions", last, "lt", v).Run(); err != nil {
			t.Errorf("%s (%s) does not sort after %s", v, d, last)
		}
		last = v
	}
}

// TestUnit has systemd look at the unit, as it would be installed.
func TestUnit(t *testing.T) {
	need(t, "systemd-analyze")
	folder := t.TempDir()
	unit := strings.ReplaceAll(readFile(t, filepath.Join(root, "packaging/latchkey.service")), "/usr/bin/latchkey", program(t))
	unit = strings.ReplaceAll(unit, "man:latchkey(1) ", "")
	path := filepath.Join(folder, "latchkey.service")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=20", path).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v, want an exposure of at most 2.0\n%s", err, tail(string(out), 2000))
	}
}
