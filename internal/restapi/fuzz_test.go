package restapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/restapi"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// direct is the API without a network, for many requests.
type direct struct {
	handler http.Handler
	core    *coretest.Core
}

func newDirect(f *testing.F) direct {
	f.Helper()
	core := coretest.New(f, coretest.Options{Signing: keyring.Policy{Longest: time.Hour}})
	if err := core.Signing.Start(f.Context()); err != nil {
		f.Fatal(err)
	}
	return direct{core: core, handler: web.Identify(nil, restapi.New(restapi.Options{
		Tokens: core.Tokens, Accounts: core.Accounts, Audit: core.Audit, Keys: core.Keys, Log: core.Log,
		Check: &credential.Checker{Tokens: core.Tokens, Passwords: core.Accounts},
		Realm: "test", Now: core.Clock.Now,
	}))}
}

func (d direct) do(secret, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://latchkey.test"+api.Prefix+path, strings.NewReader(body))
	if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

// token makes a token of an account with a scope, or without one.
func (d direct) token(f *testing.F, account string, rules ...string) tokens.Issued {
	f.Helper()
	made, err := d.core.Tokens.Issue(f.Context(), d.core.Admin, tokens.Request{Name: "t", AccountID: d.core.AccountNamed(f, account).ID, Scope: rules})
	if err != nil {
		f.Fatal(err)
	}
	return made
}

// FuzzBodies sends any body to any route, as somebody who may do nothing, as
// one who may do everything to themselves, and as nobody: the answer is JSON
// that says what is wrong, never a 5xx, and a body gives nobody more than they
// have.
// S61, S78
func FuzzBodies(f *testing.F) {
	for i, body := range []string{
		`{"name":"a"}`, `{"name":"a","scope":["*:*:*"],"owner":"admin"}`, `{`, `null`, `[]`, `{"name":"a","name":"b"}`, `{"token":"lkp_x"}`,
		`{"account":"plain","scope":"*:*:*"}`, `{"current":"x","new":"yyyyyyyyyyyy"}`, "\xff\xfe", `{"expires_in":1e99}`, `{"cidrs":["::ffff:0:0/64"]}`,
		`{"name":"\ud800"}`, `{"labels":{"":null}}`, strings.Repeat(`{"a":`, 40), `{"reason":"` + strings.Repeat("x", 300) + `"}`, `{"disabled":false}`,
		`{"expires_at":"9999-12-31T23:59:59Z"}`, `{"overlap":-1}`, `{"overlap":9223372036854775807,"until_used":true}`,
	} {
		f.Add(uint(i), body)
	}
	d := newDirect(f)
	d.core.User(f, "plain")
	powerless := d.token(f, "plain", "path:/a:read").Secret.Reveal()
	routes := restapi.Routes()
	f.Fuzz(func(t *testing.T, n uint, body string) {
		route := routes[n%uint(len(routes))]
		path := strings.NewReplacer("{id}", "tok_0000000000000000000000", "{name}", "plain", "{account}", "plain").Replace(route.Path)
		for _, secret := range []string{"", powerless} {
			w := d.do(secret, route.Method, path, body)
			switch {
			case route.Needs.Public():
				if w.Code >= 500 {
					t.Errorf("%s %s %q = %d", route.Method, path, body, w.Code)
				}
			case secret == "" && w.Code != http.StatusUnauthorized, secret != "" && w.Code != http.StatusForbidden:
				t.Errorf("%s %s %q = %d %s, want 401 of nobody and 403 of a token for elsewhere, whatever the body says", route.Method, path, body, w.Code, w.Body)
			}
			checkAnswer(t, w, body)
		}
		// Somebody who may make and change their own tokens: what comes out is
		// within what they have.
		own, err := d.core.Tokens.Issue(t.Context(), d.core.Identity(t, d.core.AccountNamed(t, "plain").ID), tokens.Request{
			Name: "own", Scope: []string{"latchkey:tokens:*", "path:/mine/*:read"},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.core.Tokens.Revoke(t.Context(), d.core.Admin, own.Token.ID, "") }() // or there are too many some time
		w := d.do(own.Secret.Reveal(), "POST", "/tokens", body)
		checkAnswer(t, w, body)
		var made api.NewToken
		if w.Code == http.StatusCreated {
			if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil {
				t.Fatalf("POST /tokens %q = %s: %v", body, w.Body, err)
			}
			if made.Owner != "plain" || len(made.Scope) == 0 || made.Parent != own.Token.ID || made.ExpiresAt == nil || made.ExpiresAt.After(own.Token.ExpiresAt) {
				t.Errorf("POST /tokens %q = %+v, want a token within the one that asked", body, made.Token)
			}
			if got := d.do(made.Secret, "GET", "/audit", "").Code; got != http.StatusForbidden {
				t.Errorf("a token made by %q reads the audit log: %d", body, got)
			}
			_ = d.core.Tokens.Revoke(t.Context(), d.core.Admin, made.ID, "") // likewise
		} else if w.Code < 400 || w.Code > 499 {
			t.Errorf("POST /tokens %q = %d %s, want 201 or 4xx", body, w.Code, w.Body)
		}
	})
}

// checkAnswer looks at the form of an answer.
func checkAnswer(t *testing.T, w *httptest.ResponseRecorder, asked string) {
	t.Helper()
	if w.Code < 400 {
		return
	}
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code || p.Code == "" || p.Detail == "" {
		t.Errorf("the answer to %q is %d %s, want a problem (%v)", asked, w.Code, w.Body, err)
	}
}

// FuzzCursors asks for pages with any cursor and filter: what the server did not
// hand out for this very list is refused, and what it did leads to the rest of
// the list.
// S61, S75
func FuzzCursors(f *testing.F) {
	d := newDirect(f)
	d.core.User(f, "plain")
	for range 5 {
		d.token(f, "plain")
		d.core.Clock.Advance(time.Millisecond)
	}
	secret := d.token(f, "plain").Secret.Reveal()
	admin := d.token(f, "admin").Secret.Reveal()
	page := func(tb testing.TB, secret, path string) (p api.Page[json.RawMessage], code int) {
		tb.Helper()
		w := d.do(secret, "GET", path, "")
		if w.Code == http.StatusOK {
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				tb.Fatalf("GET %s = %s: %v", path, w.Body, err)
			}
		}
		return p, w.Code
	}
	first, _ := page(f, secret, "/tokens?limit=2")
	genuine := first.Next
	sealed, err := base64.RawURLEncoding.DecodeString(genuine)
	if err != nil || len(sealed) < 10 {
		f.Fatalf("the cursor of the first page is %q, %v", genuine, err)
	}
	f.Add("", "")
	f.Add(genuine, "")
	f.Add(genuine, "state=live")
	f.Add(genuine[:len(genuine)-1], "")
	f.Add(genuine+"=", "")
	f.Add(base64.RawURLEncoding.EncodeToString(sealed[:20]), "")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"a":"2026-03-01T12:00:00Z","i":"tok_0"}`)), "")
	f.Add("AAAA", "name=x")
	f.Add("\x00", "owner=%2A")
	f.Fuzz(func(t *testing.T, cursor, filter string) {
		values, err := url.ParseQuery(filter)
		if err != nil {
			values = url.Values{}
		}
		values.Del("limit")
		values.Set("cursor", cursor)
		query := "?limit=2&" + values.Encode()
		want := http.StatusBadRequest
		own := cursor == genuine && len(values) == 1
		if own {
			want = http.StatusOK
		}
		got, code := page(t, secret, "/tokens"+query)
		if code != want && (own || code != http.StatusForbidden && code != http.StatusNotFound) { // an owner that is not the caller's to name
			t.Errorf("GET /tokens%s = %d, want %d", query, code, want)
		}
		if own && (len(got.Items) != 2 || fmt.Sprint(got.Items) == fmt.Sprint(first.Items)) {
			t.Errorf("the second page = %v, want the two after the first", got.Items)
		}
		// Not somebody else's either, whatever they may see.
		if _, code := page(t, admin, "/tokens"+query); code == http.StatusOK {
			t.Errorf("GET /tokens%s as another caller = 200, want the cursor refused", query)
		}
		for _, path := range []string{"/accounts", "/audit"} {
			if _, code := page(t, admin, path+"?limit=2&"+url.Values{"cursor": {cursor}}.Encode()); code != http.StatusBadRequest {
				t.Errorf("GET %s with the cursor %q = %d, want 400", path, cursor, code)
			}
		}
	})
}
