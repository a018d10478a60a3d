// Package server puts the parts together: it builds the core on a store, the
// handlers on the core, and one tree of all handlers; it runs what runs beside
// requests, listens, and stops without losing anything. It reads no
// configuration and names no store: its caller does.
package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/assertion"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/auditchain"
	"github.com/latchkey-auth/latchkey/internal/clock"
	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/dialect/drf"
	"github.com/latchkey-auth/latchkey/internal/dialect/registry"
	"github.com/latchkey-auth/latchkey/internal/dialect/simplejwt"
	"github.com/latchkey-auth/latchkey/internal/extauthz"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/metrics"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/pulpaccounts"
	"github.com/latchkey-auth/latchkey/internal/restapi"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/source"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/watched"
	"github.com/latchkey-auth/latchkey/internal/throttle"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/traces"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// Options say what a server is made of. Store, Keys and Log are needed; the
// zero values of the rest are good.
type Options struct {
	Store store.Store
	Keys  *serverkey.Ring
	Log   *slog.Logger
	Now   func() time.Time // default: the machine's, which does not go back

	Tokens      TokenOptions
	SigningKeys keyring.Policy
	Passwords   password.Options
	AuditKeep   time.Duration // how long events are kept; 0: for ever

	// Sources makes the password sources, in the order in which they are
	// asked, once there is a pool to hash with. A nil source is the local one;
	// a nil function means that one alone.
	Sources func(*password.Pool) ([]source.Source, error)

	// AuditHeadFile keeps the head of the audit log's chain outside of the
	// database; "": nothing does.
	AuditHeadFile string

	// ThrottleFile keeps the counts of failed logins over a restart; "": they
	// begin anew.
	ThrottleFile string

	// CertificateEnds returns when the listener's certificate ends, for
	// metrics; nil: it has none.
	CertificateEnds func() time.Time

	Peers web.Peers // proxies whose X-Forwarded-For counts
	Realm string    // named in challenges; default "latchkey"

	// Issuer is the "iss" of what the server signs; default its realm.
	Issuer string

	// VerifyAssertion says what listed proxies get with a yes at /latchkey/verify.
	VerifyAssertion gateway.Assertion

	Routes []gateway.Route // what the gateway stands in front of; none: no gateway
	DRF    *drf.Options    // nil: that dialect is off

	// PulpAccounts says by which name Pulp is told of accounts, on routes and for
	// services that are Renamed; nil: there are none.
	PulpAccounts *pulpaccounts.Options

	// SimpleJWT is that dialect; nil: it is off. A reload changes what
	// [simplejwt.Options.Reloaded] takes over.
	SimpleJWT *simplejwt.Options

	// PublicURL is how clients reach the server, without a path; default
	// http://localhost.
	PublicURL string

	// Registry is the realm of container registries, without what the server
	// knows itself; nil: there is none. See [Server.realm] for its defaults. A
	// reload does not change its life.
	Registry *registry.Options

	Metrics *metrics.Metrics // where to count; nil: counters that nobody sees
	Tracer  *traces.Tracer   // nil: there are no traces
}

// TokenOptions are the settings of the core.
type TokenOptions struct {
	Policy          tokens.Policy
	CacheEntries    int
	Bound, StaleFor time.Duration
	KeepEnded       time.Duration
	Checks          audit.Checks
}

// Server is a whole Latchkey, without a listener.
type Server struct {
	opts     Options
	log      *slog.Logger
	store    store.Store
	audit    *audit.Log
	chain    *auditchain.Chain
	tokens   *tokens.Service
	keyring  *keyring.Service
	accounts *accounts.Service
	throttle *throttle.Logins
	metrics  *metrics.Metrics
	serving  atomic.Pointer[serving]
	reload   reloading
	closers  []interface{ Close() }
	nobody   anonymousRules
	pinged   pinged
	draining atomic.Bool
	stopping chan struct{} // closed when no new requests are taken
	stopOnce sync.Once
}

// spans returns where spans are counted; nil if there are none.
func (o Options) spans() func() (sent, failed int64) {
	if o.Tracer == nil {
		return nil
	}
	return o.Tracer.Spans
}

// New puts a server together. It asks the database for nothing.
func New(opts Options) (*Server, error) {
	if opts.Store == nil || opts.Keys == nil || opts.Log == nil {
		return nil, errors.New("server: Store, Keys and Log are needed")
	}
	if opts.Now == nil {
		opts.Now = clock.Steady()
	}
	if opts.Realm == "" {
		opts.Realm = "latchkey"
	}
	if opts.Metrics == nil {
		opts.Metrics = metrics.New()
	}
	proofs, err := auditchain.NewKeys(opts.Keys)
	if err != nil {
		return nil, err
	}
	opts.Store = auditchain.Attest(watched.New(opts.Store, storeWatch{opts.Metrics, opts.Tracer}), proofs)
	s := &Server{opts: opts, log: opts.Log, store: opts.Store, metrics: opts.Metrics, audit: audit.NewLog(opts.Store, opts.Log),
		stopping: make(chan struct{})}
	s.chain = auditchain.New(auditchain.Options{
		Store: opts.Store, Keys: proofs, Log: opts.Log, Now: opts.Now, HeadFile: opts.AuditHeadFile, Report: s.auditAlarm,
	})
	if err := s.buildCore(); err != nil {
		return nil, err
	}
	first, err := s.buildHandlers(opts)
	if err != nil {
		return nil, err
	}
	s.serving.Store(first)
	s.reload.keep, s.reload.renewed = opts.AuditKeep, make(chan struct{}, 1)
	return s, nil
}

// buildCore makes the tokens and the accounts.
func (s *Server) buildCore() error {
	o := s.opts
	var err error
	s.tokens, err = tokens.New(tokens.Options{
		Store: o.Store, Keys: o.Keys, Audit: s.audit, Log: o.Log, Now: o.Now,
		Policy: o.Tokens.Policy, CacheEntries: o.Tokens.CacheEntries,
		Bound: o.Tokens.Bound, StaleFor: o.Tokens.StaleFor, KeepEnded: o.Tokens.KeepEnded,
		Checks: o.Tokens.Checks,
		OnKeys: func() { s.keyring.Changed() }, // not before Run
	})
	if err != nil {
		return err
	}
	s.keyring, err = keyring.New(keyring.Options{
		Store: o.Store, Secrets: o.Keys, Follower: s.tokens, Audit: s.audit, Log: o.Log, Now: o.Now, Policy: o.signingKeys(),
	})
	if err != nil {
		return err
	}
	if err := s.tokens.SignWith(s.keyring, s.shapes()...); err != nil {
		return err
	}
	pool, err := password.New(o.Passwords)
	if err != nil {
		return err
	}
	var sources []source.Source
	if o.Sources != nil {
		if sources, err = o.Sources(pool); err != nil {
			return err
		}
	}
	for _, src := range sources {
		if c, ok := src.(interface{ Close() }); ok {
			s.closers = append(s.closers, c)
		}
	}
	s.throttle = throttle.New(throttle.Options{Now: o.Now})
	s.restoreThrottle()
	s.accounts, err = accounts.New(accounts.Options{
		Store: o.Store, Tokens: s.tokens, Passwords: pool, Throttle: s.throttle,
		Audit: s.audit, Log: o.Log, Sources: sources, Now: o.Now,
	})
	if err != nil {
		return err
	}
	s.tokens.TakeImported(s.accounts)
	s.metrics.Follow(metrics.Sources{
		Tokens: s.tokens.Stats, Audit: s.audit.Stats, Passwords: pool.Stats, Throttle: s.throttle.Stats,
		Logins: s.accounts.Logins, Ready: s.isReady, Certificate: o.CertificateEnds, Spans: o.spans(),
	})
	return nil
}

// buildHandlers makes everything that answers requests, on the core that is
// there. It is done anew, with other options, when the configuration is read
// again; see [Server.Reload].
func (s *Server) buildHandlers(o Options) (*serving, error) {
	check := &credential.Checker{Tokens: s.tokens, Passwords: s.accounts, Bearers: o.bearers()}
	asserter, err := assertion.New(assertion.Options{Signer: s.keyring, Issuer: cmp.Or(o.Issuer, o.Realm), Now: o.Now})
	if err != nil {
		return nil, err
	}
	t := &tree{exact: map[string]door{}, none: s.door(metrics.NoDoor, http.HandlerFunc(s.nothing))}
	why := &explainers{tree: t}
	t.api = s.door(metrics.API, restapi.New(restapi.Options{
		Tokens: s.tokens, Accounts: s.accounts, SigningKeys: s.keyring, Audit: s.audit, Chain: s.chain, Check: check, Doors: why,
		Keys: o.Keys, Log: o.Log, Realm: o.Realm, Now: o.Now, Stopping: s.stopping,
	}))
	verify, err := gateway.NewVerifier(gateway.VerifierOptions{
		Check: check, Bearers: check.Bearers, Peers: o.Peers, Anonymous: s.anonymous, Assertion: o.VerifyAssertion, Asserter: asserter, Audit: s.audit, Log: o.Log, Realm: o.Realm, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	why.verify = verify
	t.serve(s.door(metrics.Verify, verify), verifyPath)
	t.envoy = s.door(metrics.Verify, extauthz.HTTP(verify, o.Peers))
	t.serve(s.door(metrics.JWKS, http.HandlerFunc(s.jwks)), jwksPath)
	t.serve(s.door(metrics.OAuth, s.introspection(check)), introspectPath)
	t.serve(s.door(metrics.Health, http.HandlerFunc(s.alive)), alivePath)
	t.serve(s.door(metrics.Health, http.HandlerFunc(s.ready)), readyPath)
	if o.DRF != nil {
		d := drf.New(*o.DRF, s.accounts, s.tokens, o.Log)
		t.serve(s.door(metrics.DRF, d), d.Paths()...)
	}
	if o.SimpleJWT != nil {
		d := simplejwt.New(*o.SimpleJWT, s.accounts, s.tokens, o.Log)
		t.serve(s.door(metrics.SimpleJWT, d), d.Paths()...)
	}
	outermost := func(h http.Handler) http.Handler {
		return web.Identify(o.Peers, web.Recover(o.Log, s.panicked, web.LogRequests(o.Log, h)))
	}
	made := &serving{close: func() {}, envoy: outermost(s.door(metrics.Verify, extauthz.GRPC(verify)))}
	names, err := s.pulpAccounts(o)
	if err != nil {
		return nil, err
	}
	if len(o.Routes) > 0 {
		g, err := gateway.New(gateway.Options{
			Routes: o.Routes, Names: names, Check: check, Bearers: check.Bearers, Anonymous: s.anonymous, Observer: upstreamWatch{s.metrics, o.Tracer}, Asserter: asserter,
			Audit: s.audit, Log: o.Log, Peers: o.Peers, Now: o.Now, Realm: o.Realm,
		})
		if err != nil {
			return nil, err
		}
		t.rest, made.close = s.door(metrics.Gateway, g), func() { g.Close(); names.Close() }
		why.gateway = g
	}
	if err := s.serveRealm(o, t, why, check, names); err != nil {
		made.close()
		return nil, err
	}
	made.handler = outermost(t)
	return made, nil
}

// serving is the tree of handlers that is in force.
type serving struct {
	handler http.Handler
	envoy   http.Handler // of the listener for gRPC
	close   func()       // of what it keeps open; requests under way are not touched
}

// ServeHTTP answers a request by the tree that is in force as it begins.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.serving.Load().handler.ServeHTTP(w, r)
}

// Handler returns what answers requests.
func (s *Server) Handler() http.Handler { return s }

// Start makes the database and this server fit each other: it refuses a
// database that was filled under other secrets, and makes the signing keys and
// the administrator in an empty one. It returns the password that it gave them,
// if it did.
func (s *Server) Start(ctx context.Context, adminPassword secret.Text) (made secret.Text, err error) {
	if err := s.claim(ctx); err != nil {
		return secret.Text{}, err
	}
	if err := s.keyring.Start(ctx); err != nil {
		return secret.Text{}, err
	}
	return s.accounts.Bootstrap(ctx, adminPassword)
}

// claim registers the server's secrets with the database.
func (s *Server) claim(ctx context.Context) error {
	known, err := s.store.Keys(ctx)
	if err != nil {
		return err
	}
	ours := map[string]bool{}
	for _, k := range s.opts.Keys.Keys() {
		ours[k.ID()] = true
	}
	overlap := len(known) == 0
	for _, id := range known {
		overlap = overlap || ours[id]
	}
	if !overlap {
		return ErrForeignSecret
	}
	for _, k := range s.opts.Keys.Keys() {
		if err := s.store.RegisterKey(ctx, k.ID(), k.Check()); err != nil {
			if errors.Is(err, store.ErrConflict) {
				return ErrForeignSecret
			}
			return err
		}
	}
	return nil
}

// ErrForeignSecret says that the database was filled by a server with other
// secrets, none of whose tokens this one would know.
var ErrForeignSecret = errors.New("the server secret does not belong to this database: no token in it would be known. Put the right server.key in its place, or use another database")

// Run does what goes on beside requests until ctx ends: it follows the change
// log, writes what is collected in memory, and sweeps. What waits is written
// before it returns.
func (s *Server) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { s.tokens.Run(ctx) })
	wg.Go(func() { s.keyring.Run(ctx) })
	wg.Go(func() { s.accounts.Run(ctx) })
	wg.Go(func() { s.saveThrottle(ctx) })
	wg.Go(func() { s.sweepAudit(ctx) })
	wg.Go(func() { s.chain.Run(ctx) })
	events, stop := context.WithCancel(context.WithoutCancel(ctx))
	written := make(chan struct{})
	go func() { defer close(written); s.audit.Run(events) }()
	wg.Wait() // what the others do at their end is recorded too
	stop()
	<-written
	s.chain.Finish(ctx)
}

// auditAlarm records what the audit log's chain has to say about the log.
func (s *Server) auditAlarm(action, reason, text string) {
	e := audit.Event(context.Background(), s.opts.Now(), nil, action, audit.OK)
	if reason != "" {
		e.Outcome, e.Reason = audit.Failed, reason
	}
	e.Detail = map[string]string{"what": text}
	s.audit.Record(e)
}

// Close releases what the server opened itself, which the store is not.
func (s *Server) Close() {
	s.serving.Load().close()
	for _, c := range s.closers {
		c.Close()
	}
}
