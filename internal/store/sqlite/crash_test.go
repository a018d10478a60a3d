package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
)

// crashPath tells a copy of the test program to write to that database until
// it is killed.
const crashPath = "LATCHKEY_TEST_CRASH_DATABASE"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashPath); path != "" {
		if err := writeForever(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// pair writes two groups and a change that belong together.
func pair(id string) func(tx store.Tx) error {
	return func(tx store.Tx) error {
		_, err := tx.AppendChange(store.Change{Kind: store.ChangeGroups, TokenID: id})
		return errors.Join(err,
			tx.InsertGroup(store.Group{Name: "left " + id}), tx.InsertGroup(store.Group{Name: "right " + id}))
	}
}

// writeForever says of each write when it is done, and never returns but for
// an error.
func writeForever(path string) error {
	s, err := sqlite.Open(context.Background(), sqlite.Options{Path: path})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	errs := make(chan error)
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", w, i)
				if err := s.Update(context.Background(), pair(id)); err != nil {
					errs <- err
					return
				}
				mu.Lock()
				fmt.Println(id)
				mu.Unlock()
			}
		}()
	}
	return <-errs
}

// What was said to be done is there after a kill -9, and nothing is there by
// half.
func TestKilled(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "test.db")
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), crashPath+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var done []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if done = append(done, lines.Text()); len(done) == 200 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	if len(done) < 200 {
		t.Fatalf("the writer ended after %d writes", len(done))
	}

	s := open(t, path)
	groups, err := s.Groups(t.Context())
	if err != nil {
		t.Fatalf("Groups() = %v, want no error", err)
	}
	have := make(map[string]bool)
	for _, g := range groups {
		have[g.Name] = true
	}
	for _, id := range done {
		if !have["left "+id] || !have["right "+id] {
			t.Errorf("write %s was said to be done and is not there", id)
		}
	}
	changes, err := s.ChangesAfter(t.Context(), 0, 1_000_000)
	if err != nil {
		t.Fatalf("ChangesAfter() = %v, want no error", err)
	}
	for i, c := range changes {
		if c.Seq != int64(i+1) || !have["left "+c.TokenID] || !have["right "+c.TokenID] {
			t.Errorf("change %d of write %s: left %v, right %v, want both and number %d",
				c.Seq, c.TokenID, have["left "+c.TokenID], have["right "+c.TokenID], i+1)
		}
	}
	if want := 2 + 2*len(changes); len(groups) != want {
		t.Errorf("%d groups for %d changes, want %d", len(groups), len(changes), want)
	}
	if err := s.Update(t.Context(), pair("after")); err != nil {
		t.Errorf("Update() after the crash = %v, want no error", err)
	}
}
