package tokens

import (
	"context"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

const (
	changesAtOnce = 1000
	sweepEvery    = time.Minute
	sweepAtOnce   = 500
)

// Run follows the change log, writes last uses and sweeps what ended long ago,
// until ctx ends. Last uses that wait are written before it returns.
func (s *Service) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { s.follow(ctx) })
	wg.Go(func() { s.every(ctx, s.opts.FlushEvery, s.flushUses) })
	wg.Go(func() { s.uses.sortMany(ctx) })
	wg.Go(func() { s.every(ctx, sweepEvery, s.sweep) })
	wg.Go(func() { s.every(ctx, sweepEvery, s.sweepChanges) })
	wg.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	s.flushUses(last)
}

func (s *Service) every(ctx context.Context, period time.Duration, do func(context.Context)) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(ctx)
		}
	}
}

// follow reads the change log again and again: when the store hints that there
// is something, when this node has added something that readers of the feed
// wait for, and after PollEvery in any case.
func (s *Service) follow(ctx context.Context) {
	tick := time.NewTicker(s.opts.PollEvery)
	defer tick.Stop()
	for {
		s.catchUp(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.store.Changed():
		case <-s.wake:
		}
	}
}

// catchUp applies all changes that are in the log by now.
func (s *Service) catchUp(running context.Context) {
	ctx, cancel := context.WithTimeout(running, s.opts.Bound)
	defer cancel()
	for {
		asked := time.Since(s.started)
		if s.followed.Load() < 0 {
			if !s.startFollowing(ctx, asked) {
				return
			}
		}
		changes, err := s.store.ChangesAfter(ctx, s.position.Load(), changesAtOnce)
		if err != nil {
			if running.Err() == nil {
				s.log.Warn("the change log cannot be read", "err", err)
			}
			return
		}
		s.applyInOrder(changes)
		if len(changes) < changesAtOnce {
			s.followed.Store(int64(asked))
			return
		}
	}
}

// startFollowing begins at the end of the log: nothing is cached yet.
func (s *Service) startFollowing(ctx context.Context, asked time.Duration) bool {
	newest, err := s.store.LastChange(ctx)
	if err != nil {
		s.log.Warn("the change log cannot be read", "err", err)
		return false
	}
	s.forget()
	s.position.Store(newest)
	s.recent.begin(newest)
	s.followed.Store(int64(asked))
	return true
}

// applyInOrder applies changes from the log. Their numbers have no gaps, so a
// gap means that old rows were removed before this node saw them.
func (s *Service) applyInOrder(changes []store.Change) {
	for _, c := range changes {
		if c.Seq != s.position.Load()+1 {
			s.forget()
		}
		s.enforce(c)
		s.position.Store(c.Seq)
		s.recent.add(c) // last: who is told of a change can rely on it here
	}
}

// forget is for when changes may have been missed.
func (s *Service) forget() {
	s.cache.clear()
	s.opts.OnKeys()
}

// Apply puts a change into force on this node. Whoever writes to the change
// log calls it after the commit, before telling anybody that it is done.
func (s *Service) Apply(c store.Change) {
	s.enforce(c)
	if s.feeds.Load() == 0 {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default: // it is about to look
	}
}

// enforce makes whatever a change is about be loaded again.
func (s *Service) enforce(c store.Change) {
	if c.Kind == store.ChangeKeys { // no opaque token hangs on these
		s.opts.OnKeys()
		return
	}
	s.cache.apply(c)
}

// update runs a transaction that ends with the given changes in the log, and
// puts them into force here. It does so even when the outcome is not known:
// loading something again does no harm.
func (s *Service) update(ctx context.Context, changes []store.Change, fn func(store.Tx) error) error {
	err := s.store.Update(ctx, func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		for _, c := range changes {
			if _, err := tx.AppendChange(c); err != nil {
				return err
			}
		}
		return nil
	})
	for _, c := range changes {
		s.Apply(c)
	}
	return err
}

// fresh reports whether the change log was read to its end within the bound,
// so that what is cached can be trusted. It goes by the monotonic clock.
func (s *Service) fresh() bool { return s.lag() <= s.opts.Bound }

// MayBeStale reports whether the operator lets answers be older than the bound
// while the store does not answer, and the time for that has not run out.
func (s *Service) MayBeStale() bool {
	return s.opts.StaleFor > 0 && s.lag() <= s.opts.Bound+s.opts.StaleFor
}

const never = time.Duration(1<<63 - 1)

// lag is the time since the log was last known to be read to its end.
func (s *Service) lag() time.Duration {
	at := s.followed.Load()
	if at < 0 {
		return never
	}
	return time.Since(s.started) - time.Duration(at)
}

// Ready reports whether checks are answered from the cache, as they should be.
func (s *Service) Ready() bool { return s.fresh() }

func (s *Service) flushUses(ctx context.Context) {
	if err := s.uses.flush(ctx, s.store); err != nil {
		s.log.Warn("last uses cannot be written, they wait", "err", err)
	}
}

// sweep removes tokens that ended long ago, in small batches.
func (s *Service) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := s.store.Sweep(ctx, s.now().Add(-s.opts.KeepEnded), sweepAtOnce)
		if err != nil {
			s.log.Warn("ended tokens cannot be removed", "err", err)
			return
		}
		if n < sweepAtOnce {
			return
		}
	}
}

// sweepChanges removes the beginning of the change log, in small batches.
func (s *Service) sweepChanges(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := s.store.SweepChanges(ctx, s.now().Add(-s.opts.KeepChanges), s.opts.MostChanges, sweepAtOnce)
		if err != nil {
			s.log.Warn("old changes cannot be removed", "err", err)
			return
		}
		if n < sweepAtOnce {
			return
		}
	}
}
