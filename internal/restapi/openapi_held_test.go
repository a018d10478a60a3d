package restapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/restapi"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// served is the description as others read it, and what was seen of it.
var served = sync.OnceValues(func() (*openapi3.T, error) {
	text, err := os.ReadFile(descriptionFile)
	if err != nil {
		return nil, err
	}
	document, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	return document, document.Validate(context.Background())
})

// TestOpenAPIIsValid has somebody else judge the form of the description.
func TestOpenAPIIsValid(t *testing.T) {
	if _, err := served(); err != nil {
		t.Errorf("Validate(%s) = %v, want no error", descriptionFile, err)
	}
}

// held checks that an answer is one that the description tells of. All answers
// in the tests of this package come through here.
func held(t testing.TB, method, path string, r reply) {
	t.Helper()
	document, err := served()
	if err != nil {
		return // which TestOpenAPIIsValid tells
	}
	path, _, _ = strings.Cut(path, "?")
	op := operationAt(document, method, path)
	if op == nil {
		return // a route that is not there
	}
	answer := op.Responses.Status(r.status)
	if answer == nil && r.status != http.StatusInternalServerError {
		t.Errorf("%s %s = %d %.200s, of which %s says nothing", method, path, r.status, r.body, descriptionFile)
		return
	}
	if answer == nil {
		answer = op.Responses.Default()
	}
	if err := fits(answer.Value, r); err != nil {
		t.Errorf("%s %s = %d %.500s, which is not as %s says: %v", method, path, r.status, r.body, descriptionFile, err)
	}
}

// operationAt finds the operation for a path: every part of a template that is
// in braces stands for one segment, and one that is not goes first.
func operationAt(document *openapi3.T, method, path string) *openapi3.Operation {
	if item := document.Paths.Value(path); item != nil {
		return item.GetOperation(method)
	}
	segments := strings.Split(path, "/")
	for template, item := range document.Paths.Map() {
		parts := strings.Split(template, "/")
		same := len(parts) == len(segments)
		for i := 0; same && i < len(parts); i++ {
			same = segments[i] != "" && (parts[i] == segments[i] || strings.HasPrefix(parts[i], "{"))
		}
		if same && item.GetOperation(method) != nil {
			return item.GetOperation(method)
		}
	}
	return nil
}

// fits checks a body and its type.
func fits(answer *openapi3.Response, r reply) error {
	media, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
	if len(answer.Content) == 0 {
		if r.body != "" || media != "" {
			return fmt.Errorf("there is a body of type %q", media)
		}
		return nil
	}
	content := answer.Content[media]
	if content == nil {
		return fmt.Errorf("its type is %q", media)
	}
	if content.Schema == nil {
		return nil
	}
	var value any
	if err := json.Unmarshal([]byte(r.body), &value); err != nil {
		return err
	}
	return content.Schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020())
}

// askedFor is a call that is refused because of what it names.
type askedFor struct{ path, body string }

// ofNobody are calls about an account that does not exist, for routes whose
// path does not name it.
var ofNobody = map[string]askedFor{
	"POST /tokens":        {"/tokens", `{"name":"n","owner":"nobody"}`},
	"POST /token-pairs":   {"/token-pairs", `{"name":"n","owner":"nobody"}`},
	"GET /tokens":         {"/tokens?owner=nobody", ""},
	"POST /tokens/revoke": {"/tokens/revoke", `{"query":{"owner":"nobody"},"dry_run":true}`},
	"POST /explain":       {"/explain", `{"account":"nobody"}`},
	"GET /grants":         {"/grants?account=nobody", ""},
	"POST /grants":        {"/grants", `{"account":"nobody","scope":"path:/x:read"}`},
}

// conflicting are calls that do not fit what is there: two accounts are named
// twin, bob and the group crew are there, and the token has ended.
var conflicting = map[string]askedFor{
	"POST /tokens":                            {"/tokens", `{"name":"n","owner":"twin"}`},
	"POST /token-pairs":                       {"/token-pairs", `{"name":"n","owner":"twin"}`},
	"GET /tokens":                             {"/tokens?owner=twin", ""},
	"POST /tokens/revoke":                     {"/tokens/revoke", `{"query":{"name":"thing"},"expect":99}`},
	"PATCH /tokens/{id}":                      {"/tokens/{id}", `{"name":"m"}`},
	"POST /tokens/{id}/rotate":                {"/tokens/{id}/rotate", ""},
	"POST /accounts":                          {"/accounts", `{"name":"bob"}`},
	"GET /accounts/{name}":                    {"/accounts/twin", ""},
	"PATCH /accounts/{name}":                  {"/accounts/admin", `{"disabled":true}`},
	"DELETE /accounts/{name}":                 {"/accounts/admin", ""},
	"POST /accounts/{name}/revoke-tokens":     {"/accounts/twin/revoke-tokens", ""},
	"POST /accounts/{name}/password":          {"/accounts/elsewhere:twin/password", `{"new":"another planted horse"}`},
	"POST /groups":                            {"/groups", `{"name":"crew"}`},
	"DELETE /groups/{name}":                   {"/groups/everyone", ""},
	"PUT /groups/{name}/members/{account}":    {"/groups/everyone/members/bob", ""},
	"DELETE /groups/{name}/members/{account}": {"/groups/crew/members/twin", ""},
	"POST /explain":                           {"/explain", `{"account":"twin"}`},
	"POST /keys/import":                       {"/keys/import", theirKey},
	"GET /grants":                             {"/grants?account=twin", ""},
	"POST /grants":                            {"/grants", `{"account":"twin","scope":"path:/x:read"}`},
}

// TestOpenAPIStatuses sees every status that the description tells of, at every
// route. That there are no others is checked by held.
func TestOpenAPIStatuses(t *testing.T) {
	described := map[string]describedRoute{}
	for _, o := range describedRoutes {
		described[o.route] = o
	}
	for _, route := range restapi.Routes() {
		name := route.Method + " " + route.Path
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			see := func(s *site, status int, fill func(string) string) {
				if r := provoke(s, route, status, fill); r.status != status {
					t.Errorf("%s made to answer %d = %d %.200s", name, status, r.status, r.body)
				}
			}
			// What changes nothing is asked of one site, which then does what
			// the route is for; the others make things that are in the way.
			shared := newSite(t)
			fill := shared.furnish(t, route)
			success := 0
			for _, status := range statusesOf(route, described[name]) {
				switch status {
				case http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable:
					s := newSite(t)
					see(s, status, s.furnish(t, route))
				case http.StatusOK, http.StatusCreated, http.StatusNoContent:
					success = status
				default:
					see(shared, status, fill)
				}
			}
			see(shared, success, fill)
		})
	}
}

// provoke makes a route answer with a status.
func provoke(s *site, route restapi.Route, status int, fill func(string) string) reply {
	method, path, op := route.Method, fill(route.Path), operations[route.Method+" "+route.Path]
	switch status {
	case http.StatusBadRequest:
		return s.admin().do(method, path+"?no-such-parameter=1", fill(op.body))
	case http.StatusUnauthorized:
		if route.Needs.Public() {
			return s.nobody().do(method, path, `{"refresh_token":"none of ours"}`)
		}
		return s.nobody().do(method, path, fill(op.body))
	case http.StatusForbidden:
		if route.Needs.Public() {
			return s.fromElsewhere(method, path, fill(op.body))
		}
		return s.token(s.scoped(s.t, "path:/*:*")).do(method, path, fill(op.body))
	case http.StatusNotFound:
		call, ok := ofNobody[method+" "+route.Path]
		if !ok {
			call = askedFor{inBraces.ReplaceAllString(route.Path, "nothing"), fill(op.body)}
		}
		return s.admin().do(method, call.path, call.body)
	case http.StatusConflict:
		s.twins()
		if method+" "+route.Path == "POST /password" {
			made := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"n","owner":"elsewhere:twin"}`)
			return s.token(made.Secret).do(method, path, fill(op.body))
		}
		if strings.HasPrefix(route.Path, "/audit/") {
			release, err := s.Chain.Reserve()
			if err != nil {
				s.t.Fatal(err)
			}
			defer release()
			return s.admin().do(method, path, "")
		}
		if route.Path == "/keys/import" {
			s.admin().do(method, path, theirKey) // it can be imported once
		}
		if route.Path != "/grants/{id}" {
			s.admin().do("DELETE", fill("/tokens/{id}"), "")
		}
		call := conflicting[method+" "+route.Path]
		return s.admin().do(method, fill(call.path), call.body)
	case http.StatusRequestEntityTooLarge:
		return s.admin().do(method, path, `{"x":"`+strings.Repeat("x", 1<<20)+`"}`)
	case http.StatusUnsupportedMediaType:
		return s.admin().send(method, path, "text/plain", "{}")
	case http.StatusTooManyRequests:
		for range 20 {
			if r := s.password("bob", "wrong").do(method, path, fill(op.body)); r.status == status {
				return r
			}
		}
		return reply{}
	case http.StatusServiceUnavailable:
		s.Store.Fail(errUnavailable)
		return s.admin().do(method, path, fill(op.body))
	}
	if route.Path == "/changes" {
		s.Ready(s.t)
		return s.admin().begin(method, path)
	}
	if body, ok := questions[method+" "+route.Path]; ok {
		return s.admin().do(method, path, fill(body))
	}
	return s.admin().do(method, path, fill(op.body))
}

// begin asks for an answer that has no end, and goes when it has begun.
func (a as) begin(method, path string) reply {
	a.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, a.url+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Authorization", a.header)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	begun := reply{status: res.StatusCode, header: res.Header}
	held(a.t, method, path, begun)
	return begun
}

// twins makes two accounts of one name, of which one has its password
// elsewhere.
func (s *site) twins() {
	s.t.Helper()
	s.admin().do("POST", "/accounts", `{"name":"twin"}`)
	other := store.Account{ID: "acc_twin", Kind: store.User, Name: "twin", Source: "elsewhere", Subject: "7", CreatedAt: s.Clock.Now()}
	err := s.Store.Update(context.Background(), func(tx store.Tx) error { return tx.InsertAccount(other) })
	if err != nil {
		s.t.Fatal(err)
	}
}

// fromElsewhere sends a request as the page of another origin would.
func (s *site) fromElsewhere(method, path, body string) reply {
	s.t.Helper()
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	return reply{status: res.StatusCode, header: res.Header}
}
