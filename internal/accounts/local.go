package accounts

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/source"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// localSource checks the passwords that Latchkey keeps.
type localSource struct {
	store     Store
	passwords *password.Pool
	service   *Service
}

// Name returns "local".
func (l *localSource) Name() string { return Local }

// Login checks a password. A user that does not exist, or that has none, costs
// what a wrong password costs (S72, S100).
func (l *localSource) Login(ctx context.Context, username, text string) (source.Subject, error) {
	account, err := l.find(ctx, username)
	if err != nil {
		return source.Subject{}, err
	}
	result, err := l.verify(ctx, account.PasswordHash, text)
	if err != nil {
		return source.Subject{}, fmt.Errorf("%w: %v", source.ErrUnavailable, err)
	}
	if !result.OK || account.Disabled {
		return source.Subject{}, source.ErrRefused
	}
	if result.Rehash {
		l.service.rehash(ctx, account, text)
	}
	return source.Subject{ID: account.Subject, Username: account.Name, Email: account.Email}, nil
}

// find returns the local user of that name, or an account without a password.
func (l *localSource) find(ctx context.Context, username string) (store.Account, error) {
	known, err := l.store.AccountsByName(ctx, username)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.Account{}, fmt.Errorf("%w: %v", source.ErrUnavailable, err)
	}
	for _, a := range known {
		if a.Source == Local && a.Kind == store.User {
			return a, nil
		}
	}
	return store.Account{}, nil
}

// verify checks a password against a stored hash. A hash that no password can
// match costs what one of our own does. So does, besides its own cost, one that
// was taken over and does not match: they are often cheap, and time must not
// tell who has one (S100).
func (l *localSource) verify(ctx context.Context, encoded, text string) (password.Result, error) {
	result, err := l.passwords.Verify(ctx, encoded, text)
	if errors.Is(err, password.ErrUnusable) {
		return password.Result{}, l.passwords.Waste(ctx, "")
	}
	if err == nil && !result.OK && !l.passwords.Own(encoded) {
		return result, l.passwords.Waste(ctx, "")
	}
	return result, err
}

// rehash stores a password's hash again with today's cost, now that the
// password is at hand. Failing to is no reason to refuse the login.
func (s *Service) rehash(ctx context.Context, account store.Account, text string) {
	encoded, err := s.passwords.Hash(ctx, text)
	if err != nil {
		return
	}
	err = s.store.Update(ctx, func(tx store.Tx) error {
		now, err := tx.LockAccount(account.ID)
		if err != nil || now.PasswordHash != account.PasswordHash {
			return err // changed in between
		}
		now.PasswordHash = encoded
		return tx.UpdateAccount(now)
	})
	if err != nil {
		s.log.Warn("a password could not be hashed anew", "account", account.Name, "err", err)
	}
}
