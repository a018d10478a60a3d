package restapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/restapi"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// Whatever is sent, the answer is a 4xx problem and nothing has changed.
func TestBadBodies(t *testing.T) {
	s := newSite(t)
	made := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"kept"}`)
	before := s.state()
	long := strings.Repeat("x", 2000)
	bodies := []string{
		`{`, `[]`, `"x"`, `1`, `null x`, `{"name":"a"}{}`, `{"name":"a","name":"b"}`, `{"nmae":"a"}`, `{"name":1}`, `{"name":null}`, `{"name":["a"]}`,
		`{"name":""}`, `{"name":"  "}`, `{"name":"` + long + `"}`, `{"name":"a\u0000b"}`, `{"name":"a\nb"}`, "{\"name\":\"\xff\"}",
		`{"name":"a","scope":"path:/*:read"}`, `{"name":"a","scope":["nonsense"]}`, `{"name":"a","scope":["path:/..:read"]}`, `{"name":"a","scope":["path:/a:fly"]}`, `{"name":"a","scope":[""]}`,
		`{"name":"a","scope":[` + strings.Repeat(`"path:/a:read",`, 100) + `"path:/a:read"]}`,
		`{"name":"a","expires_in":"1d"}`, `{"name":"a","expires_in":1.5}`, `{"name":"a","expires_in":-1}`, `{"name":"a","expires_in":1e30}`, `{"name":"a","expires_in":9223372036854775807}`, `{"name":"a","expires_in":0}`,
		`{"name":"a","expires_at":"tomorrow"}`, `{"name":"a","expires_at":"0000-00-00T00:00:00Z"}`, `{"name":"a","expires_at":"1970-01-01T00:00:00Z"}`, `{"name":"a","expires_at":"9999-12-31T23:59:59Z"}`, `{"name":"a","expires_at":"2026-02-30T00:00:00Z"}`, `{"name":"a","expires_at":1}`,
		`{"name":"a","expires_in":5,"expires_at":"2027-01-01T00:00:00Z"}`,
		`{"name":"a","idle_timeout":-1}`, `{"name":"a","labels":[]}`, `{"name":"a","labels":{"k":1}}`, `{"name":"a","labels":{"":"v"}}`, `{"name":"a","labels":{"k=":"v"}}`,
		`{"name":"a","cidrs":["300.0.0.0/8"]}`, `{"name":"a","cidrs":["10.0.0.0/33"]}`, `{"name":"a","cidrs":["fe80::1%eth0"]}`, `{"name":"a","cidrs":[null]}`, `{"name":"a","cidrs":["::ffff:0:0/64"]}`,
		`{"name":"a","owner":"nobody"}`, strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
	}
	for _, body := range bodies {
		r := s.admin().do("POST", "/tokens", body)
		if r.status < 400 || r.status > 499 {
			t.Errorf("POST /tokens %.80s = %d %s, want 4xx", body, r.status, r.body)
		}
		s.admin().problem(r, r.status, codeOf(r.status), "POST /tokens "+body)
	}
	tooLarge := s.admin().do("POST", "/tokens", `{"name":"`+strings.Repeat("x", web.MaxBody)+`"}`)
	s.admin().problem(tooLarge, 413, "too_large", "a large body")

	for _, body := range []string{`{"name":5}`, `{"scope":"x"}`, `{"owner":"x"}`, `{"expires_in":-5}`, `{"id":"x"}`, `[]`, ``} {
		s.admin().refuse(400, "invalid", "PATCH", "/tokens/"+made.ID, body)
	}
	for path, body := range map[string]string{
		"/accounts": `{"name":"a b"}`, "/groups": `{"name":"A"}`, "/grants": `{"scope":"path:/a:read"}`,
		"/password": `{"current":"x","new":"y","more":1}`, "/revoke": `{"token":""}`,
	} {
		s.admin().refuse(400, "invalid", "POST", path, body)
	}
	if diff := cmp.Diff(before, s.state()); diff != "" {
		t.Errorf("bad requests changed something:\n%s", diff)
	}
}

func codeOf(status int) string {
	if status == http.StatusNotFound {
		return "not_found"
	}
	return "invalid"
}

// state is what all lists show, without the last uses.
func (s *site) state() string {
	var all strings.Builder
	for _, path := range []string{"/tokens?owner=*", "/accounts", "/groups", "/grants"} {
		all.WriteString(s.admin().do("GET", path, "").body)
	}
	return all.String()
}

func TestBadQueries(t *testing.T) {
	s := newSite(t)
	for _, query := range []string{
		"?limit=0", "?limit=-1", "?limit=1001", "?limit=x", "?limit=1&limit=2", "?nope=1", "?state=dead", "?cursor=x", "?cursor=", "?cursor=%00",
		"?unused_since=yesterday", "?label=", "?label=%3Dv", "?a=%zz", "?;",
	} {
		s.admin().refuse(400, "invalid", "GET", "/tokens"+query, "")
	}
	s.admin().refuse(404, "not_found", "GET", "/tokens?owner=nobody", "")
	for _, query := range []string{"?since=x", "?outcome=maybe", "?until=1"} {
		s.admin().refuse(400, "invalid", "GET", "/audit"+query, "")
	}
	for _, query := range []string{"?kind=cat", "?disabled=perhaps"} {
		s.admin().refuse(400, "invalid", "GET", "/accounts"+query, "")
	}
}

// Ids and names that cannot be: no 500 on any route.
func TestBadPaths(t *testing.T) {
	s := newSite(t)
	odd := []string{"x", "%00", "%ff%fe", "%E2%80%AE", "..%252f", strings.Repeat("y", 3000), "id:", "id:x", "a:b", "'%20OR%201=1", "%F0%9F%94%91", "*", "%25"}
	for _, route := range restapi.Routes() {
		if !strings.Contains(route.Path, "{") {
			continue
		}
		for _, id := range odd {
			path := strings.NewReplacer("{id}", id, "{name}", id, "{account}", id).Replace(route.Path)
			for _, body := range []string{"", `{}`} {
				r := s.admin().do(route.Method, path, body)
				if r.status < 400 || r.status > 499 {
					t.Errorf("%s %.60s %s = %d %.200s, want 4xx", route.Method, path, body, r.status, r.body)
				}
			}
		}
	}
}

// Credentials that cannot be read are 400, and two in one request are an
// error (S62).
func TestBadCredentials(t *testing.T) {
	s := newSite(t)
	for _, header := range []string{"Bearer", "Bearer ", "Token", "Bearer a b", "Basic", "Basic !!!", "Basic eA==", "Bearer " + strings.Repeat("a", 9000)} {
		as{s, header}.refuse(400, "invalid", "GET", "/whoami", "")
	}
	for _, header := range []string{"Bearer x", "Token " + strings.Repeat("0", 40), "Bearer lkp_0000000000000000000000000000000000000000"} {
		as{s, header}.refuse(401, "unauthenticated", "GET", "/whoami", "")
	}
	for _, header := range []string{"Negotiate abc", "Bear x"} {
		as{s, header}.refuse(401, "unauthenticated", "GET", "/whoami", "")
	}
	req, _ := http.NewRequest("GET", s.url+"/whoami", nil)
	req.Header["Authorization"] = []string{s.admin().header, "Bearer x"}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 400 {
		t.Errorf("two credentials = %d, want 400", res.StatusCode)
	}
	wrong := s.password("admin", "wrong").refuse(401, "unauthenticated", "GET", "/whoami", "")
	unknown := s.password("nobody", "wrong").refuse(401, "unauthenticated", "GET", "/whoami", "")
	if wrong.Detail != unknown.Detail { // S100
		t.Errorf("a wrong password says %q, an unknown user %q", wrong.Detail, unknown.Detail)
	}
}

func TestStoreDownIs503(t *testing.T) {
	s := newSite(t)
	made := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"a"}`)
	s.Store.Fail(errUnavailable)
	defer s.Store.Heal()
	for _, route := range restapi.Routes() {
		path := strings.NewReplacer("{id}", made.ID, "{name}", "admin", "{account}", "admin").Replace(route.Path)
		r := s.token(made.Secret).do(route.Method, path, bodyFor(route, made.Secret))
		if r.status != 503 && !((route.Path == "/whoami" || route.Path == "/openapi.json") && r.status == 200) {
			t.Errorf("%s %s with the store down = %d %s, want 503", route.Method, path, r.status, r.body)
		}
	}
}

// bodyFor returns a body that a route takes.
func bodyFor(route restapi.Route, secret string) string {
	switch route.Method + " " + route.Path {
	case "POST /tokens", "POST /groups", "POST /accounts":
		return `{"name":"new"}`
	case "PATCH /tokens/{id}", "PATCH /accounts/{name}":
		return `{}`
	case "POST /grants":
		return `{"group":"everyone","scope":"path:/a:read"}`
	case "POST /token-pairs/refresh":
		return fmt.Sprintf(`{"refresh_token":%q}`, secret)
	case "POST /revoke", "POST /check":
		return fmt.Sprintf(`{"token":%q}`, secret)
	case "POST /password":
		return `{"current":"x","new":"another planted password"}`
	case "POST /accounts/{name}/password":
		return `{"new":"another planted password"}`
	}
	return ""
}
