package tokens

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Parts of Latchkey's own API that scopes of the type "latchkey" name.
const (
	OwnTokens = "tokens"     // one's own tokens
	AllTokens = "all-tokens" // everybody's
)

// resource names the part of the API that an account's tokens belong to, as
// the caller sees them.
func resource(caller *identity.Identity, accountID string) string {
	if caller != nil && caller.AccountID == accountID {
		return OwnTokens
	}
	return AllTokens
}

// need refuses a caller that lacks the right to act on an account's tokens.
// Whoever holds the right over everybody's needs none over their own.
func need(caller *identity.Identity, accountID, verb string) error {
	if caller == nil {
		return fault.Unauthenticatedf("a credential is needed")
	}
	part := resource(caller, accountID)
	if caller.May(part, verb) || caller.May(AllTokens, verb) {
		return nil
	}
	return fault.Needs(scope.TypeLatchkey + ":" + part + ":" + verb)
}

// find loads a token that the caller may see. To others it does not exist. A
// secret in place of an id is not looked up: databases log what they are asked.
func (s *Service) find(ctx context.Context, caller *identity.Identity, id string) (store.Token, error) {
	if Recognised(id) {
		return store.Token{}, noToken(id)
	}
	t, err := s.store.Token(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Token{}, noToken(id)
	}
	if err != nil {
		return store.Token{}, fault.FromStore(err)
	}
	if err := need(caller, t.AccountID, scope.Read); err != nil && !own(caller, t) {
		return store.Token{}, fault.Hiddenf(err, noTokenText, audit.Clip(id))
	}
	return t, nil
}

// own reports whether the token belongs to the caller's account.
func own(caller *identity.Identity, t store.Token) bool {
	return caller != nil && caller.AccountID == t.AccountID
}

const noTokenText = "there is no token %s, or none that you may see"

func noToken(id string) error { return fault.NotFoundf(noTokenText, audit.Clip(id)) }

// limits is what a credential may do and for how long, to compare two by.
type limits struct {
	scope scope.Set // nil: all that the owner has
	cidrs []netip.Prefix
	ends  time.Time // zero: never
	idle  time.Duration
}

// within refuses limits that reach further than the caller's own (S78): a
// token never makes or opens a broader or longer one. owner holds what the
// token's owner has; it may be the caller's own.
func within(caller *identity.Identity, l limits, owner *holder) error {
	reach := l.scope
	if reach == nil {
		reach = owner.grants
	}
	foreign := caller.AccountID != owner.account.ID
	switch {
	case foreign && !caller.Covers(reach):
		return fault.Forbiddenf("the token could do more than you can: ask for a scope within %q", caller.EffectiveText)
	case caller.Method != identity.Token:
		return nil
	case caller.TokenScope != nil && (l.scope == nil && !foreign || !caller.TokenScope.Covers(reach)):
		return fault.Forbiddenf("a token cannot ask for a broader one: yours has the scope %q", caller.TokenScope.String())
	case !caller.ExpiresAt.IsZero() && (l.ends.IsZero() || l.ends.After(caller.ExpiresAt)):
		return fault.Forbiddenf("a token cannot ask for a longer one: yours ends at %s", caller.ExpiresAt.UTC().Format(time.RFC3339))
	case caller.IdleAfter != 0 && (l.idle == 0 || l.idle > caller.IdleAfter):
		return fault.Forbiddenf("a token cannot ask for a longer one: yours ends when unused for %s", caller.IdleAfter)
	case len(caller.CIDRs) > 0 && !inside(l.cidrs, caller.CIDRs):
		return fault.Forbiddenf("a token cannot ask for one that works from more addresses than itself")
	}
	return nil
}

// inside reports whether each of the inner networks lies in one of the outer.
// No inner network means all addresses.
func inside(inner, outer []netip.Prefix) bool {
	for _, n := range inner {
		found := false
		for _, o := range outer {
			found = found || (o.Bits() <= n.Bits() && o.Contains(n.Addr()))
		}
		if !found {
			return false
		}
	}
	return len(inner) > 0
}

// refused writes the event of an operation that was not done, and returns the
// error.
func (s *Service) refused(ctx context.Context, caller *identity.Identity, action, target string, err error) error {
	return s.audit.Refused(ctx, s.now(), caller, action, target, err)
}
