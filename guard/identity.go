package guard

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/internal/scope"
)

// Identity is who presented a token, and what the token may do. The zero
// Identity is nobody, who may do nothing.
type Identity struct {
	Account   string // the account's login name
	AccountID string // which stays when the name changes
	Kind      string // "user" or "robot"
	Source    string // where its password is checked: "local", or a source's name

	TokenID   string
	Class     string    // of the token: "personal", "robot", …
	ExpiresAt time.Time // when the token ends by itself, by the server's clock; zero: never

	// Stale says that the server could not be certain that nothing was revoked
	// lately, and that its operator allows such answers.
	Stale bool

	rules scope.Set
}

// Scope lists the rules of what the token may do.
func (id Identity) Scope() []string { return id.rules.Strings() }

// Allows reports whether the token may do what a rule says, such as
// "path:/reports/7:read" or "repository:prod/app:pull". What is not a rule is
// not allowed. The rule must be covered by one of the token's alone.
func (id Identity) Allows(rule string) bool {
	r, err := scope.Parse(rule)
	return err == nil && id.rules.Covers(scope.Set{r})
}

// AllowsRequest reports whether the token may make an HTTP request: by the
// method's action on the path. The path is the one with its percent-encoding,
// as [net/url.URL.EscapedPath] returns it. Paths that different programs read
// differently, such as those with "..", are allowed to tokens for all paths
// only.
func (id Identity) AllowsRequest(method, escapedPath string) bool {
	return id.rules.Allows(scope.PathRequest(method, escapedPath))
}

type contextKey struct{}

// NewContext returns a context that carries an identity, as protected handlers
// get it: for other ways in than HTTP, and for tests of handlers.
func NewContext(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// FromContext returns the identity of whoever makes a request, in a handler
// that a [Guard] protects. Elsewhere it is the zero Identity.
func FromContext(ctx context.Context) Identity {
	id, _ := ctx.Value(contextKey{}).(Identity)
	return id
}
