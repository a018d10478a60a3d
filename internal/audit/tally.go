package audit

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// Bounds of events that anybody can cause in any number.
const (
	tallyWindow = 10 * time.Second
	singly      = 20   // events of one key that [Log.Limited] keeps as they are, in one window
	mostTallies = 4096 // keys that are told apart in one window
)

// TallyKey says which events [Log.Tally] and [Log.Limited] count as one.
type TallyKey struct {
	Action, Reason string
	Addr           netip.Addr
	Token          string // its id, or the name of an account
}

// tally is what is known of the events of one key.
type tally struct {
	single   int          // how many were kept as they are
	gathered *store.Event // what stands for all others; nil: none came since the last write
}

// Tally counts an event about nobody in particular, which anybody can cause.
// Between two writes equal ones make one row, and the event is made for the
// first alone.
func (l *Log) Tally(key TallyKey, event func() store.Event) { l.count(key, 0, event) }

// Limited records an event about somebody known that they can cause in any
// number: the first ones within some seconds as they are, to be found by the
// id of their request, the others as one row with a count, which says so.
func (l *Log) Limited(key TallyKey, event func() store.Event) { l.count(key, singly, event) }

// TallyRefused counts a refusal of nobody known, as [Log.Tally] does.
func (l *Log) TallyRefused(ctx context.Context, now time.Time, key TallyKey, target string) {
	l.Tally(key, func() store.Event {
		e := Event(ctx, now, nil, key.Action, Refused)
		e.Reason, e.Target, e.Detail = key.Reason, Clip(target), Asked(ctx, "")
		return e
	})
}

func (l *Log) count(key TallyKey, singles int, event func() store.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tallies[key]
	if t == nil && len(l.tallies) >= mostTallies {
		key, singles = TallyKey{Action: key.Action, Reason: key.Reason}, 0
		t = l.tallies[key]
	}
	if t == nil {
		t = &tally{}
		l.tallies[key] = t
	}
	switch {
	case t.single < singles:
		t.single++
		l.record(event())
	case t.gathered != nil:
		l.stats.Tallied++
		t.gathered.Count++
	default:
		l.stats.Tallied++
		e := event()
		if singles > 0 {
			if e.Detail == nil {
				e.Detail = map[string]string{}
			}
			e.Detail["gathered"] = fmt.Sprintf("all beyond %d in %s", singles, tallyWindow)
		}
		if !key.Addr.IsValid() {
			e.Addr = ""
		}
		t.gathered = &e
	}
}

// takeTallies returns the rows of what was counted since the last call. The
// caller holds the lock.
func (l *Log) takeTallies() []store.Event {
	var rows []store.Event
	for _, t := range l.tallies {
		if t.gathered != nil {
			rows = append(rows, *t.gathered)
			t.gathered = nil
		}
	}
	if now := time.Now(); now.Sub(l.window) >= tallyWindow {
		l.window = now
		clear(l.tallies)
	}
	return rows
}
