package audit

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Bounds of the events that wait in memory.
const (
	flushEvery = 250 * time.Millisecond
	writeLimit = 5 * time.Second // for one write of them all
	batchSize  = 512
	gatherFrom = 2048 // from so many on, equal events are counted instead of kept
	mostWait   = 8192 // beyond, even unequal ones of one action and outcome are
)

// Store is where events are kept.
type Store interface {
	store.EventReader
	AppendEvents(ctx context.Context, events []store.Event) error
}

// Log collects events that no transaction writes and stores them in batches.
// Nothing is dropped in silence: under a flood equal events are gathered into
// one with a count, and past the bound all of one action and outcome are. What
// waits when the process is killed is lost; that is at most flushEvery's worth.
type Log struct {
	store Store
	log   *slog.Logger

	mu       sync.Mutex
	waiting  []store.Event
	gathered map[gatherKey]int // index into waiting
	tallies  map[TallyKey]*tally
	window   time.Time // when the counts of tallies began
	usage    usage
	down     bool // the last write failed; the next one waits for its time
	full     chan struct{}
	stats    Stats // without Waiting

	flushing sync.Mutex
}

type gatherKey struct{ action, outcome, reason, actor, token, target, addr string }

// NewLog returns a log that writes to the store once [Log.Run] runs.
func NewLog(keep Store, log *slog.Logger) *Log {
	return &Log{store: keep, log: log, gathered: map[gatherKey]int{}, tallies: map[TallyKey]*tally{}, window: time.Now(), full: make(chan struct{}, 1)}
}

// Record takes an event. It never blocks on the store.
func (l *Log) Record(e store.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.record(e)
}

// record is Record for a caller who holds the lock. An event that the table
// does not have is not written, as no test lets it pass, and said in the log.
func (l *Log) record(e store.Event) {
	if err := Check(e.Action); err != nil {
		l.log.Error("an event is not written", "err", err)
		return
	}
	l.stats.Recorded++
	l.take(e)
	if len(l.waiting) >= batchSize && !l.down {
		select {
		case l.full <- struct{}{}:
		default:
		}
	}
}

// take adds an event to what waits. The caller holds the lock.
func (l *Log) take(e store.Event) {
	if len(l.waiting) >= gatherFrom {
		key := gatherKey{e.Action, e.Outcome, e.Reason, e.ActorName, e.TokenID, e.Target, e.Addr}
		if len(l.waiting) >= mostWait {
			e = store.Event{ID: e.ID, At: e.At, Action: e.Action, Outcome: e.Outcome, Reason: "gathered", Count: e.Count}
			key = gatherKey{action: e.Action, outcome: e.Outcome, reason: e.Reason}
		}
		if i, ok := l.gathered[key]; ok {
			l.stats.Gathered++
			l.waiting[i].Count += e.Count
			return
		}
		l.gathered[key] = len(l.waiting)
	}
	l.waiting = append(l.waiting, e)
}

// Refused records an operation that was not done and returns the error that
// says why. Mistakes in what was sent, and asking for what does not exist, are
// no events; asking for what the caller may not know of is one.
func (l *Log) Refused(ctx context.Context, now time.Time, actor *identity.Identity, action, target string, err error) error {
	f := fault.Of(err)
	if why := f.Hidden(); why != nil {
		f = fault.Of(why)
	}
	outcome := Refused
	switch f.Kind {
	case fault.Invalid, fault.NotFound:
		return err
	case fault.Unavailable, fault.Internal:
		outcome = Failed
	}
	key := TallyKey{Action: action, Reason: string(f.Kind), Addr: FromContext(ctx).Addr}
	if actor != nil {
		key.Token = cmp.Or(actor.TokenID, actor.Name)
	}
	l.Limited(key, func() store.Event {
		e := Event(ctx, now, actor, action, outcome)
		e.Reason, e.Target, e.Detail = string(f.Kind), Clip(target), Asked(ctx, f.Missing)
		return e
	})
	return err
}

// Run writes events until ctx ends, and then what is left.
func (l *Log) Run(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.FinishUsage()
			l.flushInTime(ctx)
			return
		case <-tick.C:
		case <-l.full:
		}
		l.flushInTime(ctx)
	}
}

// flushInTime writes what waits, whether or not ctx ends meanwhile: of a write
// that is given up nobody knows whether it took place.
func (l *Log) flushInTime(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
	defer cancel()
	l.Flush(ctx)
}

// Flush writes what waits. What cannot be written waits on, within the bound.
func (l *Log) Flush(ctx context.Context) {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	l.mu.Lock()
	batch := slices.Concat(l.waiting, l.takeTallies(), l.takeUsage())
	l.waiting, l.gathered = nil, map[gatherKey]int{}
	l.mu.Unlock()
	for len(batch) > 0 {
		n := min(len(batch), batchSize)
		if err := l.store.AppendEvents(ctx, batch[:n]); err != nil {
			l.log.Error("the audit log cannot be written", "waiting", len(batch), "err", err)
			l.putBack(batch)
			return
		}
		batch = batch[n:]
		l.wrote(n)
	}
	l.mu.Lock()
	l.down = false
	l.mu.Unlock()
}

// putBack puts what could not be written before what has come since. All of it
// is taken anew, so that the bounds hold however long the store is away.
func (l *Log) putBack(batch []store.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Failures++
	newer := l.waiting
	l.waiting, l.gathered, l.down = nil, map[gatherKey]int{}, true
	for _, events := range [][]store.Event{batch, newer} {
		for _, e := range events {
			l.take(e)
		}
	}
}
