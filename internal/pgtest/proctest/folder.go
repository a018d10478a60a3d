package proctest

import (
	"fmt"
	"os"
	"path/filepath"
)

// owner is the name of the file in a Folder that its owner keeps locked.
const owner = ".owner"

// Folder is a temporary folder for the data of programs that tests start. It is removed by Remove; if the test
// process dies before that, the next NewFolder with the same prefix does it (Linux).
type Folder struct {
	// Path is where the folder is.
	Path string
	lock *os.File
}

// NewFolder makes a folder in the system's temporary folder whose name begins with prefix. It is readable by the
// present user only.
func NewFolder(prefix string) (*Folder, error) {
	sweep(filepath.Join(os.TempDir(), prefix+"*"))
	path, err := os.MkdirTemp("", prefix+"*")
	if err != nil {
		return nil, fmt.Errorf("making a temporary folder: %w", err)
	}
	lock, err := claim(path)
	if err != nil {
		os.RemoveAll(path)
		return nil, fmt.Errorf("locking the temporary folder %s: %w", path, err)
	}
	return &Folder{Path: path, lock: lock}, nil
}

// Join returns the path of a file or folder inside the folder.
func (f *Folder) Join(elements ...string) string {
	return filepath.Join(append([]string{f.Path}, elements...)...)
}

// Remove deletes the folder and all that is in it. Programs that write into it must have been stopped.
func (f *Folder) Remove() error {
	err := os.RemoveAll(f.Path)
	f.lock.Close()
	return err
}

// claim creates the owner file and locks it. The file gets its name only when it is locked already: sweep must
// never see it unlocked while its owner lives.
func claim(path string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(path, owner+".new"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if !tryLock(lock) {
		lock.Close()
		return nil, fmt.Errorf("%s is locked by somebody else", lock.Name())
	}
	if err := os.Rename(lock.Name(), filepath.Join(path, owner)); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

// sweep removes the folders matching pattern whose owners are gone: the kernel releases a lock when its holder dies.
// It is a courtesy, so what cannot be removed is left where it is.
func sweep(pattern string) {
	paths, _ := filepath.Glob(pattern)
	for _, path := range paths {
		if !ownedByMe(path) {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(path, owner), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if tryLock(lock) {
			os.RemoveAll(path)
		}
		lock.Close()
	}
}
