package restapi

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/explain"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// Doors explain what they make of a request, by the functions that decide.
type Doors interface {
	// Explain asks the door of this name, or for "" the one that such a request
	// comes to. It reports false where none is.
	Explain(ctx context.Context, door string, a explain.Asked) (explain.Decision, bool)
}

// noDoors is an API without doors beside it.
type noDoors struct{}

// Explain knows no door.
func (noDoors) Explain(context.Context, string, explain.Asked) (explain.Decision, bool) {
	return explain.Decision{}, false
}

// explanation is one explanation in the making.
type explanation struct {
	*call
	ask     api.Explain
	rule    scope.Set // of ask.Scope
	subject tokens.Explained
	asked   explain.Asked
	out     api.Explanation
}

func (c *call) explain() (answer, error) {
	x := &explanation{call: c}
	if err := c.read(&x.ask); err != nil {
		return answer{}, err
	}
	if x.ask.RequestID != "" {
		if err := x.recall(); err != nil {
			return answer{}, err
		}
		if x.out.Then != nil && x.ask == (api.Explain{}) { // nothing that could be asked again
			x.out.Verdict = "what the audit log has of this request does not suffice to judge it once more"
			x.out.Steps = []api.ExplainStep{}
			return ok(x.out)
		}
	}
	if err := x.check(); err != nil {
		return answer{}, err
	}
	steps, err := x.identify()
	if err != nil {
		return answer{}, err
	}
	more, err := x.judge()
	if err != nil {
		return answer{}, err
	}
	return x.finish(append(steps, more...))
}

// check refuses questions that are none.
func (x *explanation) check() error {
	a := x.ask
	who := 0
	for _, given := range []bool{a.Token != "", a.Account != "", a.Anonymous} {
		if given {
			who++
		}
	}
	switch {
	case who != 1:
		return fault.Invalidf("token", "or account or anonymous is needed, and only one of them")
	case (a.Method == "") != (a.Path == ""):
		return fault.Invalidf("method", "and path go together")
	case a.Path != "" && a.Scope != "":
		return fault.Invalidf("scope", "cannot be given beside a path")
	case a.Anonymous && a.Path == "" && a.Scope == "":
		return fault.Invalidf("path", "is needed where there is no token")
	case a.Path != "" && (!strings.HasPrefix(a.Path, "/") || strings.ContainsFunc(a.Path, func(r rune) bool { return r <= ' ' || r == 0x7f })):
		return fault.Invalidf("path", "must be what stands behind the host of a URL: it begins with \"/\" and has no spaces")
	case strings.ContainsFunc(a.Method, func(r rune) bool { return r < 'A' || r > 'Z' && r != '_' && (r < 'a' || r > 'z') }):
		return fault.Invalidf("method", "must be a method of HTTP, such as GET")
	case a.Door != "" && a.Door != explain.Gateway && a.Door != explain.ForwardAuth && a.Door != explain.Registry:
		return fault.Invalidf("door", "must be %q, %q or %q", explain.Gateway, explain.ForwardAuth, explain.Registry)
	case a.Door == explain.Registry && a.Scope == "":
		return fault.Invalidf("scope", "is what the registry is asked about, such as repository:prod/app:pull")
	}
	if a.Scope != "" {
		rule, err := scope.Parse(a.Scope)
		if err != nil {
			return fault.Invalidf("scope", "cannot be read: %v", err)
		}
		x.rule = scope.Set{rule}
	}
	return nil
}

// identify finds out who is asked about, and whether they count.
func (x *explanation) identify() ([]explain.Step, error) {
	a := x.ask
	x.asked = explain.Asked{Method: a.Method, Target: a.Path, Scope: x.rule}
	if a.Anonymous {
		x.out.Allowed = true
		return nil, nil
	}
	var q tokens.Subject
	if a.Addr != "" {
		addr, err := netip.ParseAddr(a.Addr)
		if err != nil {
			return nil, fault.Invalidf("addr", "is not an address")
		}
		q.Addr = addr.Unmap().WithZone("")
	}
	x.asked.Credential = explain.ByToken
	q.Realm = aboutRegistry(a)
	switch {
	case a.Account != "":
		x.asked.Credential = explain.ByPassword
		id, err := x.explainable(a.Account)
		if err != nil {
			return nil, err
		}
		q.AccountID = id
	case tokens.Recognised(a.Token):
		q.Secret = a.Token
	default:
		q.TokenID = a.Token
	}
	var err error
	if x.subject, err = x.Tokens.Explain(x.ctx, x.caller, q); err != nil {
		return nil, err
	}
	x.asked.Identity, x.asked.Err = x.subject.Identity, x.subject.Err
	x.out.Account = x.subject.Account.Name
	if x.out.Allowed = x.subject.Err == nil; !x.out.Allowed {
		x.out.Status = http.StatusUnauthorized // unless a door says otherwise
	}
	if t := x.subject.Token; t != nil {
		shown, err := x.tokens(*t)
		if err != nil {
			return nil, err
		}
		x.out.Token = &shown[0]
	}
	return x.subject.Steps, nil
}

// aboutRegistry reports whether a question is about what a registry's client
// may do, where its refresh token counts too.
func aboutRegistry(a api.Explain) bool {
	return a.Door == explain.Registry || a.Door == "" && (strings.HasPrefix(a.Scope, scope.TypeRepository+":") || strings.HasPrefix(a.Scope, scope.TypeRegistry+":"))
}

// explainable finds an account by its name. Who may only ask about their own
// tokens learns of no other one.
func (c *call) explainable(ref string) (string, error) {
	if ref == c.caller.Name || ref == "id:"+c.caller.AccountID {
		return c.caller.AccountID, nil
	}
	if !tokens.MayExplain(c.caller) {
		return "", fault.Needs(scope.TypeLatchkey + ":" + tokens.Explanations + ":" + scope.Read)
	}
	a, err := c.Accounts.Resolve(c.ctx, ref)
	return a.ID, err
}

// judge asks the door, if there is a request to ask about.
func (x *explanation) judge() ([]explain.Step, error) {
	if x.ask.Path == "" && x.ask.Scope == "" {
		return nil, nil
	}
	if strings.HasPrefix(x.ask.Path, api.Prefix+"/") {
		return x.judgeOwn()
	}
	d, found := x.Doors.Explain(x.ctx, x.ask.Door, x.asked)
	if !found && x.out.Then != nil {
		return nil, nil // a dialect's path, which takes passwords and nothing else
	}
	if !found {
		return nil, fault.Invalidf("path", "is none that the gateway stands in front of; Latchkey's own paths are explained in its documentation")
	}
	x.out.Door, x.out.Allowed, x.out.Status, x.out.Readings = d.Door, d.Allowed, d.Status, d.Readings
	x.out.Verdict = d.Detail
	if x.asked.Err != nil && !d.Allowed { // what else stands in the way
		good := x.asked
		good.Err = nil
		if would, found := x.Doors.Explain(x.ctx, x.ask.Door, good); found && good.Identity != nil {
			d.Steps, d.Request, d.Rules, d.GrantsOnly = would.Steps, would.Request, would.Rules, would.GrantsOnly
		}
	}
	rules, err := x.rules(d)
	return append(d.Steps, rules...), err
}

// rules tells by which rules the request is allowed or not.
func (x *explanation) rules(d explain.Decision) ([]explain.Step, error) {
	id := x.subject.Identity
	switch {
	case id == nil:
		return nil, nil
	case len(d.Rules) > 0:
		return x.Tokens.ExplainScope(x.ctx, id, d.Rules[0])
	case len(x.rule) > 0:
		return x.Tokens.ExplainScope(x.ctx, id, x.rule[0])
	case d.Request == nil:
		return nil, nil
	}
	steps, err := x.Tokens.ExplainRequest(x.ctx, id, *d.Request)
	if d.GrantsOnly && len(steps) > 0 {
		steps = steps[1:]
	}
	return steps, err
}

// judgeOwn is about a call of this API.
func (x *explanation) judgeOwn() ([]explain.Step, error) {
	route, id, err := x.routeOf(x.ask.Method, x.ask.Path)
	if err != nil {
		return nil, err
	}
	x.out.Door, x.out.Allowed = "api", true
	if route.Needs.public {
		return []explain.Step{{Check: explain.Demand, Result: explain.Yes, Text: "this call needs no credential"}}, nil
	}
	demand := explain.Step{
		Check: explain.Demand, Result: explain.Yes,
		Text: "this call needs one of the scopes " + strings.Join(route.Needs.Scopes(), ", ") + "; whose thing it is about decides which",
	}
	if x.ask.Anonymous || x.subject.Identity == nil {
		x.out.Allowed, x.out.Status = false, http.StatusUnauthorized
		return []explain.Step{demand, {Check: explain.Anonymous, Result: explain.No, Text: "this call needs a credential"}}, nil
	}
	refused := route.Needs.check(x.subject.Identity, id)
	switch {
	case x.subject.Err != nil:
		x.out.Allowed, x.out.Status = false, http.StatusUnauthorized
	case refused != nil:
		x.out.Allowed, x.out.Status = false, http.StatusForbidden
	}
	if refused == nil && route.Needs.itself && x.subject.Identity.TokenID == id {
		return []explain.Step{demand, {Check: explain.Scope, Result: explain.Yes, Text: "a token may always do this to itself"}}, nil
	}
	wanted := route.Needs.Scopes()[0]
	for i, part := range route.Needs.parts {
		if x.subject.Identity.May(part, route.Needs.verb) {
			wanted = route.Needs.Scopes()[i]
			break
		}
	}
	rule, err := scope.Parse(wanted)
	if err != nil {
		return nil, err
	}
	rules, err := x.Tokens.ExplainScope(x.ctx, x.subject.Identity, rule)
	return append([]explain.Step{demand}, rules...), err
}

// finish words the answer.
func (x *explanation) finish(steps []explain.Step) (answer, error) {
	x.out.Steps = make([]api.ExplainStep, len(steps))
	fixes := map[string]bool{}
	for i, s := range steps {
		x.out.Steps[i] = api.ExplainStep{Check: s.Check, Result: string(s.Result), Text: s.Text, Rule: s.Rule}
		if s.Result == explain.No && s.Fix != "" && !fixes[s.Fix] && !x.out.Allowed {
			fixes[s.Fix] = true
			x.out.ToAllow = append(x.out.ToAllow, s.Fix)
		}
	}
	if x.out.Allowed {
		x.out.Verdict = "nothing stands in the way"
		for _, s := range steps {
			if s.Result == explain.Yes && (s.Check == explain.Demand || s.Check == explain.Grants || s.Check == explain.Anonymous) {
				x.out.Verdict = s.Text
			}
		}
		return ok(x.out)
	}
	if failed, is := explain.Failed(steps); is {
		x.out.Verdict = failed.Text
	}
	return ok(x.out)
}

// recall makes the question about a request that was made anew.
func (x *explanation) recall() error {
	id := x.ask.RequestID
	if x.ask != (api.Explain{RequestID: id}) {
		return fault.Invalidf("request_id", "goes alone: it says who and what")
	}
	then, err := x.Tokens.Then(x.ctx, x.caller, id)
	if err != nil {
		return err
	}
	d := &api.Decided{
		At: then.At.UTC(), Action: then.Action, Outcome: then.Outcome, Reason: then.Reason, Missing: then.Missing, Status: then.Status,
		Door: then.Door, Method: then.Method, Path: then.Path, Account: then.AccountName, Token: then.TokenID,
	}
	x.ask = api.Explain{Token: then.TokenID}
	if then.Addr.IsValid() {
		d.Addr = then.Addr.String()
		x.ask.Addr = d.Addr
	}
	x.out.Then = d
	switch {
	case then.TokenID != "":
	case then.AccountID != "":
		x.ask.Account = "id:" + then.AccountID
	case then.Reason == "unauthenticated" && then.AccountName == "":
		x.ask.Anonymous = true
	default: // nobody knows who it was
		x.ask = api.Explain{}
		return nil
	}
	x.again(then)
	return nil
}

// again puts what was asked for into the question.
func (x *explanation) again(then tokens.Then) {
	own := strings.HasPrefix(then.Path, "/latchkey/")
	atDoor := !own && (then.Door == explain.Gateway || then.Door == explain.ForwardAuth)
	switch _, err := scope.Parse(then.Missing); {
	case then.Door == explain.Registry:
		x.ask.Scope = then.Missing
		if err != nil && x.ask.Anonymous {
			x.ask = api.Explain{}
		}
	case then.Path != "" && (strings.HasPrefix(then.Path, api.Prefix+"/") || atDoor):
		x.ask.Method, x.ask.Path = then.Method, then.Path
		if then.Door == explain.ForwardAuth {
			x.ask.Door = then.Door
		}
	case then.Missing != "" && err == nil:
		x.ask.Scope = then.Missing
	case x.ask.Anonymous:
		x.ask = api.Explain{}
	}
}
