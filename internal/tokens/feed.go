package tokens

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// feedAtOnce bounds the changes of one [Batch].
const feedAtOnce = 500

// mostFeeds bounds the readers of the feed at one time.
const mostFeeds = 1000

// Feed reads the change log as this node applies it, for a service that keeps
// answers. It is read by one goroutine.
type Feed struct {
	s      *Service
	opened time.Duration // since the service started
	at     int64         // all changes up to here have been told
	reset  bool          // the next batch says to start over
}

// Batch is what a [Feed] has to tell.
type Batch struct {
	// Reset says that changes may be missing between what was told before, or
	// asked for, and this batch: nothing that was kept is known to be true.
	Reset bool

	// Changes are in the order of their numbers, without gaps.
	Changes []store.Change

	// Position is the number up to which everything was told.
	Position int64

	// AsOf says, when Whole is true, at which time after the opening of the
	// feed (before it: negative) the log was read: all that was in it then has
	// been told. It goes by the monotonic clock.
	AsOf  time.Duration
	Whole bool
}

// Follow opens the feed of changes behind the given number, or behind the
// newest where after is negative. [Feed.Close] ends it.
func (s *Service) Follow(ctx context.Context, caller *identity.Identity, after int64) (*Feed, error) {
	if err := mayCheck(caller); err != nil {
		return nil, s.refused(ctx, caller, "change.follow", "", err)
	}
	if !s.fresh() {
		return nil, fault.Unavailablef(nil, "the change log is not being followed")
	}
	f := &Feed{s: s, opened: time.Since(s.started), at: after}
	switch newest := s.recent.last(); {
	case after < 0:
		f.at = newest
	case after > newest: // another node may be ahead of this one, or the log begun anew
		last, err := s.store.LastChange(ctx)
		if err != nil {
			return nil, fault.FromStore(err)
		}
		if after > last {
			f.at, f.reset = newest, true
		}
	}
	if s.feeds.Add(1) > mostFeeds {
		s.feeds.Add(-1)
		return nil, fault.Unavailablef(nil, "%d services follow the change log, which is as many as may", mostFeeds)
	}
	return f, nil
}

// Close ends the feed.
func (f *Feed) Close() { f.s.feeds.Add(-1) }

// Next returns what there is to tell: at once when there are changes, else
// after the given time an empty batch that says how far everything is told.
// The error is that of ctx, or a fault when the store does not answer.
func (f *Feed) Next(ctx context.Context, within time.Duration) (Batch, error) {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	for {
		more := f.s.recent.wait() // before looking, so that nothing is missed
		b, err := f.look(ctx)
		if err != nil || b.Reset || len(b.Changes) > 0 {
			return b, err
		}
		select {
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		case <-timeout.C:
			return f.look(ctx)
		case <-more:
		}
	}
}

// look returns what there is to tell now.
func (f *Feed) look(ctx context.Context) (Batch, error) {
	read := time.Duration(f.s.followed.Load()) // before the end, which is moved first
	newest := f.s.recent.last()
	b := Batch{Reset: f.reset, AsOf: read - f.opened}
	f.reset = false
	for f.at < newest && len(b.Changes) == 0 {
		changes, err := f.after(ctx)
		if err != nil {
			return Batch{}, err
		}
		if len(changes) == 0 || changes[0].Seq != f.at+1 { // removed before they were told
			b.Reset, f.at = true, newest
			break
		}
		b.Changes, f.at = changes, changes[len(changes)-1].Seq
	}
	b.Position = f.at
	b.Whole = f.at >= newest
	return b, nil
}

// after returns the next changes, from memory if they are there.
func (f *Feed) after(ctx context.Context) ([]store.Change, error) {
	if changes, ok := f.s.recent.after(f.at, feedAtOnce); ok {
		return changes, nil
	}
	changes, err := f.s.store.ChangesAfter(ctx, f.at, feedAtOnce)
	if err != nil {
		return nil, fault.FromStore(err)
	}
	for i := 1; i < len(changes); i++ {
		if changes[i].Seq != changes[i-1].Seq+1 {
			return changes[:i], nil // the gap is found the next time
		}
	}
	return changes, nil
}
