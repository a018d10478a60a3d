//go:build !linux

package proctest

import (
	"os"
	"syscall"
)

// Elsewhere than on Linux a test that is killed may leave its programs and folders behind.

func attributes(*User, syscall.Signal) *syscall.SysProcAttr { return nil }

func signalProcess(p *os.Process, sig syscall.Signal) {
	if p.Signal(sig) != nil {
		_ = p.Kill()
	}
}

func killGroup(p *os.Process) { _ = p.Kill() }

// Unprivileged returns nil: running tests as root is supported on Linux only.
func Unprivileged(...string) *User { return nil }

func tryLock(*os.File) bool { return true }

func ownedByMe(string) bool { return false }
