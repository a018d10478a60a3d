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

// Checks is the part of Latchkey's own API that services need, whose callers
// present tokens to them: asking what a token may do, and following changes.
const Checks = "check"

// Answer is what a service learns about a token that was presented to it.
type Answer struct {
	// Identity is whom the token stands for; nil: it does not count.
	Identity *identity.Identity

	// Missing is the first scope that was asked for and is not covered.
	Missing string

	// Position is a number in the change log: all changes up to it are in the
	// answer. Those behind it may be or not. 0: nothing is known.
	Position int64

	// At is when the answer was made, by this server's clock.
	At time.Time
}

// Ends returns when what was presented ends by itself: with its token, or
// before it as the old secret of a rotation. Zero: never.
func (a Answer) Ends() time.Time {
	ends := a.Identity.ExpiresAt
	if s := a.Identity.SecretEnds; !s.IsZero() && (ends.IsZero() || s.Before(ends)) {
		return s
	}
	return ends
}

// CheckFor tells a service whom a token stands for that was presented to it,
// and whether the token covers the scopes that the service asks for. A token
// that does not count gives no error but an answer without identity, the same
// whatever is wrong with it (S42); the audit log has the reason. A caller
// without the right learns nothing (S41).
func (s *Service) CheckFor(ctx context.Context, caller *identity.Identity, p Presented, asked scope.Set) (Answer, error) {
	if err := mayCheck(caller); err != nil {
		return Answer{}, s.refused(ctx, caller, audit.ActionCheck, "", err)
	}
	ctx = presentedTo(ctx, caller, p)
	a := Answer{Position: s.position.Load(), At: s.now()} // before anything is loaded
	var err error
	a.Identity, err = s.Check(ctx, p)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		return Answer{At: a.At}, nil
	case err != nil:
		return Answer{}, err
	}
	for _, rule := range asked {
		if !a.Identity.Covers(scope.Set{rule}) {
			a.Missing = rule.String()
			s.recordMissing(ctx, a)
			break
		}
	}
	return a, nil
}

func mayCheck(caller *identity.Identity) error {
	if caller == nil {
		return fault.Unauthenticatedf("a credential is needed")
	}
	if !caller.May(Checks, scope.Read) {
		return fault.Needs(scope.TypeLatchkey + ":" + Checks + ":" + scope.Read)
	}
	return nil
}

// presentedTo lets the audit log tell of whoever presented the token, and to
// which service, rather than that the service passed it on.
func presentedTo(ctx context.Context, service *identity.Identity, p Presented) context.Context {
	r := audit.FromContext(ctx)
	r.Addr, r.Agent, r.Door = p.Addr, p.Agent, "service "+service.Name
	return audit.NewContext(ctx, r)
}

// recordMissing writes the event of a good token that does not reach as far as
// a service asks.
func (s *Service) recordMissing(ctx context.Context, a Answer) {
	key := audit.TallyKey{Action: audit.ActionCheck, Reason: string(fault.Forbidden), Addr: audit.FromContext(ctx).Addr, Token: a.Identity.TokenID}
	s.audit.Limited(key, func() store.Event {
		e := audit.Event(ctx, a.At, a.Identity, audit.ActionCheck, audit.Refused)
		e.Reason, e.Target, e.Detail = string(fault.Forbidden), audit.Clip(a.Missing), audit.Asked(ctx, a.Missing)
		return e
	})
}
