package backup_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/backup"
)

// A backup's file is its owner's alone (S76), replaces nothing unasked, and is
// there whole or not at all.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.backup")
	broken := errors.New("broken")
	write := func(text string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, failed := io.WriteString(w, text)
			return errors.Join(failed, err)
		}
	}
	steps := []struct {
		name  string
		force bool
		write func(io.Writer) error
		err   error
		want  string // in the file then; "": it is not there
	}{
		{"broken at first", false, write("x", broken), broken, ""},
		{"new", false, write("one", nil), nil, "one"},
		{"there already", false, write("two", nil), fs.ErrExist, "one"},
		{"forced and broken", true, write("two", broken), broken, "one"},
		{"forced", true, write("two", nil), nil, "two"},
	}
	for _, s := range steps {
		if err := backup.WriteFile(path, s.force, s.write); !errors.Is(err, s.err) {
			t.Errorf("%s: WriteFile() = %v, want %v", s.name, err, s.err)
		}
		if got, _ := os.ReadFile(path); string(got) != s.want {
			t.Errorf("%s: the file holds %q, want %q", s.name, got, s.want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("Stat() = %v, %v, want mode 0600", info.Mode(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("the folder has %v, %v, want the one file", left, err)
	}
	// Somebody else was faster.
	second := filepath.Join(dir, "b.backup")
	err := backup.WriteFile(second, false, func(io.Writer) error { return os.WriteFile(second, []byte("theirs"), 0o600) })
	if got, _ := os.ReadFile(second); !errors.Is(err, fs.ErrExist) || string(got) != "theirs" {
		t.Errorf("WriteFile() beside another = %v and %q, want fs.ErrExist and theirs", err, got)
	}
	// A device or a link is not replaced, whatever is asked for.
	link := filepath.Join(dir, "link")
	if err := os.Symlink(second, link); err != nil {
		t.Skip("no symbolic links here")
	}
	if err := backup.WriteFile(link, true, write("x", nil)); err == nil {
		t.Error("WriteFile() over a symbolic link = nil, want an error")
	}
}
