// Package proctest starts and stops the external programs that tests need: database servers, the applications
// behind the gateway, and their clients. Its promise is that nothing outlives the test process, however that
// process ends: children are killed by the kernel when their parent is gone (Linux), and folders of dead owners
// are removed by the next run.
//
// It is test support only. It knows nothing about the programs it runs; see pgtest and pulptest for those.
package proctest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Spec says what to run and how.
type Spec struct {
	// Name is what error messages call the program. Empty means Path.
	Name string
	// Path is the program file; Args are its arguments without the program's name.
	Path string
	Args []string
	// Env is the whole environment of the program, as "KEY=value". Unlike in os/exec, empty means an empty
	// environment, so that nothing of the developer's own set-up reaches a test by accident.
	Env []string
	// Dir is the folder the program starts in. Empty means that of the test.
	Dir string
	// Stdin is what the program reads, only for Run. Nil means nothing.
	Stdin io.Reader
	// Files are handed down as file descriptors 3, 4, and so on. The caller closes its own copies.
	Files []*os.File
	// LogPath is the file that both outputs are appended to, only for Start. It must be set there.
	LogPath string
	// User is whom the program runs as. Nil means the user of the test.
	User *User
	// DeathSignal is what the kernel sends the program when the test process dies. Zero means SIGKILL. It has an
	// effect on Linux only.
	DeathSignal syscall.Signal
}

// User is an account that a program is to run as.
type User struct {
	// UID and GID are the numeric identities.
	UID, GID uint32
}

// Process is a program that runs beside the test. Whoever started it must call Stop.
type Process struct {
	name    string
	logPath string
	cmd     *exec.Cmd
	done    chan struct{}
	err     error // set before done is closed
	stop    sync.Once
	stopErr error
}

// Start runs the program in a process group of its own and returns as soon as it is started, which is earlier than
// when it is ready to serve; see WaitFor.
func Start(spec Spec) (*Process, error) {
	log, err := os.OpenFile(spec.LogPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", spec.name(), err)
	}
	defer log.Close() // the program has its own copy from here on
	cmd := spec.command()
	cmd.Stdout, cmd.Stderr = log, log

	p := &Process{name: spec.name(), logPath: spec.LogPath, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel's "parent is gone" signal is tied to the thread that started the child, not to the process,
		// so that thread is held for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	return p, nil
}

// PID is the process id, which is also the id of the process group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended, by itself or by Stop.
func (p *Process) Done() <-chan struct{} { return p.done }

// LogTail returns the end of the program's log, at most max bytes of it.
func (p *Process) LogTail(max int) string {
	return fmt.Sprintf("--- end of the log of %s:\n%s\n", p.name, Tail(p.logPath, max))
}

// Stop asks the program to end by sig, waits at most grace for that, and then kills whatever is left of its process
// group. Only the first call does anything; the others return what it returned. It reports only a program that could
// not be ended at all: how the program took the signal is its own affair.
func (p *Process) Stop(sig syscall.Signal, grace time.Duration) error {
	p.stop.Do(func() { p.stopErr = p.end(sig, grace) })
	return p.stopErr
}

func (p *Process) end(sig syscall.Signal, grace time.Duration) error {
	signalProcess(p.cmd.Process, sig)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	}
	killGroup(p.cmd.Process)
	timer.Reset(10 * time.Second)
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return fmt.Errorf("%s (process %d) is still there 10 s after it was killed", p.name, p.PID())
	}
}

// Run runs the program to its end and returns what it wrote. When ctx ends first, the whole process group is
// killed. The error of a program that failed carries the end of its error output and wraps *exec.ExitError.
func Run(ctx context.Context, spec Spec) (stdout, stderr string, err error) {
	var outBuf, errBuf bytes.Buffer
	cmd := spec.command()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = spec.Stdin, &outBuf, &errBuf

	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // for the same reason as in Start
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			ended <- err
			return
		}
		stop := context.AfterFunc(ctx, func() { killGroup(cmd.Process) })
		err := cmd.Wait()
		stop()
		ended <- err
	}()
	if err := <-ended; err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = errors.Join(cause, err)
		}
		return outBuf.String(), errBuf.String(),
			fmt.Errorf("%s: %w: %s", spec.name(), err, strings.TrimSpace(tail(errBuf.Bytes(), 2000)))
	}
	return outBuf.String(), errBuf.String(), nil
}

func (s Spec) name() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Path
}

func (s Spec) command() *exec.Cmd {
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Env = append([]string{}, s.Env...)
	cmd.Dir = s.Dir
	cmd.ExtraFiles = s.Files
	cmd.WaitDelay = 5 * time.Second // a grandchild that keeps the outputs open must not hang the test
	death := s.DeathSignal
	if death == 0 {
		death = syscall.SIGKILL
	}
	cmd.SysProcAttr = attributes(s.User, death)
	return cmd
}

// Tail returns the last max bytes of a file, or the reason why they could not be read.
func Tail(path string, max int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(tail(b, max))
}

func tail(b []byte, max int) string {
	if len(b) > max {
		b = b[len(b)-max:]
	}
	return string(b)
}
