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
	if err := l.Permit(ctx, caller, "audit.read"); err != nil {
		return nil, err
	}
	l.Flush(ctx)
	events, err := l.store.Events(ctx, q)
	return events, fault.FromStore(err)
}

// Permit refuses, for the given action, a caller without the right to read the
// audit log, and writes the event.
func (l *Log) Permit(ctx context.Context, caller *identity.Identity, action string) error {
	if caller.May(Resource, scope.Read) {
		return nil
	}
	needed := fault.Needs(scope.TypeLatchkey + ":" + Resource + ":" + scope.Read)
	return l.Refused(ctx, time.Now(), caller, action, "", needed)
}
