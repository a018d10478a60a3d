package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/scope"
)

// Require returns a middleware that lets through requests whose token covers
// all of the given rules, such as "path:/reports/*:read"; without any rule, all
// requests with a good token. Like [http.Handle] with a bad pattern it panics
// when a rule cannot be read, as that is a mistake in the program.
//
// Others get 400 (the credential cannot be read), 401 (none, or not a good one),
// 403 (a rule is not covered) or 503 (that cannot be known now).
func (g *Guard) Require(rules ...string) func(http.Handler) http.Handler {
	needed := make(scope.Set, 0, len(rules))
	for _, text := range rules {
		r, err := scope.Parse(text)
		if err != nil {
			panic(fmt.Sprintf("guard: Require(%q): %v", text, err))
		}
		needed = append(needed, r)
	}
	return func(next http.Handler) http.Handler {
		return g.handler(next, func(id Identity, _ *http.Request) string {
			for i := range needed {
				if !id.rules.Covers(needed[i : i+1]) {
					return needed[i].String()
				}
			}
			return ""
		})
	}
}

// Protect lets requests through to next that their token allows by method and
// path: GET, HEAD and OPTIONS need the action read, POST, PUT and PATCH write,
// DELETE delete. The path is that of the request's URL as next sees it, so
// [http.StripPrefix] belongs inside. See [Identity.AllowsRequest].
func (g *Guard) Protect(next http.Handler) http.Handler {
	return g.handler(next, func(id Identity, r *http.Request) string {
		q := scope.PathRequest(r.Method, r.URL.EscapedPath())
		if id.rules.Allows(q) {
			return ""
		}
		return q.String()
	})
}

// handler lets requests through to next of which missing returns "".
func (g *Guard) handler(next http.Handler, missing func(Identity, *http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := g.CheckRequest(r)
		if err != nil {
			g.refuse(w, err)
			return
		}
		if m := missing(id, r); m != "" {
			g.forbid(w, m)
			return
		}
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), id)))
	})
}

// refuse answers a request whose credential does not count. What nobody thought
// of is a 503 like all that is not known.
func (g *Guard) refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrMalformed):
		problem(w, http.StatusBadRequest, api.Problem{Code: api.CodeInvalid, Field: "Authorization", Detail: err.Error()})
	case errors.Is(err, ErrNoCredential):
		w.Header()["Www-Authenticate"] = g.challenge.none
		problem(w, http.StatusUnauthorized, api.Problem{Code: api.CodeUnauthenticated, Detail: "a credential is needed: a token as Bearer, or as the password of Basic"})
	case errors.Is(err, ErrRefused):
		w.Header()["Www-Authenticate"] = g.challenge.invalid
		problem(w, http.StatusUnauthorized, api.Problem{Code: api.CodeUnauthenticated, Detail: ErrRefused.Error()})
	default:
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, api.Problem{Code: api.CodeUnavailable, Detail: ErrUnavailable.Error()})
	}
}

// forbid answers a request that its token does not reach as far as.
func (g *Guard) forbid(w http.ResponseWriter, missing string) {
	w.Header()["Www-Authenticate"] = []string{g.challenge.narrow + headerText(missing) + `"`}
	problem(w, http.StatusForbidden, api.Problem{Code: api.CodeForbidden, Scope: missing, Detail: "this needs the scope " + missing})
}

func problem(w http.ResponseWriter, status int, p api.Problem) {
	p.Type, p.Title, p.Status = "about:blank", http.StatusText(status), status
	body, _ := json.Marshal(p) // strings and numbers can always be encoded
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}

// challenges are the lines of WWW-Authenticate (RFC 6750 section 3, RFC 7617).
type challenges struct {
	none, invalid []string
	narrow        string // followed by the scope and a quote
}

func newChallenges(realm string) challenges {
	bearer, basic := `Bearer realm="`+realm+`"`, `Basic realm="`+realm+`", charset="UTF-8"`
	return challenges{
		none:    []string{bearer, basic},
		invalid: []string{bearer + `, error="invalid_token"`, basic},
		narrow:  bearer + `, error="insufficient_scope", scope="`,
	}
}

// headerText writes a scope with the characters that the attribute may have
// (RFC 6750 section 3), the others percent-encoded.
func headerText(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '"' || c == '\\' || c > '~' {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
