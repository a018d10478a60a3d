package audit

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Resource is the part of Latchkey's own API that scopes of the type
// "latchkey" name for the audit log.
const Resource = "audit"

// List returns events, newest first. It needs the right to read the audit log;
// what waits in memory is written first, so that nothing is missing.
func (l *Log) List(ctx context.Context, caller *identity.Identity, q store.EventQuery) ([]store.Event, error) {
	if !caller.May(Resource, scope.Read) {
		needed := fault.Needs(scope.TypeLatchkey + ":" + Resource + ":" + scope.Read)
		return nil, l.Refused(ctx, time.Now(), caller, "audit.read", "", needed)
	}
	l.Flush(ctx)
	events, err := l.store.Events(ctx, q)
	return events, fault.FromStore(err)
}

const (
	sweepEvery  = time.Hour
	sweepAtOnce = 1000
)

// Sweep removes events that are older than keep, again and again until ctx
// ends. A keep of 0 is for ever.
func (l *Log) Sweep(ctx context.Context, keep time.Duration) {
	if keep <= 0 {
		return
	}
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		for n := sweepAtOnce; n == sweepAtOnce && ctx.Err() == nil; {
			var err error
			if n, err = l.store.SweepEvents(ctx, time.Now().Add(-keep), sweepAtOnce); err != nil {
				l.log.Warn("old audit events cannot be removed", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
