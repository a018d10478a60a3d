package gateway

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func newTestVerifier(t testing.TB, check Checker) *Verifier {
	t.Helper()
	v, err := NewVerifier(VerifierOptions{Check: check, Peers: loopback()})
	if err != nil {
		t.Fatalf("NewVerifier() = %v", err)
	}
	return v
}

// ask asks as a proxy does that is listed.
func ask(v *Verifier, method, query string, header http.Header) *http.Response {
	r := httptest.NewRequest(method, "/latchkey/verify?"+query, nil)
	r.RemoteAddr = "127.0.0.1:4711"
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	v.ServeHTTP(w, r)
	return w.Result()
}

// S63, S80, S88, S89
func TestVerify(t *testing.T) {
	insufficient := func(missing string) []string {
		return []string{`Bearer realm="Latchkey", error="insufficient_scope", scope="` + missing + `"`}
	}
	const any = "scope=path:/api/x:read"
	tests := []struct {
		query     string
		header    http.Header
		want      int
		challenge []string
	}{
		{any, bearer(aliceToken), 200, nil},
		{any, basic("x", aliceToken), 200, nil},
		{any, basic("alice", alicePassword), 200, nil},
		{any, bearer(staleToken), 200, nil},
		{any, nil, 401, plainChallenge},
		{any, http.Header{"Authorization": {"Negotiate abc"}}, 401, plainChallenge},
		{any, bearer(revokedToken), 401, invalidChallenge},
		{any, bearer("nonsense"), 401, invalidChallenge},
		{any, basic("alice", "wrong"), 401, plainChallenge},
		{any, bearer(floodToken), 429, nil},
		{any, bearer(downToken), 503, nil},
		{any, bearer(bugToken), 500, nil},
		{any, bearer(nobodyToken), 500, nil},
		{any, bearer(oddNameToken), 403, nil},
		{any, http.Header{"Authorization": {"Bearer"}}, 400, nil},
		{any, http.Header{"Authorization": {"Bearer " + aliceToken, "Basic x"}}, 400, nil},

		{"scope=path:/api/x:read", bearer(readerToken), 200, nil},
		{"scope=path:/api/*:read", bearer(readerToken), 200, nil},
		{"scope=path%3A%2Fapi%2Fx%3Aread", bearer(readerToken), 200, nil},
		{"scope=path:/api/x:write", bearer(readerToken), 403, insufficient("path:/api/x:write")},
		{"scope=path:/api/x:read,write", bearer(readerToken), 403, insufficient("path:/api/x:read,write")},
		{"scope=path:/*:read", bearer(readerToken), 403, insufficient("path:/*:read")},
		{"scope=path:/api/x:read&scope=path:/other:read", bearer(readerToken), 403, insufficient("path:/other:read")},
		{"scope=repository:prod/a:pull", bearer(readerToken), 403, insufficient("repository:prod/a:pull")},
		{"scope=path:/api/x:read", nil, 401, plainChallenge},

		{"scope=", bearer(aliceToken), 400, nil},
		{"scope=nonsense", bearer(aliceToken), 400, nil},
		{"scope=path:/x:fly", bearer(aliceToken), 400, nil},
		{"scope=path:/../x:read", bearer(aliceToken), 400, nil},
		{"scopes=path:/x:read", bearer(aliceToken), 400, nil},
		{"scope=path:/x:read&x", bearer(aliceToken), 400, nil},
		{"scope=%zz", bearer(aliceToken), 400, nil},
		{"scope=path:/x:read;scope=path:/y:read", bearer(aliceToken), 400, nil},
		{"scope=nonsense", nil, 400, nil},

		{"", bearer(aliceToken), 400, nil},
		{"", nil, 400, nil},
	}
	v := newTestVerifier(t, newFakeChecker(t))
	for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "PROPFIND"} {
		for _, tt := range tests {
			res := ask(v, method, tt.query, tt.header)
			if res.StatusCode != tt.want {
				t.Errorf("%s ?%s %v = %d, want %d", method, tt.query, tt.header, res.StatusCode, tt.want)
			}
			if diff := cmp.Diff(tt.challenge, res.Header["Www-Authenticate"]); diff != "" {
				t.Errorf("%s ?%s %v: WWW-Authenticate (-want +got):\n%s", method, tt.query, tt.header, diff)
			}
			if got := res.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("?%s: Cache-Control = %q, want no-store", tt.query, got) // S13
			}
			if got := res.Header.Get("Latchkeyuser"); (got != "") != (tt.want == 200) {
				t.Errorf("?%s %v = %d with Latchkeyuser %q", tt.query, tt.header, tt.want, got)
			}
		}
	}
}

func TestVerifyHeaders(t *testing.T) {
	check := newFakeChecker(t)
	long := *check.known[aliceToken]
	long.EffectiveText = strings.Repeat("path:/x/*:read ", 1000)
	check.known[hexToken("9")] = &long
	v := newTestVerifier(t, check)
	yes := func(h http.Header) http.Header {
		h["Cache-Control"], h["Content-Length"] = []string{"no-store"}, []string{"0"}
		return h
	}
	tests := map[string]struct{ header, want http.Header }{
		"token": {bearer(aliceToken), yes(http.Header{
			"Latchkeyuser": {"alice"}, "Latchkeytoken": {"tok_alice"}, "Latchkeyscope": {"path:*:*"},
		})},
		"robot": {bearer(robotToken), yes(http.Header{
			"Latchkeyuser": {"ci-robot"}, "Latchkeytoken": {"tok_robot"}, "Latchkeyscope": {"path:*:*"},
		})},
		"stale": {bearer(staleToken), yes(http.Header{
			"Latchkeyuser": {"alice"}, "Latchkeytoken": {"tok_stale"}, "Latchkeyscope": {"path:*:*"}, "Latchkey-Stale": {"true"},
		})},
		"password": {basic("alice", alicePassword), yes(http.Header{"Latchkeyuser": {"alice"}, "Latchkeyscope": {""}})},
		"a scope that is too long": {bearer(hexToken("9")), yes(http.Header{
			"Latchkeyuser": {"alice"}, "Latchkeytoken": {"tok_alice"},
		})},
	}
	for name, tt := range tests {
		if diff := cmp.Diff(tt.want, ask(v, "GET", "scope=path:/api/x:read", tt.header).Header); diff != "" {
			t.Errorf("header with %s (-want +got):\n%s", name, diff)
		}
	}
	if got := ask(v, "GET", "scope=path:/api/x:read", bearer(floodToken)).Header.Get("Retry-After"); got != "90" {
		t.Errorf("Retry-After = %q, want 90", got)
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	if _, err := NewVerifier(VerifierOptions{}); err == nil {
		t.Errorf("NewVerifier() without a checker = nil, want an error")
	}
	if _, err := NewVerifier(VerifierOptions{Check: newFakeChecker(t), Realm: "a\nb"}); err == nil {
		t.Errorf("NewVerifier() with a line break in the realm = nil, want an error")
	}
}

// FuzzVerifyQuery checks that a query that can be read asks for what it says,
// and that any other is never a yes.
func FuzzVerifyQuery(f *testing.F) {
	for _, seed := range []string{"", "scope=path:/api/x:read", "scope=path:/api/x:read&scope=nonsense", "scope", "a=b", "scope=%00", "&&", "scope=*:*:*"} {
		f.Add(seed)
	}
	v := newTestVerifier(f, newFakeChecker(f))
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/latchkey/verify", nil)
		r.URL.RawQuery = query
		r.Header = bearer(readerToken)
		w := httptest.NewRecorder()
		v.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			return
		}
		if query == "" {
			t.Fatal("a request that asks nothing = 200")
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatalf("?%s = 200, but it cannot be parsed: %v", query, err)
		}
		for name, scopes := range values {
			for _, s := range scopes {
				if name != "scope" || !strings.HasPrefix(s, "path:/api/") || !strings.HasSuffix(s, ":read") {
					t.Fatalf("?%s = 200 for a token that has path:/api/*:read", query)
				}
			}
		}
	})
}

// discard is a response writer that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// verifyOnce returns a function that does one check that ends with a yes.
func verifyOnce(t testing.TB, query string, description http.Header) func() {
	v := newTestVerifier(t, newFakeChecker(t))
	r := httptest.NewRequest(http.MethodGet, "/latchkey/verify?"+query, nil)
	r.RemoteAddr = "127.0.0.1:4711"
	r.Header = bearer(readerToken)
	maps.Copy(r.Header, description)
	w := &discard{header: http.Header{}}
	return func() {
		clear(w.header)
		v.ServeHTTP(w, r)
		if len(w.header["Latchkeyuser"]) == 0 {
			t.Fatal("the answer is not a yes")
		}
	}
}

// ways are the ways to ask for what the reader may do.
var ways = map[string]struct {
	query       string
	description http.Header
}{
	"scope":     {"scope=path:/api/x:read", nil},
	"original":  {"", original("GET", "/api/x?y=z")},
	"forwarded": {"", forwarded("GET", "/api/x?y=z")},
	"both":      {"scope=path:/api/x:read", forwarded("GET", "/api/x?y=z")},
}

// The one allocation is for the values of the three headers.
func TestVerifyAllocations(t *testing.T) {
	for name, way := range ways {
		if got := testing.AllocsPerRun(100, verifyOnce(t, way.query, way.description)); got > 1 {
			t.Errorf("a check by %s takes %v allocations, want at most 1", name, got)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for name, way := range ways {
		b.Run(name, func(b *testing.B) {
			once := verifyOnce(b, way.query, way.description)
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
	}
}
