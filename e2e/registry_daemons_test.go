//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// containerd is a running containerd with the client of its own, which pulls
// as Kubernetes does: it asks for tokens by POST first.
type containerd struct {
	tool
	user, password string
}

func newContainerd(t *testing.T) *containerd {
	t.Helper()
	if os.Geteuid() != 0 {
		proctest.Forbidden(t, "running containerd and Docker, which takes root")
	}
	folder := t.TempDir()
	socket := filepath.Join(shortFolder(t), "s")
	config := filepath.Join(folder, "config.toml")
	text := fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = %q
`, filepath.Join(folder, "root"), filepath.Join(folder, "state"), socket)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &containerd{tool: newTool(t, "ctr", "CONTAINERD_ADDRESS="+socket)}
	startDaemon(t, command{path: newTool(t, "containerd").path, args: []string{"--config", config}, dir: folder},
		func(ctx context.Context) error { return c.run("version") })
	return c
}

// What ctr logs in with goes with each command.
func (c *containerd) login(_, user, password string) error {
	c.user, c.password = user, password
	return nil
}

func (c *containerd) logout(string) error {
	c.user, c.password = "", ""
	return nil
}

// images runs a command about images with the login.
func (c *containerd) images(verb, ref string, args ...string) error {
	all := []string{"images", verb, "--plain-http"}
	if c.user != "" {
		all = append(all, "--user", c.user+":"+c.password)
	}
	return c.run(append(append(all, args...), ref)...)
}

func (c *containerd) push(im image, ref string) error {
	archive := filepath.Join(c.t.TempDir(), "image.tar")
	if err := newTool(c.t, "tar").run("--create", "--file", archive, "--directory", im.folder, "."); err != nil {
		return err
	}
	if err := c.run("images", "import", "--snapshotter", "native", "--no-unpack", "--index-name", ref, archive); err != nil {
		return err
	}
	return c.images("push", ref)
}

func (c *containerd) pull(ref string) error {
	_ = c.run("images", "rm", "--sync", ref) // it may not be there
	return c.images("pull", ref, "--snapshotter", "native")
}

func (c *containerd) remove(string) error { return errNotOffered }

// docker is a running Docker engine and its client. At a login it asks for a
// refresh token, and keeps that instead of the password.
type docker struct{ tool }

func newDocker(t *testing.T) docker {
	t.Helper()
	if os.Geteuid() != 0 {
		proctest.Forbidden(t, "running containerd and Docker, which takes root")
	}
	folder := t.TempDir()
	socket := filepath.Join(shortFolder(t), "s")
	c := docker{newTool(t, "docker", "DOCKER_HOST=unix://"+socket)}
	engine := command{path: newTool(t, "dockerd").path, dir: folder, args: []string{
		"--data-root", filepath.Join(folder, "data"), "--exec-root", filepath.Join(folder, "exec"), "--pidfile", filepath.Join(folder, "pid"),
		"--host", "unix://" + socket, "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver", "vfs",
	}}
	startDaemon(t, engine, func(context.Context) error { return c.run("version") })
	return c
}

func (c docker) login(host, user, password string) error {
	_, err := c.with(password, "login", "--username", user, "--password-stdin", host)
	return err
}
func (c docker) logout(host string) error { return c.run("logout", host) }

func (c docker) push(im image, ref string) error {
	archive := filepath.Join(c.t.TempDir(), "image.tar")
	if err := newTool(c.t, "skopeo").run("copy", "oci:"+im.folder+":latest", "docker-archive:"+archive+":"+ref); err != nil {
		return err
	}
	if err := c.run("load", "--quiet", "--input", archive); err != nil {
		return err
	}
	return c.run("push", "--quiet", ref)
}

func (c docker) pull(ref string) error {
	_ = c.run("rmi", "--force", ref) // it may not be there
	return c.run("pull", "--quiet", ref)
}

func (c docker) remove(string) error { return errNotOffered }

// startDaemon starts a program and waits until it answers.
func startDaemon(t *testing.T, c command, answers func(context.Context) error) {
	t.Helper()
	p := start(t, c)
	t.Cleanup(func() {
		_ = p.terminate() // it is killed after that
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", c.path, tail(p.stderr(t), 3000))
		}
	})
	within(t, time.Minute, c.path+" to answer", func(ctx context.Context) error {
		if p.ended() {
			t.Fatalf("%s has ended: %v\n%s", c.path, p.err, tail(p.stderr(t), 3000))
		}
		return answers(ctx)
	})
}

// shortFolder is a folder whose path leaves room for the name of a socket.
func shortFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "lk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}
