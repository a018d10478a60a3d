package tokens

import (
	"sync"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// mostRecent bounds the changes that are kept in memory for readers of the
// feed. Readers that are further behind ask the store.
const mostRecent = 4096

// recent is the end of the change log, as far as this node has applied it. All
// readers of the feed share it, so that they cost the store nothing.
type recent struct {
	mu      sync.Mutex
	list    []store.Change // without gaps, up to end
	end     int64          // the number of the last change that was applied
	changed chan struct{}  // closed when something is added; nil: nobody waits
}

// begin says where the log ended when this node began to follow it.
func (r *recent) begin(end int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list, r.end = r.list[:0], end
}

// add appends a change. Behind a gap the list begins anew.
func (r *recent) add(c store.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch n := len(r.list); {
	case n > 0 && r.list[n-1].Seq+1 != c.Seq:
		r.list = r.list[:0]
	case n == 2*mostRecent: // cut in large pieces, so that it costs little
		r.list = append(r.list[:0], r.list[mostRecent:]...)
	}
	r.list, r.end = append(r.list, c), c.Seq
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// after returns at most limit changes behind a position; false when they are
// not all here.
func (r *recent) after(position int64, limit int) ([]store.Change, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) == 0 || position < r.list[0].Seq-1 {
		return nil, false
	}
	from := min(position-(r.list[0].Seq-1), int64(len(r.list)))
	rest := r.list[from:]
	return append([]store.Change(nil), rest[:min(limit, len(rest))]...), true
}

// last returns the number of the last change that was applied.
func (r *recent) last() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.end
}

// wait returns a channel that is closed when the next change is added.
func (r *recent) wait() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}
