package doctor

import (
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
)

// timeError is what adjtimex(2) answers when nothing keeps the clock right.
const timeError = 5

// synchronized asks the kernel whether something, such as an NTP client, keeps
// the clock right.
func synchronized() (known, is bool) {
	state, err := syscall.Adjtimex(&syscall.Timex{}) // without modes it only reads
	return err == nil, state != timeError
}

// diskOf asks for the file system that a folder is on.
func diskOf(folder string) (disk, bool) {
	var s syscall.Statfs_t
	if syscall.Statfs(folder, &s) != nil {
		return disk{}, false
	}
	size := uint64(s.Bsize)
	return disk{free: s.Bavail * size, total: s.Blocks * size, readOnly: s.Flags&readOnlyMount != 0}, true
}

// readOnlyMount is ST_RDONLY of statfs(2).
const readOnlyMount = 1

// ownerIn returns the name of a file's owner, or the number where there is no
// name.
func ownerIn(info fs.FileInfo) string {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	id := strconv.FormatUint(uint64(s.Uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
