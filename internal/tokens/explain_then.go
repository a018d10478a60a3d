package tokens

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/explain"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Then is what the audit log has about a request that was made: how it was
// decided, and what was decided about.
type Then struct {
	At                      time.Time
	Action, Outcome, Reason string
	Missing                 string // the scope
	Status                  string // of the answer

	Door         string // where it was asked, as far as it is known
	Method, Path string // without the query, which is not kept
	TokenID      string
	AccountID    string
	AccountName  string
	Addr         netip.Addr
}

// errNoRequest is the one answer about requests that are not in the log and
// those of others.
var errNoRequest = fault.NotFoundf("the audit log has no event of such a request, or none that you may ask about")

// Then returns what was decided about a request, by its id. Whoever may only
// ask about their own finds only requests that were made with their own
// credentials.
func (s *Service) Then(ctx context.Context, caller *identity.Identity, requestID string) (Then, error) {
	if err := mayExplain(caller); err != nil {
		return Then{}, s.refused(ctx, caller, "token.explain", "", err)
	}
	events, err := s.audit.OfRequest(ctx, requestID)
	if err != nil {
		return Then{}, err
	}
	others := false
	var seen []store.Event
	for _, e := range events {
		if MayExplain(caller) || e.ActorID == caller.AccountID {
			seen = append(seen, e)
		} else {
			others = true
		}
	}
	if others {
		_ = s.refused(ctx, caller, "token.explain", requestID, fault.Needs(scope.TypeLatchkey+":"+Explanations+":"+scope.Read))
	}
	if len(seen) == 0 || others { // what others are in, is not one's own
		return Then{}, errNoRequest
	}
	return thenOf(seen), nil
}

// thenOf puts the events of one request together: the refusal decides, the
// others add what it does not say.
func thenOf(events []store.Event) Then {
	first := events[0]
	for _, e := range events { // newest first: the cause comes before what followed from it
		if e.Outcome != audit.OK {
			first = e
		}
	}
	t := Then{At: first.At, Action: first.Action, Outcome: first.Outcome, Reason: first.Reason}
	t.Addr, _ = netip.ParseAddr(first.Addr)
	for _, e := range append([]store.Event{first}, events...) {
		method, path := askedIn(e)
		for field, value := range map[*string]string{
			&t.Missing: e.Detail["missing"], &t.Status: e.Detail["status"], &t.Door: doorIn(e), &t.Method: method, &t.Path: path,
			&t.TokenID: e.TokenID, &t.AccountID: e.ActorID, &t.AccountName: e.ActorName,
		} {
			if *field == "" {
				*field = value
			}
		}
	}
	return t
}

// askedIn returns the request that an event of a door is about.
func askedIn(e store.Event) (method, path string) {
	if e.Detail["path"] != "" {
		return e.Detail["method"], e.Detail["path"]
	}
	if doorIn(e) == "" {
		return "", ""
	}
	method, path, found := strings.Cut(e.Target, " ")
	if !found || !strings.HasPrefix(path, "/") {
		return "", ""
	}
	return method, path
}

// doorIn returns the door that wrote an event.
func doorIn(e store.Event) string {
	switch {
	case e.Detail["door"] != "":
		return e.Detail["door"]
	case e.Action == "gateway.request":
		return explain.Gateway
	case e.Action == "verify":
		return explain.ForwardAuth
	}
	return ""
}
