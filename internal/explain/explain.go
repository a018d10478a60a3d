// Package explain has the form of the answer to "why was this refused?": the
// questions that a decision asks, one after the other, with their answers. The
// core and the doors fill it in, each by the functions that decide; the native
// API shows it. Nothing is decided here.
package explain

import (
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
)

// Result is the answer to one question of a decision.
type Result string

// Results.
const (
	Yes  Result = "yes"  // it does not stand in the way
	No   Result = "no"   // it does
	Note Result = "note" // it does not matter here, but is worth knowing
)

// Step is one question of a decision and its answer.
type Step struct {
	Check  string // what was looked at: one of the constants
	Result Result
	Text   string // the answer, as a sentence

	// Rule is the scope rule that made it so, or the one that is missing.
	Rule string

	// Fix is a command that would change the answer; "" where there is none.
	Fix string
}

// What is looked at.
const (
	Form      = "form"      // of the token: its shape, its checksum, its tag
	Known     = "known"     // whether there is such a token
	Owner     = "owner"     // whether its account is enabled
	Revoked   = "revoked"   // by itself, or with all of its account's
	Expiry    = "expiry"    // its end
	Secret    = "secret"    // whether a rotation has ended this one
	Address   = "address"   // where it may be used from
	Idle      = "idle"      // for how long it was not used
	Path      = "path"      // how servers may read it
	Route     = "route"     // of the gateway
	Demand    = "demand"    // what the route wants of a request
	Password  = "password"  // what becomes of passwords at the route
	Anonymous = "anonymous" // what becomes of requests without a credential
	Name      = "name"      // whether the account's name can be passed on
	Scope     = "scope"     // the token's own rules
	Grants    = "grants"    // those of its owner and the owner's groups
	Answer    = "answer"    // anything else that was answered
)

// Asked is a request that somebody thinks of, or that was made before.
type Asked struct {
	Method, Target string    // as a client sends them; both empty: only Scope is asked about
	Scope          scope.Set // rules that forward-auth is asked for

	// Credential is what the request offers, and Identity and Err are what a
	// check of it gives.
	Credential Credential
	Identity   *identity.Identity
	Err        error
}

// Credential is a kind of credential. The zero value is none.
type Credential string

// Kinds of credentials.
const (
	NoCredential Credential = ""
	ByToken      Credential = "token"
	ByPassword   Credential = "password"
)

// Doors that explain themselves.
const (
	Gateway     = "gateway"
	ForwardAuth = "verify"
	Registry    = "registry" // the realm of container registries
)

// Decision is what a door makes of a request.
type Decision struct {
	Door    string // [Gateway] or [ForwardAuth]
	Allowed bool
	Status  int    // of the answer; 0 if the request goes on
	Detail  string // of the answer

	// Request is what the rules are asked for, once the door has come to that;
	// nil before.
	Request *scope.Request

	// Rules are what the rules are asked for instead of [Asked.Scope], where the
	// door reads that in another way; nil: as it was asked.
	Rules scope.Set

	// GrantsOnly says that the request is for the owner's grants to allow; the
	// token's own rules were asked for something else, which the steps tell.
	GrantsOnly bool

	Readings []string // of the path, the way that it was written first
	Steps    []Step
}

// Failed returns the first step that stands in the way.
func Failed(steps []Step) (Step, bool) {
	for _, s := range steps {
		if s.Result == No {
			return s, true
		}
	}
	return Step{}, false
}

// When is [Yes] or [No].
func When(ok bool) Result {
	if ok {
		return Yes
	}
	return No
}
