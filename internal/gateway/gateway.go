// Package gateway has the doors that stand in front of other HTTP services:
// the [Gateway], a reverse proxy that checks the credential of each request,
// judges its path by scope and names the caller to the upstream in a header;
// and the [Verifier], which answers the same question for another proxy
// (forward-auth). [PulpRoutes] is the map for a Pulp.
//
// The package decides nothing about tokens and passwords, which it has checked
// by a [Checker]. It does not listen, and it must not be mounted behind an
// [http.ServeMux], which answers unclean paths with redirects of its own.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// Checker tells whom a credential stands for: nil without one, else an identity
// or an error, which is a [tokens.Refusal] or a fault. [credential.Checker] is
// one.
type Checker interface {
	Check(ctx context.Context, found credential.Credential) (*identity.Identity, error)
}

// Namer says by which name an upstream is told of an account, and makes sure that
// the upstream knows it. The error is a fault, and the request goes no further
// then. [pulpaccounts.Accounts] is one.
type Namer interface {
	NameOf(id *identity.Identity) string
	Ensure(ctx context.Context, id *identity.Identity) error
}

// Options are what a [Gateway] is made of. Check is needed where a route's Auth
// is not [Off]; all else has a default.
type Options struct {
	Routes []Route
	Check  Checker

	// Bearers are schemes beside Bearer by which tokens are sent.
	Bearers []string

	// Anonymous returns the rules for requests without a credential. nil: there
	// are none, and a route with [Required] takes no such request.
	Anonymous func(ctx context.Context) (scope.Set, error)

	Observer Observer // is told of what is passed on; nil: nobody is

	Names Namer // for routes that are Renamed

	// Asserter makes the assertions of routes that have an Assertion.
	Asserter Asserter

	Peers   web.Peers // proxies in front whose X-Forwarded headers are passed on
	Cookies []string  // names of Latchkey's own cookies, which no upstream gets to see
	Realm   string    // of challenges; "Latchkey" if empty
	Audit   *audit.Log
	Log     *slog.Logger
	Now     func() time.Time
}

// Gateway is the reverse proxy.
type Gateway struct {
	table     *table
	check     Checker
	bearers   []string
	anonymous func(ctx context.Context) (scope.Set, error)
	observer  Observer
	names     Namer
	asserter  Asserter
	peers     web.Peers
	cookies   map[string]bool
	protected map[string]bool // identity headers of all routes, as [foldName] has them
	challenge challenger
	audit     *audit.Log
	log       *slog.Logger
	proxyLog  *log.Logger
	now       func() time.Time
	buffers   *bufferPool
	close     func()
}

// New makes a gateway. The error says which route cannot be and why.
func New(o Options) (*Gateway, error) {
	challenge, err := newChallenger(o.Realm)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		check: o.Check, bearers: o.Bearers, anonymous: o.Anonymous, observer: o.Observer, names: o.Names, asserter: o.Asserter, peers: o.Peers, challenge: challenge,
		cookies: map[string]bool{}, protected: map[string]bool{},
		audit: o.Audit, log: o.Log, now: o.Now, buffers: newBufferPool(),
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if g.now == nil {
		g.now = time.Now
	}
	g.proxyLog = slog.NewLogLogger(g.log.Handler(), slog.LevelWarn)
	for _, name := range o.Cookies {
		g.cookies[name] = true
	}
	pool := newUpstreams()
	var routes []*route
	for _, r := range o.Routes {
		compiled, err := compile(r, pool)
		if err != nil {
			return nil, fmt.Errorf("gateway route %q: %w", r.label(), err)
		}
		if compiled.Auth != Off && g.check == nil {
			return nil, fmt.Errorf("gateway route %q: %w", r.label(), errNoChecker)
		}
		if compiled.Renamed && g.names == nil {
			return nil, fmt.Errorf("gateway route %q: %w", r.label(), errNoNames)
		}
		if err := compiled.Assertion.compile(g.asserter, compiled.UserHeader, compiled.TokenHeader, compiled.ScopeHeader); err != nil {
			return nil, fmt.Errorf("gateway route %q: %w", r.label(), err)
		}
		for _, name := range compiled.identityHeaders() {
			g.protected[foldName(name)] = true
		}
		routes = append(routes, compiled)
	}
	if g.table, err = newTable(routes); err != nil {
		return nil, err
	}
	g.close = pool.closeIdle
	return g, nil
}

var errNoChecker = errors.New("nothing to check credentials with")

// Close closes the connections to upstreams that are idle. Requests in flight
// are not touched.
func (g *Gateway) Close() { g.close() }

// ServeHTTP lets a request through to its upstream or answers why not.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{
		g: g, in: r,
		requestID: w.Header()[web.RequestIDHeader], correlationID: w.Header()[web.CorrelationIDHeader],
	}
	x.mark(w.Header())
	if refused := x.find(); refused != nil {
		g.answer(w, refused)
		return
	}
	defer x.record()
	if refused := x.admit(); refused != nil {
		x.refuse(w, refused)
		return
	}
	if refused := x.introduce(); refused != nil {
		x.refuse(w, refused)
		return
	}
	x.forward(w)
}

// closesAfter reports whether the connection may carry nothing after this
// request. net/http has resolved a request with both Content-Length and
// Transfer-Encoding by then, and forgotten that it was one; RFC 9112 section
// 6.1 wants such a connection closed, since a proxy in front may see the end of
// the request elsewhere and take what follows for a part of it. So every
// chunked request is the last one on its connection (S90).
func closesAfter(r *http.Request) bool {
	return r.ProtoMajor == 1 && len(r.TransferEncoding) > 0
}

// find chooses the route.
func (x *exchange) find() *refusal {
	if refusesMethod(x.in.Method) {
		return methodRefused()
	}
	var err error
	if x.target, x.path, err = splitTarget(x.in); err == nil {
		x.route, err = x.g.table.pick(x.path)
	}
	switch {
	case err != nil:
		return targetRefused(err)
	case x.route == nil:
		return &refusal{status: http.StatusNotFound, detail: "nothing is served under this path"}
	}
	return nil
}

// allowedMethods is the Allow header of an answer to a method that is refused.
var allowedMethods = strings.Join([]string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
	http.MethodPatch, http.MethodDelete, http.MethodOptions,
}, ", ")
