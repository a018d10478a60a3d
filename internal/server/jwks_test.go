package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/server"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
)

// S49: the published keys can be cached, for less long than a new one is
// published before it is used, and are the same after a restart.
func TestJWKS(t *testing.T) {
	db, keys := open(t, sqlite.Memory), coretest.NewKeys(t)
	policy := func(o *server.Options) {
		o.SigningKeys = keyring.Policy{PublishBefore: time.Hour, MaxAge: 10 * time.Minute}
	}
	s := start(t, db, keys, policy)
	const path = "/latchkey/.well-known/jwks.json"
	status, body, header := get(t, s.url+path)
	if status != 200 || header.Get("Content-Type") != "application/json" || header.Get("Cache-Control") != "public, max-age=600" {
		t.Errorf("GET %s = %d, %v", path, status, header)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal([]byte(body), &set); err != nil || len(set.Keys) != 4 {
		t.Fatalf("GET %s answers %s, want two keys under two ids each", path, body)
	}
	for _, k := range set.Keys {
		if k["kty"] != "EC" || k["use"] != "sig" || k["alg"] != "ES256" || k["kid"] == "" || k["d"] != "" {
			t.Errorf("a published key is %v", k)
		}
	}
	etag := header.Get("Etag")
	for _, sent := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
		if status, body, header := get(t, s.url+path, "If-None-Match", sent); status != 304 || body != "" || header.Get("Etag") != etag {
			t.Errorf("GET with If-None-Match %s = %d %q %v, want 304", sent, status, body, header)
		}
	}
	if status, again, _ := get(t, s.url+path, "If-None-Match", `"x"`); status != 200 || again != body {
		t.Errorf("GET with another tag = %d %s, want the same keys", status, again)
	}
	res, err := http.Post(s.url+path, "", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST = %d %v, want 405", res.StatusCode, res.Header)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = start(t, db, keys, policy)
	if _, again, _ := get(t, s.url+path); again != body {
		t.Errorf("after a restart the keys are %s, want %s", again, body)
	}
}
