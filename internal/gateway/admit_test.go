package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/scope"
)

var (
	plainChallenge   = []string{`Basic realm="Latchkey"`, `Bearer realm="Latchkey"`}
	invalidChallenge = []string{`Basic realm="Latchkey"`, `Bearer realm="Latchkey", error="invalid_token"`}
)

// admission routes have the mode as the first segment.
func admissionTable(u *url.URL) []Route {
	return []Route{
		{Prefix: "/required", Upstream: u, Open: []string{"/required/status/", "/required/docs/**"}},
		{Prefix: "/writes", Upstream: u, Auth: Writes},
		{Prefix: "/optional", Upstream: u, Auth: Optional},
		{Prefix: "/off", Upstream: u, Auth: Off},
		{Prefix: "/refuse", Upstream: u, Passwords: RefusePasswords},
		{Prefix: "/api", Upstream: u},
	}
}

// S62, S63, S89
func TestAdmission(t *testing.T) {
	narrow := func(missing string) []string {
		return []string{`Bearer realm="Latchkey", error="insufficient_scope", scope="` + missing + `"`}
	}
	tests := []struct {
		method, path string
		header       http.Header
		want         int
		challenge    []string
	}{
		{"GET", "/required/x", nil, 401, plainChallenge},
		{"POST", "/required/x", nil, 401, plainChallenge},
		{"GET", "/required/x", bearer(aliceToken), 200, nil},
		{"GET", "/required/x", http.Header{"Authorization": {"token " + aliceToken}}, 200, nil},
		{"GET", "/required/x", basic("whoever", aliceToken), 200, nil},
		{"GET", "/required/x", basic("alice", alicePassword), 200, nil},
		{"GET", "/required/x", basic("alice", "wrong"), 401, plainChallenge},
		{"GET", "/required/x", bearer(revokedToken), 401, invalidChallenge},
		{"GET", "/required/x", bearer("nonsense"), 401, invalidChallenge},
		{"GET", "/required/x", basic("alice", revokedToken), 401, invalidChallenge},
		{"GET", "/required/x", http.Header{"Authorization": {"Negotiate abc"}}, 401, plainChallenge},
		{"GET", "/required/x", http.Header{"Authorization": {"Bearer"}}, 400, nil},
		{"GET", "/required/x", http.Header{"Authorization": {"Basic !"}}, 400, nil},
		{"GET", "/required/x", http.Header{"Authorization": {"Bearer " + aliceToken, "Bearer " + aliceToken}}, 400, nil},
		{"GET", "/required/x", bearer(floodToken), 429, nil},
		{"GET", "/required/x", bearer(downToken), 503, nil},
		{"GET", "/required/x", bearer(bugToken), 500, nil},
		{"GET", "/required/x", bearer(nobodyToken), 500, nil},

		{"GET", "/required/status/", nil, 200, nil},
		{"HEAD", "/required/status/", nil, 200, nil},
		{"GET", "/required/status/", bearer(revokedToken), 200, nil},
		{"GET", "/required/status/", bearer(downToken), 200, nil},
		{"POST", "/required/status/", nil, 401, plainChallenge},
		{"GET", "/required/status", nil, 401, plainChallenge},
		{"GET", "/required/status/x", nil, 401, plainChallenge},
		{"GET", "/required/docs/a/b", nil, 200, nil},
		{"GET", "/required/docs/a%2Fb", nil, 401, plainChallenge}, // S87: no clean reading
		{"GET", "/required/docs//b", nil, 401, plainChallenge},
		{"GET", "/required/x?/required/status/", nil, 401, plainChallenge},
		{"GET", "/required/st%61tus/", nil, 200, nil},

		{"GET", "/writes/x", nil, 200, nil},
		{"POST", "/writes/x", nil, 401, plainChallenge},
		{"DELETE", "/writes/x", nil, 401, plainChallenge},
		{"PROPFIND", "/writes/x", nil, 401, plainChallenge},
		{"POST", "/writes/x", bearer(aliceToken), 200, nil},
		{"GET", "/writes/x", bearer(revokedToken), 401, invalidChallenge},

		{"POST", "/optional/x", nil, 200, nil},
		{"GET", "/optional/x", bearer(revokedToken), 401, invalidChallenge},
		{"GET", "/optional/x", basic("alice", "wrong"), 401, plainChallenge},
		{"GET", "/optional/x", bearer(downToken), 503, nil},

		{"GET", "/off/x", bearer(revokedToken), 200, nil},
		{"GET", "/off/x", http.Header{"Authorization": {"Basic !"}}, 200, nil},

		{"GET", "/refuse/x", basic("alice", alicePassword), 401, plainChallenge},
		{"GET", "/refuse/x", basic("alice", aliceToken), 200, nil},

		{"GET", "/api/x", bearer(readerToken), 200, nil},
		{"HEAD", "/api/x", bearer(readerToken), 200, nil},
		{"GET", "/api/caf%C3%A9", bearer(readerToken), 200, nil},
		{"POST", "/api/x", bearer(readerToken), 403, narrow("path:/api/x:write")},
		{"DELETE", "/api/x", bearer(readerToken), 403, narrow("path:/api/x:delete")},
		{"GET", "/required/x", bearer(readerToken), 403, narrow("path:/required/x:read")},
		{"GET", "/optional/%22x%20y", bearer(readerToken), 403, narrow("path:/optional/%22x%20y:read")},
		{"GET", "/api/a%2Fb", bearer(readerToken), 403, narrow("path:/api/a%2Fb:read")},
		{"GET", "/api/a%2Fb", bearer(aliceToken), 200, nil},
		{"GET", "/nowhere", bearer(aliceToken), 404, nil},
	}
	m := newMirror(t)
	h := open(t, Options{Routes: admissionTable(m.url(t))})
	for _, tt := range tests {
		before := len(m.all())
		res, body := h.send(t, tt.method, tt.path, tt.header, nil)
		call := tt.method + " " + tt.path + " " + strings.Join(tt.header["Authorization"], ", ")
		if res.StatusCode != tt.want {
			t.Errorf("%s = %d %s, want %d", call, res.StatusCode, body, tt.want)
		}
		if diff := cmp.Diff(tt.challenge, res.Header["Www-Authenticate"]); diff != "" {
			t.Errorf("%s: WWW-Authenticate (-want +got):\n%s", call, diff)
		}
		if reached := len(m.all()) > before; reached != (tt.want == 200) {
			t.Errorf("%s: the upstream was reached: %t, want %t", call, reached, !reached)
		}
		if strings.Contains(body, "secret detail") {
			t.Errorf("%s: the body tells too much: %s", call, body) // S112
		}
	}
}

func TestRefusalBodies(t *testing.T) {
	m := newMirror(t)
	h := open(t, Options{Routes: admissionTable(m.url(t))})
	for _, token := range []string{"", revokedToken, strings.Repeat("f", 40), "nonsense"} {
		want := `{"detail":"Authentication credentials were not provided.","request_id":"ID"}` + "\n"
		header := http.Header{}
		if token != "" {
			header, want = bearer(token), `{"detail":"Invalid token.","request_id":"ID"}`+"\n"
		}
		res, body := h.send(t, "GET", "/required/x", header, nil)
		want = strings.Replace(want, "ID", res.Header.Get("Latchkey-Request-Id"), 1)
		if body != want || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("GET with %q = %s %q, want application/json %q", token, res.Header.Get("Content-Type"), body, want)
		}
		if got := res.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control = %q, want no-store", got) // S13
		}
		if res, body := h.send(t, "HEAD", "/required/x", header, nil); body != "" || res.StatusCode != http.StatusUnauthorized {
			t.Errorf("HEAD with %q = %d %q, want 401 without a body", token, res.StatusCode, body)
		}
	}
	res, body := h.send(t, "GET", "/required/x", bearer(floodToken), nil)
	if got := res.Header.Get("Retry-After"); got != "90" {
		t.Errorf("Retry-After = %q, want 90 (%s)", got, body)
	}
	res, body = h.send(t, "POST", "/api/x", bearer(readerToken), nil)
	var p api.Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("the body is not JSON: %v: %s", err, body)
	}
	want := api.Problem{
		Type: "about:blank", Title: "Forbidden", Status: 403, Code: "forbidden", Scope: "path:/api/x:write",
		Detail: "this needs the scope path:/api/x:write", RequestID: res.Header.Get("Latchkey-Request-Id"),
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("problem (-want +got):\n%s", diff)
	}
}

func TestAnonymousRules(t *testing.T) {
	m := newMirror(t)
	var failure error
	h := open(t, Options{Routes: admissionTable(m.url(t)), Anonymous: func(context.Context) (scope.Set, error) {
		return rules(t, "path:/required/public/*:read"), failure
	}})
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/required/public/x", 200},
		{"POST", "/required/public/x", 401},
		{"GET", "/required/private/x", 401},
		{"GET", "/required/public//x", 401},
	} {
		if res, _ := h.send(t, tt.method, tt.path, nil, nil); res.StatusCode != tt.want {
			t.Errorf("%s %s = %d, want %d", tt.method, tt.path, res.StatusCode, tt.want)
		}
	}
	failure = fault.Unavailablef(errors.New("gone"), "the database does not answer")
	if res, _ := h.send(t, "GET", "/required/public/x", nil, nil); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("GET without rules = %d, want 503", res.StatusCode)
	}
}

func TestChallenge401(t *testing.T) {
	tests := []struct {
		name      string
		header    http.Header
		status    int // the upstream's
		want      int
		challenge []string
	}{
		{"nobody", nil, 403, 401, plainChallenge},
		{"somebody", bearer(aliceToken), 403, 403, nil},
		{"a password for the upstream", basic("alice", "hers"), 403, 403, nil},
		{"another refusal", nil, 404, 404, nil},
		{"nobody, let in", nil, 200, 200, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMirror(t)
			m.next = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "their reason", tt.status) }
			h := open(t, Options{Routes: one(m.url(t), func(r *Route) {
				r.Auth, r.Challenge401, r.Passwords = Optional, true, PassPasswords
			})})
			res, body := h.send(t, "GET", "/", tt.header, nil)
			reason := "their reason\n"
			if tt.want != tt.status { // a body about a 403 would mislead
				reason = `{"detail":"Authentication credentials were not provided."}`
			}
			if res.StatusCode != tt.want || body != reason {
				t.Errorf("GET = %d %q, want %d %q", res.StatusCode, body, tt.want, reason)
			}
			if diff := cmp.Diff(tt.challenge, res.Header["Www-Authenticate"]); diff != "" {
				t.Errorf("WWW-Authenticate (-want +got):\n%s", diff)
			}
		})
	}
}

// S78: what a token cannot do itself, it cannot get a registry token for.
func TestRegistryTokens(t *testing.T) {
	tests := []struct {
		method, query string
		token         string
		want          int
	}{
		{"GET", "service=h&scope=repository:other:push,pull", aliceToken, 200},
		{"GET", "service=h", pullToken, 200},
		{"GET", "", pullToken, 200},
		{"GET", "service=h&scope=repository:prod/a:pull", pullToken, 200},
		{"GET", "service=h&scope=repository%3Aprod%2Fa%3Apull", pullToken, 200},
		{"GET", "scope=repository:prod/a:pull&scope=repository:prod/b:pull", pullToken, 200},
		{"GET", "scope=repository:prod/a:pull+repository:prod/b:pull", pullToken, 200},
		{"GET", "scope=repository:prod/a:push", pullToken, 403},
		{"GET", "scope=repository:prod/a:pull,push", pullToken, 403},
		{"GET", "scope=repository:prod/a:*", pullToken, 403},
		{"GET", "scope=repository:test/a:pull", pullToken, 403},
		{"GET", "scope=repository:prod/a:pull&scope=repository:test/a:pull", pullToken, 403},
		{"GET", "scope=repository:prod/a:pull&%73cope=repository:test/a:pull", pullToken, 403},
		{"GET", "scope=repository:prod/a:pull+repository:test/a:pull", pullToken, 403},
		{"GET", "scope=registry:catalog:*", pullToken, 403},
		{"GET", "scope=repository:host:5000/a:pull", pullToken, 403},
		{"GET", "scope=nonsense", pullToken, 403},
		{"GET", "scope=repository:prod/a:pull;scope=repository:test/a:pull", pullToken, 403},
		{"GET", "scope=%zz", pullToken, 403},
		{"POST", "", pullToken, 403},
		{"GET", "scope=repository:api:pull", readerToken, 403},
		{"GET", "service=h", "", 200},
	}
	for _, tt := range tests {
		m := newMirror(t)
		h := open(t, Options{Routes: one(m.url(t), func(r *Route) { r.Auth, r.RegistryTokens = Optional, true })})
		header := http.Header{}
		if tt.token != "" {
			header = bearer(tt.token)
		}
		res, body := h.send(t, tt.method, "/token/?"+tt.query, header, nil)
		if res.StatusCode != tt.want {
			t.Errorf("%s ?%s = %d %s, want %d", tt.method, tt.query, res.StatusCode, body, tt.want)
		}
		if reached := len(m.all()) > 0; reached != (tt.want == 200) {
			t.Errorf("%s ?%s: the upstream was reached: %t", tt.method, tt.query, reached)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	u := mustURL(t, "http://127.0.0.1:1")
	tests := map[string]Route{
		"no upstream":           {Prefix: "/"},
		"upstream with a path":  {Prefix: "/", Upstream: mustURL(t, "http://h/base")},
		"upstream with a query": {Prefix: "/", Upstream: mustURL(t, "http://h?x")},
		"upstream with a user":  {Prefix: "/", Upstream: mustURL(t, "http://u:p@h")},
		"upstream of a kind":    {Prefix: "/", Upstream: mustURL(t, "ftp://h")},
		"no prefix":             {Upstream: u},
		"a prefix with dots":    {Prefix: "/a/../b", Upstream: u},
		"a bad open path":       {Prefix: "/", Upstream: u, Open: []string{"x"}},
		"unknown auth":          {Prefix: "/", Upstream: u, Auth: "sometimes"},
		"unknown passwords":     {Prefix: "/", Upstream: u, Passwords: "sometimes"},
		"unknown auditing":      {Prefix: "/", Upstream: u, Audit: "sometimes"},
		"a hyphen in a name":    {Prefix: "/", Upstream: u, UserHeader: "X-User"},
		"open paths when off":   {Prefix: "/", Upstream: u, Auth: Off, Open: []string{"/a"}},
		"a challenge when off":  {Prefix: "/", Upstream: u, Auth: Off, Challenge401: true},
	}
	for name, r := range tests {
		if _, err := New(Options{Check: newFakeChecker(t), Routes: []Route{r}}); err == nil {
			t.Errorf("New() with %s = nil, want an error", name)
		}
	}
	if _, err := New(Options{Routes: one(u, nil)}); !errors.Is(err, errNoChecker) {
		t.Errorf("New() without a checker = %v, want %v", err, errNoChecker)
	}
	if _, err := New(Options{Realm: `a"b`}); err == nil {
		t.Errorf("New() with a quote in the realm = nil, want an error")
	}
	if _, err := New(Options{Routes: one(u, func(r *Route) { r.Auth = Off })}); err != nil {
		t.Errorf("New() without a checker and a route that needs none = %v, want nil", err)
	}
}
