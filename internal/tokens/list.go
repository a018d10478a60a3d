package tokens

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Token returns a token that the caller may see: their own, or anybody's with
// the right to read them all.
func (s *Service) Token(ctx context.Context, caller *identity.Identity, id string) (store.Token, error) {
	t, err := s.find(ctx, caller, id)
	if err == nil {
		err = need(caller, t.AccountID, scope.Read)
	}
	if err != nil {
		return store.Token{}, s.refused(ctx, caller, "token.read", audit.Clip(id), err)
	}
	return s.withLatestUse(t), nil
}

// Own returns the token that the caller is using; it needs no right.
func (s *Service) Own(ctx context.Context, caller *identity.Identity) (store.Token, error) {
	if caller == nil || caller.TokenID == "" {
		return store.Token{}, fault.NotFoundf("no token was used")
	}
	t, err := s.store.Token(ctx, caller.TokenID)
	if errors.Is(err, store.ErrNotFound) && foreignCaller(caller) {
		return foreignOf(caller), nil
	}
	if errors.Is(err, store.ErrNotFound) {
		return store.Token{}, noToken(caller.TokenID)
	}
	if err != nil {
		return store.Token{}, fault.FromStore(err)
	}
	return s.withLatestUse(t), nil
}

// withLatestUse adds a use that this node has seen and not written yet.
func (s *Service) withLatestUse(t store.Token) store.Token {
	if use, ok := s.uses.latest(t.ID); ok && use.At.After(t.LastUse.At) {
		t.LastUse = use
	}
	return t
}

// State tells whether a token is live, expired (by the clock or for being
// unused) or revoked. An account's epoch ends tokens as well as a revocation.
func State(t store.Token, accountEpoch int64, now time.Time) store.TokenState {
	switch {
	case !t.RevokedAt.IsZero() || t.Epoch < accountEpoch:
		return store.TokenRevoked
	case !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt):
		return store.TokenExpired
	case t.IdleAfter != 0 && now.Sub(lastSign(t)) > t.IdleAfter:
		return store.TokenExpired
	}
	return store.TokenLive
}

// recognise finds the token that a secret belongs to, whatever state it is in,
// without counting as a use. Nobody learns of it but the holder of the secret.
// Of a signed token it finds the family.
func (s *Service) recognise(ctx context.Context, text string) (store.FoundToken, error) {
	if s.signer != nil && LooksSigned(text) {
		return s.recogniseSigned(ctx, text)
	}
	var room [2]digest
	for _, d := range digests(room[:0], text, s.keys) {
		found, err := s.store.TokenByDigest(ctx, d[:])
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return store.FoundToken{}, fault.FromStore(err)
		}
		return found, nil
	}
	return store.FoundToken{}, fault.NotFoundf("there is no such token")
}

// IdentityOf returns the identity of an account whose password was just
// checked, with its groups and grants.
func (s *Service) IdentityOf(ctx context.Context, accountID string) (*identity.Identity, error) {
	h, err := s.owner(ctx, accountID)
	if err != nil {
		return nil, err
	}
	id := identityOfAccount(h)
	id.Method = identity.Password
	return id, nil
}

// GroupGrants reads the rules of a group that needs no account, for requests
// without a credential.
func GroupGrants(ctx context.Context, r store.AccountReader, group string) (scope.Set, error) {
	grants, err := r.Grants(ctx, store.GrantQuery{Group: group})
	if err != nil {
		return nil, fault.FromStore(err)
	}
	texts := make([]string, len(grants))
	for i, g := range grants {
		texts[i] = g.Scope
	}
	rules, _ := scope.ParseGrants(texts) // a rule that cannot be read grants nothing
	return rules, nil
}
