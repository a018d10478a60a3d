//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// imageConfig is what the test looks at of an image's configuration.
type imageConfig struct {
	Docker struct {
		Config struct {
			User        string
			Env         []string
			Entrypoint  []string
			Cmd         []string
			Volumes     map[string]struct{}
			Healthcheck struct{ Test []string }
		} `json:"config"`
	}
}

// TestImage builds the container image with buildah, in a storage of its own,
// and runs what is in it as the image says: its program, user, environment and
// health check, in its file system.
func TestImage(t *testing.T) {
	need(t, "buildah")
	if os.Geteuid() != 0 {
		proctest.Forbidden(t, "looking into an image, which takes root")
	}
	storage := t.TempDir()
	flags := []string{"--root", filepath.Join(storage, "root"), "--runroot", filepath.Join(storage, "run"), "--storage-driver", "vfs"}
	inRepository(t, []string{"BUILDER=buildah", "BUILDER_FLAGS=" + strings.Join(flags, " "), "BUILD_FLAGS=--isolation chroot", "VERSION=v1.2.3"}, "packaging/build-image.sh")
	buildah := func(args ...string) string {
		t.Helper()
		return inRepository(t, nil, "buildah", append(slices.Clone(flags), args...)...)
	}
	var image imageConfig
	if err := json.Unmarshal([]byte(buildah("inspect", "--type", "image", "latchkey:1.2.3")), &image); err != nil {
		t.Fatal(err)
	}
	c := image.Docker.Config
	if _, ok := c.Volumes["/var/lib/latchkey"]; !ok || c.User != "65532:65532" || len(c.Healthcheck.Test) < 2 {
		t.Errorf("the image is configured as %+v, want a volume, a user and a health check", c)
	}
	container := buildah("from", "--pull-never", "latchkey:latest")
	folder := buildah("mount", container)
	t.Cleanup(func() { buildah("umount", container); buildah("rm", container) })

	on := reserve(t)
	inside := func(args ...string) *exec.Cmd {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = "/"
		cmd.Env = append(slices.Clone(c.Env), "LATCHKEY_LISTEN="+on.address, "LATCHKEY_ADMIN_PASSWORD="+adminPassword)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Chroot: folder, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}, Pdeathsig: syscall.SIGKILL,
		}
		return cmd
	}
	if out, err := inside("/usr/bin/latchkey", "version", "-q").Output(); err != nil || string(out) != "v1.2.3\n" {
		t.Errorf("latchkey version in the image: %q, %v, want v1.2.3", out, err)
	}
	if out, err := inside("/usr/bin/docker-credential-latchkey", "version").Output(); err != nil || !strings.HasPrefix(string(out), "docker-credential-latchkey ") {
		t.Errorf("docker-credential-latchkey version in the image: %q, %v", out, err)
	}
	if out, err := inside(c.Healthcheck.Test[1:]...).CombinedOutput(); err == nil {
		t.Errorf("the health check without a server: %q, want an error", out)
	}
	on.release()
	server := inside(append(slices.Clone(c.Entrypoint), c.Cmd...)...)
	var output strings.Builder
	server.Stdout, server.Stderr = &output, &output
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() { _ = server.Process.Kill() })
	within(t, 30*time.Second, "the health check to succeed", func(context.Context) error {
		out, err := inside(c.Healthcheck.Test[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	s := &latchkey{t: t, url: "http://" + on.address}
	made := s.token(t, s.admin(), api.CreateToken{})
	if got := verify(t, s, made.Secret); got != http.StatusOK {
		t.Errorf("a token of the container: %d, want 200", got)
	}
	info, err := os.Stat(filepath.Join(folder, "var/lib/latchkey/latchkey.db"))
	if err != nil || info.Mode().Perm() != 0o600 || info.Sys().(*syscall.Stat_t).Uid != 65532 {
		t.Errorf("the database in the volume: %v, %v, want it with mode 0600 and the user 65532", info, err)
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the server after SIGTERM: %v\n%s", err, tail(output.String(), 2000))
		}
	case <-time.After(stopLimit):
		t.Error("the server does not stop")
	}
	if l, err := net.Listen("tcp", on.address); err != nil {
		t.Errorf("the port after the end: %v, want it free", err)
	} else {
		_ = l.Close()
	}
}
