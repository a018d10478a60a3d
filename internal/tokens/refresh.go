package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// RefreshRequest is a refresh token, or a sliding one, that is used.
type RefreshRequest struct {
	Presented
	ClientID string   // who uses it; "": [DefaultClient]
	Shape    string   // of which form the family must be
	Scope    []string // narrows the access token; empty: all that the family has

	// Begin says what a refresh or sliding token of another issuer becomes, whose
	// key was imported: a family that it is the first token of. nil: such tokens
	// are not taken.
	Begin *Begin
}

// RefreshPair gives the next pair for a refresh token; having it is right
// enough. A token is used once, whatever the number of requests and nodes
// (S21, S28): one that comes back within the leeway gets the same successor
// once more (S23), and one that comes back later ends the family, if its terms
// say so (S22). The error is a [*Refusal] when the token does not count.
func (s *Service) RefreshPair(ctx context.Context, r RefreshRequest) (Pair, error) {
	p, err := s.refresh(ctx, r)
	if err == nil {
		s.counts.token(rotatedOne, p.Family.Class, 1)
		return p, nil
	}
	var refusal *Refusal
	if errors.As(err, &refusal) {
		s.recordRefusalOf(ctx, "pair.refresh", refusal, s.now())
		return Pair{}, err
	}
	return Pair{}, s.refused(ctx, nil, "pair.refresh", "", err)
}

func (s *Service) refresh(ctx context.Context, r RefreshRequest) (Pair, error) {
	now := s.now().UTC()
	c, err := s.claimant(ctx, r)
	if err != nil {
		return Pair{}, err
	}
	if err := c.judge(s.withLatestUse(c.found.Token), r, now); err != nil {
		return Pair{}, err
	}
	narrowed, err := narrower(c.found.Token, r.Scope)
	if err != nil {
		return Pair{}, err
	}
	b := birth{family: c.found.Token, owner: c.owner, terms: c.terms, scope: narrowed, now: now, accessOnly: c.terms.KeepRefresh && !c.terms.Sliding}
	if c.terms.Sliding {
		b.slidingID, b.until = c.said.ID, c.said.RefreshUntil
	}
	p, next, err := s.bear(ctx, b)
	if err != nil {
		return Pair{}, err
	}
	if c.terms.KeepRefresh || c.terms.Sliding {
		p.Refresh, p.Family.Prefix = secret.Text{}, c.found.Token.Prefix
		err = s.renewed(ctx, c, now)
	} else {
		p, err = s.rotated(ctx, c, p, next, now)
	}
	if err == nil {
		s.used(ctx, c, r, now)
	}
	return p, err
}

// claimant is a refresh token that was found, with all that decides on it.
type claimant struct {
	found store.FoundToken
	said  Signed // of a signed one
	owner *holder
	terms Terms
}

// claimant finds what was presented.
func (s *Service) claimant(ctx context.Context, r RefreshRequest) (*claimant, error) {
	c := &claimant{}
	var err error
	if text := r.Token.Reveal(); s.signer != nil && LooksSigned(text) {
		if c.said, err = s.readSigned(ctx, text); err != nil {
			return nil, err
		}
		if c.said.Kind == SignedAccess {
			return nil, &Refusal{Reason: ReasonKind, TokenID: c.said.FamilyID, AccountID: c.said.AccountID}
		}
		c.found, err = s.foundSigned(ctx, c.said)
	} else {
		c.found, err = s.recognise(ctx, text)
	}
	if c.said.KeyID != "" && fault.Is(err, fault.NotFound) {
		if err = s.adopt(ctx, c.said, r); err == nil {
			c.found, err = s.foundSigned(ctx, c.said)
		}
	}
	switch {
	case fault.Is(err, fault.NotFound):
		if ClaimsNative(r.Token.Reveal()) || c.said.ID != "" {
			return nil, refusedUnknown
		}
		return nil, refusedMalformed
	case err != nil:
		return nil, err
	}
	if c.owner, err = s.holder(ctx, c.found.Token.AccountID); err != nil {
		return nil, err
	}
	if Class(c.found.Token.Class) != Refresh {
		return nil, c.refuse(ReasonKind)
	}
	if c.said.KeyID != "" && revoked(c.found.Token) { // before it had terms, maybe
		return nil, c.refuse(ReasonRevoked)
	}
	c.terms, err = s.terms(ctx, c.found.Token.ID)
	if err == nil && c.terms.Shape != r.Shape {
		err = c.refuse(ReasonKind)
	}
	return c, err
}

// foundSigned finds the family of a signed refresh or sliding token by the
// token's id.
func (s *Service) foundSigned(ctx context.Context, said Signed) (store.FoundToken, error) {
	for _, key := range s.keys.Keys() {
		d := key.Digest(refreshDigest(said.ID))
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

// recogniseSigned finds the family that a signed token was born from.
func (s *Service) recogniseSigned(ctx context.Context, text string) (store.FoundToken, error) {
	said, err := s.readSigned(ctx, text)
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return store.FoundToken{}, fault.NotFoundf("there is no such token")
	}
	if err != nil {
		return store.FoundToken{}, err
	}
	t, _, err := s.familyOf(ctx, said)
	if errors.As(err, &refusal) {
		return store.FoundToken{}, fault.NotFoundf("there is no such token")
	}
	return store.FoundToken{Token: t}, err
}

// terms reads by which rules a family lives.
func (s *Service) terms(ctx context.Context, familyID string) (Terms, error) {
	f, err := s.store.Family(ctx, familyID)
	if errors.Is(err, store.ErrNotFound) {
		return Terms{}, refusedUnknown // deleted a moment ago
	}
	if err != nil {
		return Terms{}, fault.FromStore(err)
	}
	var t Terms
	if err := json.Unmarshal([]byte(f.Terms), &t); err != nil {
		return Terms{}, fmt.Errorf("read the terms of the family %s: %w", familyID, err)
	}
	return t, nil
}

func (c *claimant) refuse(why Reason) *Refusal {
	t := c.found.Token
	return &Refusal{Reason: why, TokenID: t.ID, AccountID: t.AccountID, AccountName: c.owner.account.Name}
}

// judge refuses a refresh token whose family has ended, or that is not for
// whoever uses it. That leaves the family as it is (S24).
func (c *claimant) judge(t store.Token, r RefreshRequest, now time.Time) error {
	client := r.ClientID
	if client == "" {
		client = DefaultClient
	}
	switch {
	case c.owner.account.Disabled:
		return c.refuse(ReasonDisabled)
	case revoked(t) || endedWithAll(t, c.owner):
		return c.refuse(ReasonRevoked)
	case past(nanos(t.ExpiresAt), now), c.terms.Sliding && !now.Before(c.said.RefreshUntil):
		return c.refuse(ReasonExpired)
	case t.IdleAfter != 0 && now.Sub(lastSign(t)) > t.IdleAfter:
		return c.refuse(ReasonIdle)
	case client != c.terms.ClientID:
		return c.refuse(ReasonClient)
	case len(t.CIDRs) > 0 && !contained(r.Addr, t.CIDRs):
		return c.refuse(ReasonAddress)
	}
	return nil
}

// narrower settles the scope of the next access token: what the family has, or
// less (S26).
func narrower(family store.Token, asked []string) ([]string, error) {
	rules, err := parseScope(asked)
	if err != nil || rules == nil {
		return family.Scope, err
	}
	whole, err := parseScope(family.Scope)
	if err != nil {
		return nil, err
	}
	if whole != nil && !whole.Covers(rules) {
		return nil, fault.Invalidf("scope", "cannot grow beyond %q, which is what the first pair was asked for", whole.String())
	}
	return rules.Strings(), nil
}

// successor is what is kept, sealed, of a pair that was given for a refresh
// token.
type successor struct {
	Access      string    `json:"access"`
	AccessEnds  time.Time `json:"access_ends"`
	Refresh     string    `json:"refresh"`
	RefreshEnds time.Time `json:"refresh_ends"`
	Scope       []string  `json:"scope,omitempty"`
}

func successorPurpose(familyID string) string { return "successor in family " + familyID }

// rotated spends a refresh token for a pair, in one step: of many that try, one
// does, and the others get what it got or nothing.
func (s *Service) rotated(ctx context.Context, c *claimant, p Pair, next store.Secret, now time.Time) (Pair, error) {
	id := c.found.Token.ID
	kept, err := json.Marshal(successor{p.Access.Reveal(), p.AccessEnds, p.Refresh.Reveal(), p.RefreshEnds, p.Scope})
	if err != nil {
		return Pair{}, fmt.Errorf("write down the successor in the family %s: %w", id, err)
	}
	var result Pair
	var refusal error
	var burnt []store.Change
	err = s.store.Update(ctx, func(tx store.Tx) error {
		result, refusal, burnt = p, nil, nil
		t, err := s.lockFamily(tx, c)
		if err != nil {
			return err
		}
		spent, err := tx.Spent(c.found.Secret.Digest)
		switch {
		case err == nil:
			if again, ok := s.again(c, spent, now); ok {
				again.Family, result = t, again
				return errors.Join(tx.CountReplay(spent.Digest), s.recordRefreshed(ctx, tx, c, again, now))
			}
			refusal = c.refuse(ReasonReused)
			burnt, err = s.burn(ctx, tx, c, t, now)
			return err
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		t.RotatedAt, t.Prefix = now, p.Family.Prefix
		result.Family = t
		mark := store.Spent{Digest: c.found.Secret.Digest, TokenID: id, At: now}
		if c.terms.Leeway > 0 {
			mark.Successor = s.keys.Seal(successorPurpose(id), kept)
		}
		for _, step := range []func() error{
			func() error { return tx.InsertSpent(mark) },
			func() error { return tx.ForgetSuccessors(id, now.Add(-c.terms.Leeway)) },
			func() error { return tx.InsertSecret(next) },
			func() error { return tx.UpdateToken(t) },
			func() error { return s.recordRefreshed(ctx, tx, c, result, now) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
	for _, change := range burnt {
		s.Apply(change)
	}
	var gone *Refusal
	switch {
	case errors.As(err, &gone):
		return Pair{}, gone
	case err != nil:
		return Pair{}, fault.FromStore(err)
	case refusal != nil:
		s.counts.token(revokedOne, string(Refresh), len(burnt))
		return Pair{}, refusal
	}
	return result, nil
}

// lockFamily locks a family and refuses one that was ended since it was found.
func (s *Service) lockFamily(tx store.Tx, c *claimant) (store.Token, error) {
	t, err := tx.LockToken(c.found.Token.ID)
	if errors.Is(err, store.ErrNotFound) {
		return t, c.refuse(ReasonUnknown)
	}
	if err == nil && revoked(t) {
		return t, c.refuse(ReasonRevoked)
	}
	return t, err
}

// again returns the pair that was given for a refresh token, while it may be
// given once more.
func (s *Service) again(c *claimant, spent store.Spent, now time.Time) (Pair, bool) {
	age := now.Sub(spent.At)
	if len(spent.Successor) == 0 || spent.Replays >= c.terms.Replays || age > c.terms.Leeway {
		return Pair{}, false
	}
	plain, err := s.keys.Open(successorPurpose(spent.TokenID), spent.Successor)
	var kept successor
	if err == nil {
		err = json.Unmarshal(plain, &kept)
	}
	if err != nil {
		s.log.Warn("a pair cannot be given once more", "family", spent.TokenID, "err", err)
		return Pair{}, false
	}
	return Pair{
		Access: secret.New(kept.Access), AccessEnds: kept.AccessEnds, Scope: kept.Scope,
		Refresh: secret.New(kept.Refresh), RefreshEnds: kept.RefreshEnds, Again: true,
	}, true
}

const burntReason = "a used refresh token came back"

// burn ends a family, if its terms say so, since nobody knows which of two
// holders of the same token is the right one. It returns the changes that it
// has appended.
func (s *Service) burn(ctx context.Context, tx store.Tx, c *claimant, t store.Token, now time.Time) ([]store.Change, error) {
	if c.terms.KeepReused || s.lively(tx, c, now) {
		return nil, nil
	}
	t.RevokedAt, t.RevokedBy, t.RevokeReason = now, "", burntReason
	if err := tx.UpdateToken(t); err != nil {
		return nil, err
	}
	e := audit.Event(ctx, now, nil, "pair.burn", audit.OK)
	e.Target, e.TokenID, e.ActorID, e.ActorName = t.ID, t.ID, t.AccountID, c.owner.account.Name
	if err := tx.AppendEvent(e); err != nil {
		return nil, err
	}
	change := store.Change{At: now, Kind: store.ChangeToken, TokenID: t.ID}
	_, err := tx.AppendChange(change)
	return []store.Change{change}, err
}

// lively reports whether the token was used within the leeway, so that its
// return means impatience rather than theft: it only came back too often.
func (s *Service) lively(tx store.Tx, c *claimant, now time.Time) bool {
	spent, err := tx.Spent(c.found.Secret.Digest)
	return err == nil && c.terms.Leeway > 0 && now.Sub(spent.At) <= c.terms.Leeway
}

// renewed notes that a refresh token was used that stays as it is.
func (s *Service) renewed(ctx context.Context, c *claimant, now time.Time) error {
	err := s.store.Update(ctx, func(tx store.Tx) error {
		t, err := s.lockFamily(tx, c)
		if err != nil {
			return err
		}
		t.RotatedAt = now
		if err := tx.UpdateToken(t); err != nil {
			return err
		}
		return s.recordRefreshed(ctx, tx, c, Pair{}, now)
	})
	var gone *Refusal
	if errors.As(err, &gone) {
		return gone
	}
	return fault.FromStore(err)
}

func (s *Service) recordRefreshed(ctx context.Context, tx store.Tx, c *claimant, p Pair, now time.Time) error {
	t := c.found.Token
	e := audit.Event(ctx, now, nil, "pair.refresh", audit.OK)
	e.Target, e.TokenID, e.ActorID, e.ActorName = t.ID, t.ID, t.AccountID, c.owner.account.Name
	e.Detail = map[string]string{"client": audit.Clip(c.terms.ClientID)}
	if p.Again {
		e.Detail["again"] = "yes"
	}
	if len(p.Scope) > 0 {
		e.Detail["scope"] = scopeText(p.Scope)
	}
	return tx.AppendEvent(e)
}

// used notes the use of a family, for its owner's list.
func (s *Service) used(ctx context.Context, c *claimant, r RefreshRequest, now time.Time) {
	e := &entry{id: &identity.Identity{TokenID: c.found.Token.ID, AccountID: c.found.Token.AccountID, Name: c.owner.account.Name}}
	s.uses.record(e, now.Unix(), r.Addr, audit.Clip(r.Agent), audit.Door(ctx))
}

// Inspect tells what a signed token says, whatever it is for, if it still
// counts: its family lives, and a refresh token was not used. It is no use of
// the token. The error is a [*Refusal] when it does not count.
func (s *Service) Inspect(ctx context.Context, text string) (Signed, error) {
	if s.signer == nil || !LooksSigned(text) {
		return Signed{}, refusedMalformed
	}
	now := s.now()
	said, err := s.readSigned(ctx, text)
	if err != nil {
		return said, err
	}
	t, h, err := s.familyOf(ctx, said)
	if err != nil {
		return said, err
	}
	access, ok := accessOf(t, said)
	if !ok {
		return said, refusedUnknown
	}
	e := newEntry(digest{}, store.FoundToken{Token: access}, h, now)
	switch {
	case e.refusal != nil:
		return said, e.refusal
	case past(e.tokenEnds, now):
		return said, e.refuse(ReasonExpired)
	case e.idle(now):
		return said, e.refuse(ReasonIdle)
	case said.Kind == SignedRefresh:
		return said, s.unspent(ctx, said, e)
	}
	return said, nil
}

// unspent refuses a refresh token that was used and no longer counts.
func (s *Service) unspent(ctx context.Context, said Signed, e *entry) error {
	for _, key := range s.keys.Keys() {
		d := key.Digest(refreshDigest(said.ID))
		_, err := s.store.SpentSecret(ctx, d[:])
		switch {
		case err == nil:
			return e.refuse(ReasonReused)
		case !errors.Is(err, store.ErrNotFound):
			return fault.FromStore(err)
		}
	}
	return nil
}
