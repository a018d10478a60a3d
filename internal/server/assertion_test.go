package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/server"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
)

// S92: a service verifies by the published keys alone who is asking, by the
// standard library and nothing of ours. It gets the same proof through the
// gateway and from a proxy that asks /latchkey/verify; the account's id is the
// same in both, and a client's own proof reaches nobody.
func TestAssertionByPublishedKeys(t *testing.T) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Join(r.Header["Latchkey-Assertion"], "\n"))
	}))
	t.Cleanup(behind.Close)
	upstream, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, open(t, sqlite.Memory), coretest.NewKeys(t), func(o *server.Options) {
		o.Issuer = "https://tokens.example"
		o.Peers = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		o.VerifyAssertion = gateway.Assertion{Audience: "https://shop.example"}
		o.Routes = []gateway.Route{{Prefix: "/files", Upstream: upstream, Assertion: gateway.Assertion{Audience: "https://files.example"}}}
	})
	token := "Token " + login(t, s.url)
	status, byGateway, _ := get(t, s.url+"/files/x", "Authorization", token, "Latchkey-Assertion", "forged")
	if status != 200 {
		t.Fatalf("GET /files/x = %d %s", status, byGateway)
	}
	status, _, header := get(t, s.url+"/latchkey/verify", "Authorization", token, "X-Original-Method", "GET", "X-Original-Uri", "/x", "X-Forwarded-For", "192.0.2.1")
	if status != 200 {
		t.Fatalf("GET /latchkey/verify = %d", status)
	}
	files, shop := proved(t, s.url, byGateway), proved(t, s.url, header.Get("Latchkey-Assertion"))
	for audience, got := range map[string]map[string]any{"https://files.example": files, "https://shop.example": shop} {
		if got["aud"] != audience || got["iss"] != "https://tokens.example" || got["name"] != "admin" || got["sub"] != files["sub"] || got["token_id"] == "" {
			t.Errorf("the proof for %s says %v", audience, got)
		}
	}
	if _, again, _ := get(t, s.url+"/files/x", "Authorization", token); again != byGateway {
		t.Error("the next request makes another proof, want the same for some seconds")
	}
}

// proved verifies a proof by the published keys and returns what it says.
func proved(t *testing.T, base, text string) map[string]any {
	t.Helper()
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("the proof is %q", text)
	}
	decode := func(part string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatalf("the proof is %q: %v", text, err)
		}
		return b
	}
	var header, claims map[string]any
	if err := json.Unmarshal(decode(parts[0]), &header); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(decode(parts[1]), &claims); err != nil {
		t.Fatal(err)
	}
	_, body, _ := get(t, base+"/latchkey/.well-known/jwks.json")
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		if k["kid"] != header["kid"] {
			continue
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, decode(k["x"]), decode(k["y"])))
		if err != nil {
			t.Fatal(err)
		}
		sum, signature := sha256.Sum256([]byte(parts[0]+"."+parts[1])), decode(parts[2])
		if !ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
			t.Errorf("the signature of %q is wrong", text)
		}
		return claims
	}
	t.Fatalf("no published key has the id %v of the proof", header["kid"])
	return nil
}
