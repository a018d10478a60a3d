package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
	"github.com/latchkey-auth/latchkey/internal/store/storetest"
)

func open(tb testing.TB, path string) *sqlite.Store {
	tb.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Options{Path: path})
	if err != nil {
		tb.Fatalf("Open(%q) = %v, want no error", path, err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close() = %v, want no error", err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, filepath.Join(t.TempDir(), "test.db")) })
}

func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("the same tests once more")
	}
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, sqlite.Memory) })
}

func TestMemoryLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir)
	s := open(t, sqlite.Memory)
	if err := s.Close(); err != nil {
		t.Fatalf("Close() = %v, want no error", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("after Close the temporary folder has %v, %v, want nothing", left, err)
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	storetest.RunReopen(t, func() store.Store { return open(t, path) })
}

func TestOddPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c=d#e%41&é.db")
	if runtime.GOOS == "windows" {
		path = filepath.Join(t.TempDir(), "a b#e%41&é.db")
	}
	storetest.RunReopen(t, func() store.Store { return open(t, path) })
	if _, err := os.Stat(path); err != nil {
		t.Errorf("Stat() of the database = %v, want no error", err)
	}
}

// S76
func TestFilesArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such mode bits")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "test.db")
	s := open(t, path)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatalf("Ping() = %v, want no error", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 3 {
		t.Fatalf("ReadDir() = %v, %v, want the database and two files beside it", files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatalf("Info(%s) = %v, want no error", f.Name(), err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %04o, want 0600", f.Name(), mode)
		}
	}
}

// S76
func TestExposedFilesAreRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such mode bits")
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o601} {
			path := filepath.Join(t.TempDir(), "test.db")
			open(t, path).Close()
			if err := os.WriteFile(path+suffix, nil, 0o600); suffix != "" && err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path+suffix, mode); err != nil {
				t.Fatal(err)
			}
			s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
			if !errors.Is(err, sqlite.ErrExposed) {
				t.Errorf("Open() with %q of mode %04o = %v, %v, want %v", suffix, mode, s, err, sqlite.ErrExposed)
			}
		}
	}
}

func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte("this is not a database, but it is long enough to be looked at"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"no folder": filepath.Join(dir, "none", "test.db"),
		"a folder":  dir,
		"garbage":   garbage,
	} {
		if s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path}); err == nil {
			s.Close()
			t.Errorf("Open() of %s = nil, want an error", name)
		}
	}
}

func TestOpenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
			if err != nil {
				t.Errorf("Open() = %v, want no error", err)
				return
			}
			defer s.Close()
			if groups, err := s.Groups(t.Context()); err != nil || len(groups) != 2 {
				t.Errorf("Groups() = %v, %v, want two", groups, err)
			}
		})
	}
	wg.Wait()
}

// Two stores on one file are as two processes.
func TestTwoOnOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	stores := []*sqlite.Store{open(t, path), open(t, path)}
	const each = 50
	var wg sync.WaitGroup
	for _, s := range stores {
		wg.Go(func() {
			for range each {
				if err := s.Update(t.Context(), func(tx store.Tx) error {
					_, err := tx.AppendChange(store.Change{Kind: store.ChangeGroups})
					return err
				}); err != nil {
					t.Errorf("Update() = %v, want no error", err)
				}
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		if n, err := s.LastChange(t.Context()); n != 2*each || err != nil {
			t.Errorf("LastChange() = %d, %v, want %d", n, err, 2*each)
		}
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	open(t, path).Close()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`INSERT INTO schema_versions (version_id, is_applied) VALUES (99999, 1)`); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Path: path}); !errors.Is(err, store.ErrNewerSchema) {
		t.Errorf("Open() of a newer database = %v, want %v", err, store.ErrNewerSchema)
	}
}

// S114
func TestReadOnlyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := open(t, path)
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(1)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN EXCLUSIVE"); err != nil { // nobody else can write
		t.Fatal(err)
	}
	s2, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Patience: 1})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Open() of a locked database = %v, %v, want %v", s2, err, store.ErrUnavailable)
	}
	if _, err := s.Groups(t.Context()); err != nil {
		t.Errorf("Groups() of a locked database = %v, want no error", err)
	}
}

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(b *testing.B) store.Store { return open(b, filepath.Join(b.TempDir(), "test.db")) })
}

// Places of events rise on in a file that was filled with the rows of another.
func TestCopied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	storetest.RunCopied(t, func() store.Store {
		s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}, func(place int64) {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(`UPDATE sqlite_sequence SET seq = 0; UPDATE events SET place = ?`, place); err != nil {
			t.Fatal(err)
		}
	})
}
