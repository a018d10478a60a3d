package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

func TestAsHelper(t *testing.T) {
	for _, tt := range []struct {
		program string
		want    []string
	}{
		{"latchkey", []string{"get"}},
		{"/usr/bin/latchkey", []string{"get"}},
		{"docker-credential-latchkey", []string{"credential-helper", "get"}},
		{"/usr/local/bin/docker-credential-latchkey", []string{"credential-helper", "get"}},
		{"docker-credential-latchkey.exe", []string{"credential-helper", "get"}},
		{"docker-credential-latchkey2", []string{"get"}},
	} {
		if diff := cmp.Diff(tt.want, asHelper(tt.program, []string{"get"})); diff != "" {
			t.Errorf("asHelper(%q) (-want +got):\n%s", tt.program, diff)
		}
	}
}

func TestRegistryOf(t *testing.T) {
	for _, tt := range []struct{ given, want, err string }{
		{"registry.example.org", "registry.example.org", ""},
		{"Registry.Example.org:5000", "registry.example.org:5000", ""},
		{"https://registry.example.org:5000/v1/", "registry.example.org:5000", ""},
		{"registry.example.org/prod", "registry.example.org", ""},
		{"", "", errNoServerURL.Error()},
		{"https://user@registry.example.org", "", errNoCredentials.Error()},
		{"https://", "", errNoCredentials.Error()},
		{"a b", "", errNoCredentials.Error()},
	} {
		got, err := registryOf(tt.given)
		if text := errorText(err); got != tt.want || text != tt.err {
			t.Errorf("registryOf(%q) = %q, %q, want %q, %q", tt.given, got, text, tt.want, tt.err)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Only a registry that was named gets tokens, or one at the very address of a
// server: whoever could have others call the helper for a registry of theirs
// would have tokens of everybody.
func TestWhoGetsTokens(t *testing.T) {
	known := credentials{
		Servers: map[string]login{
			"https://pulp.example.org":        {},
			"http://127.0.0.1:8080":           {},
			"https://example.com/below/this":  {},
			"https://tokens.example.org:8443": {},
		},
		Registries: map[string]registry{"registry.example.org": {Server: "https://tokens.example.org:8443"}},
	}
	for _, tt := range []struct{ host, server string }{
		{"registry.example.org", "https://tokens.example.org:8443"},
		{"pulp.example.org", "https://pulp.example.org"},
		{"127.0.0.1:8080", "http://127.0.0.1:8080"},
		{"tokens.example.org:8443", "https://tokens.example.org:8443"},
		{"tokens.example.org", ""},
		{"127.0.0.1", ""},
		{"registry.example.org:5000", ""},
		{"sub.registry.example.org", ""},
		{"example.com", ""},
		{"index.docker.io", ""},
	} {
		if got, _ := known.registry(tt.host); got.Server != tt.server {
			t.Errorf("registry(%q) = %q, want %q", tt.host, got.Server, tt.server)
		}
	}
}

// helped is somebody who is logged in, and has named a registry.
type helped struct {
	t       *testing.T
	server  string
	environ map[string]string
}

func newHelped(t *testing.T, loginFlags ...string) *helped {
	t.Helper()
	h := &helped{t: t, server: serverFor(t), environ: map[string]string{"XDG_CONFIG_HOME": t.TempDir(), "LATCHKEY_PASSWORD": adminPassword}}
	h.run("", append([]string{"login", h.server, "--user", "admin"}, loginFlags...)...)
	delete(h.environ, "LATCHKEY_PASSWORD")
	h.run("", "credential-helper", "use", "registry.example.org")
	return h
}

func (h *helped) run(stdin string, args ...string) result {
	h.t.Helper()
	got := runWith(h.t, h.environ, stdin, args...)
	if got.code != exitOK {
		h.t.Fatalf("%q: got %+v, want success", args, got)
	}
	return got
}

func (h *helped) get() helperLogin {
	h.t.Helper()
	var got helperLogin
	if err := json.Unmarshal([]byte(h.run("registry.example.org\n", "credential-helper", "get").stdout), &got); err != nil {
		h.t.Fatal(err)
	}
	return got
}

// edit changes a file that the helper keeps.
func (h *helped) edit(name, from, to string) {
	h.t.Helper()
	path := filepath.Join(h.environ["XDG_CONFIG_HOME"], "latchkey", name)
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), from) {
		h.t.Fatalf("%s has no %q: %v", name, from, err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), from, to)), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// kept is the helper's one short token.
func (h *helped) kept() shortToken {
	h.t.Helper()
	file := credentialFile{filepath.Join(h.environ["XDG_CONFIG_HOME"], "latchkey", "credentials.json")}
	return file.shortTokens().load()["registry.example.org"]
}

func TestHelperMakesANewTokenNearTheEnd(t *testing.T) {
	h := newHelped(t)
	first := h.get()
	kept := h.kept()
	if left := time.Until(kept.ExpiresAt); left > defaultHelperLife || left < defaultHelperLife/3 {
		t.Errorf("the token lives for %v, want at most %v", left, defaultHelperLife)
	}
	// What docker has got from us comes back when it stores what it has checked.
	back, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	h.run(string(back), "credential-helper", "store")
	if again := h.get(); again != first {
		t.Errorf("get, again: got %+v, want the same as before", again)
	}
	ends := kept.ExpiresAt.Format(time.RFC3339Nano)
	h.edit("registry-tokens.json", ends, time.Now().Add(4*time.Minute).Format(time.RFC3339Nano))
	second := h.get()
	if second.Secret == first.Secret {
		t.Error("get, near the end: got the same token, want a new one")
	}
	// A token of another login is never handed out.
	h.edit("registry-tokens.json", h.kept().Login, "tok_other")
	if third := h.get(); third.Secret == second.Secret {
		t.Error("get, after another login: got the token of the one before")
	}
	// Nor are those that others could have read or written.
	path := filepath.Join(h.environ["XDG_CONFIG_HOME"], "latchkey", "registry-tokens.json")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	before := h.kept()
	if before != (shortToken{}) {
		t.Errorf("load of a file that others can read: got %+v, want nothing", before)
	}
	h.get()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file afterwards: got %v, %v, want mode 0600", info, err)
	}
}

func TestHelperOfAShortLogin(t *testing.T) {
	h := newHelped(t, "--expires", "10m")
	h.get()
	if left := time.Until(h.kept().ExpiresAt); left > 10*time.Minute {
		t.Errorf("the token lives for %v, want no longer than the login", left)
	}
	// A login that has a scope makes tokens with that scope.
	c, err := client.New(h.server, client.Options{User: "admin", Password: adminPassword})
	if err != nil {
		t.Fatal(err)
	}
	narrow, err := c.Tokens.Create(t.Context(), api.CreateToken{Name: "narrow", Scope: []string{"repository:prod/*:pull", "latchkey:tokens:write"}})
	if err != nil {
		t.Fatal(err)
	}
	file := credentialFile{filepath.Join(h.environ["XDG_CONFIG_HOME"], "latchkey", "credentials.json")}
	known, err := file.load()
	if err != nil {
		t.Fatal(err)
	}
	h.edit("credentials.json", known.Servers[h.server].Token, narrow.Secret)
	h.edit("credentials.json", known.Servers[h.server].TokenID, narrow.ID)
	made := h.get()
	if c, err = client.New(h.server, client.Options{Token: narrow.Secret}); err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(h.server, client.Options{User: "admin", Password: adminPassword})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := admin.Tokens.List(t.Context(), client.TokenQuery{Label: "registry=registry.example.org", State: "live"})
	if err != nil || len(tokens.Items) == 0 {
		t.Fatalf("the tokens for the registry: got %v, %v", tokens, err)
	}
	if diff := cmp.Diff(narrow.Scope, tokens.Items[0].Scope); diff != "" || !strings.HasPrefix(made.Secret, tokens.Items[0].Prefix) {
		t.Errorf("the scope of the newest token, %s (-want +got):\n%s", tokens.Items[0].Prefix, diff)
	}
	// A login that was ended says so, and what to do.
	if err := c.Tokens.RevokeSecret(t.Context(), narrow.Secret); err != nil {
		t.Fatal(err)
	}
	h.edit("registry-tokens.json", narrow.ID, "tok_other")
	got := runWith(t, h.environ, "registry.example.org", "credential-helper", "get")
	if got.code != exitOther || !strings.Contains(got.stdout, "your login has ended; run 'latchkey login "+h.server+"' again") {
		t.Errorf("get with a login that has ended: got %+v, want a word about it on standard output", got)
	}
}
