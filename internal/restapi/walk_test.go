package restapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/restapi"
)

// property is what belongs to one user, by the ids under which others could ask
// for it, and the texts that only this user and administrators may see.
type property struct {
	ids    map[string][]string // by the path up to the id and its placeholder
	absent map[string]string   // an id of the same kind that nobody has
	marks  []string
}

// planted makes a user with one of everything.
func planted(t *testing.T, s *site, name string) (as, property) {
	t.Helper()
	user := s.member(name)
	account := want[api.Account](s.admin(), 200, "PATCH", "/accounts/"+name, `{"email":"`+name+`@planted.example","note":"planted-note-`+name+`"}`)
	token := want[api.NewToken](user, 201, "POST", "/tokens", fmt.Sprintf(
		`{"name":"planted-token-%[1]s","scope":["path:/planted-scope-%[1]s/*:read"],"labels":{"planted-label-%[1]s":"x"},"cidrs":["127.0.0.0/8"]}`, name))
	group := "planted-group-" + name
	want[api.Group](s.admin(), 201, "POST", "/groups", `{"name":"`+group+`"}`)
	s.admin().do("PUT", "/groups/"+group+"/members/"+name, "")
	key := want[api.SigningKey](s.admin(), 200, "POST", "/keys/rotate", "")
	grant := want[api.Grant](s.admin(), 201, "POST", "/grants", `{"account":"`+name+`","scope":"path:/planted-grant-`+name+`/*:read"}`)
	return user, property{
		ids: map[string][]string{
			"/tokens/{id}":                     {token.ID},
			"/accounts/{name}":                 {name, "local:" + name, "id:" + account.ID},
			"/groups/{name}":                   {group},
			"/groups/{name}/members/{account}": {name, "id:" + account.ID},
			"/grants/{id}":                     {grant.ID},
			"/keys/{id}":                       {key.ID},
		},
		absent: map[string]string{
			"/tokens/{id}": "tok_0000000000000000000000", "/accounts/{name}": "nobody-at-all", "/groups/{name}": "no-group-at-all",
			"/groups/{name}/members/{account}": "nobody-at-all", "/grants/{id}": "grt_0000000000000000000000",
			"/keys/{id}": "no-key-at-all",
		},
		marks: []string{
			"planted-token-" + name, "planted-scope-" + name, "planted-label-" + name, "planted-grant-" + name,
			"planted-note-" + name, name + "@planted.example", token.Secret, token.Prefix,
		},
	}
}

// paths returns a route's path with every id of the property, and with ids that
// nobody has. A placeholder that is not known fails the test: whoever adds a
// route says here what belongs to whom.
func (p property) paths(t *testing.T, route string) (paths []string, absent string) {
	t.Helper()
	paths, pattern := []string{""}, ""
	for _, segment := range strings.Split(strings.TrimPrefix(route, "/"), "/") {
		pattern += "/" + segment
		ids := []string{segment}
		if strings.HasPrefix(segment, "{") {
			if ids = p.ids[pattern]; ids == nil {
				t.Fatalf("the walk does not know whose %s is: add it to the property", pattern)
			}
			segment = p.absent[pattern]
		}
		absent += "/" + segment
		var longer []string
		for _, path := range paths {
			for _, id := range ids {
				longer = append(longer, path+"/"+url.PathEscape(id))
			}
		}
		paths = longer
	}
	return paths, absent
}

// TestWalkOverOthersThings has two users walk every route of the API with every
// id of the other's, in the path, the query and the body. None gets more than a
// refusal that says the same of what does not exist, and nothing changes.
// S82
func TestWalkOverOthersThings(t *testing.T) {
	s := newSite(t)
	alice, hers := planted(t, s, "alice")
	bob, his := planted(t, s, "bob")
	before := s.state()
	walked := 0
	for _, w := range []struct {
		who    as
		other  property
		others string
	}{{bob, hers, "alice"}, {alice, his, "bob"}} {
		for _, route := range restapi.Routes() {
			paths, absent := w.other.paths(t, route.Path)
			for _, path := range paths {
				for _, body := range bodiesAbout(route, w.others, w.other) {
					r := w.who.do(route.Method, path, body)
					w.other.keptFrom(t, route, path+" "+body, r)
					walked++
					if !strings.Contains(route.Path, "{") {
						continue
					}
					none := w.who.do(route.Method, absent, body)
					if r.status < 400 || r.status > 499 || r.status != none.status {
						t.Errorf("%s %s %s = %d %s; want a refusal, as for what does not exist: %d", route.Method, path, body, r.status, r.body, none.status)
					}
				}
			}
			for _, query := range queriesAbout(route, w.others, w.other) {
				r := w.who.do(route.Method, paths[0]+query, "")
				w.other.keptFrom(t, route, paths[0]+query, r)
				walked++
			}
		}
	}
	if after := s.state(); after != before {
		t.Errorf("the walk has changed something:\n%s\nbefore:\n%s", after, before)
	}
	if walked < 100 {
		t.Errorf("%d requests, want a walk", walked)
	}
}

// keptFrom looks for what only the owner may see, in the answer to a request
// that did not have it.
func (p property) keptFrom(t *testing.T, route restapi.Route, asked string, r reply) {
	t.Helper()
	if r.status >= 500 {
		t.Errorf("%s %s = %d %s", route.Method, asked, r.status, r.body)
	}
	for _, mark := range p.marks {
		if strings.Contains(r.body, mark) && !strings.Contains(asked, mark) {
			t.Errorf("%s %s = %d, and tells %q: %s", route.Method, asked, r.status, mark, r.body)
		}
	}
}

// bodiesAbout lists bodies that name the other's things wherever one can.
func bodiesAbout(route restapi.Route, name string, p property) []string {
	if route.Method == http.MethodGet {
		return []string{""}
	}
	token := p.ids["/tokens/{id}"][0]
	bodies := []string{
		"", "{}", `{"owner":"` + name + `"}`, `{"account":"` + name + `"}`, `{"id":"` + token + `"}`, `{"token":"` + token + `"}`,
		`{"name":"x","owner":"` + name + `"}`, `{"name":"` + name + `"}`, `{"name":"x","scope":["*:*:*"],"owner":"id:` + p.ids["/accounts/{name}"][2] + `"}`,
		`{"account":"` + name + `","scope":"*:*:*"}`, `{"new":"another planted password"}`, `{"disabled":true}`, `{"query":{"owner":"` + name + `"}}`,
	}
	if route.Path == "/tokens" || route.Path == "/token-pairs" { // what one makes for oneself is no trespass
		bodies = slices.DeleteFunc(bodies, func(b string) bool { return b == `{"name":"`+name+`"}` })
	}
	return bodies
}

// queriesAbout lists queries that name the other's things in each parameter.
func queriesAbout(route restapi.Route, name string, p property) []string {
	var queries []string
	for _, parameter := range route.Query {
		for _, value := range []string{name, "id:" + p.ids["/accounts/{name}"][2], "*", p.ids["/tokens/{id}"][0], "planted-token-" + name} {
			queries = append(queries, "?"+url.Values{parameter: {value}}.Encode())
		}
	}
	return queries
}
