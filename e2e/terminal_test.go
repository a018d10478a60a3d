//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// terminal is a program at a terminal of its own, with somebody who reads what
// appears there and types.
type terminal struct {
	t    *testing.T
	cmd  *exec.Cmd
	pty  *os.File // the side of the person
	done chan struct{}
	err  error // once done is closed

	mu   sync.Mutex
	seen []byte
	read int // how much of it was looked for and found
}

// atTerminal starts a program at a terminal. What it writes to standard output
// appears there too, unless out is set.
func atTerminal(t *testing.T, c command, out *os.File) *terminal {
	t.Helper()
	person, program, err := openTerminal()
	if err != nil {
		t.Fatalf("opening a terminal: %v", err)
	}
	defer program.Close()
	w := &terminal{t: t, cmd: c.build(), pty: person, done: make(chan struct{})}
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = program, program, program
	if out != nil {
		w.cmd.Stdout = out
	}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // as in process.run
		defer runtime.UnlockOSThread()
		err := w.cmd.Start()
		started <- err
		if err == nil {
			w.err = w.cmd.Wait()
			close(w.done)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("starting %s: %v", c.path, err)
	}
	go w.watch()
	t.Cleanup(w.leave)
	return w
}

// openTerminal makes a pseudo-terminal (pty(7)).
func openTerminal() (person, program *os.File, err error) {
	person, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	var number, locked uint32
	err = errors.Join(
		ioctl(person, syscall.TIOCSPTLCK, unsafe.Pointer(&locked)),
		ioctl(person, syscall.TIOCGPTN, unsafe.Pointer(&number)),
	)
	if err == nil {
		program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		person.Close()
		return nil, nil, err
	}
	return person, program, nil
}

func ioctl(f *os.File, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

// watch collects what appears until the terminal is closed.
func (w *terminal) watch() {
	buffer := make([]byte, 4096)
	for {
		n, err := w.pty.Read(buffer)
		w.mu.Lock()
		w.seen = append(w.seen, buffer[:n]...)
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// text returns what has appeared so far.
func (w *terminal) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.seen)
}

// look waits until something appears that was not found before, and returns it.
func (w *terminal) look(pattern string) string {
	w.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.Now().Add(2 * time.Minute)
	for {
		ended := w.ended()
		w.mu.Lock()
		if at := re.FindIndex(w.seen[w.read:]); at != nil {
			found := string(w.seen[w.read+at[0] : w.read+at[1]])
			w.read += at[1]
			w.mu.Unlock()
			return found
		}
		w.mu.Unlock()
		if ended || time.Now().After(deadline) {
			w.t.Fatalf("at the terminal of %s there is no %q (ended: %t %v), but:\n%s", w.cmd.Path, pattern, ended, w.err, w.text())
		}
		time.Sleep(10 * time.Millisecond) // a terminal cannot be waited for
	}
}

// press sends keys.
func (w *terminal) press(keys string) {
	w.t.Helper()
	if _, err := w.pty.WriteString(keys); err != nil {
		w.t.Fatalf("typing: %v", err)
	}
}

// ctrlC is what a terminal makes a signal of.
const ctrlC = "\x03"

// paste sends text as a terminal does to a program that wants to know what was
// pasted (bracketed paste), and presses enter.
func (w *terminal) paste(text string) { w.press("\x1b[200~" + text + "\x1b[201~\r") }

func (w *terminal) ended() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// wait returns how the program, which was told to end, did so.
func (w *terminal) wait() error {
	w.t.Helper()
	return w.waitFor(stopLimit)
}

// waitFor returns how the program ended, which it has to within a time.
func (w *terminal) waitFor(limit time.Duration) error {
	w.t.Helper()
	select {
	case <-w.done:
		return w.err
	case <-time.After(limit):
		w.t.Fatalf("%s is still there after %v:\n%s", w.cmd.Path, limit, w.text())
	}
	return nil
}

// leave closes the terminal and ends what is still at it.
func (w *terminal) leave() {
	_ = syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL) // fails when nobody is left
	<-w.done
	w.pty.Close()
}
