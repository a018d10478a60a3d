package accounts

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// SetPassword gives a local user a new password, as an administrator. All
// their tokens end, unless keepTokens is set.
func (s *Service) SetPassword(ctx context.Context, caller *identity.Identity, accountID string, next secret.Text, keepTokens bool) error {
	if err := s.setPassword(ctx, caller, accountID, next, keepTokens); err != nil {
		return s.refused(ctx, caller, "account.password", accountID, err)
	}
	return nil
}

func (s *Service) setPassword(ctx context.Context, caller *identity.Identity, accountID string, next secret.Text, keepTokens bool) error {
	if err := need(caller, Accounts, scope.Write); err != nil {
		return err
	}
	encoded, err := s.hash(ctx, next)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, caller, accountID, "account.password", func(tx store.Tx, a *store.Account, caller *identity.Identity, now time.Time) error {
		return replacePassword(tx, a, caller, encoded, keepTokens, now)
	})
	return err
}

func replacePassword(tx store.Tx, a *store.Account, caller *identity.Identity, encoded string, keepTokens bool, now time.Time) error {
	if a.Source != Local || a.Kind != store.User {
		return fault.Conflictf("the password of this account is not kept here")
	}
	a.PasswordHash = encoded
	if keepTokens {
		return nil
	}
	_, err := tokens.EndAll(tx, a, now, caller.AccountID, "the password was changed")
	return err
}

// ChangePassword gives the caller a new password, if they know the current
// one; guesses are throttled as logins are. All their tokens end, unless
// keepTokens is set.
func (s *Service) ChangePassword(ctx context.Context, caller *identity.Identity, current, next secret.Text, keepTokens bool) error {
	if err := s.changePassword(ctx, caller, current, next, keepTokens); err != nil {
		return s.refused(ctx, caller, "account.password", "", err)
	}
	return nil
}

func (s *Service) changePassword(ctx context.Context, caller *identity.Identity, current, next secret.Text, keepTokens bool) error {
	if err := need(caller, Self, scope.Write); err != nil {
		return err
	}
	if caller.Source != Local {
		return fault.Conflictf("the password of this account is not kept here")
	}
	attempt, wait := s.throttle.Begin(caller.Name, audit.FromContext(ctx).Addr.String())
	if wait > 0 {
		return fault.TooOften(wait)
	}
	account, err := s.store.Account(ctx, caller.AccountID)
	if err != nil {
		attempt.Abandoned()
		return orMissing(err, caller.Name)
	}
	result, err := s.passwords.Verify(ctx, account.PasswordHash, current.Reveal())
	switch {
	case err != nil && !errors.Is(err, password.ErrUnusable):
		attempt.Abandoned()
		return fault.Unavailablef(err, "the password cannot be checked now")
	case !result.OK:
		attempt.Failed()
		return fault.Forbiddenf("the current password is wrong")
	}
	attempt.Succeeded()
	encoded, err := s.hash(ctx, next)
	if err != nil {
		return err
	}
	now := s.now().UTC()
	return s.update(ctx, changed(account.ID, now), func(tx store.Tx) error {
		a, err := tx.LockAccount(account.ID)
		if err != nil {
			return orMissing(err, caller.Name)
		}
		if a.PasswordHash != account.PasswordHash {
			return fault.Conflictf("the password was changed in the meantime")
		}
		if err := replacePassword(tx, &a, caller, encoded, keepTokens, now); err != nil {
			return err
		}
		if err := tx.UpdateAccount(a); err != nil {
			return err
		}
		return done(ctx, tx, now, caller, "account.password", a.ID, changedDetail(account, a))
	})
}
