package tokens

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// checkSigned decides on a signed token, and says where the answer came from.
// One that was verified is kept under the hash of its text, as long as neither
// its family nor its account nor any signing key changes.
func (s *Service) checkSigned(ctx context.Context, p Presented, now time.Time) (*identity.Identity, answeredFrom, error) {
	if s.signer == nil {
		return nil, fromForm, refusedMalformed
	}
	text := p.Token.Reveal()
	d := digest(s.keys.Current().Digest(text)) // to keep it by; nothing is stored under this
	generation := s.signer.Generation()
	if s.fresh() {
		if e := s.cache.get(d); e != nil && e.generation == generation {
			id, err := s.judge(ctx, e, p, now)
			return id, fromCache, err
		}
		if s.unknowns.has(d, now) {
			return nil, fromCache, refusedUnknown
		}
	}
	e, from, err := s.loadSigned(ctx, text, d, generation, now)
	if err == nil {
		id, err := s.judge(ctx, e, p, now)
		return id, from, err
	}
	if fault.Is(err, fault.Unavailable) && s.MayBeStale() {
		if e := s.cache.get(d); e != nil && e.generation == generation {
			id, err := s.judgeStale(ctx, e, p, now)
			return id, fromStale, err
		}
	}
	return nil, from, err
}

// loadSigned verifies a signed token, reads what there is to know of its family
// and keeps that.
func (s *Service) loadSigned(ctx context.Context, text string, d digest, generation uint64, now time.Time) (*entry, answeredFrom, error) {
	since := s.cache.position()
	said, err := s.readSigned(ctx, text)
	if said.KeyID != "" && errors.Is(err, refusedUnknown) { // of nobody
		s.unknowns.add(d, now)
		return nil, fromStore, err
	}
	if err != nil {
		return nil, fromForm, err
	}
	family, h, err := s.familyOf(ctx, said)
	if errors.Is(err, refusedUnknown) {
		s.unknowns.add(d, now)
	}
	if err != nil {
		return nil, fromStore, err
	}
	access, ok := accessOf(family, said)
	e := newEntry(d, store.FoundToken{Token: access, Secret: store.Secret{CreatedAt: said.IssuedAt}}, h, now)
	e.generation, e.idleAfter = generation, 0 // it is short, and its family is what goes idle
	e.id.FamilyEnds = family.ExpiresAt
	switch {
	case e.refusal != nil:
	case said.Kind == SignedRefresh:
		e.refusal = e.refuse(ReasonKind)
	case !ok:
		e.refusal = e.refuse(ReasonUnknown)
	}
	s.cache.put(e, since)
	return e, fromStore, nil
}

// familyOf reads the family that a signed token was born from, and its owner.
func (s *Service) familyOf(ctx context.Context, said Signed) (store.Token, *holder, error) {
	if said.KeyID != "" {
		return s.foreignFamily(ctx, said)
	}
	t, err := s.store.Token(ctx, said.FamilyID)
	if errors.Is(err, store.ErrNotFound) || err == nil && (Class(t.Class) != Refresh || t.AccountID != said.AccountID) {
		return store.Token{}, nil, refusedUnknown
	}
	if err != nil {
		return store.Token{}, nil, fault.FromStore(err)
	}
	h, err := s.holder(ctx, t.AccountID)
	return s.withLatestUse(t), h, err
}

// accessOf returns the token that a signed one stands for: its family, with the
// ends and the scope of both. It reports false when nothing is left of the
// scope, or none can be read.
func accessOf(family store.Token, said Signed) (store.Token, bool) {
	t := family
	t.Class = string(Access)
	if t.ExpiresAt.IsZero() || said.ExpiresAt.Before(t.ExpiresAt) {
		t.ExpiresAt = said.ExpiresAt
	}
	if len(said.Scope) == 0 {
		return t, true
	}
	own, err := scope.ParseSet(said.Scope)
	if err != nil {
		return t, false
	}
	if len(family.Scope) > 0 {
		whole, err := scope.ParseSet(family.Scope)
		if err != nil {
			return t, false
		}
		if !whole.Covers(own) { // the family was narrowed since
			own = scope.Intersect(own, whole)
		}
	}
	t.Scope = own.Strings()
	return t, len(t.Scope) > 0
}
