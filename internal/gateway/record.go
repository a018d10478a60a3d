package gateway

import (
	"net/http"
	"strconv"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/scope"
)

// eventAction names requests at the gateway in the audit log.
const eventAction = "gateway.request"

// refuse answers a request that goes no further and keeps what happened for the
// audit log. A caller who is known and was not let through is recorded whatever
// the route says (S109); refused credentials are, by those who check them.
func (x *exchange) refuse(w http.ResponseWriter, r *refusal) {
	x.status, x.outcome, x.reason, x.missing = r.status, audit.Refused, r.reason(), r.missing
	if r.status >= http.StatusInternalServerError {
		x.outcome = audit.Failed
	}
	x.always = x.identity != nil
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
	if x.g.audit == nil || !x.recorded() {
		return
	}
	e := audit.Event(x.in.Context(), x.g.now(), x.identity, eventAction, x.outcome)
	e.Reason = x.reason
	e.Target = audit.Clip(x.in.Method + " " + x.path)
	e.Detail = map[string]string{
		"route": x.route.Name, "upstream": x.route.upstream.label, "status": strconv.Itoa(x.status),
	}
	if x.missing != "" {
		e.Detail["missing"] = audit.Clip(x.missing)
	}
	x.g.audit.Record(e)
}

func (x *exchange) recorded() bool {
	switch x.route.Audit {
	case AuditAll:
		return true
	case AuditWrites:
		return x.always || x.action() != scope.Read
	}
	return x.always
}
