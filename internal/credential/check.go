package credential

import (
	"context"
	"errors"
	"net/http"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// TokenChecker tells whom a token stands for; [tokens.Service] is one.
type TokenChecker interface {
	Check(ctx context.Context, p tokens.Presented) (*identity.Identity, error)
}

// PasswordChecker tells whom a user name and a password stand for. A wrong
// password, an unknown and a disabled user are one fault of kind
// Unauthenticated; too many attempts are Throttled.
type PasswordChecker interface {
	Login(ctx context.Context, username string, password secret.Text) (*identity.Identity, error)
}

// Checker checks credentials of all kinds.
type Checker struct {
	Tokens    TokenChecker
	Passwords PasswordChecker

	// Bearers are schemes beside Bearer by which tokens are sent.
	Bearers []string
}

// Request reads the credential of a request and checks it. Without one the
// identity is nil and so is the error.
func (c *Checker) Request(r *http.Request) (*identity.Identity, error) {
	found, err := ParseWith(r.Header, c.Bearers)
	if err != nil {
		return nil, fault.Invalidf("Authorization", "%v", err)
	}
	return c.Check(r.Context(), found)
}

// Check tells whom a credential stands for; nil without a credential. The
// password of Basic may be a token, with any user name. A [tokens.Refusal]
// comes back as it is, so that callers can tell tokens from passwords.
func (c *Checker) Check(ctx context.Context, found Credential) (*identity.Identity, error) {
	switch found.Scheme {
	case None:
		return nil, nil
	case Basic:
		return c.basic(ctx, found)
	}
	return c.token(ctx, found.Token)
}

// basic checks what stands where a password goes. A token of the native form
// is never a password; what only looks like one of another form may be.
func (c *Checker) basic(ctx context.Context, found Credential) (*identity.Identity, error) {
	text := found.Password.Reveal()
	if tokens.Recognised(text) {
		id, err := c.token(ctx, found.Password)
		var refusal *tokens.Refusal
		if err == nil || tokens.ClaimsNative(text) || !errors.As(err, &refusal) || refusal.TokenID != "" {
			return id, err
		}
	}
	return c.Passwords.Login(ctx, found.Username, found.Password)
}

func (c *Checker) token(ctx context.Context, token secret.Text) (*identity.Identity, error) {
	from := audit.FromContext(ctx)
	return c.Tokens.Check(ctx, tokens.Presented{Token: token, Addr: from.Addr, Agent: from.Agent})
}
