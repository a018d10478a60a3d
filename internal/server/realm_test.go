package server_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/dialect/registry"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/server"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
)

// registryClaims are what a registry reads of a token.
type registryClaims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	Access   []struct {
		Type, Name string
		Actions    []string
	} `json:"access"`
}

// realmToken asks a realm as the administrator, or as nobody.
func realmToken(t *testing.T, target string, nobody bool) (int, registryClaims, string) {
	t.Helper()
	var header []string
	if !nobody {
		header = []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+adminPassword))}
	}
	status, body, h := get(t, target, header...)
	var answer struct{ Token string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || h.Get("Content-Type") != "application/json" {
		t.Fatalf("%s answers %d %q: %v", target, status, body, err)
	}
	var claims registryClaims
	if parts := strings.Split(answer.Token, "."); len(parts) == 3 {
		raw, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &claims); err != nil {
			t.Fatal(err)
		}
	}
	return status, claims, answer.Token
}

// The realm's issuer is its own URL, and without any setting there is one
// registry, which calls itself by the host of the server.
func TestRealmDefaults(t *testing.T) {
	s := start(t, open(t, sqlite.Memory), coretest.NewKeys(t), func(o *server.Options) {
		o.Registry, o.PublicURL = &registry.Options{}, "https://latchkey.example:8443"
	})
	for _, path := range []string{"/token/", "/token"} {
		status, claims, token := realmToken(t, s.url+path+"?service=latchkey.example:8443&scope=repository:a:pull", false)
		if status != http.StatusOK || claims.Issuer != "https://latchkey.example:8443/token/" || claims.Audience != "latchkey.example:8443" || claims.Subject != "admin" || len(claims.Access) != 1 {
			t.Errorf("%s: %d %+v, want a token of https://latchkey.example:8443/token/", path, status, claims)
		}
		if status, _, _ := get(t, s.url+"/latchkey/api/v1/whoami", "Authorization", "Bearer "+token); status != http.StatusUnauthorized {
			t.Errorf("a registry's token opens a door of ours: %d", status)
		}
	}
	if status, _, _ := realmToken(t, s.url+"/token/?service=other", false); status != http.StatusBadRequest {
		t.Errorf("another registry: %d, want 400", status)
	}
	if status, _, _ := realmToken(t, s.url+"/token/?service=latchkey.example:8443", true); status != http.StatusUnauthorized {
		t.Errorf("nobody, where nothing is public: %d, want 401", status)
	}
	without := start(t, open(t, sqlite.Memory), coretest.NewKeys(t), nil)
	if status, _, _ := get(t, without.url+"/token/?service=localhost"); status != http.StatusNotFound {
		t.Errorf("without a realm: %d, want 404", status)
	}
}

// With a token server behind the gateway at the realm's path, that one decides
// for all registries but those that were put under our grants.
func TestRealmBesidePulp(t *testing.T) {
	var got []string
	pulp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.RequestURI+" "+r.Header.Get("Latchkeyuser")+" "+string(body))
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"token":"pulp's"}`)
	}))
	t.Cleanup(pulp.Close)
	upstream, err := url.Parse(pulp.URL)
	if err != nil {
		t.Fatal(err)
	}
	routes := []gateway.Route{{Prefix: "/token", Upstream: upstream, Auth: gateway.Optional, RegistryTokens: true, UserHeader: "Latchkeyuser"}}
	s := start(t, open(t, sqlite.Memory), coretest.NewKeys(t), func(o *server.Options) {
		o.Routes, o.Registry = routes, &registry.Options{Services: []registry.Service{{Name: "ours"}, {Name: "theirs", Relayed: true}}}
	})
	if status, claims, _ := realmToken(t, s.url+"/token/?service=ours", false); status != http.StatusOK || claims.Audience != "ours" {
		t.Errorf("ours: %d %+v, want a token of ours", status, claims)
	}
	for _, service := range []string{"theirs", "unlisted"} {
		if status, _, token := realmToken(t, s.url+"/token/?service="+service, false); status != http.StatusOK || token != "pulp's" {
			t.Errorf("%s: %d %q, want Pulp's token", service, status, token)
		}
	}
	res, err := http.PostForm(s.url+"/token/", url.Values{"service": {"theirs"}, "grant_type": {"password"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	want := []string{"GET /token/?service=theirs admin ", "GET /token/?service=unlisted admin ", "POST /token/  grant_type=password&service=theirs"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("Pulp got %q, want %q", got, want)
	}
	x := explainer{t, s.url}.explain(api.Explain{Account: "admin", Method: "GET", Path: "/token/?service=theirs"})
	if x.Door != "gateway" || !x.Allowed {
		t.Errorf("explain: %+v, want the gateway to let it through", x)
	}
}

// S79: an explanation tells what a token would say, and of whom the rule is.
func TestExplainRegistry(t *testing.T) {
	s := start(t, open(t, sqlite.Memory), coretest.NewKeys(t), func(o *server.Options) {
		o.Registry, o.PublicURL = &registry.Options{}, "https://latchkey.example"
	})
	e := explainer{t, s.url}
	e.post("/accounts", api.CreateAccount{Name: "ann", Kind: "user", Password: "ann planted a staple"}, nil)
	for group, rule := range map[string]string{"everyone": "repository:${account}/*:pull,push", "anonymous": "repository:public/*:*"} {
		e.post("/grants", api.CreateGrant{Group: group, Scope: rule}, nil)
	}
	for _, tt := range []struct {
		ask     api.Explain
		allowed bool
		says    string
	}{
		{api.Explain{Account: "ann", Scope: "repository:ann/app:pull,push"}, true, "of the group everyone, which says repository:${account}/*:pull,push"},
		{api.Explain{Account: "ann", Scope: "repository:ann/app:*"}, false, "neither ann nor a group of theirs has been granted repository:ann/app:delete"},
		{api.Explain{Account: "ann", Scope: "repository:bob/app:pull"}, false, "latchkey grant add repository:bob/app:pull --account ann"},
		{api.Explain{Account: "ann", Scope: "registry:catalog:*"}, false, "registry:catalog:*"},
		{api.Explain{Account: "admin", Scope: "repository:Ann/App:pull"}, false, "is no name of a repository"},
		{api.Explain{Account: "admin", Scope: "repository:a:dance"}, false, "is none of that"},
		{api.Explain{Account: "admin", Scope: "registry:catalog:*", Door: "registry"}, true, "*:*:*"},
		{api.Explain{Anonymous: true, Scope: "repository:public/app:pull"}, true, "by a grant to the group anonymous"},
		{api.Explain{Anonymous: true, Scope: "repository:public/app:push"}, false, "pulling and nothing else"},
		{api.Explain{Anonymous: true, Scope: "repository:private/app:pull"}, false, "latchkey grant add repository:private/app:pull --group anonymous"},
	} {
		x := e.explain(tt.ask)
		text := strings.Join(x.ToAllow, " ")
		for _, step := range x.Steps {
			text += " " + step.Text
		}
		if x.Allowed != tt.allowed || x.Door != "registry" || !strings.Contains(text, tt.says) {
			t.Errorf("explain %+v = %v by %q: %s, want %v and %q", tt.ask, x.Allowed, x.Door, text, tt.allowed, tt.says)
		}
	}
	// Patterns are not asked for by registries' clients.
	if x := e.explain(api.Explain{Account: "admin", Scope: "repository:a/*:pull"}); x.Door != "verify" || !x.Allowed {
		t.Errorf("explain of a pattern = %v by %q, want yes by verify", x.Allowed, x.Door)
	}
}

// S80: a request that got nothing of what it asked for can be explained by its
// id.
func TestExplainRegistryRequest(t *testing.T) {
	s := start(t, open(t, sqlite.Memory), coretest.NewKeys(t), func(o *server.Options) {
		o.Registry, o.PublicURL = &registry.Options{}, "https://latchkey.example"
	})
	e := explainer{t, s.url}
	e.post("/accounts", api.CreateAccount{Name: "ann", Kind: "user", Password: "ann planted a staple"}, nil)
	status, _, h := get(t, s.url+"/token/?service=latchkey.example&scope=repository:team/app:pull", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("ann:ann planted a staple")))
	if status != http.StatusOK {
		t.Fatalf("the realm answers %d, want 200 with less than was asked for", status)
	}
	x := e.explain(api.Explain{RequestID: h.Get("Latchkey-Request-Id")})
	if x.Then == nil || x.Then.Action != "registry.token" || x.Then.Missing != "repository:team/app:pull" || x.Allowed || x.Account != "ann" {
		t.Errorf("explain = %+v, then %+v, want what was missing then and is now", x, x.Then)
	}
}
