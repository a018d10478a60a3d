package tokens

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// mostUses bounds the uses that wait in memory until they are written, or
// while the store does not take them.
const mostUses = 200_000

// sortFrom is how many uses are sorted without waiting for the next write, so
// that there is room for those that come.
const sortFrom = 16_384

// uses collects when tokens were last used, until they are written in batches.
// Checks only append to a list, once until it is sorted; sorting it by token
// is left to those who are in no hurry.
type uses struct {
	mu    sync.Mutex
	fresh []*use        // as they came
	many  chan struct{} // tells that sortFrom of them wait, if it is set

	sorting sync.Mutex           // taken before mu
	waiting map[string]store.Use // the latest of each token
	leaving map[string]store.Use // what is being written

	seen func(*use) // told of each, if set; holds sorting
}

// use is what is known of uses of the token of an entry, at one door from one
// address.
type use struct {
	entry       *entry
	first, last int64 // seconds since 1970
	seconds     int   // with a use
	addr        netip.Addr
	agent       string // the last one
	door        string
}

// record notes a use in a certain second.
func (u *uses) record(e *entry, second int64, addr netip.Addr, agent, door string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if known := e.lately; known != nil && known.addr == addr && known.door == door {
		known.last, known.agent = max(known.last, second), agent
		known.seconds++
		return
	}
	if len(u.fresh) < mostUses {
		e.lately = &use{entry: e, first: second, last: second, seconds: 1, addr: addr, agent: agent, door: door}
		u.fresh = append(u.fresh, e.lately)
	}
	if len(u.fresh) >= sortFrom {
		select {
		case u.many <- struct{}{}:
		default:
		}
	}
}

// sortMany sorts whenever many uses have come, until ctx ends.
func (u *uses) sortMany(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-u.many:
		}
		u.sorting.Lock()
		u.sort()
		u.sorting.Unlock()
	}
}

// sort takes in what came. A use replaces an earlier one of its token. The
// lock sorting is held.
func (u *uses) sort() {
	u.mu.Lock()
	fresh := u.fresh
	u.fresh = nil
	for _, one := range fresh {
		one.entry.lately = nil
	}
	u.mu.Unlock()
	for _, one := range fresh {
		if u.seen != nil {
			u.seen(one)
		}
		u.keep(store.Use{TokenID: one.entry.id.TokenID, At: time.Unix(one.last, 0).UTC(), Addr: one.addr, Agent: one.agent})
	}
}

func (u *uses) keep(one store.Use) {
	if u.waiting == nil {
		u.waiting = map[string]store.Use{}
	}
	if _, known := u.waiting[one.TokenID]; known || len(u.waiting) < mostUses {
		u.waiting[one.TokenID] = one
	}
}

// latest returns the use of a token that is not written yet, if any.
func (u *uses) latest(tokenID string) (store.Use, bool) {
	u.sorting.Lock()
	defer u.sorting.Unlock()
	u.sort()
	one, ok := u.waiting[tokenID]
	if !ok {
		one, ok = u.leaving[tokenID]
	}
	return one, ok
}

// sample counts uses for the audit log, if it wants samples.
func (s *Service) sample(one *use) {
	if !s.sampled.Load() {
		return
	}
	s.audit.Used(audit.Use{
		By: one.entry.id, Door: one.door, Addr: one.addr,
		First: time.Unix(one.first, 0), Last: time.Unix(one.last, 0), Seconds: one.seconds,
	})
}

// flush writes what waits. What cannot be written waits on. It is not meant to
// be called by several goroutines at once.
func (u *uses) flush(ctx context.Context, sink store.Batcher) error {
	u.sorting.Lock()
	u.sort()
	batch := u.waiting
	u.waiting, u.leaving = nil, batch
	u.sorting.Unlock()
	if len(batch) == 0 {
		return nil
	}
	list := make([]store.Use, 0, len(batch))
	for _, one := range batch {
		list = append(list, one)
	}
	err := sink.RecordUses(ctx, list)
	u.sorting.Lock()
	defer u.sorting.Unlock()
	u.leaving = nil
	if err != nil {
		newer := u.waiting
		u.waiting = batch
		for _, one := range newer {
			u.keep(one)
		}
	}
	return err
}
