package gateway

import (
	"errors"
	"maps"
	"net/url"
	"sync/atomic"

	"github.com/latchkey-auth/latchkey/internal/scope"
)

// mostAsked bounds how many queries are remembered. A proxy's configuration has
// a few of them.
const mostAsked = 64

// askedQueries reads the queries in which proxies ask for scopes, and remembers
// those that led to a yes, since the same few come with every request.
type askedQueries struct {
	known atomic.Pointer[map[string]scope.Set] // never changed, only replaced
}

var errAsked = errors.New("the query must have scope parameters only; the client's belongs into X-Forwarded-Uri (with Caddy, end uri with a \"?\")")

// parse reads the scopes that a proxy's configuration asks for. What cannot be
// read is an error: leaving it out would open the door.
func (a *askedQueries) parse(query string) (scope.Set, error) {
	if known := a.known.Load(); known != nil {
		if set, ok := (*known)[query]; ok {
			return set, nil
		}
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errAsked
	}
	for name := range values {
		if name != "scope" {
			return nil, errAsked
		}
	}
	return scope.ParseSet(values["scope"])
}

// remember keeps what a query means. Only queries that somebody known was let
// in with are kept, so that strangers cannot fill the room.
func (a *askedQueries) remember(query string, set scope.Set) {
	for {
		known := a.known.Load()
		if known != nil {
			if _, ok := (*known)[query]; ok || len(*known) >= mostAsked {
				return
			}
		}
		if a.known.CompareAndSwap(known, withQuery(known, query, set)) {
			return
		}
	}
}

func withQuery(known *map[string]scope.Set, query string, set scope.Set) *map[string]scope.Set {
	more := map[string]scope.Set{query: set}
	if known != nil {
		maps.Copy(more, *known)
	}
	return &more
}
