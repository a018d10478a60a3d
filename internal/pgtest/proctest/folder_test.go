//go:build linux

package proctest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

func TestFolderOfTheLivingIsKept(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	one, err := proctest.NewFolder("folder-")
	if err != nil {
		t.Fatal(err)
	}
	two, err := proctest.NewFolder("folder-")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(one.Path); err != nil {
		t.Errorf("the first folder after a second NewFolder: %v, want it to be there", err)
	}
	for _, f := range []*proctest.Folder{one, two} {
		if err := f.Remove(); err != nil {
			t.Errorf("Remove() = %v", err)
		}
		if _, err := os.Stat(f.Path); !os.IsNotExist(err) {
			t.Errorf("the folder after Remove: %v, want it to be gone", err)
		}
	}
}

func TestFolderOfTheDeadIsRemoved(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	dead, stranger := filepath.Join(temp, "folder-dead"), filepath.Join(temp, "folder-stranger")
	for _, path := range []string{filepath.Join(dead, "data"), stranger} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// The owner file of somebody who died is there, but nobody holds the lock.
	if err := os.WriteFile(filepath.Join(dead, ".owner"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := proctest.NewFolder("folder-")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Remove()
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Errorf("the dead folder after NewFolder: %v, want it to be gone", err)
	}
	if _, err := os.Stat(stranger); err != nil {
		t.Errorf("a folder without an owner file after NewFolder: %v, want it to be there", err)
	}
}
