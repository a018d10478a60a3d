package proctest

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// attributes puts the program into a process group of its own, so that it can be killed with all its children, and has
// the kernel send it death when the test process is gone (PR_SET_PDEATHSIG in prctl(2)).
func attributes(u *User, death syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death}
	if u != nil {
		attr.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID}
	}
	return attr
}

func signalProcess(p *os.Process, sig syscall.Signal) { _ = p.Signal(sig) }

func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }

// Unprivileged returns the first of the named accounts that exists when the test runs as root, and nil when it does
// not run as root. It is for programs that refuse to run as root; nil fits Spec.User.
func Unprivileged(names ...string) *User {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range names {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &User{UID: uint32(uid), GID: uint32(gid)}
		}
	}
	return nil
}

func tryLock(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

func ownedByMe(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
