//go:build unix

package proctest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

func shell(script string) proctest.Spec {
	return proctest.Spec{Name: "script", Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=/usr/bin:/bin"}}
}

func startShell(t *testing.T, script string) *proctest.Process {
	t.Helper()
	spec := shell(script)
	spec.LogPath = filepath.Join(t.TempDir(), "log")
	p, err := proctest.Start(spec)
	if err != nil {
		t.Fatalf("Start(%q): %v", script, err)
	}
	t.Cleanup(func() {
		if err := p.Stop(syscall.SIGKILL, 0); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestRunReturnsBothOutputs(t *testing.T) {
	t.Setenv("PROCTEST_LEAK", "yes") // must not get through
	spec := shell("cat; echo \"leak=$PROCTEST_LEAK\"; echo warning >&2")
	spec.Stdin = strings.NewReader("input\n")
	stdout, stderr, err := proctest.Run(t.Context(), spec)
	if stdout != "input\nleak=\n" || stderr != "warning\n" || err != nil {
		t.Errorf("Run() = %q, %q, %v; want both outputs, no variable of the test, no error", stdout, stderr, err)
	}
}

func TestRunErrorSaysWhatTheProgramSaid(t *testing.T) {
	_, _, err := proctest.Run(t.Context(), shell("echo no luck >&2; exit 3"))
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("Run() error = %v, want exit code 3 and the error output", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	// The grandchild holds the outputs open; only killing the whole group lets Run return.
	_, _, err := proctest.Run(ctx, shell("sleep 600 & wait"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run() error = %v, want DeadlineExceeded", err)
	}
}

func TestStopKillsWhatDoesNotListen(t *testing.T) {
	p := startShell(t, `trap "" TERM; echo ready; sleep 600 & wait; wait`)
	waitForLog(t, p, "ready")
	if err := p.Stop(syscall.SIGTERM, 50*time.Millisecond); err != nil {
		t.Errorf("Stop() = %v", err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("Done() is open after Stop, want it closed")
	}
	if err := syscall.Kill(-p.PID(), 0); err != syscall.ESRCH && !onlyZombies(p.PID()) {
		t.Errorf("signal 0 to the process group after Stop: %v, want ESRCH", err)
	}
}

// onlyZombies reports whether the group consists of dead children that their new parent has not collected yet.
func onlyZombies(group int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		b, err := os.ReadFile(stat)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(b), ") ") // the state, the parent and the group follow the name; see proc(5)
		fields := strings.Fields(rest)
		if len(fields) > 2 && fields[2] == fmt.Sprint(group) && fields[0] != "Z" && fields[0] != "X" {
			return false
		}
	}
	return true
}

func waitForLog(t *testing.T, p *proctest.Process, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := proctest.WaitFor(ctx, func(context.Context) error {
		if !strings.Contains(p.LogTail(1000), text) {
			return fmt.Errorf("no %q in the log", text)
		}
		return nil
	}, p)
	if err != nil {
		t.Fatal(err)
	}
}

func TestWaitForEndsWithTheProcess(t *testing.T) {
	p := startShell(t, "echo cannot bind; exit 1")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := proctest.WaitFor(ctx, func(context.Context) error { return errors.New("not yet") }, p)
	if !errors.Is(err, proctest.ErrExited) || !strings.Contains(err.Error(), "cannot bind") {
		t.Errorf("WaitFor() = %v, want ErrExited with the end of the log", err)
	}
}

func TestWaitForEndsWithItsContext(t *testing.T) {
	p := startShell(t, "sleep 600")
	ctx, cancel := context.WithCancelCause(t.Context())
	tooSlow := errors.New("too slow")
	cancel(tooSlow)
	err := proctest.WaitFor(ctx, func(context.Context) error { return errors.New("not yet") }, p)
	if !errors.Is(err, tooSlow) || !strings.Contains(err.Error(), "not yet") {
		t.Errorf("WaitFor() = %v, want the cause and the last answer", err)
	}
}

func TestStartOfNothing(t *testing.T) {
	p, err := proctest.Start(proctest.Spec{Path: filepath.Join(t.TempDir(), "absent"), LogPath: filepath.Join(t.TempDir(), "log")})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Start(absent program) = %v, %v; want os.ErrNotExist", p, err)
	}
}
