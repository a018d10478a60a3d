package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/latchkey-auth/latchkey/api"
)

// Audit reads the audit log.
type Audit struct{ c *Client }

// AuditQuery selects events. Zero fields do not restrict.
type AuditQuery struct {
	Action        string
	Outcome       string    // "ok", "refused" or "failed"
	Actor         string    // who asked
	Token         string    // id of the token that was used to ask
	Target        string    // what it was about
	RequestID     string    // of one request
	CorrelationID string    // of what belongs together across services
	Since, Until  time.Time // the span of time

	Limit  int    // size of a page, up to 1000; 0: the server's default, 100
	Cursor string // where to go on: [api.Page.Next]
}

func (a AuditQuery) values() url.Values {
	q := query{}
	q.text("action", a.Action)
	q.text("outcome", a.Outcome)
	q.text("actor", a.Actor)
	q.text("token", a.Token)
	q.text("target", a.Target)
	q.text("request_id", a.RequestID)
	q.text("correlation_id", a.CorrelationID)
	q.time("since", a.Since)
	q.time("until", a.Until)
	q.number("limit", a.Limit)
	q.text("cursor", a.Cursor)
	return url.Values(q)
}

// List returns one page of events, newest first.
func (a Audit) List(ctx context.Context, q AuditQuery) (api.Page[api.Event], error) {
	var out api.Page[api.Event]
	err := a.c.do(ctx, call{method: http.MethodGet, path: []string{"audit"}, query: q.values()}, &out)
	return out, err
}

// All iterates over all events that the query selects, page by page. It ends
// after the first error.
func (a Audit) All(ctx context.Context, q AuditQuery) iter.Seq2[api.Event, error] {
	return all(ctx, q.Cursor, func(ctx context.Context, cursor string) (api.Page[api.Event], error) {
		q.Cursor = cursor
		return a.List(ctx, q)
	})
}
