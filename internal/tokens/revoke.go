package tokens

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Revoke ends a token for good. Revoking one that was revoked before changes
// nothing and is no error. A token may always revoke itself.
func (s *Service) Revoke(ctx context.Context, caller *identity.Identity, id, reason string) error {
	if !audit.Printable(reason) || len(reason) > maxLabelText {
		return fault.Invalidf("reason", "must be at most %d bytes that can be printed, and no token", maxLabelText)
	}
	verb := scope.Delete
	if caller != nil && caller.Method == identity.Token && caller.TokenID == id {
		caller = withOwnDelete(caller)
	}
	var ended int
	t, err := s.change(ctx, caller, id, verb, "token.revoke", func(_ store.Tx, t *store.Token, now time.Time) error {
		ended = revoke(t, now, caller.AccountID, reason)
		return nil
	})
	if err != nil {
		return s.refused(ctx, caller, "token.revoke", audit.Clip(id), err)
	}
	s.counts.token(revokedOne, t.Class, ended)
	return nil
}

// withOwnDelete returns the caller with the right to end their own tokens,
// for the one case where a token ends itself.
func withOwnDelete(caller *identity.Identity) *identity.Identity {
	ending := *caller
	ending.TokenScope = nil
	rule, _ := scope.Parse(scope.TypeLatchkey + ":" + OwnTokens + ":" + scope.Delete)
	ending.Grants = scope.Set{rule}
	return &ending
}

// revoke marks a token and returns how many it has ended: none, if the token
// was revoked before.
func revoke(t *store.Token, now time.Time, by, reason string) int {
	if !t.RevokedAt.IsZero() {
		return 0
	}
	t.RevokedAt, t.RevokedBy, t.RevokeReason = now, by, reason
	return 1
}

const bySecret = "by its own secret"

// RevokeSecret ends the token that a secret opens; having it is right enough.
// It reports nothing about secrets that are unknown.
func (s *Service) RevokeSecret(ctx context.Context, text string) error {
	found, err := s.recognise(ctx, text)
	if fault.Is(err, fault.NotFound) {
		s.recordUnknownRevoke(ctx)
		return nil
	}
	if err != nil {
		return s.refused(ctx, nil, "token.revoke", "", err)
	}
	now := s.now().UTC()
	change := store.Change{At: now, Kind: store.ChangeToken, TokenID: found.Token.ID}
	var ended int
	err = s.update(ctx, []store.Change{change}, func(tx store.Tx) error {
		t, err := s.lockForeign(tx, found.Token, now)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		ended = revoke(&t, now, "", bySecret)
		if err := tx.UpdateToken(t); err != nil {
			return err
		}
		e := audit.Event(ctx, now, nil, "token.revoke", audit.OK)
		e.Target, e.TokenID, e.ActorID = t.ID, t.ID, t.AccountID
		e.Detail = map[string]string{"reason": bySecret}
		return tx.AppendEvent(e)
	})
	if err != nil {
		return s.refused(ctx, nil, "token.revoke", found.Token.ID, fault.FromStore(err))
	}
	s.counts.token(revokedOne, found.Token.Class, ended)
	return nil
}

// recordUnknownRevoke counts the secrets that were to be ended and that nothing
// is known of.
func (s *Service) recordUnknownRevoke(ctx context.Context) {
	key := audit.TallyKey{Action: "token.revoke", Reason: string(ReasonUnknown), Addr: audit.FromContext(ctx).Addr}
	s.audit.Tally(key, func() store.Event {
		e := audit.Event(ctx, s.now(), nil, key.Action, audit.Refused)
		e.Reason, e.Detail = key.Reason, audit.Asked(ctx, "")
		return e
	})
}

// RevokeAll ends all tokens of an account, those included that are being made
// at this moment on the strength of what was known before. It returns how many
// live ones there were.
func (s *Service) RevokeAll(ctx context.Context, caller *identity.Identity, accountID, reason string) (int, error) {
	n, err := s.revokeAll(ctx, caller, accountID, reason)
	if err != nil {
		return 0, s.refused(ctx, caller, "account.revoke_tokens", accountID, err)
	}
	s.counts.token(revokedOne, "", n)
	return n, nil
}

func (s *Service) revokeAll(ctx context.Context, caller *identity.Identity, accountID, reason string) (int, error) {
	if err := need(caller, accountID, scope.Delete); err != nil {
		return 0, err
	}
	if !audit.Printable(reason) || len(reason) > maxLabelText {
		return 0, fault.Invalidf("reason", "must be at most %d bytes that can be printed, and no token", maxLabelText)
	}
	now := s.now().UTC()
	var n int
	change := store.Change{At: now, Kind: store.ChangeAccount, AccountID: accountID}
	err := s.update(ctx, []store.Change{change}, func(tx store.Tx) error {
		account, err := tx.LockAccount(accountID)
		if errors.Is(err, store.ErrNotFound) {
			return fault.NotFoundf("there is no such account")
		}
		if err != nil {
			return err
		}
		if n, err = EndAll(tx, &account, now, caller.AccountID, reason); err != nil {
			return err
		}
		if err := tx.UpdateAccount(account); err != nil {
			return err
		}
		e := audit.Event(ctx, now, caller, "account.revoke_tokens", audit.OK)
		e.Target = accountID
		e.Detail = map[string]string{"account": account.Name, "reason": reason, "tokens": strconv.Itoa(n)}
		return tx.AppendEvent(e)
	})
	if err != nil {
		return 0, fault.FromStore(err)
	}
	return n, nil
}

// EndAll is the part of a transaction that ends all tokens of a locked
// account: it raises the account's epoch, which is what checks go by, and
// marks the tokens for those who read lists. The caller stores the account and
// appends the change.
func EndAll(tx store.Tx, account *store.Account, now time.Time, by, reason string) (int, error) {
	account.Epoch++
	return tx.RevokeTokens(account.ID, now, by, reason)
}
