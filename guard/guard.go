// Package guard lets a Go service take the tokens of a Latchkey server. Three
// lines protect a handler:
//
//	g, err := guard.New(guard.Options{Server: "https://latchkey.example", Token: os.Getenv("LATCHKEY_TOKEN")})
//	…
//	http.Handle("/reports/", g.Require("path:/reports/*:read")(reports))
//
// and in the handler guard.FromContext(r.Context()) tells who is asking.
//
// The first request with a token asks the server; the following ones are
// answered from memory, in less than a microsecond. The guard follows the
// server's change log, so that a token that is revoked, an account that is
// disabled or a right that is taken away counts no longer, normally within
// milliseconds and never later than [Options.MaxStale]: when the guard has not
// heard from the server for so long, it asks for each request, and while the
// server does not answer, it lets nobody in (503).
//
// Signed access tokens are verified here first, with the server's published
// keys, so that what it has not signed, or what has expired, costs it nothing;
// and an answer about one of them holds for the others of the same login that
// say the same.
//
// What is kept is bounded. Credentials are kept by their SHA-256 only, never
// themselves.
//
// The token of the service needs the right latchkey:check:read and no other.
// A [Guard] is no login: people and programs get their tokens from the server.
package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/client"
)

const (
	defaultMaxStale   = 2 * time.Second
	leastMaxStale     = time.Second // the server says twice a second that all is told
	defaultMaxEntries = 10_000
)

// Options configure a [Guard]. Server and Token are needed; the zero values of
// the rest are replaced by the defaults named. They print without the token.
type Options struct {
	// Server is the URL of the Latchkey server, such as
	// https://latchkey.example.
	Server string

	// Token is the service's own token. It needs the right latchkey:check:read.
	Token string `json:"-"`

	// CAFile names a file of PEM certificates that are trusted instead of the
	// system's. Transport replaces the whole way to the server.
	CAFile    string
	Transport http.RoundTripper

	// MaxStale is how old an answer may be: for how long after it was revoked
	// a token may still open the door. It is also how long the server may take
	// to answer. At least 1 s; default 2 s.
	MaxStale time.Duration

	// MaxEntries bounds the tokens that are kept in memory, and the families of
	// signed ones, rounded up to a multiple of 32; default 10,000.
	MaxEntries int

	// ClientAddr tells from where a request comes, for tokens that are bound
	// to networks. The default is the address of the peer: behind a proxy,
	// give the function that reads what your proxy says, and nobody else can.
	ClientAddr func(*http.Request) netip.Addr

	// Realm is named in challenges; default "latchkey".
	Realm string

	// Log gets a line when the server is lost and when it is found again;
	// default slog.Default().
	Log *slog.Logger
}

// String returns the options without the token.
func (o Options) String() string {
	return fmt.Sprintf("guard options (server %s, most stale %s)", o.Server, o.MaxStale)
}

// GoString returns the options without the token.
func (o Options) GoString() string { return o.String() }

// Guard checks the tokens that are presented to a service. Its methods may be
// called from many goroutines.
type Guard struct {
	client     *client.Client
	maxStale   time.Duration
	clientAddr func(*http.Request) netip.Addr
	challenge  challenges
	log        *slog.Logger

	cache   *cache
	keys    keys
	refused *refusals
	flights flights
	asking  chan struct{} // holds as many values as questions are under way

	heard atomic.Pointer[time.Time] // as of when everything that changed is known here; nil: never
	state state

	ctx  context.Context // ends with the guard, for what goes on beside requests
	stop context.CancelFunc
	done sync.WaitGroup
}

// New returns a guard and begins to follow the server's change log. It does
// not wait for the server: until it answers, requests get 503. [Guard.Health]
// tells how things stand, and [Guard.Close] ends it.
func New(o Options) (*Guard, error) {
	if o.Token == "" {
		return nil, errors.New("guard: Token is needed: a token of this service with the right latchkey:check:read")
	}
	if o.MaxStale == 0 {
		o.MaxStale = defaultMaxStale
	}
	if o.MaxStale < leastMaxStale {
		return nil, fmt.Errorf("guard: MaxStale is below %s, which the server cannot keep", leastMaxStale)
	}
	if o.MaxEntries == 0 {
		o.MaxEntries = defaultMaxEntries
	}
	if o.MaxEntries < 0 {
		return nil, errors.New("guard: MaxEntries is negative")
	}
	if o.Realm == "" {
		o.Realm = "latchkey"
	}
	if strings.ContainsFunc(o.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		return nil, errors.New("guard: Realm has characters that cannot stand in a challenge")
	}
	c, err := client.New(o.Server, client.Options{Token: o.Token, CAFile: o.CAFile, Transport: o.Transport, UserAgent: "latchkey-guard"})
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	g := &Guard{
		client: c, maxStale: o.MaxStale, clientAddr: o.ClientAddr, challenge: newChallenges(o.Realm), log: o.Log,
		cache: newCache(o.MaxEntries), refused: newRefusals(o.MaxEntries), asking: make(chan struct{}, mostAsking),
	}
	if g.log == nil {
		g.log = slog.Default()
	}
	if g.clientAddr == nil {
		g.clientAddr = peer
	}
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.keys.fetch = func() (client.KeySet, error) {
		ctx, cancel := context.WithTimeout(g.ctx, g.maxStale)
		defer cancel()
		return c.Keys.Published(ctx)
	}
	g.done.Go(g.follow)
	return g, nil
}

// Close ends the guard. From then on every check fails with [ErrUnavailable].
func (g *Guard) Close() {
	g.stop()
	g.done.Wait()
	g.heard.Store(nil)
	g.client.CloseIdleConnections()
}

// peer returns the address of the other end of the connection.
func peer(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return plain(at.Addr())
}

// plain returns an address in the one form in which addresses are compared.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
