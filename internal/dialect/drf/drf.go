// Package drf is the dialect of rest_framework.authtoken, the tokens that come
// with Django REST framework: one endpoint that trades a user name and a
// password for the account's token, the same one at every login until it ends.
//
// It does not look at tokens that come with other requests: "Authorization:
// Token …" is understood at every door.
package drf

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/latchkey-auth/latchkey/internal/dialect"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// DefaultPath is where the package's documentation puts its view.
const DefaultPath = "/api-token-auth/"

const (
	slot      = "authtoken" // of the account's token in the core
	tokenName = "DRF login"
)

// Passwords tells whom a user name and a password stand for; the service of
// the package accounts is one. It throttles attempts and writes them down.
type Passwords interface {
	Login(ctx context.Context, username string, password secret.Text) (*identity.Identity, error)
}

// Tokens hands out and checks tokens; [tokens.Service] is one.
type Tokens interface {
	Standing(ctx context.Context, caller *identity.Identity, slot string, form tokens.Form, r tokens.Request) (tokens.Issued, error)
	Check(ctx context.Context, p tokens.Presented) (*identity.Identity, error)
}

// Options say where the endpoint is and what its tokens are like. The zero
// value is good.
type Options struct {
	Path string // default [DefaultPath]; served with and without the slash at its end

	// Form is what new tokens look like. Clients that have a field for 40
	// characters, as the original's have, need [tokens.Hex40].
	Form tokens.Form

	// Lifetime is how long a token lives by the clock; 0: without end, as the
	// original's do.
	Lifetime time.Duration

	Idle time.Duration // after how long without use a token ends; 0: never
}

// Handler is the endpoint.
type Handler struct {
	passwords Passwords
	tokens    Tokens
	opts      Options
	view      dialect.View
}

// New returns the endpoint.
func New(opts Options, passwords Passwords, issuer Tokens, log *slog.Logger) *Handler {
	if opts.Path == "" {
		opts.Path = DefaultPath
	}
	h := &Handler{passwords: passwords, tokens: issuer, opts: opts}
	h.view = dialect.View{
		Name:           "Obtain Auth Token",
		JSONOnly:       true,
		Parses:         []string{dialect.Form, dialect.Multipart, dialect.JSON},
		Authenticators: []dialect.Authenticator{dialect.TokenAuth{Tokens: issuer}},
		Fields: []dialect.Field{
			{Name: "username", Label: "Username"},
			{Name: "password", Label: "Password", KeepSpaces: true},
			{Name: "token", Label: "Token", ReadOnly: true},
		},
		Methods: map[string]dialect.Method{http.MethodPost: h.obtain},
		Log:     log,
	}
	return h
}

// Paths names the paths to serve the handler at.
func (h *Handler) Paths() []string { return dialect.BothSlashes(h.opts.Path) }

// ServeHTTP answers a request, whatever its path is.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.view.ServeHTTP(w, r) }

type obtained struct {
	Token string `json:"token"`
}

// errLogin is the one answer to a wrong password, an unknown and a disabled
// user (S100). Its status is 400, never 401: clients test for that.
var errLogin = dialect.NonField("Unable to log in with provided credentials.")

func (h *Handler) obtain(r *dialect.Request) (dialect.Response, error) {
	in, err := r.Validated()
	if err != nil {
		return dialect.Response{}, err
	}
	who, err := h.passwords.Login(r.Context(), in["username"], secret.New(in["password"]))
	if fault.Is(err, fault.Unauthenticated) {
		return dialect.Response{}, errLogin
	}
	if err != nil {
		return dialect.Response{}, err
	}
	issued, err := h.tokens.Standing(r.Context(), who, slot, h.opts.Form, tokens.Request{
		Name: tokenName, ExpiresIn: &h.opts.Lifetime, IdleAfter: &h.opts.Idle,
	})
	if err != nil {
		return dialect.Response{}, refused(err)
	}
	return dialect.Response{Body: obtained{issued.Secret.Reveal()}}, nil
}

// refused says why there is no token although the password was right.
func refused(err error) error {
	switch fault.Of(err).Kind {
	case fault.Unauthenticated, fault.Conflict, fault.NotFound: // the account was changed in between
		return errLogin
	case fault.Invalid: // nothing that the client sent: the options and the rules of the core are at odds
		return fmt.Errorf("the token of a login cannot be made as configured: %v", err)
	}
	return err
}
