// Package accounts is about who can hold tokens: users and robots, their
// groups and grants, and how users prove who they are with a password. Like
// the core it takes the caller's identity, decides, does it and writes the
// audit event.
//
// It knows neither HTTP nor a database, and no rules about tokens but that
// they end when their account does.
package accounts

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/source"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/throttle"
)

// Local is the name of the source whose passwords Latchkey keeps itself.
const Local = "local"

// Store is what the package needs of a store.
type Store interface {
	store.AccountReader
	store.Updater
}

// Tokens is what the package needs of the core.
type Tokens interface {
	// IdentityOf returns the identity of an account whose password is right.
	IdentityOf(ctx context.Context, accountID string) (*identity.Identity, error)

	// Apply puts a committed change into force on this node.
	Apply(c store.Change)
}

// Options configure a [Service]. All but Sources and Now are needed.
type Options struct {
	Store     Store
	Tokens    Tokens
	Passwords *password.Pool
	Throttle  *throttle.Logins
	Audit     *audit.Log
	Log       *slog.Logger

	// Sources are asked for passwords in this order. A nil element stands for
	// the local source; without any the local one alone is asked.
	Sources []source.Source

	Now func() time.Time // default time.Now
}

// Service manages accounts and checks passwords. Its methods may be called
// from many goroutines.
type Service struct {
	store     Store
	tokens    Tokens
	passwords *password.Pool
	throttle  *throttle.Logins
	audit     *audit.Log
	log       *slog.Logger
	sources   []source.Source
	now       func() time.Time
	logins    [4]atomic.Int64 // by outcome
}

// New returns a service.
func New(opts Options) (*Service, error) {
	if opts.Store == nil || opts.Tokens == nil || opts.Passwords == nil || opts.Throttle == nil || opts.Audit == nil || opts.Log == nil {
		return nil, errors.New("accounts: Store, Tokens, Passwords, Throttle, Audit and Log are needed")
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Service{
		store: opts.Store, tokens: opts.Tokens, passwords: opts.Passwords,
		throttle: opts.Throttle, audit: opts.Audit, log: opts.Log, now: opts.Now,
	}
	sources := opts.Sources
	if len(sources) == 0 {
		sources = []source.Source{nil}
	}
	for _, src := range sources {
		if src == nil {
			src = &localSource{store: opts.Store, passwords: opts.Passwords, service: s}
		}
		s.sources = append(s.sources, src)
	}
	return s, nil
}

// update runs a transaction that ends with the given changes in the log, and
// puts them into force on this node, even when the outcome is not known.
func (s *Service) update(ctx context.Context, changes []store.Change, fn func(store.Tx) error) error {
	err := s.store.Update(ctx, func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		for _, c := range changes {
			if _, err := tx.AppendChange(c); err != nil {
				return err
			}
		}
		return nil
	})
	for _, c := range changes {
		s.tokens.Apply(c)
	}
	return err
}

// changed is the change that makes checks load an account again.
func changed(accountID string, now time.Time) []store.Change {
	return []store.Change{{At: now, Kind: store.ChangeAccount, AccountID: accountID}}
}

// groupsChanged is the change that makes checks load all accounts again.
func groupsChanged(now time.Time) []store.Change {
	return []store.Change{{At: now, Kind: store.ChangeGroups}}
}
