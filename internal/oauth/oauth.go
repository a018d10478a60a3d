// Package oauth has the OAuth 2.0 endpoints: token introspection (RFC 7662). It
// reads forms, authenticates whoever asks, and words what the core decides as
// RFC 6749 and RFC 6750 want it. It decides nothing about tokens itself.
package oauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// Tokens tells services about the tokens that were presented to them.
// [tokens.Service] does.
type Tokens interface {
	CheckFor(ctx context.Context, caller *identity.Identity, p tokens.Presented, asked scope.Set) (tokens.Answer, error)
}

// Options are what the endpoints are made of; all are needed.
type Options struct {
	Tokens Tokens
	Check  *credential.Checker
	Log    *slog.Logger
	Issuer string // the "iss" of what the server signs
	Realm  string // named in challenges
}

// Codes of errors (RFC 6749 section 5.2, RFC 6750 section 3.1).
const (
	invalidRequest    = "invalid_request"
	invalidClient     = "invalid_client"
	insufficientScope = "insufficient_scope"
	unavailable       = "temporarily_unavailable" // RFC 6749 section 4.1.2.1, for want of one
	serverError       = "server_error"
)

// failure is the body of an error.
type failure struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// errMethod and errOrigin are refused before anything is read.
var (
	errMethod = errors.New("only POST is taken here")
	errOrigin = fault.Forbiddenf("requests from pages of another origin are not taken")
)

// fail answers with an error. Who is not authenticated is told how to be (S16);
// what may not be shown goes to the log.
func (o *Options) fail(w http.ResponseWriter, err error) {
	h := w.Header()
	bearer := `Bearer realm="` + o.Realm + `"`
	basic := `Basic realm="` + o.Realm + `", charset="UTF-8"`
	var refusal *tokens.Refusal
	if errors.As(err, &refusal) {
		err = fault.Unauthenticatedf("the token is not valid")
		bearer += `, error="invalid_token"`
	}
	f := fault.Of(err)
	status, body := web.Status(f.Kind), failure{Code: invalidRequest, Description: f.Message}
	switch {
	case errors.Is(err, errMethod):
		h.Set("Allow", http.MethodPost)
		status, body.Description = http.StatusMethodNotAllowed, errMethod.Error()
	case errors.Is(err, web.ErrTooLarge):
		status, body.Description = http.StatusRequestEntityTooLarge, web.ErrTooLarge.Error()
	case f.Kind == fault.Unauthenticated:
		h["Www-Authenticate"] = []string{basic, bearer}
		body.Code = invalidClient
	case f.Kind == fault.Forbidden && f.Missing != "":
		h["Www-Authenticate"] = []string{bearer + `, error="insufficient_scope", scope="` + f.Missing + `"`}
		body.Code, body.Description = insufficientScope, "this needs the scope "+f.Missing
	case f.Kind == fault.Throttled, f.Kind == fault.Unavailable:
		body.Code = unavailable
	case status >= http.StatusInternalServerError:
		body.Code = serverError
	}
	if status >= http.StatusInternalServerError {
		o.Log.Error("a request failed", "request_id", web.RequestID(w), "err", err)
	}
	if f.RetryAfter > 0 {
		h.Set("Retry-After", web.RetryAfter(f.RetryAfter))
	}
	body.Description = strings.Map(describable, body.Description)
	web.WriteJSON(w, status, body)
}

// describable replaces characters that may not be in an "error_description"
// (RFC 6749 section 5.2).
func describable(r rune) rune {
	switch {
	case r == '"', r == '\\':
		return '\''
	case r < ' ', r > '~':
		return '?'
	}
	return r
}
