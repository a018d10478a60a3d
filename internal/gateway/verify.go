package gateway

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// maxScopeHeader bounds the header with the effective scope, in bytes. A longer
// one is left out, so that it says nothing rather than too much: proxies have
// room for 4 KiB of headers, some of them.
const maxScopeHeader = 2 << 10

// VerifierOptions are what a [Verifier] is made of. Check is needed.
type VerifierOptions struct {
	Check Checker

	// Bearers are schemes beside Bearer by which tokens are sent.
	Bearers []string

	// Peers are the proxies whose description of a request is believed. The
	// default is nobody's (S85).
	Peers web.Peers

	// Anonymous returns the rules for described requests without a credential.
	// nil: there are none, and each of them is refused.
	Anonymous func(ctx context.Context) (scope.Set, error)

	// Assertion adds a signed proof of who is asking to a yes that one of the
	// Peers gets; Asserter makes it.
	Assertion Assertion
	Asserter  Asserter

	Realm string // of challenges; "Latchkey" if empty
	Audit *audit.Log
	Log   *slog.Logger
	Now   func() time.Time
}

// Verifier answers whether a request may go on, and whom its credential stands
// for: forward-auth, for proxies that send each request's head here first. The
// answer is
//
//   - 200 with Latchkeyuser, Latchkeytoken (the token's id), Latchkeyscope (its
//     effective scope, if it has at most 2 KiB), the header of an [Assertion]
//     and Latchkey-Stale, where that is so; without Latchkeyuser where anybody
//     may make this request,
//   - 401 with challenges, 403 when a scope is missing,
//   - 400, 405, 414, 429, 500 or 503, which no proxy takes for a yes.
//
// The method does not matter, since some proxies send the original's; the
// request that is asked about is the one that [descriptionOf] finds. The only
// parameter of the query is scope, a rule that must be covered besides; it may
// be repeated. The proxy's configuration has to make sure that clients cannot
// add to either of them.
type Verifier struct {
	check     Checker
	bearers   []string
	peers     web.Peers
	anonymous func(ctx context.Context) (scope.Set, error)
	assertion Assertion
	asserter  Asserter
	challenge challenger
	asked     askedQueries
	audit     *audit.Log
	log       *slog.Logger
	now       func() time.Time
	warned    atomic.Int64 // when a proxy that is not listed was last logged, in seconds

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
		check: o.Check, bearers: o.Bearers, peers: o.Peers, anonymous: o.Anonymous, assertion: o.Assertion, asserter: o.Asserter, challenge: challenge,
		audit: o.Audit, log: o.Log, now: o.Now,
		noStore: []string{"no-store"}, noBody: []string{"0"}, yes: []string{"true"},
	}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	if v.now == nil {
		v.now = time.Now
	}
	err = v.assertion.compile(v.asserter, "Latchkeyuser", "Latchkeytoken", "Latchkeyscope", "Latchkey-Stale", web.RequestIDHeader, web.CorrelationIDHeader)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// ServeHTTP answers. It is on the way of every request of every service, so it
// writes the header's map itself.
func (v *Verifier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if closesAfter(r) {
		h["Connection"] = []string{"close"}
	}
	ctx, q, refused := v.question(r)
	var id *identity.Identity
	if refused == nil {
		id, refused = v.decide(ctx, &q)
	}
	status, text := v.answer(ctx, &q, h, id, refused)
	if refused != nil {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text) // the client may be gone
		return
	}
	if len(q.Asked) > 0 && id != nil {
		v.asked.remember(r.URL.RawQuery, q.Asked)
	}
	h["Content-Length"] = v.noBody
	w.WriteHeader(status)
}

// Answer decides about a question that came by another way than ServeHTTP. It
// sets the fields of the answer in h, among them the challenges of a refusal,
// and returns its status, which is 200 only for a yes, and the text of a
// refusal, which ends in a line break. The context carries an [audit.Request]
// with the client's address, not the proxy's.
func (v *Verifier) Answer(ctx context.Context, q Question, h http.Header) (status int, text string) {
	id, refused := v.decide(ctx, &q)
	return v.answer(ctx, &q, h, id, refused)
}

// answer words a decision.
func (v *Verifier) answer(ctx context.Context, q *Question, h http.Header, id *identity.Identity, refused *refusal) (status int, text string) {
	h["Cache-Control"] = v.noStore
	if id != nil && id.Stale {
		h["Latchkey-Stale"] = v.yes
	}
	switch {
	case refused != nil:
		v.record(ctx, q, id, refused)
		return refused.status, secret.Scrub(v.refuse(ctx, h, refused))
	case id == nil:
		return http.StatusOK, ""
	}
	values := [...]string{id.Name, id.TokenID, id.EffectiveText}
	h["Latchkeyuser"] = values[0:1:1]
	if id.TokenID != "" {
		h["Latchkeytoken"] = values[1:2:2]
	}
	if len(id.EffectiveText) <= maxScopeHeader {
		h["Latchkeyscope"] = values[2:3:3]
	}
	if q.assertion != nil {
		h[v.assertion.Header] = q.assertion
	}
	return http.StatusOK, ""
}

// decide returns the identity, or why the answer is no. With a refusal the
// identity is set if it is known. Neither is where anybody may do this.
func (v *Verifier) decide(ctx context.Context, q *Question) (*identity.Identity, *refusal) {
	if q.described() {
		if refused := v.believe(q); refused != nil {
			return nil, refused
		}
	} else if len(q.Asked) == 0 {
		return nil, undescribed()
	}
	found, err := credential.ParseWith(q.Header, v.bearers)
	if err != nil {
		return nil, refusalOf(invalidCredential(err))
	}
	if q.described() {
		audit.Ask(ctx, q.Method, q.path())
	}
	id, err := v.check.Check(ctx, found)
	switch {
	case err != nil:
		return nil, judgedAs(err)
	case found.Scheme == credential.None:
		return nil, v.admitAnonymous(ctx, q)
	case id == nil:
		return nil, refusalOf(errNobody)
	case !headerSafe(id.Name):
		return id, unsafeName()
	}
	if refused := v.covered(q, id); refused != nil || v.assertion.Audience == "" || !v.peers.Trusts(q.Peer) {
		return id, refused
	}
	// Nobody but a proxy gets one: a client that asks here itself would have a
	// proof that outlives its token, for requests that nobody has judged.
	var refused *refusal
	q.assertion, refused = v.assertion.make(ctx, v.asserter, id)
	return id, refused
}

// covered refuses what the identity's scope does not reach (S80).
func (v *Verifier) covered(q *Question, id *identity.Identity) *refusal {
	if q.described() {
		if request := scope.PathRequest(q.Method, q.path()); !id.Allows(request) {
			return insufficientScope(request.String())
		}
	}
	for i := range q.Asked {
		if !id.Covers(q.Asked[i : i+1]) {
			return insufficientScope(q.Asked[i].String())
		}
	}
	return nil
}

// admitAnonymous refuses a request without credential, unless it is described
// and the rules for such requests cover it. They are matched with the cleaned
// path and nothing else (S87).
func (v *Verifier) admitAnonymous(ctx context.Context, q *Question) *refusal {
	if v.anonymous == nil || !q.described() {
		return unauthenticated(noCredential)
	}
	rules, err := v.anonymous(ctx)
	if err != nil {
		return refusalOf(err)
	}
	if !rules.Allows(scope.PathRequest(q.Method, q.path())) || !rules.Covers(q.Asked) {
		return unauthenticated(noCredential)
	}
	return nil
}

// refuse sets the fields of a refusal and returns its text: for the person who
// looks into it, with the id by which the administrator finds it.
func (v *Verifier) refuse(ctx context.Context, h http.Header, no *refusal) string {
	id := audit.FromContext(ctx).RequestID
	if no.cause != nil {
		v.log.Error("a credential could not be checked", "request_id", id, "err", no.cause)
	}
	v.challenge.set(h, no)
	if no.retryAfter > 0 {
		h.Set("Retry-After", web.RetryAfter(no.retryAfter))
	}
	if no.status == http.StatusMethodNotAllowed {
		h.Set("Allow", allowedMethods)
	}
	if id == "" {
		return no.detail + "\n"
	}
	h[web.RequestIDHeader] = []string{id}
	return no.detail + "\nrequest " + id + "\n"
}

// verifyAction names refusals by a [Verifier] in the audit log.
const verifyAction = "verify"

// record puts a refusal into the audit log (S109). Those of nobody known are
// only counted by address, since anybody can send any number of them; a
// credential that is not known is counted by who checks it. The query is left
// out: it may hold signatures (S110).
func (v *Verifier) record(ctx context.Context, q *Question, id *identity.Identity, no *refusal) {
	if v.audit == nil || no.junk() {
		return
	}
	target := no.missing
	if q.described() {
		target = q.Method + " " + q.path()
	}
	key := audit.TallyKey{Action: verifyAction, Reason: no.reason(), Addr: audit.FromContext(ctx).Addr}
	switch {
	case id != nil:
		key.Token = cmp.Or(id.TokenID, id.Name)
	case no.token != nil:
		key.Token = no.token.TokenID
	case no.judged:
		return
	default:
		v.audit.TallyRefused(ctx, v.now(), key, target)
		return
	}
	v.audit.Limited(key, func() audit.Row {
		e := audit.Event(ctx, v.now(), id, verifyAction, audit.Refused)
		e.Reason, e.Target, e.Detail = no.reason(), audit.Clip(target), audit.Asked(ctx, no.missing)
		if t := no.token; t != nil {
			e.ActorID, e.ActorName, e.TokenID = t.AccountID, t.AccountName, t.TokenID
		}
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		if q.Host != "" {
			e.Detail["host"] = audit.Clip(q.Host)
		}
		return e
	})
}

// warnUnlisted tells the operator, once a minute at most, of a proxy that is
// not believed.
func (v *Verifier) warnUnlisted(peer netip.Addr) {
	now := v.now().Unix()
	last := v.warned.Load()
	if now-last < 60 || !v.warned.CompareAndSwap(last, now) {
		return
	}
	v.log.Warn("a request at /latchkey/verify describes another one, but its peer is not in trusted_proxies, so it is refused; "+
		"if that is your proxy, set trusted_proxies to its address", "peer", peer)
}
