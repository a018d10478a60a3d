package gateway

import (
	"slices"

	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// admit decides whether the request goes on, and as whom.
func (x *exchange) admit() *refusal {
	switch {
	case x.route.Auth == Off:
		return nil
	case x.isOpen():
		x.dropsCredential = !x.route.KeepAuthorization
		return nil
	}
	found, err := credential.ParseWith(x.in.Header, x.g.bearers)
	if err != nil {
		return refusalOf(invalidCredential(err))
	}
	if found.Scheme == credential.Basic && !tokens.Recognised(found.Password.Reveal()) {
		switch x.route.Passwords {
		case PassPasswords:
			x.offered = true
			return nil
		case RefusePasswords:
			return unauthenticated("Passwords are not taken here, use a token.")
		}
	}
	id, err := x.g.check.Check(x.in.Context(), found)
	if err != nil {
		return judgedAs(err)
	}
	if found.Scheme == credential.None {
		return x.admitAnonymous()
	}
	return x.admitAs(id)
}

// isOpen reports whether the path may be read by anybody. A path that has no
// single clean reading is never open (S87).
func (x *exchange) isOpen() bool {
	if len(x.route.open) == 0 || x.action() != scope.Read {
		return false
	}
	clean, ok := scope.CleanPath(x.path)
	return ok && slices.ContainsFunc(x.route.open, func(p pattern) bool { return p.match(clean) })
}

// admitAnonymous decides about a request without credential.
func (x *exchange) admitAnonymous() *refusal {
	x.bare = true
	if x.route.Auth == Optional || (x.route.Auth == Writes && x.action() == scope.Read) {
		return nil
	}
	if x.g.anonymous != nil {
		rules, err := x.g.anonymous(x.in.Context())
		if err != nil {
			return refusalOf(err)
		}
		if rules.Allows(scope.PathRequest(x.in.Method, x.path)) {
			return nil
		}
	}
	return unauthenticated(noCredential)
}

// admitAs decides about a request of somebody known.
func (x *exchange) admitAs(id *identity.Identity) *refusal {
	if id == nil {
		return refusalOf(errNobody)
	}
	x.identity = id
	x.dropsCredential = !x.route.KeepAuthorization
	x.name = id.Name
	if x.route.Renamed {
		x.name = x.g.names.NameOf(id)
	}
	if !headerSafe(x.name) {
		return unsafeName()
	}
	if missing, ok := x.covered(); !ok {
		return insufficientScope(missing)
	}
	var refused *refusal
	x.assertion, refused = x.route.Assertion.make(x.in.Context(), x.g.asserter, id)
	return refused
}

// introduce makes sure that the upstream knows who is let in.
func (x *exchange) introduce() *refusal {
	if x.identity == nil || !x.route.Renamed {
		return nil
	}
	if err := x.g.names.Ensure(x.in.Context(), x.identity); err != nil {
		return refusalOf(err)
	}
	return nil
}

// covered reports whether the identity's scope reaches as far as the request,
// or else what is missing (S80).
func (x *exchange) covered() (missing string, ok bool) {
	q := scope.PathRequest(x.in.Method, x.path)
	if !x.route.RegistryTokens || !x.identity.Narrowed() {
		return q.String(), x.identity.Allows(q)
	}
	if !x.identity.Grants.Allows(q) {
		return q.String(), false
	}
	if x.action() != scope.Read { // a form could ask for anything
		return everything.String(), x.identity.TokenScope.Allows(everything)
	}
	return registryCovered(x.identity.TokenScope, x.target)
}

// action returns what the request's method stands for in scopes.
func (x *exchange) action() string { return scope.MethodAction(x.in.Method) }
