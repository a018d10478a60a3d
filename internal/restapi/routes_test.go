package restapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/restapi"
)

// S77: every route says which scope it needs. Without a credential and with
// one for anything else it is refused, and a token with this scope alone gets
// as far as the handler.
func TestRoutesNeedTheirScope(t *testing.T) {
	s := newSite(t)
	everything := []string{"tokens", "all-tokens", "self", "accounts", "groups", "grants", "check", "audit", "keys", "explain"}
	for _, route := range restapi.Routes() {
		name := route.Method + " " + route.Path
		if route.Needs.Public() {
			if route.Path != "/revoke" && route.Path != "/token-pairs/refresh" && route.Path != "/openapi.json" {
				t.Errorf("%s is open to everybody", name)
			}
			continue
		}
		scopes := route.Needs.Scopes()
		if len(scopes) == 0 || route.Needs.Scopes()[0] == "latchkey::" {
			t.Errorf("%s says nothing of the scope that it needs", name)
			continue
		}
		path := strings.NewReplacer("{id}", "x", "{name}", "nobody-at-all", "{account}", "nobody-at-all").Replace(route.Path)
		s.nobody().refuse(401, "unauthenticated", route.Method, path, "")

		other := s.scoped(t, othersThan(scopes, everything)...)
		p := s.token(other).refuse(403, "forbidden", route.Method, path, "")
		if p.Scope != scopes[0] {
			t.Errorf("%s: the problem names the scope %q, want %q", name, p.Scope, scopes[0])
		}
		for _, sc := range scopes {
			r := s.token(s.scoped(t, sc)).do(route.Method, path, "")
			if r.status == http.StatusUnauthorized || r.status >= 500 || r.status == http.StatusForbidden && strings.Contains(r.body, `"scope":"`+sc+`"`) {
				t.Errorf("%s with the scope %s = %d %s, want to reach the handler", name, sc, r.status, r.body)
			}
		}
	}
}

// othersThan lists all rights on Latchkey's API except the given ones.
func othersThan(scopes, parts []string) []string {
	var others []string
	for _, part := range parts {
		for _, verb := range []string{"read", "write", "delete"} {
			rule := "latchkey:" + part + ":" + verb
			if !strings.Contains(" "+strings.Join(scopes, " ")+" ", " "+rule+" ") {
				others = append(others, rule)
			}
		}
	}
	return append(others, "path:/*:*")
}

// scoped makes a token of the administrator's with these rules.
func (s *site) scoped(t testing.TB, rules ...string) string {
	t.Helper()
	made := want[api.NewToken](s.admin(), 201, "POST", "/tokens", fmt.Sprintf(`{"name":"n","scope":["%s"]}`, strings.Join(rules, `","`)))
	return made.Secret
}

func TestMethodsAndPaths(t *testing.T) {
	s := newSite(t)
	r := s.admin().do("PUT", "/tokens", "{}")
	s.admin().problem(r, 405, "method_not_allowed", "PUT /tokens")
	if got := r.header.Get("Allow"); got != "GET, POST" {
		t.Errorf("Allow = %q, want GET, POST", got)
	}
	for _, path := range []string{"/nothing", "/tokens/", "/tokens/a/b", "//tokens", "/./tokens", "/x/../tokens", "/tokens%2fa", "/%2e%2e/tokens"} {
		s.admin().refuse(404, "not_found", "GET", path, "")
	}
}

// S20: a page of another origin cannot use credentials that a browser adds.
func TestCrossOrigin(t *testing.T) {
	s := newSite(t)
	req, _ := http.NewRequest("POST", s.url+"/accounts/admin/revoke-tokens", nil)
	req.Header.Set("Authorization", s.admin().header)
	req.Header.Set("Origin", "https://evil.example")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 403 {
		t.Errorf("a cross-site POST = %d, want 403", res.StatusCode)
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
		r := s.admin().send("POST", "/tokens", kind, `{"name":"x"}`)
		s.admin().problem(r, 415, "unsupported_media_type", "a body of type "+kind)
	}
}

// S82: two users walk over each other's ids.
func TestOthersThingsDoNotExist(t *testing.T) {
	s := newSite(t)
	alice, bob := s.member("alice"), s.member("bob")
	hers := want[api.NewToken](alice, 201, "POST", "/tokens", `{"name":"hers"}`)
	path := "/tokens/" + hers.ID
	missing := bob.refuse(404, "not_found", "GET", "/tokens/tok_0000000000000000000000", "")
	for _, try := range []struct{ method, path, body string }{
		{"GET", path, ""}, {"PATCH", path, `{"name":"mine"}`}, {"DELETE", path, ""}, {"POST", path + "/rotate", ""},
	} {
		p := bob.refuse(404, "not_found", try.method, try.path, try.body)
		if strings.Replace(p.Detail, hers.ID, "tok_0000000000000000000000", 1) != missing.Detail {
			t.Errorf("%s of another's token says %q, of none %q", try.method, p.Detail, missing.Detail)
		}
	}
	for _, try := range []struct{ method, path, body string }{
		{"GET", "/tokens?owner=alice", ""}, {"GET", "/tokens?owner=nobody", ""}, {"GET", "/tokens?owner=*", ""},
		{"POST", "/tokens", `{"name":"x","owner":"alice"}`}, {"POST", "/tokens", `{"name":"x","owner":"nobody"}`},
		{"POST", "/accounts/alice/revoke-tokens", ""}, {"POST", "/accounts/nobody/revoke-tokens", ""},
		{"GET", "/accounts/alice", ""}, {"GET", "/accounts/nobody", ""}, {"GET", "/accounts", ""},
		{"PATCH", "/accounts/alice", `{"disabled":true}`}, {"DELETE", "/accounts/alice", ""}, {"POST", "/accounts/alice/password", `{"new":"a planted password"}`},
		{"GET", "/audit", ""}, {"GET", "/groups", ""}, {"POST", "/grants", `{"account":"bob","scope":"*:*:*"}`},
	} {
		bob.refuse(403, "forbidden", try.method, try.path, try.body)
	}
	want[api.WhoAmI](s.token(hers.Secret), 200, "GET", "/whoami", "")
	if got := want[api.Account](bob, 200, "GET", "/accounts/bob", ""); got.Name != "bob" {
		t.Errorf("GET /accounts/bob = %+v", got)
	}
}

// S78: what a token makes is within the token.
func TestNoTokenMakesMore(t *testing.T) {
	s := newSite(t)
	broad := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"broad"}`)
	narrow := want[api.NewToken](s.admin(), 201, "POST", "/tokens",
		`{"name":"narrow","expires_in":3600,"idle_timeout":600,"cidrs":["127.0.0.0/8"],"scope":["path:/a/*:read","latchkey:tokens:*","latchkey:accounts:*","latchkey:grants:*","latchkey:self:*"]}`)
	with := s.token(narrow.Secret)

	child := want[api.NewToken](with, 201, "POST", "/tokens", `{"name":"child"}`)
	if len(child.Scope) != 5 || child.ExpiresAt.After(*narrow.ExpiresAt) || child.IdleTimeout != 600 || len(child.CIDRs) != 1 || child.Parent != narrow.ID {
		t.Errorf("a token made by a token = %+v, want it as narrow", child)
	}
	for _, body := range []string{
		`{"name":"x","scope":["*:*:*"]}`, `{"name":"x","scope":["path:/a/*:*"]}`, `{"name":"x","scope":["path:/*:read"]}`,
		`{"name":"x","expires_in":7200}`, `{"name":"x","expires_in":3600,"idle_timeout":0}`, `{"name":"x","cidrs":["0.0.0.0/0"]}`,
	} {
		with.refuse(403, "forbidden", "POST", "/tokens", body)
	}
	with.refuse(403, "forbidden", "POST", "/tokens/"+broad.ID+"/rotate", "")
	with.refuse(403, "forbidden", "POST", "/accounts/admin/password", `{"new":"another planted password"}`)
	with.refuse(403, "forbidden", "POST", "/accounts", `{"name":"eve","grants":["*:*:*"]}`)
	with.refuse(403, "forbidden", "POST", "/accounts", `{"name":"eve","password":"another planted password"}`)
	with.refuse(403, "forbidden", "POST", "/grants", `{"account":"admin","scope":"path:/b/*:read"}`)
	want[api.WhoAmI](s.token(broad.Secret), 200, "GET", "/whoami", "")
}
