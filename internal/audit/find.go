package audit

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// mostOfRequest bounds the events of one request that are looked at.
const mostOfRequest = 20

// OfRequest returns the events of one request, newest first. It decides nothing:
// its caller knows who may see them.
func (l *Log) OfRequest(ctx context.Context, requestID string) ([]store.Event, error) {
	l.Flush(ctx)
	events, err := l.store.Events(ctx, store.EventQuery{RequestID: requestID, Limit: mostOfRequest})
	return events, fault.FromStore(err)
}
