package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// ErrExposed says that a database file can be read by more than its owner.
var ErrExposed = errors.New("others than its owner have access")

// private makes sure that the database at path exists as a file of its owner
// alone, and that neither it nor the files that SQLite keeps beside it are open
// to others. SQLite gives new files beside a database the database's own mode.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create the database file: %w", err)
	}
	return checkFiles(path)
}

// checkFiles refuses a database when it, or a file that SQLite keeps beside it,
// is open to others.
func checkFiles(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := checkMode(path + suffix); err != nil {
			return err
		}
	}
	return nil
}

func checkMode(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the database file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("open the database %s: not a regular file", path)
	}
	// Windows has no such bits; what it reports there means nothing.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("open the database %s: %w (mode %04o): run chmod 600 on it", path, ErrExposed, mode)
	}
	return nil
}

// temporary makes a private file for a database that nobody keeps, in a folder
// of its own that is removed with it.
func temporary() (path string, remove func() error, err error) {
	dir, err := os.MkdirTemp("", "latchkey-")
	if err != nil {
		return "", nil, fmt.Errorf("make a folder for a temporary database: %w", err)
	}
	return filepath.Join(dir, "memory.db"), func() error { return os.RemoveAll(dir) }, nil
}
