package restapi

import (
	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/auditchain"
	"github.com/latchkey-auth/latchkey/internal/store"
)

func (c *call) listEvents() (answer, error) {
	q := store.EventQuery{
		Action: c.query["action"], ActorName: c.query["actor"], TokenID: c.query["token"], Target: c.query["target"],
		RequestID: c.query["request_id"], CorrelationID: c.query["correlation_id"],
	}
	var err error
	if q.Outcome, err = c.query.oneOf("outcome", audit.OK, audit.Refused, audit.Failed); err != nil {
		return answer{}, err
	}
	if q.Since, err = c.query.time("since"); err != nil {
		return answer{}, err
	}
	if q.Until, err = c.query.time("until"); err != nil {
		return answer{}, err
	}
	if q.Limit, err = c.query.limit(); err != nil {
		return answer{}, err
	}
	after, err := c.after()
	if err != nil {
		return answer{}, err
	}
	q.After = after.position()
	list, err := c.Audit.List(c.ctx, c.caller, q)
	if err != nil {
		return answer{}, err
	}
	page := api.Page[api.Event]{Items: make([]api.Event, len(list))}
	for i, e := range list {
		page.Items[i] = auditchain.Shown(e)
	}
	if n := len(list); n > 0 {
		page.Next = c.next(n == q.Limit, place{At: list[n-1].At, ID: list[n-1].ID})
	}
	return ok(page)
}
