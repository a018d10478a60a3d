package sqlite

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/store"
)

func TestCommitted(t *testing.T) {
	var mu sync.Mutex
	var told []int
	s, err := Open(t.Context(), Options{Path: Memory, Committed: func(n int) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, n)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Update(t.Context(), group("alone")); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), func(store.Tx) error { return errors.New("refused") }); err == nil {
		t.Error("an update that fails = nil, want its error")
	}
	if err := s.Update(t.Context(), group("alone again")); err != nil {
		t.Fatal(err)
	}
	// Two come while one writes, and share a commit.
	var both sync.WaitGroup
	if err := s.Update(t.Context(), func(tx store.Tx) error {
		for _, name := range []string{"a", "b"} {
			both.Go(func() {
				if err := s.Update(t.Context(), group(name)); err != nil {
					t.Error(err)
				}
			})
		}
		queued(s, 2)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	both.Wait()
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]int{1, 1, 3}, told); diff != "" {
		t.Errorf("commits and their callers, -want +got:\n%s", diff)
	}
}
