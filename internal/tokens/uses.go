package tokens

import (
	"context"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// mostUses bounds the uses that wait in memory while the store does not take
// them.
const mostUses = 200_000

// uses collects when tokens were last used, until they are written in batches.
type uses struct {
	mu      sync.Mutex
	waiting map[string]store.Use
}

// record notes a use of a token, which replaces an earlier one.
func (u *uses) record(use store.Use) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.waiting == nil {
		u.waiting = map[string]store.Use{}
	}
	if _, known := u.waiting[use.TokenID]; !known && len(u.waiting) >= mostUses {
		return
	}
	u.waiting[use.TokenID] = use
}

// latest returns the use that waits for a token, if any.
func (u *uses) latest(tokenID string) (store.Use, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	use, ok := u.waiting[tokenID]
	return use, ok
}

// flush writes what waits. What cannot be written waits on.
func (u *uses) flush(ctx context.Context, sink store.Batcher) error {
	u.mu.Lock()
	batch := u.waiting
	u.waiting = nil
	u.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	list := make([]store.Use, 0, len(batch))
	for _, use := range batch {
		list = append(list, use)
	}
	err := sink.RecordUses(ctx, list)
	if err != nil {
		u.putBack(batch)
	}
	return err
}

func (u *uses) putBack(batch map[string]store.Use) {
	u.mu.Lock()
	newer := u.waiting
	u.waiting = batch
	u.mu.Unlock()
	for _, use := range newer {
		u.record(use)
	}
}
