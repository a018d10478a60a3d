package tokens

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Overlap says how long the old secret of a rotation lives on. The zero value
// ends it at once.
type Overlap struct {
	For time.Duration // at most so long; with UntilUsed, 0 means the longest allowed

	// UntilUsed ends the old secret with the first use of the new one.
	UntilUsed bool
}

// Rotate gives a token a new secret. The id, the scope and the end stay. The
// caller must reach as far as the token itself does, since they get its secret.
func (s *Service) Rotate(ctx context.Context, caller *identity.Identity, id string, o Overlap) (Issued, error) {
	issued, err := s.rotate(ctx, caller, id, o)
	if err != nil {
		return Issued{}, s.refused(ctx, caller, "token.rotate", audit.Clip(id), err)
	}
	s.counts.token(rotatedOne, issued.Token.Class, 1)
	return issued, nil
}

func (s *Service) rotate(ctx context.Context, caller *identity.Identity, id string, o Overlap) (Issued, error) {
	if o.For < 0 || o.For > s.Policy().MaxOverlap {
		return Issued{}, fault.Invalidf("overlap", "must be between 0 and %s", s.Policy().MaxOverlap)
	}
	seen, err := s.find(ctx, caller, id)
	if err != nil {
		return Issued{}, err
	}
	if Class(seen.Class) == Refresh {
		return Issued{}, fault.Conflictf("a family gets its next secret by being refreshed: present its refresh token")
	}
	owner, err := s.owner(ctx, seen.AccountID)
	if err != nil {
		return Issued{}, err
	}
	text, sum := generate(Class(seen.Class), formOf(seen), s.keys.Current())
	t, err := s.change(ctx, caller, id, scope.Write, "token.rotate", func(tx store.Tx, t *store.Token, now time.Time) error {
		if err := mayHold(caller, *t, owner); err != nil {
			return err
		}
		if err := stands(tx, caller); err != nil {
			return err
		}
		if s.ended(*t, now) || t.Epoch < owner.account.Epoch {
			return fault.Conflictf("the token has ended and cannot be rotated: make a new one")
		}
		if err := tx.RetireSecrets(id, nil, s.oldEnds(o, now), o.UntilUsed); err != nil {
			return err
		}
		t.RotatedAt, t.Prefix = now, shown(text, formOf(*t))
		next := store.Secret{Digest: sum[:], TokenID: id, KeyID: s.keys.Current().ID(), CreatedAt: now}
		if t.Slot != "" {
			next.Sealed = s.keys.Seal(sealPurpose(id), []byte(text.Reveal()))
		}
		return tx.InsertSecret(next)
	})
	if err != nil {
		return Issued{}, err
	}
	return Issued{Token: s.withLatestUse(t), Secret: text}, nil
}

// formOf returns the form that a token's secret has, to be kept when it gets a
// new one.
func formOf(t store.Token) Form {
	if len(t.Prefix) == shownHexLength {
		return Hex40
	}
	return Native
}

// oldEnds returns when the old secret ends by the clock; zero: at once.
func (s *Service) oldEnds(o Overlap, now time.Time) time.Time {
	switch {
	case o.For > 0:
		return now.Add(o.For)
	case o.UntilUsed:
		return now.Add(s.Policy().MaxOverlap)
	}
	return time.Time{}
}

// mayHold refuses a caller that would get hold of the secret of a token that
// reaches further than they do (S78). A token may always hold itself.
func mayHold(caller *identity.Identity, t store.Token, owner *holder) error {
	if caller.TokenID == t.ID && caller.Method == identity.Token {
		return nil
	}
	rules, err := parseScope(t.Scope)
	if err != nil {
		return err
	}
	return within(caller, limits{scope: rules, cidrs: t.CIDRs, ends: t.ExpiresAt, idle: t.IdleAfter}, owner)
}
