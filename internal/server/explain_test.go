package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/server"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// explainer asks the running server why.
type explainer struct {
	t   *testing.T
	url string
}

// post sends JSON as the administrator and decodes the answer.
func (e explainer) post(path string, body, out any) {
	e.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		e.t.Fatal(err)
	}
	req, err := http.NewRequest("POST", e.url+api.Prefix+path, strings.NewReader(string(text)))
	if err != nil {
		e.t.Fatal(err)
	}
	req.SetBasicAuth("admin", adminPassword)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode/100 != 2 {
		e.t.Fatalf("POST %s %s = %d %s, %v", path, text, res.StatusCode, answer, err)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(answer, out); err != nil {
		e.t.Fatal(err)
	}
}

func (e explainer) explain(ask api.Explain) api.Explanation {
	e.t.Helper()
	var x api.Explanation
	e.post("/explain", ask, &x)
	return x
}

// S79, S80: at every door, the explanation of a question and of the request's
// id say what the door said; and every refusal names the request.
func TestExplainAtEveryDoor(t *testing.T) {
	behind := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(behind.Close)
	upstream, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, open(t, sqlite.Memory), coretest.NewKeys(t), func(o *server.Options) {
		o.Peers = web.Peers{netip.MustParsePrefix("127.0.0.0/8")}
		o.Routes = []gateway.Route{
			{Name: "all", Prefix: "/svc", Upstream: upstream}, {Name: "open", Prefix: "/free", Upstream: upstream, Auth: gateway.Optional},
		}
	})
	e := explainer{t, s.url}
	var narrow, gone, elsewhere api.NewToken
	e.post("/tokens", api.CreateToken{Name: "narrow", Scope: []string{"path:/svc/a/*:read", "repository:prod/*:pull"}}, &narrow)
	e.post("/tokens", api.CreateToken{Name: "gone"}, &gone)
	e.post("/revoke", api.Revoke{Token: gone.Secret}, nil)
	e.post("/tokens", api.CreateToken{Name: "elsewhere", CIDRs: []string{"192.0.2.0/24"}}, &elsewhere)
	for _, c := range []struct {
		name, path string
		token      api.NewToken
		header     []string
		ask        api.Explain // without who
		status     int
	}{
		{"the gateway lets through", "/svc/a/x", narrow, nil, api.Explain{Method: "GET", Path: "/svc/a/x"}, 200},
		{"the gateway wants more scope", "/svc/b", narrow, nil, api.Explain{Method: "GET", Path: "/svc/b"}, 403},
		{"the gateway knows the token as revoked", "/svc/a/x", gone, nil, api.Explain{Method: "GET", Path: "/svc/a/x"}, 401},
		{"the gateway minds the address", "/svc/a/x", elsewhere, nil, api.Explain{Method: "GET", Path: "/svc/a/x", Addr: "127.0.0.1"}, 401},
		{"the gateway lets in nobody", "/svc/a/x", api.NewToken{}, nil, api.Explain{Method: "GET", Path: "/svc/a/x"}, 401},
		{"the gateway lets nobody in where it is open", "/free/x", api.NewToken{}, nil, api.Explain{Method: "GET", Path: "/free/x"}, 200},
		{"the open route minds a bad token", "/free/x", gone, nil, api.Explain{Method: "GET", Path: "/free/x"}, 401},
		{"the gateway has no such path", "/elsewhere", narrow, nil, api.Explain{Method: "GET", Path: "/elsewhere"}, 404},
		{"verify judges a described request", "/latchkey/verify", narrow, []string{"X-Original-Method", "GET", "X-Original-Uri", "/svc/b"},
			api.Explain{Method: "GET", Path: "/svc/b", Door: "verify"}, 403},
		{"verify judges another one", "/latchkey/verify", narrow, []string{"X-Original-Method", "GET", "X-Original-Uri", "/svc/a/b"},
			api.Explain{Method: "GET", Path: "/svc/a/b", Door: "verify"}, 200},
		{"verify is asked for a scope", "/latchkey/verify?scope=repository:prod/x:push", narrow, nil, api.Explain{Scope: "repository:prod/x:push"}, 403},
		{"verify is asked with a token that ended", "/latchkey/verify?scope=repository:prod/x:push", gone, nil, api.Explain{Scope: "repository:prod/x:push"}, 401},
		{"the API wants more scope", "/latchkey/api/v1/audit", narrow, nil, api.Explain{Method: "GET", Path: "/latchkey/api/v1/audit"}, 403},
		{"the API lets in nobody", "/latchkey/api/v1/audit", api.NewToken{}, nil, api.Explain{Method: "GET", Path: "/latchkey/api/v1/audit"}, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := explainer{t, s.url}
			header := c.header
			if c.ask.Token = c.token.ID; c.token.ID == "" {
				c.ask.Anonymous = true
			} else {
				header = append([]string{"Authorization", "Bearer " + c.token.Secret}, header...)
			}
			status, body, answered := get(t, s.url+c.path, header...)
			if status != c.status {
				t.Fatalf("GET %s = %d %s, want %d", c.path, status, body, c.status)
			}
			x := e.explain(c.ask)
			if x.Allowed != (status == 200) || status != 200 && x.Status != status {
				t.Errorf("it is explained as %v, %d, %q; the door says %d", x.Allowed, x.Status, x.Verdict, status)
			}
			if status != 401 && status != 403 {
				return
			}
			id := answered.Get("Latchkey-Request-Id")
			if id == "" || !strings.Contains(body, id) {
				t.Errorf("the refusal %q does not name the request %q", body, id)
			}
			again := e.explain(api.Explain{RequestID: id})
			if again.Then == nil || again.Then.Outcome != "refused" || again.Allowed || again.Verdict != x.Verdict || again.Status != status {
				t.Errorf("by the request's id it is explained as %+v, want as before: %+v", again, x)
			}
		})
	}
}

// DRF's errors have a form of their own, and the header names the request.
func TestExplainOfADialect(t *testing.T) {
	s := start(t, open(t, sqlite.Memory), coretest.NewKeys(t), nil)
	e := explainer{t, s.url}
	res, err := http.PostForm(s.url+"/api-token-auth/", url.Values{"username": {"admin"}, "password": {"wrong"}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	id := res.Header.Get("Latchkey-Request-Id")
	if res.StatusCode/100 != 4 || id == "" {
		t.Fatalf("a wrong password = %d with the request id %q, want 4xx with one", res.StatusCode, id)
	}
	x := e.explain(api.Explain{RequestID: id})
	if x.Then == nil || x.Then.Action != "login" || x.Then.Reason != "unauthenticated" || x.Then.Account != "admin" {
		t.Errorf("it is explained as %+v, want the failed login", x.Then)
	}
	text := fmt.Sprintf("%+v", x)
	if strings.Contains(text, "wrong") {
		t.Errorf("the explanation %s has the password", text)
	}
}
