package registry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// answer is the body of a token's answer, of both specifications: some clients
// read the first member, some the second.
type answer struct {
	Token        string `json:"token"`
	AccessToken  string `json:"access_token"`
	ExpiresIn    int64  `json:"expires_in"` // whole seconds: clients in Go refuse anything else
	IssuedAt     string `json:"issued_at"`  // RFC 3339 with a zone: likewise
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
}

func answerOf(t tokens.RegistryToken) *answer {
	text := t.Token.Reveal()
	return &answer{
		Token: text, AccessToken: text,
		ExpiresIn: int64(t.ExpiresAt.Sub(t.IssuedAt) / time.Second),
		IssuedAt:  t.IssuedAt.UTC().Format(time.RFC3339),
	}
}

// scopeOf is what was granted, as OAuth 2 says it.
func scopeOf(t tokens.RegistryToken) string {
	texts := make([]string, len(t.Access))
	for i, r := range t.Access {
		texts[i] = r.String()
	}
	return strings.Join(texts, " ")
}

// maxClientName bounds the name of a client's refresh token, in characters.
const maxClientName = 100

// refreshToken returns the refresh token that a client asks for. One that was
// used stays as it is, and so does a token that was given as the password: it
// can be listed and ended as it is, and there is nothing to trade it for.
func (h *Handler) refreshToken(ctx context.Context, ask *question, who *identity.Identity) (string, error) {
	switch {
	case ask.refresh.Reveal() != "":
		return ask.refresh.Reveal(), nil
	case !ask.offline || who.AccountID == "":
		return "", nil
	case who.Method == identity.Token:
		given := ask.credential.Password
		if tokens.Class(who.Class) == tokens.Access || given.Empty() { // it ends in a moment
			return "", nil
		}
		return given.Reveal(), nil
	}
	name := audit.Clip(ask.clientName())
	if utf8.RuneCountInString(name) > maxClientName {
		name = string([]rune(name)[:maxClientName])
	}
	issued, err := h.opts.Tokens.IssueOffline(ctx, who, name, map[string]string{"registry": audit.Clip(ask.service)})
	if fault.Is(err, fault.Forbidden) || fault.Is(err, fault.Limit) || fault.Is(err, fault.Invalid) {
		// It can do without, and keeps the password then. To refuse would make a
		// login fail that is good.
		h.opts.Log.Info("a registry's client gets no refresh token", "account", who.Name, "err", err)
		return "", nil
	}
	return issued.Secret.Reveal(), err
}

// write sends an answer that no cache may keep.
func write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"errors":[{"code":"UNKNOWN","message":"the answer cannot be written"}]}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	web.NoStore(h)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}

// failure is the body of a refusal: "errors" is what registries' clients show
// (distribution, registry/api/errcode), and the rest is OAuth 2's.
type failure struct {
	Errors      []problem `json:"errors"`
	Error       string    `json:"error,omitempty"`
	Description string    `json:"error_description,omitempty"`
}

type problem struct {
	Code    string            `json:"code"`
	Message string            `json:"message"`
	Detail  map[string]string `json:"detail,omitempty"`
}

// Requests that cannot be answered.
var (
	errMediaType = errors.New("the body must be application/x-www-form-urlencoded")
	errGrantType = errors.New("the grant_type must be password or refresh_token")

	errNobody  = fault.Unauthenticatedf("log in: nothing here is for requests without a credential")
	errAccount = fault.Unauthenticatedf("the credential is not that of the account that is named")
)

// errService says that a registry is not known. It is the client's mistake, or
// its registry's, and nothing that a token could be made for (S96).
func errService(name string) error {
	return fault.Forbiddenf("the registry %q is not known here: its service is not among registry.services", audit.Clip(name))
}

// fail answers a request that gets no token.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, ask *question, err error) {
	status, code, oauth, text := worded(err)
	id := web.RequestID(w)
	f := fault.Of(err)
	switch {
	case status >= http.StatusInternalServerError:
		h.opts.Log.Error("a request failed", "request_id", id, "err", err)
	case status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="`+h.opts.Realm+`"`)
	case status == http.StatusMethodNotAllowed:
		w.Header().Set("Allow", "GET, POST")
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", web.RetryAfter(f.RetryAfter))
	}
	text = secret.Scrub(text)
	body := failure{Errors: []problem{{Code: code, Message: text}}}
	if id != "" {
		body.Errors[0].Detail = map[string]string{"request_id": id}
	}
	if ask.post {
		body.Error, body.Description = oauth, text
	}
	write(w, status, body)
}

// worded says an error in the words of both specifications.
func worded(err error) (status int, code, oauth, text string) {
	var refusal *tokens.Refusal
	f := fault.Of(err)
	switch {
	case errors.As(err, &refusal):
		return http.StatusUnauthorized, "UNAUTHORIZED", "invalid_grant", "the token is mistyped, or it was revoked or has expired"
	case errors.Is(err, errMediaType):
		return http.StatusUnsupportedMediaType, "UNSUPPORTED", "invalid_request", errMediaType.Error()
	case errors.Is(err, errGrantType):
		return http.StatusBadRequest, "UNSUPPORTED", "unsupported_grant_type", errGrantType.Error()
	case errors.Is(err, web.ErrMethod):
		return http.StatusMethodNotAllowed, "UNSUPPORTED", "invalid_request", web.ErrMethod.Error()
	case errors.Is(err, web.ErrTooLarge):
		return http.StatusRequestEntityTooLarge, "UNSUPPORTED", "invalid_request", web.ErrTooLarge.Error()
	}
	text = f.Message
	if f.Field != "" {
		text = f.Field + " " + f.Message
	}
	switch f.Kind {
	case fault.Invalid:
		return http.StatusBadRequest, "UNSUPPORTED", "invalid_request", text
	case fault.Unauthenticated:
		return http.StatusUnauthorized, "UNAUTHORIZED", "invalid_grant", text
	case fault.Forbidden:
		return http.StatusBadRequest, "DENIED", "invalid_request", text
	case fault.Throttled:
		return http.StatusTooManyRequests, "TOOMANYREQUESTS", "temporarily_unavailable", text
	case fault.Unavailable:
		return http.StatusServiceUnavailable, "UNAVAILABLE", "temporarily_unavailable", text
	case fault.NotFound, fault.Conflict: // the account was changed in between
		return http.StatusUnauthorized, "UNAUTHORIZED", "invalid_grant", text
	}
	return http.StatusInternalServerError, "UNKNOWN", "server_error", text
}
