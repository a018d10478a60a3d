package restapi

import (
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// filterOfQuery reads a filter from the parameters of a list.
func (c *call) filterOfQuery() (api.TokenFilter, error) {
	q := c.query
	f := api.TokenFilter{
		Owner: q["owner"], Group: q["group"], Class: q["class"], Name: q["name"], Prefix: q["prefix"], Label: q["label"],
		LastAddr: q["last_addr"], Scope: q["scope"],
	}
	if _, given := q["label"]; given && f.Label == "" {
		return f, errLabel
	}
	for name, at := range map[string]**time.Time{
		"created_since": &f.CreatedSince, "created_before": &f.CreatedBefore, "unused_since": &f.UnusedSince,
	} {
		t, err := q.time(name)
		if err != nil {
			return f, err
		}
		if _, given := q[name]; given {
			*at = &t
		}
	}
	never, err := q.bool("never_used")
	f.NeverUsed = never != nil && *never
	return f, err
}

var errLabel = fault.Invalidf("label", "must be a key, or a key, \"=\" and a value")

// tokenQuery turns a filter into a query of the core, for a call that needs
// this verb over the tokens.
func (c *call) tokenQuery(f api.TokenFilter, verb string) (tokens.Query, error) {
	q := tokens.Query{TokenQuery: store.TokenQuery{
		AccountID: c.caller.AccountID, Group: f.Group, Class: f.Class, NamePrefix: f.Name, Prefix: f.Prefix, NeverUsed: f.NeverUsed,
		CreatedSince: timeOrZero(f.CreatedSince), CreatedBefore: timeOrZero(f.CreatedBefore), UnusedSince: timeOrZero(f.UnusedSince),
	}}
	if f.Label != "" {
		q.Label[0], q.Label[1], _ = strings.Cut(f.Label, "=")
		if q.Label[0] == "" {
			return q, errLabel
		}
	}
	var err error
	if f.LastAddr != "" {
		if q.LastAddr, err = parseNetwork("last_addr", f.LastAddr); err != nil {
			return q, err
		}
	}
	if f.Scope != "" {
		rule, err := scope.Parse(f.Scope)
		if err != nil {
			return q, fault.Invalidf("scope", "cannot be read: %v", err)
		}
		q.Touching = scope.Set{rule}
	}
	switch {
	case f.Owner == "*", f.Owner == "" && f.Group != "":
		q.AccountID = ""
	case f.Owner != "":
		q.AccountID, err = c.accountFor(f.Owner, verb)
	}
	return q, err
}

func timeOrZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// revokeMatching ends what a query selects, or only counts it.
func (c *call) revokeMatching() (answer, error) {
	var in api.RevokeTokens
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	if in.Query == (api.TokenFilter{}) {
		return answer{}, fault.Invalidf("query", "is empty: say which tokens to end")
	}
	q, err := c.tokenQuery(in.Query, scope.Delete)
	if err != nil {
		return answer{}, err
	}
	if in.DryRun {
		return c.matching(q)
	}
	done, err := c.Tokens.RevokeMatching(c.ctx, c.caller, tokens.RevokeMatching{
		Query: q, Reason: in.Reason, Expect: in.Expect, AtMost: in.AtMost,
	})
	if err != nil {
		return answer{}, err
	}
	return ok(api.RevokedTokens{Matched: done.Matched, Revoked: done.Revoked, Complete: done.Complete})
}

func (c *call) matching(q tokens.Query) (answer, error) {
	found, err := c.Tokens.Matching(c.ctx, c.caller, q)
	if err != nil {
		return answer{}, err
	}
	sample, err := c.tokens(found.Sample...)
	if err != nil {
		return answer{}, err
	}
	return ok(api.RevokedTokens{Matched: found.Count, Sample: sample})
}
