//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// registryClient is a program that pushes and pulls, with a home of its own.
// Its methods return what the program said when it failed.
type registryClient interface {
	login(host, user, password string) error
	logout(host string) error
	push(im image, ref string) error
	pull(ref string) error
	remove(ref string) error
}

// errNotOffered says that a client has no command for it.
var errNotOffered = errors.New("the client does not offer this")

// newClients makes one client of each kind.
func newClients(t *testing.T) map[string]registryClient {
	t.Helper()
	return map[string]registryClient{"skopeo": newSkopeo(t), "podman": newPodman(t), "crane": newCrane(t)}
}

// tool runs one program in an environment of its own.
type tool struct {
	t    *testing.T
	path string
	home string
	args []string // before all others
	env  []string
}

func newTool(t *testing.T, path string, env ...string) tool {
	t.Helper()
	found, err := exec.LookPath(path)
	if err != nil {
		proctest.Missing(t, fmt.Sprintf("%s; on Debian: apt-get install %s", path, path))
	}
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	// podman wants the file to be there, even for a pull without a login.
	if err := os.WriteFile(filepath.Join(home, "auth.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	return tool{t: t, path: found, home: home, env: append([]string{
		"HOME=" + home, "XDG_RUNTIME_DIR=" + filepath.Join(home, "run"), "DOCKER_CONFIG=" + home,
		"REGISTRY_AUTH_FILE=" + filepath.Join(home, "auth.json"), "TMPDIR=" + home,
	}, env...)}
}

func (c tool) run(args ...string) error {
	_, err := c.with("", args...)
	return err
}

// with runs the program with a standard input, and returns its output.
func (c tool) with(stdin string, args ...string) (string, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.path, append(append([]string{}, c.args...), args...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}, c.env...)
	cmd.Dir, cmd.Stdin, cmd.WaitDelay = c.home, strings.NewReader(stdin), 10*time.Second
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatalf("%s %q: %v", c.path, args, err)
	}
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", filepath.Base(c.path), err, tail(string(out), 1000))
	}
	return string(out), nil
}

type skopeo struct{ tool }

func newSkopeo(t *testing.T) skopeo { return skopeo{newTool(t, "skopeo")} }

func (c skopeo) login(host, user, password string) error {
	_, err := c.with(password, "login", "--tls-verify=false", "--username", user, "--password-stdin", host)
	return err
}
func (c skopeo) logout(host string) error { return c.run("logout", host) }
func (c skopeo) push(im image, ref string) error {
	return c.run("copy", "--dest-tls-verify=false", "oci:"+im.folder+":latest", "docker://"+ref)
}
func (c skopeo) pull(ref string) error {
	return c.run("copy", "--src-tls-verify=false", "docker://"+ref, "oci:"+c.t.TempDir()+":pulled")
}
func (c skopeo) remove(ref string) error {
	return c.run("delete", "--tls-verify=false", "docker://"+ref)
}

// copyWithin copies between two repositories of one registry, which mounts the
// blobs instead of sending them.
func (c skopeo) copyWithin(from, to string) error {
	return c.run("copy", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://"+from, "docker://"+to)
}

type podman struct{ tool }

func newPodman(t *testing.T) podman {
	c := podman{newTool(t, "podman")}
	c.args = []string{
		"--root", filepath.Join(c.home, "storage"), "--runroot", shortFolder(t), "--storage-driver", "vfs",
		"--cgroup-manager", "cgroupfs", "--events-backend", "none",
	}
	return c
}

func (c podman) login(host, user, password string) error {
	_, err := c.with(password, "login", "--tls-verify=false", "--username", user, "--password-stdin", host)
	return err
}
func (c podman) logout(host string) error { return c.run("logout", host) }
func (c podman) push(im image, ref string) error {
	id, err := c.with("", "pull", "--quiet", "oci:"+im.folder+":latest")
	if err != nil {
		return err
	}
	return c.run("push", "--quiet", "--tls-verify=false", strings.TrimSpace(id), "docker://"+ref)
}
func (c podman) pull(ref string) error {
	_ = c.run("rmi", "--force", ref) // what is there already would not be asked for
	return c.run("pull", "--quiet", "--tls-verify=false", "docker://"+ref)
}
func (c podman) remove(string) error { return errNotOffered }

type crane struct{ tool }

func newCrane(t *testing.T) crane { return crane{newTool(t, registryProgram(t, "crane"))} }

func (c crane) login(host, user, password string) error {
	_, err := c.with(password, "auth", "login", "--username", user, "--password-stdin", host)
	return err
}
func (c crane) logout(host string) error { return c.run("auth", "logout", host) }
func (c crane) push(im image, ref string) error {
	return c.run("push", "--insecure", im.folder, ref)
}
func (c crane) pull(ref string) error {
	return c.run("pull", "--insecure", "--format=oci", ref, filepath.Join(c.t.TempDir(), "pulled"))
}

// remove names the image by its digest, which is all that the second generation
// takes.
func (c crane) remove(ref string) error {
	digest, err := c.with("", "digest", "--insecure", ref)
	if err != nil {
		return err
	}
	return c.run("delete", "--insecure", ref[:strings.LastIndex(ref, ":")]+"@"+strings.TrimSpace(digest))
}

func (c crane) catalog(host string) (string, error) {
	return c.with("", "catalog", "--insecure", host)
}

// registryPrograms builds what e2e/registryprograms names, once.
var registryPrograms struct {
	once   sync.Once
	folder *proctest.Folder
	err    error
}

// registryProgram returns the path of one of them.
func registryProgram(t *testing.T, name string) string {
	t.Helper()
	p := &registryPrograms
	p.once.Do(func() {
		if p.folder, p.err = proctest.NewFolder("latchkey-registries-"); p.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", p.folder.Path+"/", "./distribution", "github.com/google/go-containerregistry/cmd/crane")
		cmd.Dir = "registryprograms"
		if out, err := cmd.CombinedOutput(); err != nil {
			p.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if p.err != nil {
		t.Fatalf("building the programs of registries: %v", p.err)
	}
	return p.folder.Join(name)
}
