package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// WriteFile makes the file at path, readable by its owner alone, out of what
// write writes. It appears under its name when it is complete and on the disk,
// or not at all. A file that is there already is replaced only by force; else
// the error is [fs.ErrExist].
func WriteFile(path string, force bool, write func(io.Writer) error) (err error) {
	if err := free(path, force); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("make the backup: %w", err)
	}
	defer func() {
		if gone := os.Remove(tmp.Name()); err == nil && gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = gone
		}
	}()
	if err := write(tmp); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("make the backup: %w", err)
	}
	if err := place(tmp.Name(), path, force); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// free looks whether the name can be used, before all the work.
func free(path string, force bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("make the backup: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("make the backup: %s is there and no regular file", path)
	case !force:
		return fmt.Errorf("make the backup: %w", &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist})
	}
	return nil
}

// place gives the finished file its name. Without force it must not take the
// place of a file that somebody made meanwhile, which a link, unlike a rename,
// does not; where the file system has no links, a second look must do.
func place(tmp, path string, force bool) error {
	if !force {
		err := os.Link(tmp, path)
		if err == nil {
			return nil
		}
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the backup: %w", err)
		}
		if err := free(path, false); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("make the backup: %w", err)
	}
	return nil
}

// syncFolder makes the new name durable.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" { // it has no such thing
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("make the backup durable: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("make the backup durable: %w", err)
	}
	return nil
}

// Exposed reports whether others than its owner have access to a file. Pipes
// and such have no meaningful mode.
func Exposed(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows"
}
