//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// stopLimit is how long a server may take to stop when nobody uses it.
const stopLimit = 20 * time.Second

// command is what to run. Nothing of the developer's environment is in it but
// PATH.
type command struct {
	path string
	args []string
	dir  string
	env  []string
}

// process is a program that runs beside the test. The kernel ends it when the
// test process dies.
type process struct {
	cmd      *exec.Cmd
	out, log string // files
	done     chan struct{}
	err      error // once done is closed
	asked    bool  // to end
	killed   sync.Once
}

// start starts a program, which is killed at the end of the test.
func start(t *testing.T, c command) *process {
	t.Helper()
	p := launch(t, c)
	t.Cleanup(p.kill)
	return p
}

// launch starts a program; the caller has to kill it.
func launch(t *testing.T, c command) *process {
	t.Helper()
	folder := t.TempDir()
	p := &process{out: filepath.Join(folder, "stdout"), log: filepath.Join(folder, "stderr"), done: make(chan struct{})}
	p.cmd = c.build()
	stdout, err := os.Create(p.out)
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	stderr, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	p.cmd.Stdout, p.cmd.Stderr = stdout, stderr
	if err := p.run(); err != nil {
		t.Fatalf("starting %s: %v", c.path, err)
	}
	return p
}

func (c command) build() *exec.Cmd {
	cmd := exec.Command(c.path, c.args...)
	cmd.Dir = c.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC"}, c.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run starts the program. The kernel's signal at the death of the parent is
// tied to the thread that started the child, so that thread is kept.
func (p *process) run() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := p.cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return <-started
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// terminate asks the program to end and returns how it did.
// To ask again does nothing more.
func (p *process) terminate() error {
	switch {
	case p.asked && p.ended():
		return p.err
	case p.ended():
		return fmt.Errorf("it had ended before: %v", p.err)
	}
	p.asked = true
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(stopLimit):
		return fmt.Errorf("it is still there after %v", stopLimit)
	}
}

// kill ends what is left of the program's process group, the first time that
// it is called: later, the number may be somebody else's.
func (p *process) kill() {
	p.killed.Do(func() { _ = syscall.Kill(-p.pid(), syscall.SIGKILL) }) // fails when nobody is left
	<-p.done
}

func (p *process) stdout(t *testing.T) string { return readFile(t, p.out) }
func (p *process) stderr(t *testing.T) string { return readFile(t, p.log) }

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func tail(s string, size int) string {
	s = strings.TrimSpace(s)
	return s[max(0, len(s)-size):]
}
