package gateway

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// maxScopeHeader bounds the header with the effective scope, in bytes. A longer
// one is left out, so that it says nothing rather than too much: proxies have
// room for 4 KiB of headers, some of them.
const maxScopeHeader = 2 << 10

// VerifierOptions are what a [Verifier] is made of. Check is needed.
type VerifierOptions struct {
	Check Checker
	Realm string // of challenges; "Latchkey" if empty
	Audit *audit.Log
	Log   *slog.Logger
	Now   func() time.Time
}

// Verifier answers whom the credential of a request stands for: forward-auth,
// for proxies that send each request's head here first. The answer is
//
//   - 200 with Latchkeyuser, Latchkeytoken (the token's id), Latchkeyscope (its
//     effective scope, if it has at most 2 KiB) and, where that is so,
//     Latchkey-Stale,
//   - 401 with challenges, 403 when a scope is missing,
//   - 400, 429, 500 or 503, which no proxy takes for a yes.
//
// The method does not matter, since proxies send the original's. The only
// parameter of the query is scope, a rule that must be covered; it may be
// repeated. The proxy's configuration has to make sure that clients cannot
// reach this path with a query of their own.
type Verifier struct {
	check     Checker
	challenge challenger
	audit     *audit.Log
	log       *slog.Logger
	now       func() time.Time

	noStore, noBody, yes []string
}

// NewVerifier makes a verifier.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	if o.Check == nil {
		return nil, errNoChecker
	}
	challenge, err := newChallenger(o.Realm)
	if err != nil {
		return nil, err
	}
	v := &Verifier{
		check: o.Check, challenge: challenge, audit: o.Audit, log: o.Log, now: o.Now,
		noStore: []string{"no-store"}, noBody: []string{"0"}, yes: []string{"true"},
	}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	if v.now == nil {
		v.now = time.Now
	}
	return v, nil
}

// ServeHTTP answers. It is on the way of every request of every service, so it
// writes the header's map itself.
func (v *Verifier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, refused := v.decide(r)
	h := w.Header()
	h["Cache-Control"] = v.noStore
	if closesAfter(r) {
		h["Connection"] = []string{"close"}
	}
	if id != nil && id.Stale {
		h["Latchkey-Stale"] = v.yes
	}
	if refused != nil {
		v.refuse(w, r, id, refused)
		return
	}
	h["Content-Length"] = v.noBody
	values := [...]string{id.Name, id.TokenID, id.EffectiveText}
	h["Latchkeyuser"] = values[0:1:1]
	if id.TokenID != "" {
		h["Latchkeytoken"] = values[1:2:2]
	}
	if len(id.EffectiveText) <= maxScopeHeader {
		h["Latchkeyscope"] = values[2:3:3]
	}
	w.WriteHeader(http.StatusOK)
}

// decide returns the identity, or why the answer is no. With a refusal the
// identity is set if it is known.
func (v *Verifier) decide(r *http.Request) (*identity.Identity, *refusal) {
	var asked scope.Set
	if r.URL.RawQuery != "" {
		var err error
		if asked, err = parseAsked(r.URL.RawQuery); err != nil {
			return nil, &refusal{status: http.StatusBadRequest, detail: err.Error()}
		}
	}
	found, err := credential.Parse(r.Header)
	if err != nil {
		return nil, refusalOf(invalidCredential(err))
	}
	id, err := v.check.Check(r.Context(), found)
	switch {
	case err != nil:
		return nil, refusalOf(err)
	case found.Scheme == credential.None:
		return nil, unauthenticated(noCredential)
	case id == nil:
		return nil, refusalOf(errNobody)
	case !headerSafe(id.Name):
		return id, unsafeName()
	}
	for _, rule := range asked {
		if !id.Covers(scope.Set{rule}) {
			return id, insufficientScope(rule.String())
		}
	}
	return id, nil
}

var errAsked = errors.New("the query must have scope parameters only")

// parseAsked reads the scopes that a proxy's configuration asks for. What
// cannot be read is an error: leaving it out would open the door.
func parseAsked(query string) (scope.Set, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errAsked
	}
	for name := range values {
		if name != "scope" {
			return nil, fmt.Errorf("%w, not %q", errAsked, name)
		}
	}
	return scope.ParseSet(values["scope"])
}

// refuse sends a no, with a line of text for the person who looks into it.
func (v *Verifier) refuse(w http.ResponseWriter, r *http.Request, id *identity.Identity, no *refusal) {
	if no.cause != nil {
		v.log.Error("a credential could not be checked", "request_id", web.RequestID(w), "err", no.cause)
	}
	h := w.Header()
	v.challenge.set(h, no)
	if no.retryAfter > 0 {
		h.Set("Retry-After", web.RetryAfter(no.retryAfter))
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(no.detail)+1))
	w.WriteHeader(no.status)
	_, _ = io.WriteString(w, no.detail+"\n") // the client may be gone
	if id == nil || v.audit == nil {
		return
	}
	e := audit.Event(r.Context(), v.now(), id, "verify", audit.Refused)
	e.Reason = no.reason()
	if no.missing != "" {
		e.Target = audit.Clip(no.missing)
		e.Detail = map[string]string{"missing": audit.Clip(no.missing)}
	}
	v.audit.Record(e)
}
