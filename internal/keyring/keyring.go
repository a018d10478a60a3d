// Package keyring keeps the keys by which the server signs tokens: it makes
// them, publishes them before they are used, rotates and withdraws them, and
// signs and verifies with them. Like the core it takes the caller's identity,
// decides, does it and writes the audit event.
//
// There are always two keys at least: one that signs, and the next one, which
// is published already. So a rotation, even in an emergency, is to a key that
// verifiers know. All nodes on one database have the same keys, sealed there
// under the server's secret; which one signs follows from the times in their
// records alone.
//
// The package knows neither HTTP nor a database, and nothing of what the tokens
// say: that is for those who sign (internal/assertion, dialects) and verify.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Store is what the package needs of a store.
type Store interface {
	store.SigningKeyReader
	store.Updater
}

// Follower follows the change log. [tokens.Service] does.
type Follower interface {
	// Ready reports whether the log was read to its end within the bound.
	Ready() bool

	// MayBeStale reports whether the operator lets answers be older for now.
	MayBeStale() bool

	// Apply tells others on this node of a change that was committed.
	Apply(c store.Change)
}

// Options configure a [Service]. Store, Secrets, Follower, Audit and Log are
// needed; the zero values of the rest are good.
type Options struct {
	Store    Store
	Secrets  *serverkey.Ring
	Follower Follower
	Audit    *audit.Log
	Log      *slog.Logger
	Policy   Policy
	Now      func() time.Time // default time.Now
}

// Policy says what keys are made of and how long they live.
type Policy struct {
	Algorithm jose.Algorithm // of new keys; default ES256

	// RotateEvery is how long a key signs before the next one does; 0: until
	// somebody rotates.
	RotateEvery time.Duration

	// PublishBefore is how long a key is published before it signs, at least;
	// default an hour. In an emergency there is no time for it.
	PublishBefore time.Duration

	// MaxAge is how long verifiers may keep the published set; default 5
	// minutes. It must be below PublishBefore (S49), and is how long a withdrawn
	// key may still count with those who verify by themselves.
	MaxAge time.Duration

	// Longest is the longest life of anything that is signed; default a minute.
	// A key is kept for so long after its last use (S58).
	Longest time.Duration
}

func (p Policy) withDefaults() (Policy, error) {
	if p.Algorithm == "" {
		p.Algorithm = jose.ES256
	}
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{{&p.PublishBefore, time.Hour}, {&p.MaxAge, 5 * time.Minute}, {&p.Longest, time.Minute}} {
		if *d.value == 0 {
			*d.value = d.otherwise
		}
	}
	if p.MaxAge >= p.PublishBefore {
		return p, fmt.Errorf("keyring: verifiers may keep the keys for %s, but the next one is published only %s before it is used", p.MaxAge, p.PublishBefore)
	}
	switch p.Algorithm {
	case jose.ES256, jose.EdDSA, jose.RS256, jose.PS256:
		return p, nil
	}
	return p, fmt.Errorf("keyring: keys cannot be made for the algorithm %q", p.Algorithm)
}

// Service is the ring of keys. Its methods may be called from many goroutines.
type Service struct {
	store    Store
	secrets  *serverkey.Ring
	follower Follower
	audit    *audit.Log
	log      *slog.Logger
	policy   Policy
	now      func() time.Time

	generation atomic.Uint64       // rises whenever what is held may be out of date
	held       atomic.Pointer[set] // nil: nothing was loaded yet
	loading    sync.Mutex
}

// New returns a service. It has no keys before [Service.Start].
func New(opts Options) (*Service, error) {
	if opts.Store == nil || opts.Secrets == nil || opts.Follower == nil || opts.Audit == nil || opts.Log == nil {
		return nil, errors.New("keyring: Store, Secrets, Follower, Audit and Log are needed")
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	policy, err := opts.Policy.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Service{
		store: opts.Store, secrets: opts.Secrets, follower: opts.Follower,
		audit: opts.Audit, log: opts.Log, policy: policy, now: opts.Now,
	}, nil
}

// Start makes the first keys if there are none (S73), follows a change of the
// policy, and sees to it that this server can sign.
func (s *Service) Start(ctx context.Context) error {
	err := s.change(ctx, nil, func(b *book) error {
		b.realign()
		if err := s.reseal(b); err != nil {
			return err
		}
		return b.settle()
	})
	if err != nil {
		return fmt.Errorf("prepare the signing keys: %w", err)
	}
	held, err := s.load(ctx)
	if err != nil {
		return fmt.Errorf("load the signing keys: %w", err)
	}
	_, err = held.signer(s.now())
	return err
}

// settleEvery is how often it is looked whether a key has to be made or has
// served its time. It decides nothing about when keys are used.
const settleEvery = time.Minute

// Run makes the next key whenever one has come into use, and removes those that
// have served their time, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.Settle(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("the signing keys cannot be looked after", "err", err)
			}
		}
	}
}

// Settle does at once what [Service.Run] does now and then.
func (s *Service) Settle(ctx context.Context) error {
	return s.change(ctx, nil, (*book).settle)
}

// Changed says that keys have changed, or may have: what is held is loaded
// again before it is used. It does not block.
func (s *Service) Changed() { s.generation.Add(1) }

// Generation changes whenever keys do. Whoever keeps what was signed or
// verified keeps it together with this number, and drops it when it has
// another: so a withdrawn key leaves nothing behind.
func (s *Service) Generation() uint64 { return s.generation.Load() }

// MaxAge is how long verifiers may keep the published set.
func (s *Service) MaxAge() time.Duration { return s.policy.MaxAge }

// Longest is how long anything that is signed may live.
func (s *Service) Longest() time.Duration { return s.policy.Longest }
