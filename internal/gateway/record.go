package gateway

import (
	"cmp"
	"net/http"
	"strconv"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/scope"
)

// eventAction names requests at the gateway in the audit log.
const eventAction = "gateway.request"

// refuse answers a request that goes no further and keeps what happened for the
// audit log. A caller who is known and was not let through is recorded whatever
// the route says, and who is not is counted (S109); refused credentials are
// recorded by those who check them.
func (x *exchange) refuse(w http.ResponseWriter, r *refusal) {
	x.status, x.outcome, x.reason, x.missing = r.status, audit.Refused, r.reason(), r.missing
	if r.status >= http.StatusInternalServerError {
		x.outcome = audit.Failed
	}
	x.always, r.registry = x.identity != nil, x.route.RegistryTokens
	x.nobody = x.identity == nil && !r.judged
	x.mark(w.Header())
	x.g.answer(w, r)
}

// reason is the word for the refusal in the audit log.
func (r *refusal) reason() string {
	if r.status == http.StatusUnauthorized {
		return "unauthenticated"
	}
	return r.problemCode()
}

// outcomeOf tells from the status what the upstream made of a request.
func outcomeOf(status int) string {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return audit.Refused
	case status >= http.StatusInternalServerError:
		return audit.Failed
	}
	return audit.OK
}

// record puts the request into the audit log, if it belongs there. The query is
// left out: it may hold signatures (S110).
func (x *exchange) record() {
	if x.g.audit == nil {
		return
	}
	key := audit.TallyKey{Action: eventAction, Reason: x.reason, Addr: audit.FromContext(x.in.Context()).Addr}
	switch {
	case x.nobody:
		x.g.audit.Tally(key, x.event)
	case x.always:
		key.Token = cmp.Or(x.identity.TokenID, x.identity.Name)
		x.g.audit.Limited(key, x.event)
	case x.byMode():
		x.g.audit.Record(x.event())
	}
}

func (x *exchange) event() audit.Row {
	e := audit.Event(x.in.Context(), x.g.now(), x.identity, eventAction, x.outcome)
	e.Reason = x.reason
	e.Target = audit.Clip(x.in.Method + " " + x.path)
	e.Detail = audit.Asked(x.in.Context(), x.missing)
	if e.Detail == nil {
		e.Detail = map[string]string{}
	}
	e.Detail["route"], e.Detail["upstream"], e.Detail["status"] = x.route.Name, x.route.upstream.label, strconv.Itoa(x.status)
	return e
}

// byMode reports whether the route wants an event for the request.
func (x *exchange) byMode() bool {
	return x.route.Audit == AuditAll || x.route.Audit == AuditWrites && x.action() != scope.Read
}
