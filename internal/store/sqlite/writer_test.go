package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/store"
)

func openTest(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatalf("Open() = %v, want no error", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v, want no error", err)
		}
	})
	return s
}

// queued waits until n callers stand behind the one that writes.
func queued(s *Store, n int) {
	for len(s.writer.queue) < n {
		runtime.Gosched()
	}
}

func group(name string) func(store.Tx) error {
	return func(tx store.Tx) error { return tx.InsertGroup(store.Group{Name: name}) }
}

func (s *Store) names(t *testing.T) string {
	t.Helper()
	groups, err := s.Groups(t.Context())
	if err != nil {
		t.Fatalf("Groups() = %v, want no error", err)
	}
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
	}
	return strings.Join(names, " ")
}

// Callers who come together share a transaction. When one of them fails after
// it has written, the others are run once more without it; one whose context
// has ended by then is told that the outcome is unknown, and left out.
func TestBatchIsRunAgain(t *testing.T) {
	s := openTest(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hold, inside := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	stop := sync.OnceFunc(func() { close(inside); <-hold })
	var runs [2]int
	wg.Go(func() {
		if err := s.Update(t.Context(), func(tx store.Tx) error {
			runs[0]++
			stop()
			return group("first")(tx)
		}); err != nil {
			t.Errorf("Update(first) = %v, want no error", err)
		}
	})
	<-inside
	left := make(chan struct{})
	wg.Go(func() {
		defer close(left)
		err := s.Update(ctx, group("left"))
		if !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Update(left) = %v, want %v", err, context.Canceled)
		}
	})
	queued(s, 1)
	wrong := errors.New("wrong")
	wg.Go(func() {
		if err := s.Update(t.Context(), func(tx store.Tx) error {
			if err := group("failed")(tx); err != nil {
				return err
			}
			cancel()
			<-left
			return wrong
		}); err != wrong {
			t.Errorf("Update(failed) = %v, want %v", err, wrong)
		}
	})
	queued(s, 2)
	wg.Go(func() {
		if err := s.Update(t.Context(), func(tx store.Tx) error {
			runs[1]++
			return group("last")(tx)
		}); err != nil {
			t.Errorf("Update(last) = %v, want no error", err)
		}
	})
	queued(s, 3)
	close(hold)
	wg.Wait()
	if got, want := s.names(t), "anonymous everyone first last"; got != want {
		t.Errorf("Groups() = %q, want %q", got, want)
	}
	if runs[0] != 2 || runs[1] != 1 {
		t.Errorf("the functions ran %v times, want the first twice and the last, which came later, once", runs)
	}
}

// What a caller is refused because of others in the same batch is not said
// before they are committed: until then it may never have been so. If they are
// lost, so is the reason.
func TestRefusalWaitsForWhatItSaw(t *testing.T) {
	for _, lost := range []bool{false, true} {
		s := openTest(t)
		hold, inside := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			err := s.Update(t.Context(), func(tx store.Tx) error {
				close(inside)
				<-hold
				return group("taken")(tx)
			})
			if lost != errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Update(the first) = %v, want it lost: %v", err, lost)
			}
		})
		<-inside
		refused := make(chan error, 1)
		wg.Go(func() { refused <- s.Update(t.Context(), group("taken")) })
		queued(s, 1)
		wg.Go(func() {
			_ = s.writer.update(t.Context(), func(tx *tx) error { // has its turn after the one that is refused
				select {
				case err := <-refused:
					t.Errorf("Update(the second) = %v before the first is committed", err)
					refused <- err
				default:
				}
				if lost {
					_, err := tx.w.conn.exec("ROLLBACK", nil) // so that there is nothing to commit
					return err
				}
				return nil
			})
		})
		queued(s, 2)
		close(hold)
		wg.Wait()
		want := store.ErrConflict
		if lost {
			want = store.ErrUnavailable
		}
		if err := <-refused; !errors.Is(err, want) {
			t.Errorf("Update(the second), with the first lost %v = %v, want %v", lost, err, want)
		}
	}
}

// Behind savepoints, further failures in the same batch cost nobody anything.
func TestManyFailuresInOneBatch(t *testing.T) {
	s := openTest(t)
	hold, inside := make(chan struct{}), make(chan struct{})
	stop := sync.OnceFunc(func() { close(inside); <-hold })
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Update(t.Context(), func(store.Tx) error { stop(); return nil }); err != nil {
			t.Errorf("Update() = %v, want no error", err)
		}
	})
	<-inside
	wrong := errors.New("wrong")
	for i := range 9 {
		runs := 0
		wg.Go(func() {
			err := s.Update(t.Context(), func(tx store.Tx) error {
				if err := group(fmt.Sprint("g", i))(tx); err != nil {
					return err
				}
				// One fails at once; others only when they are run again.
				if runs++; i == 8 || (i%2 == 1 && runs == 2) {
					return wrong
				}
				return nil
			})
			if bad := i%2 == 1 || i == 8; bad != errors.Is(err, wrong) {
				t.Errorf("Update(g%d) = %v, want failure %v", i, err, bad)
			}
		})
		queued(s, i+1)
	}
	close(hold)
	wg.Wait()
	if got, want := s.names(t), "anonymous everyone g0 g2 g4 g6"; got != want {
		t.Errorf("Groups() = %q, want %q", got, want)
	}
}

// fill makes the database full for the connection that writes.
func fill(t *testing.T, s *Store) {
	t.Helper()
	if err := s.writer.update(t.Context(), func(tx *tx) error {
		_, err := tx.w.conn.exec(`PRAGMA max_page_count = 1`, nil) // no fewer than there are
		return err
	}); err != nil {
		t.Fatalf("max_page_count = %v, want no error", err)
	}
}

func large(name string) store.Group {
	return store.Group{Name: name, Note: strings.Repeat("x", 1<<20)}
}

// S114
func TestDiskFull(t *testing.T) {
	s := openTest(t)
	fill(t, s)
	if err := s.Update(t.Context(), func(tx store.Tx) error {
		if err := tx.InsertGroup(store.Group{Name: "small"}); err != nil {
			t.Errorf("InsertGroup(small) = %v, want no error: there is room for it", err)
		}
		return tx.InsertGroup(large("large"))
	}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Update() of a full database = %v, want %v", err, store.ErrUnavailable)
	}
	if got, want := s.names(t), "anonymous everyone"; got != want {
		t.Errorf("Groups() = %q, want %q", got, want)
	}
	// The connection was given up, and with it the limit: it works again.
	if err := s.Update(t.Context(), group("later")); err != nil {
		t.Errorf("Update() when there is room = %v, want no error", err)
	}
	if got, want := s.names(t), "anonymous everyone later"; got != want {
		t.Errorf("Groups() = %q, want %q", got, want)
	}
}

// A full disk makes SQLite roll back everything. What a careless function
// writes afterwards must not be committed by itself.
func TestDiskFullUnnoticed(t *testing.T) {
	s := openTest(t)
	fill(t, s)
	if err := s.Update(t.Context(), func(tx store.Tx) error {
		_ = tx.InsertGroup(large("large"))
		_ = tx.InsertGroup(store.Group{Name: "small"})
		return nil
	}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Update() that hides a full database = %v, want %v", err, store.ErrUnavailable)
	}
	if got, want := s.names(t), "anonymous everyone"; got != want {
		t.Errorf("Groups() = %q, want %q", got, want)
	}
}

// A full disk takes along those who share the transaction, and they are told.
func TestDiskFullInBatch(t *testing.T) {
	s := openTest(t)
	fill(t, s)
	hold, inside := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	stop := sync.OnceFunc(func() { close(inside); <-hold })
	errs := make([]error, 3)
	for i, g := range []store.Group{{Name: "one"}, large("two"), {Name: "three"}} {
		wg.Go(func() {
			errs[i] = s.Update(t.Context(), func(tx store.Tx) error {
				if i == 0 {
					stop()
				}
				return tx.InsertGroup(g)
			})
		})
		if i == 0 {
			<-inside
		} else {
			queued(s, i)
		}
	}
	close(hold)
	wg.Wait()
	want := []string{"anonymous", "everyone"}
	for i, name := range []string{"one", "two", "three"} {
		if errs[i] == nil {
			want = append(want, name)
		} else if !errors.Is(errs[i], store.ErrUnavailable) {
			t.Errorf("Update(%s) = %v, want nil or %v", name, errs[i], store.ErrUnavailable)
		}
	}
	if errs[1] == nil {
		t.Error("Update(two) of a full database = nil, want an error")
	}
	if got := s.names(t); got != strings.Join(slices.Sorted(slices.Values(want)), " ") {
		t.Errorf("Groups() = %q, want %q: what was said to be done, and no more", got, want)
	}
}
