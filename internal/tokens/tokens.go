// Package tokens is the core: every rule about tokens is here. It issues,
// checks, lists, changes, rotates and revokes them. Each operation takes the
// identity of whoever asks, decides, does it and writes the audit event, for
// refusals too, so that no dialect can forget.
//
// It knows neither HTTP nor a database. Passwords and accounts are
// internal/accounts' business.
package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Store is what the core needs of a store.
type Store interface {
	store.TokenReader
	store.FamilyReader
	store.ChangeReader
	store.Updater
	store.Issuer
	store.Batcher
	Holder(ctx context.Context, accountID string) (store.Holder, error)
	Grants(ctx context.Context, q store.GrantQuery) ([]store.Grant, error)
}

// Options configure a [Service]. Store, Keys, Audit and Log are needed; the
// zero values of the rest are replaced by the defaults named.
type Options struct {
	Store  Store
	Keys   *serverkey.Ring
	Audit  *audit.Log
	Log    *slog.Logger
	Policy Policy
	Now    func() time.Time // the wall clock; default time.Now

	CacheEntries int // secrets kept in memory; default 100,000

	// Bound is for how long an answer may lag behind the change log: a node
	// that could not follow the log for longer asks the store each time.
	// Default 2 s.
	Bound time.Duration

	// StaleFor lets checks go on from what is cached for this much longer
	// while the store does not answer. Default 0: they fail.
	StaleFor time.Duration

	// Checks says which successful checks are events in the audit log. Default
	// [audit.ChecksSampled].
	Checks audit.Checks

	PollEvery  time.Duration // how often the change log is read; default a quarter of Bound
	FlushEvery time.Duration // how often last uses are written; default 5 s

	// OnKeys is called when signing keys have changed, or when such a change may
	// have been missed; nil: nobody wants to know. It must not block.
	OnKeys func()

	// KeepEnded is how long tokens that ended stay listed; default 90 days.
	KeepEnded time.Duration

	// KeepChanges is for how long changes stay in the change log, and
	// MostChanges is how many of them at most: whoever is further behind has
	// to start over. Defaults 24 h and 100,000.
	KeepChanges time.Duration
	MostChanges int
}

// Service is the core. Its methods may be called from many goroutines.
type Service struct {
	store  Store
	keys   *serverkey.Ring
	audit  *audit.Log
	log    *slog.Logger
	policy atomic.Pointer[Policy]
	now    func() time.Time
	opts   Options
	counts counts

	signer Signer // nil: there are no signed tokens
	shapes []Shape

	directory Directory // nil: tokens of other issuers do not count

	cache    *cache
	unknowns *unknowns
	uses     uses

	started  time.Time    // for the monotonic clock
	position atomic.Int64 // number of the last change that was applied from the log
	followed atomic.Int64 // when the log was last known to be read to its end, ns since started; -1: never

	recent recent        // the end of the log, for readers of the feed
	feeds  atomic.Int64  // how many readers there are
	wake   chan struct{} // gets a value when this node has added to the log and somebody reads the feed

	allChecks, sampled atomic.Bool // which successful checks are events; see SetChecks
}

// New returns a core. It serves right away; [Service.Run] makes it fast, since
// nothing is taken from the cache unless the change log is being followed.
func New(opts Options) (*Service, error) {
	if opts.Store == nil || opts.Keys == nil || opts.Audit == nil || opts.Log == nil {
		return nil, errors.New("tokens: Store, Keys, Audit and Log are needed")
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	setDefault(&opts.CacheEntries, 100_000)
	setDefault(&opts.Bound, 2*time.Second)
	setDefault(&opts.PollEvery, opts.Bound/4)
	setDefault(&opts.FlushEvery, 5*time.Second)
	setDefault(&opts.KeepEnded, 90*24*time.Hour)
	setDefault(&opts.KeepChanges, 24*time.Hour)
	setDefault(&opts.MostChanges, 100_000)
	policy, err := opts.Policy.withDefaults()
	if err != nil {
		return nil, err
	}
	if opts.OnKeys == nil {
		opts.OnKeys = func() {}
	}
	s := &Service{
		store: opts.Store, keys: opts.Keys, audit: opts.Audit, log: opts.Log,
		now: opts.Now, opts: opts,
		cache: newCache(opts.CacheEntries), unknowns: newUnknowns(5*time.Second, 50_000),
		started: time.Now(), wake: make(chan struct{}, 1),
	}
	s.policy.Store(&policy)
	s.followed.Store(-1)
	s.uses.seen, s.uses.many = s.sample, make(chan struct{}, 1)
	return s, s.SetChecks(opts.Checks)
}

func setDefault[T ~int | ~int64](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// SetChecks says which successful checks are events from now on; "" is as good
// as [audit.ChecksSampled].
func (s *Service) SetChecks(c audit.Checks) error {
	switch c {
	case audit.ChecksNone, audit.ChecksAll, audit.ChecksSampled, "":
	default:
		return fmt.Errorf("tokens: there is no amount of events about checks called %q", c)
	}
	s.allChecks.Store(c == audit.ChecksAll)
	s.sampled.Store(c == audit.ChecksSampled || c == "")
	return nil
}

// Policy returns the rules of life in force.
func (s *Service) Policy() Policy { return *s.policy.Load() }

// SetPolicy puts other rules of life into force, for what is made or changed
// from now on.
func (s *Service) SetPolicy(p Policy) error {
	p, err := p.withDefaults()
	if err != nil {
		return err
	}
	s.policy.Store(&p)
	return nil
}
