package tokens

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Standing returns the one token that a dialect has for each account, the same
// at every call until it ends, and makes it when there is none. The slot names
// the dialect. The secret is kept sealed, to be shown again.
func (s *Service) Standing(ctx context.Context, caller *identity.Identity, slot string, form Form, r Request) (Issued, error) {
	issued, err := s.standing(ctx, caller, slot, form, r)
	if err != nil {
		return Issued{}, s.refused(ctx, caller, "token.issue", slot, err)
	}
	return issued, nil
}

func (s *Service) standing(ctx context.Context, caller *identity.Identity, slot string, form Form, r Request) (Issued, error) {
	now := s.now().UTC()
	if caller == nil {
		return Issued{}, need(nil, "", scope.Write)
	}
	if err := need(caller, caller.AccountID, scope.Write); err != nil {
		return Issued{}, err
	}
	owner, err := s.owner(ctx, caller.AccountID)
	if err != nil {
		return Issued{}, err
	}
	found, err := s.store.SecretOfSlot(ctx, caller.AccountID, slot)
	if err == nil {
		if text, ok := s.unseal(found, caller, now); ok {
			if err := mayHold(caller, found.Token, owner); err != nil {
				return Issued{}, err
			}
			s.recordShown(ctx, caller, found.Token, now)
			return Issued{Token: found.Token, Secret: text}, nil
		}
	} else if !errors.Is(err, store.ErrNotFound) {
		return Issued{}, fault.FromStore(err)
	}
	// How long it lives is the dialect's setting, not the wish of a client.
	t, err := s.draft(caller, owner, r, Life{}, now)
	if err != nil {
		return Issued{}, err
	}
	return s.takeSlot(ctx, caller, owner, t, slot, form, now)
}

// recordShown writes the event of a secret that was handed out once more.
func (s *Service) recordShown(ctx context.Context, caller *identity.Identity, t store.Token, now time.Time) {
	e := audit.Event(ctx, now, caller, "token.show", audit.OK)
	e.Target, e.Detail = t.ID, map[string]string{"slot": t.Slot}
	s.audit.Record(e)
}

const replacedAtLogin = "replaced at login"

// takeSlot puts a new token into a slot, unless somebody else just did.
func (s *Service) takeSlot(ctx context.Context, caller *identity.Identity, owner *holder, t store.Token, slot string, form Form, now time.Time) (Issued, error) {
	text, sum := generate(Class(t.Class), form, s.keys.Current())
	t.Slot, t.Prefix = slot, shown(text, form)
	sealed := s.keys.Seal(sealPurpose(t.ID), []byte(text.Reveal()))
	first := store.Secret{Digest: sum[:], TokenID: t.ID, KeyID: s.keys.Current().ID(), Sealed: sealed, CreatedAt: now}

	var result Issued
	var ended []store.Change
	err := s.store.Update(ctx, func(tx store.Tx) error {
		result, ended = Issued{Token: t, Secret: text}, nil
		if _, err := tx.LockAccount(t.AccountID); errors.Is(err, store.ErrNotFound) { // one at a time
			return fault.NotFoundf("there is no such account")
		} else if err != nil {
			return err
		}
		old, err := tx.LockSlot(t.AccountID, slot)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return err
		default:
			if known, ok := s.unseal(old, caller, now); ok {
				result = Issued{Token: old.Token, Secret: known}
				if err := mayHold(caller, old.Token, owner); err != nil {
					return err
				}
				e := audit.Event(ctx, now, caller, "token.show", audit.OK)
				e.Target, e.Detail = old.Token.ID, map[string]string{"slot": slot}
				return tx.AppendEvent(e)
			}
			old.Token.RevokedAt, old.Token.RevokeReason = now, replacedAtLogin
			if err := tx.UpdateToken(old.Token); err != nil {
				return err
			}
			e := audit.Event(ctx, now, caller, "token.revoke", audit.OK)
			e.Target, e.Detail = old.Token.ID, map[string]string{"reason": replacedAtLogin}
			if err := tx.AppendEvent(e); err != nil {
				return err
			}
			change := store.Change{At: now, Kind: store.ChangeToken, TokenID: old.Token.ID}
			if _, err := tx.AppendChange(change); err != nil {
				return err
			}
			ended = append(ended, change)
		}
		return s.insert(ctx, tx, caller, t, first)
	})
	for _, c := range ended {
		s.Apply(c)
	}
	if err != nil {
		return Issued{}, fault.FromStore(err)
	}
	if result.Token.ID == t.ID { // else somebody else's was there first
		s.counts.token(issuedOne, t.Class, 1)
		s.counts.token(revokedOne, t.Class, len(ended))
	}
	return result, nil
}

// unseal returns the secret of a standing token if it still opens doors.
func (s *Service) unseal(found store.FoundToken, caller *identity.Identity, now time.Time) (secret.Text, bool) {
	t := found.Token
	live := t.RevokedAt.IsZero() && t.Epoch >= caller.Epoch &&
		(t.ExpiresAt.IsZero() || now.Before(t.ExpiresAt)) &&
		(t.IdleAfter == 0 || now.Sub(lastSign(s.withLatestUse(t))) <= t.IdleAfter) &&
		(found.Secret.ExpiresAt.IsZero() || now.Before(found.Secret.ExpiresAt))
	if !live || len(found.Secret.Sealed) == 0 {
		return secret.Text{}, false
	}
	plain, err := s.keys.Open(sealPurpose(t.ID), found.Secret.Sealed)
	if err != nil {
		s.log.Warn("a standing token cannot be shown again and is replaced", "token", t.ID, "err", err)
		return secret.Text{}, false
	}
	return secret.New(string(plain)), true
}

func sealPurpose(tokenID string) string { return "standing token " + tokenID }
