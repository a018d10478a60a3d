package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
)

// fakeAsserter writes down who is asserted to whom.
type fakeAsserter struct{ err error }

func (a fakeAsserter) Assert(_ context.Context, id *identity.Identity, audience string) (string, error) {
	if a.err != nil {
		return "", a.err
	}
	return fmt.Sprintf("proof of %s %s for %s", id.Name, id.TokenID, audience), nil
}

// S92: each upstream gets a proof made for it alone, and none where nobody is
// known.
func TestAssertionPerRoute(t *testing.T) {
	m := newMirror(t)
	h := open(t, Options{Asserter: fakeAsserter{}, Routes: []Route{
		{Prefix: "/files", Upstream: m.url(t), Assertion: Assertion{Audience: "files"}},
		{Prefix: "/shop", Upstream: m.url(t), Auth: Optional, Assertion: Assertion{Audience: "shop", Header: "X-Proof"}, Open: []string{"/shop/open"}},
		{Prefix: "/plain", Upstream: m.url(t)},
	}})
	for _, c := range []struct {
		path   string
		header http.Header
		want   map[string]string
	}{
		{"/files/a", bearer(aliceToken), map[string]string{"Latchkey-Assertion": "proof of alice tok_alice for files"}},
		{"/files/a", basic("alice", alicePassword), map[string]string{"Latchkey-Assertion": "proof of alice  for files"}},
		{"/shop/a", bearer(robotToken), map[string]string{"X-Proof": "proof of ci-robot tok_robot for shop"}},
		{"/shop/a", nil, map[string]string{}},
		{"/shop/open", bearer(aliceToken), map[string]string{}},
		{"/plain/a", bearer(aliceToken), map[string]string{}},
	} {
		before := len(m.all())
		if res, body := h.send(t, "GET", c.path, c.header, nil); res.StatusCode != 200 {
			t.Errorf("GET %s = %d %s, want 200", c.path, res.StatusCode, body)
			continue
		}
		got := map[string]string{}
		for _, name := range []string{"Latchkey-Assertion", "X-Proof"} {
			if values := m.all()[before].Header[name]; len(values) == 1 {
				got[name] = values[0]
			} else if len(values) > 1 {
				t.Errorf("GET %s: the upstream got %s %d times", c.path, name, len(values))
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("GET %s: proofs that the upstream got (-want +got):\n%s", c.path, diff)
		}
	}
}

// S86, S92: what a client sends in the place of a proof never arrives, in any
// spelling, in a header or a trailer, on any route.
func TestForgedAssertions(t *testing.T) {
	for _, path := range []string{"/files/a", "/open/a", "/off/a"} {
		for _, forged := range []string{
			"Latchkey-Assertion", "latchkey-assertion", "LATCHKEY_ASSERTION", "Latchkey_Assertion", "Latchkeyassertion",
			"X-Proof", "x-proof", "X_Proof", "XProof", "-X-Proof", "X-Pro-of",
		} {
			m := newMirror(t)
			h := open(t, Options{Asserter: fakeAsserter{}, Routes: []Route{
				{Prefix: "/files", Upstream: m.url(t), Assertion: Assertion{Audience: "files"}},
				{Prefix: "/open", Upstream: m.url(t), Auth: Optional, Assertion: Assertion{Audience: "open", Header: "X-Proof"}},
				{Prefix: "/off", Upstream: m.url(t), Auth: Off},
			}})
			credential := ""
			if path == "/files/a" {
				credential = "Authorization: Bearer " + aliceToken + "\r\n"
			}
			exchangeRaw(t, h.addr(), fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\n%s%s: mallory\r\n%s: mallory\r\nTrailer: %s\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n%s: mallory\r\n\r\n",
				path, credential, forged, forged, forged, forged))
			got := m.only(t)
			for _, header := range []http.Header{got.Header, got.Trailer} {
				for name, values := range header {
					if len(values) > 0 && values[0] == "mallory" {
						t.Errorf("%s with %s: the upstream got %s: %q", path, forged, name, values)
					}
				}
			}
		}
	}
}

// S89: what cannot be signed is not passed on, and is no yes.
func TestAssertionFails(t *testing.T) {
	m := newMirror(t)
	for err, want := range map[error]int{
		fault.Unavailablef(errors.New("planted"), "nothing can be signed now"): 503, errors.New("planted"): 500,
	} {
		h := open(t, Options{Asserter: fakeAsserter{err}, Routes: one(m.url(t), func(r *Route) { r.Assertion.Audience = "files" })})
		if res, body := h.send(t, "GET", "/a", bearer(aliceToken), nil); res.StatusCode != want {
			t.Errorf("GET without a proof = %d %s, want %d", res.StatusCode, body, want)
		}
		v, e := NewVerifier(VerifierOptions{Check: newFakeChecker(t), Peers: loopback(), Asserter: fakeAsserter{err}, Assertion: Assertion{Audience: "files"}})
		if e != nil {
			t.Fatal(e)
		}
		if res := ask(v, "GET", "", with(bearer(aliceToken), original("GET", "/a"))); res.StatusCode != want || res.Header.Get("Latchkeyuser") != "" {
			t.Errorf("verify without a proof = %d %v, want %d", res.StatusCode, res.Header, want)
		}
	}
	if got := m.all(); len(got) != 0 {
		t.Errorf("the upstream got %v, want nothing", got)
	}
}

// S92: a listed proxy gets the proof with a yes, and nobody else does: a client
// that asks itself has passed no rule of the proxy's.
func TestVerifyAssertion(t *testing.T) {
	v, err := NewVerifier(VerifierOptions{Check: newFakeChecker(t), Peers: loopback(), Asserter: fakeAsserter{}, Assertion: Assertion{Audience: "files"}})
	if err != nil {
		t.Fatal(err)
	}
	const header = "Latchkey-Assertion"
	const proof = "proof of alice tok_alice for files"
	for _, c := range []struct {
		what, peer, query string
		header            http.Header
		status            int
		want              string
	}{
		{"a described request", "127.0.0.1:1", "", with(bearer(aliceToken), original("GET", "/a")), 200, proof},
		{"a scope that is asked for", "127.0.0.1:1", "scope=path:/a:read", bearer(aliceToken), 200, proof},
		{"a client itself", "192.0.2.9:1", "scope=path:/a:read", bearer(aliceToken), 200, ""},
		{"a client in IPv6", "[2001:db8::1]:1", "scope=path:/a:read", bearer(aliceToken), 200, ""},
		{"no address", "@", "scope=path:/a:read", bearer(aliceToken), 200, ""},
		{"no credential", "127.0.0.1:1", "", original("GET", "/a"), 401, ""},
		{"out of scope", "127.0.0.1:1", "", with(bearer(readerToken), original("GET", "/other")), 403, ""},
		{"a revoked token", "127.0.0.1:1", "", with(bearer(revokedToken), original("GET", "/a")), 401, ""},
	} {
		r := httptest.NewRequest("GET", "/latchkey/verify?"+c.query, nil)
		r.RemoteAddr = c.peer
		for name, values := range c.header {
			r.Header[name] = values
		}
		r.Header.Set(header, "mallory")
		w := httptest.NewRecorder()
		v.ServeHTTP(w, r)
		if got := w.Header().Get(header); w.Code != c.status || got != c.want {
			t.Errorf("%s: verify = %d with %q, want %d with %q", c.what, w.Code, got, c.status, c.want)
		}
	}
}

func TestBadAssertions(t *testing.T) {
	up := mustURL(t, "http://127.0.0.1:1")
	for name, a := range map[string]Assertion{
		"a header that is taken": {"files", "Authorization"}, "a host": {"files", "Host"}, "a space": {"files", "X Proof"}, "an underscore": {"files", "X_Proof"},
		"only hyphens": {"files", "--"}, "a hyphen in front": {"files", "-Proof"}, "a hyphen at the end": {"files", "Proof-"},
		"a proxy's claim": {"files", "X-Forwarded-For"}, "an override": {"files", "X-HTTP-Method-Override"}, "the user's": {"files", "Latchkey-User"},
	} {
		if _, err := New(Options{Check: newFakeChecker(t), Asserter: fakeAsserter{}, Routes: []Route{{Prefix: "/", Upstream: up, Assertion: a}}}); err == nil {
			t.Errorf("%s: New() = nil error, want one", name)
		}
		if _, err := NewVerifier(VerifierOptions{Check: newFakeChecker(t), Asserter: fakeAsserter{}, Assertion: a}); err == nil {
			t.Errorf("%s: NewVerifier() = nil error, want one", name)
		}
	}
	if _, err := New(Options{Check: newFakeChecker(t), Routes: []Route{{Prefix: "/", Upstream: up, Assertion: Assertion{Audience: "files"}}}}); !errors.Is(err, errNoAsserter) {
		t.Errorf("New() without anybody to sign = %v, want %v", err, errNoAsserter)
	}
	if _, err := New(Options{Asserter: fakeAsserter{}, Routes: []Route{{Prefix: "/", Upstream: up, Auth: Off, Assertion: Assertion{Audience: "files"}}}}); !errors.Is(err, errOffIdle) {
		t.Errorf("New() of a route that looks at nothing = %v, want %v", err, errOffIdle)
	}
}
