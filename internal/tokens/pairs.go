package tokens

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Bounds on what a pair carries.
const (
	maxAudiences  = 16
	defaultReplay = 20 // how often a successor is given once more, at most
)

// Terms are the rules by which a family lives. They are settled when it begins
// and kept with it, as JSON.
type Terms struct {
	Shape    string   `json:"shape,omitempty"`
	ClientID string   `json:"client"`
	Audience []string `json:"audience,omitempty"`

	// Access is the life of access and sliding tokens. Refresh is that of each
	// signed refresh token; 0: as long as the family.
	Access  time.Duration `json:"access"`
	Refresh time.Duration `json:"refresh,omitempty"`

	// SignedRefresh says that refresh tokens are signed, for clients that read
	// them; else they are opaque. Sliding says that there is one token for both.
	SignedRefresh bool `json:"signed_refresh,omitempty"`
	Sliding       bool `json:"sliding,omitempty"`

	// KeepRefresh says that refreshing gives a new access token alone, and the
	// refresh token can be used until it ends.
	KeepRefresh bool `json:"keep_refresh,omitempty"`

	// Leeway is for how long a used refresh token gets the same successor once
	// more, at most Replays times. KeepReused leaves the family alive when it
	// comes back later.
	Leeway     time.Duration `json:"leeway,omitempty"`
	Replays    int           `json:"replays,omitempty"`
	KeepReused bool          `json:"keep_reused,omitempty"`
}

// PairRequest is what somebody asks of a new pair. Of the request in it, the
// life is that of the whole family, which no refreshing prolongs (S25).
type PairRequest struct {
	Request

	AccessFor *time.Duration // the life of access tokens; nil: the default
	Audience  []string       // for whom they are; empty: this server's doors
	ClientID  string         // "": [DefaultClient]

	// Terms are what a dialect has as settings, instead of the policy: then the
	// policy's bounds, which are for the wishes of clients, are not looked at,
	// and AccessFor and Audience neither. Its client and shape count.
	Terms *Terms
}

// Pair is what somebody gets.
type Pair struct {
	Family store.Token // without what it is refreshed by

	Access     secret.Text // or the sliding token
	AccessEnds time.Time
	Scope      []string // of the access token; empty: all that the owner has

	// Refresh is empty when it stays as it was, or there is none.
	Refresh     secret.Text
	RefreshEnds time.Time

	Again bool // the same as somebody got a moment ago
}

// IssuePair begins a family and makes its first pair. When it returns, the
// family is stored for good.
func (s *Service) IssuePair(ctx context.Context, caller *identity.Identity, r PairRequest) (Pair, error) {
	p, err := s.issuePair(ctx, caller, r)
	if err != nil {
		return Pair{}, s.refused(ctx, caller, "pair.issue", r.AccountID, err)
	}
	s.counts.token(issuedOne, p.Family.Class, 1)
	return p, nil
}

func (s *Service) issuePair(ctx context.Context, caller *identity.Identity, r PairRequest) (Pair, error) {
	now := s.now().UTC()
	if r.AccountID == "" && caller != nil {
		r.AccountID = caller.AccountID
	}
	if err := need(caller, r.AccountID, scope.Write); err != nil {
		return Pair{}, err
	}
	owner, err := s.owner(ctx, r.AccountID)
	if err != nil {
		return Pair{}, err
	}
	terms, life, err := s.termsOf(r)
	if err != nil {
		return Pair{}, err
	}
	t, err := s.draft(caller, owner, r.Request, life, now)
	if err != nil {
		return Pair{}, err
	}
	t.ID, t.Class = newFamilyID(now), string(Refresh)
	b := birth{family: t, owner: owner, terms: terms, scope: t.Scope, now: now}
	p, first, err := s.bear(ctx, b)
	if err != nil {
		return Pair{}, err
	}
	written, err := json.Marshal(terms)
	if err != nil {
		return Pair{}, fmt.Errorf("write the terms of a family: %w", err)
	}
	err = s.store.Update(ctx, func(tx store.Tx) error {
		a, err := s.admit(tx, caller, p.Family)
		if err != nil {
			return err
		}
		if err := tx.InsertToken(p.Family, first); err != nil {
			return err
		}
		if err := tx.InsertFamily(store.Family{TokenID: t.ID, Terms: string(written)}); err != nil {
			return err
		}
		e := audit.Event(ctx, now, caller, "pair.issue", audit.OK)
		e.Target, e.Detail = t.ID, issuedDetail(p.Family, a.Owner)
		e.Detail["client"] = audit.Clip(terms.ClientID)
		return tx.AppendEvent(e)
	})
	if err != nil {
		return Pair{}, fault.FromStore(err)
	}
	return p, nil
}

// newFamilyID returns an id for the token that stands for a family.
func newFamilyID(now time.Time) string { return "fam_" + audit.NewID(now) }

// termsOf settles by which rules a new family lives, and within which bounds
// its end may be chosen.
func (s *Service) termsOf(r PairRequest) (Terms, Life, error) {
	policy := s.Policy()
	if len(r.ClientID) > maxLabelText || !audit.Printable(r.ClientID) {
		return Terms{}, Life{}, fault.Invalidf("client_id", "must be at most %d bytes that can be printed", maxLabelText)
	}
	if r.ClientID == "" {
		r.ClientID = DefaultClient
	}
	if r.Terms != nil {
		t := *r.Terms
		if t.ClientID == "" {
			t.ClientID = r.ClientID
		}
		return t, Life{}, nil
	}
	access := policy.Classes[Access]
	t := Terms{
		Shape: NativeShape, ClientID: r.ClientID, Access: access.Default,
		Leeway: policy.Leeway, Replays: defaultReplay, KeepReused: policy.KeepReused,
	}
	if r.AccessFor != nil {
		if *r.AccessFor < time.Second || *r.AccessFor > access.Max {
			return Terms{}, Life{}, fault.Invalidf("access_expires_in", "must be between a second and the %s that access tokens may live", access.Max)
		}
		t.Access = *r.AccessFor
	}
	var err error
	t.Audience, err = s.audienceOf(r.Audience, policy)
	return t, policy.Classes[Refresh], err
}

// audienceOf settles for whom access tokens are.
func (s *Service) audienceOf(asked []string, policy Policy) ([]string, error) {
	shape, err := s.shape(NativeShape)
	if err != nil {
		return nil, err
	}
	if len(asked) == 0 {
		return []string{shape.Profile.Audience}, nil
	}
	if len(asked) > maxAudiences {
		return nil, fault.Invalidf("audience", "names more than %d services", maxAudiences)
	}
	for _, a := range asked {
		if a != shape.Profile.Audience && !slices.Contains(policy.Audiences, a) {
			return nil, fault.Invalidf("audience", "%q is not among the services that access tokens can be for", audit.Clip(a))
		}
	}
	return asked, nil
}

// birth is what a pair is made of.
type birth struct {
	family store.Token
	owner  *holder
	terms  Terms
	scope  []string
	now    time.Time

	accessOnly bool // the refresh token stays as it is

	slidingID string    // of the sliding token that is renewed; "": a new one
	until     time.Time // until when that can be renewed
}

// bear makes the tokens of a pair and the secret by which the refresh token is
// found. Nothing is stored yet.
func (s *Service) bear(ctx context.Context, b birth) (Pair, store.Secret, error) {
	shape, err := s.shape(b.terms.Shape)
	if err != nil {
		return Pair{}, store.Secret{}, err
	}
	base := b.now.Truncate(time.Second)
	p := Pair{Family: b.family, Scope: b.scope, AccessEnds: earlier(base.Add(b.terms.Access), b.family.ExpiresAt)}
	a := b.owner.account
	said := Signed{
		Kind: SignedAccess, ID: newSignedID(), FamilyID: b.family.ID, AccountID: a.ID, Name: a.Name, Source: a.Source, Subject: a.Subject,
		ClientID: b.terms.ClientID, Audience: b.terms.Audience, Scope: b.scope, IssuedAt: base, ExpiresAt: p.AccessEnds,
	}
	if b.terms.Sliding {
		said.Kind, said.RefreshUntil = SignedSliding, earlier(base.Add(b.terms.Refresh), b.family.ExpiresAt)
		if b.slidingID != "" {
			said.ID, said.RefreshUntil = b.slidingID, b.until
		}
		p.RefreshEnds = said.RefreshUntil
	}
	if p.Access, err = s.sign(ctx, shape, said); err != nil {
		return Pair{}, store.Secret{}, err
	}
	if b.accessOnly {
		return p, store.Secret{}, nil
	}
	next := store.Secret{TokenID: b.family.ID, KeyID: s.keys.Current().ID(), CreatedAt: b.now}
	var sum digest
	switch {
	case b.terms.Sliding:
		sum = digest(s.keys.Current().Digest(refreshDigest(said.ID)))
	case b.terms.SignedRefresh:
		p.RefreshEnds = b.family.ExpiresAt
		if b.terms.Refresh > 0 {
			p.RefreshEnds = earlier(base.Add(b.terms.Refresh), p.RefreshEnds)
		}
		said.Kind, said.ID, said.ExpiresAt = SignedRefresh, newSignedID(), p.RefreshEnds
		said.Scope = b.family.Scope
		if p.Refresh, err = s.sign(ctx, shape, said); err != nil {
			return Pair{}, store.Secret{}, err
		}
		sum = digest(s.keys.Current().Digest(refreshDigest(said.ID)))
		p.Family.Prefix = said.ID[:shownHexLength]
	default:
		p.RefreshEnds = b.family.ExpiresAt
		p.Refresh, sum = generate(Refresh, Native, s.keys.Current())
		p.Family.Prefix = shown(p.Refresh, Native)
	}
	if b.terms.Sliding {
		p.Family.Prefix = said.ID[:shownHexLength]
	}
	next.Digest = sum[:]
	return p, next, nil
}

func (s *Service) sign(ctx context.Context, shape *Shape, said Signed) (secret.Text, error) {
	if said.ExpiresAt.IsZero() {
		return secret.Text{}, fault.Conflictf("a signed token needs an end, and its family has none")
	}
	text, err := s.signer.Sign(ctx, keyring.Form{Type: shape.Profile.Type}, shape.Claims(said), said.ExpiresAt)
	return secret.New(text), err
}

// earlier returns the earlier of two ends, of which the second may be zero for
// never, in whole seconds.
func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		a = b
	}
	return a.Truncate(time.Second)
}

// scopeText says in an event what an access token may do.
func scopeText(rules []string) string { return audit.Clip(strings.Join(rules, " ")) }
