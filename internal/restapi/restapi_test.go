package restapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/restapi"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// site is the API over HTTP, on a core of its own.
type site struct {
	*coretest.Core
	t   testing.TB
	url string
}

func newSite(t testing.TB) *site {
	t.Helper()
	core := coretest.New(t, coretest.Options{Signing: keyring.Policy{Longest: time.Hour}})
	handler := restapi.New(restapi.Options{
		Tokens: core.Tokens, Accounts: core.Accounts, SigningKeys: core.Signing, Audit: core.Audit, Chain: core.Chain, Keys: core.Keys, Log: core.Log,
		Check: &credential.Checker{Tokens: core.Tokens, Passwords: core.Accounts},
		Realm: "test", Now: core.Clock.Now,
	})
	srv := httptest.NewServer(web.Identify(nil, handler))
	t.Cleanup(srv.Close)
	return &site{Core: core, t: t, url: srv.URL + api.Prefix}
}

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// as sends requests with a credential.
type as struct {
	*site
	header string // the Authorization header; "": none
}

func (s *site) nobody() as             { return as{s, ""} }
func (s *site) token(secret string) as { return as{s, "Bearer " + secret} }
func (s *site) password(name, password string) as {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(name, password)
	return as{s, r.Header.Get("Authorization")}
}
func (s *site) admin() as { return s.password("admin", coretest.Password) }

// send sends a body as it is, with this content type.
func (a as) send(method, path, kind, body string) reply {
	a.t.Helper()
	req, err := http.NewRequest(method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if a.header != "" {
		req.Header.Set("Authorization", a.header)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Type") == "text/event-stream" { // has no end
		return reply{res.StatusCode, res.Header, ""}
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	r := reply{res.StatusCode, res.Header, string(text)}
	held(a.t, method, path, r)
	return r
}

// do sends JSON, if there is any.
func (a as) do(method, path, body string) reply {
	a.t.Helper()
	kind := ""
	if body != "" {
		kind = "application/json"
	}
	return a.send(method, path, kind, body)
}

// want sends JSON, insists on a status, and decodes the answer into T.
func want[T any](a as, status int, method, path, body string) T {
	a.t.Helper()
	r := a.do(method, path, body)
	if r.status != status {
		a.t.Fatalf("%s %s %s = %d %s, want %d", method, path, body, r.status, r.body, status)
	}
	var v T
	if r.body != "" {
		if err := json.Unmarshal([]byte(r.body), &v); err != nil {
			a.t.Fatalf("%s %s answers %q: %v", method, path, r.body, err)
		}
	}
	return v
}

// refuse sends JSON and insists on a problem with this status and code.
func (a as) refuse(status int, code, method, path, body string) api.Problem {
	a.t.Helper()
	r := a.do(method, path, body)
	return a.problem(r, status, code, method+" "+path+" "+body)
}

func (a as) problem(r reply, status int, code, what string) api.Problem {
	a.t.Helper()
	var p api.Problem
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		a.t.Fatalf("%s = %d %q, which is no problem: %v", what, r.status, r.body, err)
	}
	if r.status != status || p.Status != status || p.Code != code {
		a.t.Errorf("%s = %d %s, want %d %s", what, r.status, r.body, status, code)
	}
	if kind := r.header.Get("Content-Type"); kind != "application/problem+json" {
		a.t.Errorf("%s: Content-Type = %q, want application/problem+json", what, kind)
	}
	if p.Detail == "" || p.RequestID == "" || p.RequestID != r.header.Get(web.RequestIDHeader) {
		a.t.Errorf("%s: a problem without detail or the request's id: %s", what, r.body)
	}
	return p
}

var errUnavailable = fmt.Errorf("planted: %w", store.ErrUnavailable)
