// Package identity has the outcome of a check: who is asking, by which
// credential, and what this credential may do. Every operation of the core
// takes one and asks it before it acts.
package identity

import (
	"net/netip"
	"time"

	"github.com/latchkey-auth/latchkey/internal/scope"
)

// Method says which kind of credential was checked.
type Method string

// Methods. A request without a credential has none.
const (
	Anonymous Method = ""
	Password  Method = "password"
	Token     Method = "token"
)

// Identity is who a checked credential stands for. It does not change after it
// was made and is shared between requests.
type Identity struct {
	// What the answer to every check needs comes first, to lie together in
	// memory.

	Name    string // the account's login name, as its source spells it
	TokenID string // "" when the method is not Token

	// EffectiveText is Effective as headers carry it.
	EffectiveText string

	// Grants are the rules of the account, its groups and everybody.
	Grants scope.Set

	TokenScope scope.Set // the token's own rules; nil: all that its owner has

	// Stale says that the check could not be certain that nothing was revoked
	// lately, and that the operator has allowed such answers.
	Stale bool

	Method Method

	AccountID string
	Source    string
	Kind      string // "user" or "robot"
	Email     string
	Groups    []string

	// Epoch is the account's epoch when the credential was checked; what is
	// issued on its strength carries it, and ends with it.
	Epoch int64

	// Token fields, these and those above, are set when the method is Token.
	TokenName string
	Class     string
	Labels    map[string]string
	CIDRs     []netip.Prefix
	ExpiresAt time.Time     // zero: never
	IdleAfter time.Duration // 0: never

	// SecretEnds is when the secret that was presented ends by itself although
	// its token lives on: it is the old one of a rotation. Zero: with its token.
	SecretEnds time.Time

	// IssuedAt is when what was presented was handed out.
	IssuedAt time.Time

	// FamilyEnds is when the family of a signed token ends by itself, at or
	// behind ExpiresAt. Zero: never, or there is no family.
	FamilyEnds time.Time

	// Effective is Grants, narrowed by TokenScope, for showing: it may leave
	// out what only several rules together would allow, and never says more
	// than [Identity.Allows] does.
	Effective scope.Set
}

// Allows reports whether the identity may do what q says: its owner's grants
// allow it, and so does the token's own scope if it has one.
func (id *Identity) Allows(q scope.Request) bool {
	return id != nil && id.Grants.Allows(q) && (id.TokenScope == nil || id.TokenScope.Allows(q))
}

// Decision is what makes [Identity.Allows] say yes or no.
type Decision struct {
	Granted bool       // the owner's grants allow it
	Grant   scope.Rule // by this rule

	Within bool       // the token's own scope allows it, or there is none
	Own    scope.Rule // by this rule, if there is a scope
}

// Decide judges as [Identity.Allows] does and tells by which rules.
func (id *Identity) Decide(q scope.Request) Decision {
	if id == nil {
		return Decision{}
	}
	d := Decision{Within: true}
	d.Grant, d.Granted = id.Grants.Find(q)
	if id.TokenScope != nil {
		d.Own, d.Within = id.TokenScope.Find(q)
	}
	return d
}

// Allowed reports what [Identity.Allows] does.
func (d Decision) Allowed() bool { return d.Granted && d.Within }

// May reports whether the identity may do action on a part of Latchkey's own
// API.
func (id *Identity) May(resource, action string) bool {
	return id.Allows(scope.Request{Type: scope.TypeLatchkey, Name: resource, Action: action})
}

// Covers reports whether everything in rules is within what the identity may
// do: nobody hands out more than they have.
func (id *Identity) Covers(rules scope.Set) bool {
	return id != nil && id.Grants.Covers(rules) && (id.TokenScope == nil || id.TokenScope.Covers(rules))
}

// Narrowed reports whether a token with a scope of its own is behind the
// identity.
func (id *Identity) Narrowed() bool { return id != nil && id.TokenScope != nil }
