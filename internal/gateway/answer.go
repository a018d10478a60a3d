package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// Texts of 401 answers that Django REST framework, and so Pulp, has in the same
// words.
const (
	noCredential  = "Authentication credentials were not provided."
	badCredential = "Invalid username/password."
	badToken      = "Invalid token."
)

// Codes of problems that only a gateway has.
const (
	codeUpstream        = "upstream_failed"
	codeUpstreamTimeout = "upstream_timeout"
	codeRequestTimeout  = "request_timeout"
	codeTarget          = "invalid_target"
)

// challengeKind says which challenges an answer carries.
type challengeKind int

const (
	noChallenge  challengeKind = iota
	plain                      // no credential, or a password that is wrong
	invalidToken               // RFC 6750 section 3.1
	tooNarrow                  // insufficient_scope, same place
)

// refusal is an answer of our own to a request that goes no further.
type refusal struct {
	status     int
	code       string // "": by the status
	detail     string
	challenge  challengeKind
	missing    string // the scope, of tooNarrow
	retryAfter time.Duration
	cause      error           // for the log
	token      *tokens.Refusal // of a token
	judged     bool            // by the core, which has written an event
	registry   bool            // the client is a registry's
}

// junk reports whether a token was refused of which nothing is known.
func (r *refusal) junk() bool { return r.token != nil && r.token.TokenID == "" }

var errNobody = errors.New("a credential was accepted without an identity")

func unauthenticated(detail string) *refusal {
	return &refusal{status: http.StatusUnauthorized, detail: detail, challenge: plain}
}

// insufficientScope refuses a known caller and names what was missing (S63).
func insufficientScope(missing string) *refusal {
	return &refusal{
		status: http.StatusForbidden, challenge: tooNarrow, missing: missing,
		detail: "this needs the scope " + missing,
	}
}

// refusesMethod reports methods that no request is let through with (S112).
func refusesMethod(method string) bool {
	return method == http.MethodTrace || method == http.MethodConnect
}

func methodRefused() *refusal {
	return &refusal{status: http.StatusMethodNotAllowed, detail: "this method is not allowed"}
}

// targetRefused words why a path leads nowhere.
func targetRefused(err error) *refusal {
	r := &refusal{status: http.StatusBadRequest, detail: err.Error()}
	if errors.Is(err, errLongPath) {
		r.status = http.StatusRequestURITooLong
	}
	return r
}

func unsafeName() *refusal {
	return &refusal{
		status: http.StatusForbidden,
		detail: "the account's name has characters that cannot be passed on in a header",
	}
}

// invalidCredential words what [credential.Parse] found wrong.
func invalidCredential(err error) error { return fault.Invalidf("Authorization", "%v", err) }

// refusalOf turns what a check returned into an answer. Unknown, expired and
// revoked tokens get the same one; what nobody thought of is a 500 (S89).
func refusalOf(err error) *refusal {
	var token *tokens.Refusal
	if errors.As(err, &token) {
		return &refusal{status: http.StatusUnauthorized, detail: badToken, challenge: invalidToken, token: token}
	}
	f := fault.Of(err)
	if f.Kind == fault.Unauthenticated {
		return unauthenticated(badCredential)
	}
	r := &refusal{status: web.Status(f.Kind), code: string(f.Kind), detail: f.Message, retryAfter: f.RetryAfter}
	if r.status >= http.StatusInternalServerError {
		r.cause = err
	}
	return r
}

// judgedAs is refusalOf for what a [Checker] found.
func judgedAs(err error) *refusal {
	r := refusalOf(err)
	r.judged = true
	return r
}

// answer sends a refusal.
func (g *Gateway) answer(w http.ResponseWriter, r *refusal) {
	if r.cause != nil {
		g.log.Error("a credential could not be checked", "request_id", web.RequestID(w), "err", r.cause)
	}
	h := w.Header()
	g.challenge.set(h, r)
	if r.retryAfter > 0 {
		h.Set("Retry-After", web.RetryAfter(r.retryAfter))
	}
	if r.status == http.StatusMethodNotAllowed {
		h.Set("Allow", allowedMethods)
	}
	kind, body := r.body(web.RequestID(w))
	h.Set("Content-Type", kind)
	web.NoStore(h)
	w.WriteHeader(r.status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}

// body returns the body and its media type: to 401 what Django REST framework
// sends, else a problem (RFC 9457), which has "detail" as well.
func (r *refusal) body(requestID string) (kind string, body []byte) {
	if r.registry {
		return "application/json", r.registryBody(requestID)
	}
	if r.status == http.StatusUnauthorized {
		body, _ = json.Marshal(struct { // a string can always be encoded
			Detail    string `json:"detail"`
			RequestID string `json:"request_id,omitempty"` // beside what the framework has
		}{r.detail, requestID})
		return "application/json", body
	}
	body, _ = json.Marshal(api.Problem{ // strings and numbers can always be encoded
		Type: "about:blank", Title: http.StatusText(r.status), Status: r.status, Code: r.problemCode(),
		Detail: r.detail, Scope: r.missing, RequestID: requestID,
	})
	return "application/problem+json", body
}

func (r *refusal) problemCode() string {
	if r.code != "" {
		return r.code
	}
	switch r.status {
	case http.StatusForbidden:
		return api.CodeForbidden
	case http.StatusNotFound:
		return api.CodeNotFound
	case http.StatusMethodNotAllowed:
		return api.CodeMethod
	case http.StatusRequestURITooLong:
		return api.CodeTooLarge
	}
	return codeTarget
}

// challenger makes WWW-Authenticate headers. The strings are made once.
type challenger struct {
	plainLines, invalidLines []string
	narrow                   string // followed by the scope and a quote
}

// newChallenger makes the challenges for a realm.
func newChallenger(realm string) (challenger, error) {
	if realm == "" {
		realm = "Latchkey"
	}
	if !headerSafe(realm) || strings.ContainsAny(realm, `"\`) {
		return challenger{}, fmt.Errorf("the realm %q cannot stand in a challenge", realm)
	}
	basic, bearer := `Basic realm="`+realm+`"`, `Bearer realm="`+realm+`"`
	return challenger{
		plainLines:   []string{basic, bearer},
		invalidLines: []string{basic, bearer + `, error="invalid_token"`},
		narrow:       bearer + `, error="insufficient_scope", scope="`,
	}, nil
}

// set adds the challenges of a refusal to an answer's header.
func (c *challenger) set(h http.Header, r *refusal) {
	switch r.challenge {
	case plain:
		h["Www-Authenticate"] = c.plainLines
	case invalidToken:
		h["Www-Authenticate"] = c.invalidLines
	case tooNarrow:
		h["Www-Authenticate"] = []string{c.narrow + scopeText(r.missing) + `"`}
	}
}

// scopeText writes a scope with the characters that the attribute may have (RFC
// 6750 section 3), the others percent-encoded.
func scopeText(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '"' || c == '\\' || c > '~' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
