package restapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/restapi"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// operation is a call that does what its route is for, and the event that it
// leaves.
type operation struct {
	body, action, target string
}

// operations has one for each route that changes something.
var operations = map[string]operation{
	"POST /tokens":                            {`{"name":"n"}`, "token.issue", ""},
	"PATCH /tokens/{id}":                      {`{"name":"m"}`, "token.update", "{id}"},
	"DELETE /tokens/{id}":                     {"", "token.revoke", "{id}"},
	"POST /tokens/{id}/rotate":                {"{}", "token.rotate", "{id}"},
	"POST /token-pairs":                       {`{"name":"n"}`, "pair.issue", ""},
	"POST /token-pairs/refresh":               {`{"refresh_token":"{refresh}"}`, "pair.refresh", "{id}"},
	"POST /revoke":                            {`{"token":"{secret}"}`, "token.revoke", "{id}"},
	"POST /tokens/revoke":                     {`{"query":{"name":"thing"},"at_most":10}`, "token.revoke_matching", ""},
	"POST /password":                          {`{"current":"` + coretest.Password + `","new":"another planted horse"}`, "account.password", ""},
	"POST /accounts":                          {`{"name":"fresh"}`, "account.create", ""},
	"PATCH /accounts/{name}":                  {`{"note":"x"}`, "account.update", "{account}"},
	"DELETE /accounts/{name}":                 {"", "account.delete", "{account}"},
	"POST /accounts/{name}/revoke-tokens":     {"{}", "account.revoke_tokens", "{account}"},
	"POST /accounts/{name}/password":          {`{"new":"another planted horse"}`, "account.password", "{account}"},
	"POST /groups":                            {`{"name":"fresh"}`, "group.create", "fresh"},
	"DELETE /groups/{name}":                   {"", "group.delete", "crew"},
	"PUT /groups/{name}/members/{account}":    {"", "group.add", "{account}"},
	"DELETE /groups/{name}/members/{account}": {"", "group.remove", "{account}"},
	"POST /grants":                            {`{"group":"crew","scope":"path:/x:read"}`, "grant.add", "crew"},
	"DELETE /grants/{id}":                     {"", "grant.remove", "crew"},
	"POST /keys/rotate":                       {"", "key.rotate", ""},
	"POST /keys/import":                       {theirKey, "key.import", ""},
	"DELETE /keys/{id}":                       {`{"reason":"leaked"}`, "key.revoke", "{id}"},
}

// theirKey imports a key of another issuer.
const theirKey = `{"algorithm":"HS256","key":"planted, the SECRET_KEY of a project, which is long","source":"local","user_id":"name"}`

// questions are the routes that change nothing although they take a body, each
// with one.
var questions = map[string]string{"POST /explain": `{"token":"{id}"}`, "POST /check": `{"token":"{secret}"}`}

// S109: every operation that changes something leaves an event with who, what,
// when, where, the token and the request; so does every call that is refused.
func TestEveryOperationLeavesAnEvent(t *testing.T) {
	for _, route := range restapi.Routes() {
		name := route.Method + " " + route.Path
		op, changes := operations[name]
		if changes == (route.Method == http.MethodGet || questions[name] != "") {
			t.Errorf("%s: is it known here what it leaves: %v, want it for all that change something", name, changes)
		}
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			fill := s.furnish(t, route)
			path := fill(route.Path)
			refused := s.nobody().do(route.Method, path, "")
			if !route.Needs.Public() {
				s.left(t, refused, store.Event{Action: "api.call", Outcome: audit.Refused, Reason: "unauthenticated", Target: name})
				narrow := s.scoped(t, "path:/*:*")
				s.left(t, s.token(narrow).do(route.Method, path, ""), store.Event{
					Action: "api.call", Outcome: audit.Refused, Reason: "forbidden", ActorName: "admin", Target: name, TokenID: "any",
					Detail: map[string]string{"missing": route.Needs.Scopes()[0], "method": route.Method},
				})
				s.left(t, s.token("lkp_never-was-a-token").do(route.Method, path, ""), store.Event{Action: "token.check", Outcome: audit.Refused, Reason: "malformed"})
				s.left(t, s.password("admin", "a wrong password").do(route.Method, path, ""), store.Event{Action: "login", Outcome: audit.Refused, Reason: "unauthenticated", ActorName: "admin"})
			}
			if changes {
				caller := s.admin()
				if name != "POST /password" {
					caller = s.token(s.scoped(t, "*:*:*"))
				}
				want := store.Event{Action: op.action, Outcome: audit.OK, ActorName: "admin", Target: fill(op.target), TokenID: "any"}
				if route.Path == "/revoke" {
					want.ActorName = ""
				}
				if name == "POST /password" {
					want.TokenID = ""
				}
				s.left(t, caller.do(route.Method, path, fill(op.body)), want)
			}
		})
	}
}

// furnish makes what a route is about and returns what puts its names in.
func (s *site) furnish(t testing.TB, route restapi.Route) func(string) string {
	t.Helper()
	type made struct{ ID, Token string }
	s.admin().do("POST", "/accounts", `{"name":"bob"}`)
	s.admin().do("POST", "/groups", `{"name":"crew"}`)
	if route.Method == "DELETE" && strings.Contains(route.Path, "members") {
		s.admin().do("PUT", "/groups/crew/members/bob", "")
	}
	thing := want[made](s.admin(), 201, "POST", "/tokens", `{"name":"thing","scope":["path:/*:read"]}`)
	id := thing.ID
	if route.Path == "/grants/{id}" {
		id = want[made](s.admin(), 201, "POST", "/grants", `{"group":"crew","scope":"path:/y:read"}`).ID
	}
	if route.Path == "/keys/{id}" {
		id = want[made](s.admin(), 200, "POST", "/keys/rotate", "").ID
	}
	var refresh string
	if strings.HasPrefix(route.Path, "/token-pairs") {
		if err := s.Signing.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		pair := want[api.TokenPair](s.admin(), 201, "POST", "/token-pairs", `{"name":"thing"}`)
		id, refresh = pair.Family.ID, pair.RefreshToken
	}
	name := "bob"
	if strings.HasPrefix(route.Path, "/groups") {
		name = "crew"
	}
	account := s.AccountNamed(t, "bob").ID
	return func(text string) string {
		text = strings.ReplaceAll(text, "members/{account}", "members/bob")
		return strings.NewReplacer("{id}", id, "{secret}", thing.Token, "{refresh}", refresh, "{name}", name, "{account}", account).Replace(text)
	}
}

// left checks that a call left an event like this, found by the request's id.
func (s *site) left(t *testing.T, r reply, like store.Event) {
	t.Helper()
	request := r.header.Get(web.RequestIDHeader)
	events := s.Events(t, like.Action)
	i := slices.IndexFunc(events, func(e store.Event) bool {
		return e.RequestID == request && e.Action == like.Action && e.Outcome == like.Outcome
	})
	if i < 0 {
		t.Errorf("%d %s left no event %s %s of request %s", r.status, r.body, like.Action, like.Outcome, request)
		return
	}
	e := events[i]
	if e.Reason != like.Reason || e.ActorName != like.ActorName || like.Target != "" && e.Target != like.Target || (like.TokenID != "") != (e.TokenID != "") {
		t.Errorf("event %+v, want one like %+v", e, like)
	}
	if e.At.IsZero() || e.Addr != "127.0.0.1" || e.Agent == "" || e.CorrelationID == "" || e.ID == "" {
		t.Errorf("event %+v lacks when or where", e)
	}
	for k, v := range like.Detail {
		if e.Detail[k] != v {
			t.Errorf("event %+v, want the detail %s %q", e, k, v)
		}
	}
	if e.Outcome == audit.Refused && (e.Detail["method"] == "" || e.Detail["path"] == "") {
		t.Errorf("event %+v lacks what was asked for", e)
	}
}
