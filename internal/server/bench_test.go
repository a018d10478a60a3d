package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/server"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// discard is a response writer that costs nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// verifyOnce returns a function that checks a token in memory, all the way
// from where net/http hands a request over.
func verifyOnce(t testing.TB) func() {
	s := start(t, open(t, filepath.Join(t.TempDir(), "latchkey.db")), coretest.NewKeys(t), func(o *server.Options) {
		o.Peers = web.Peers{netip.MustParsePrefix("127.0.0.1/32")}
	})
	r := httptest.NewRequest(http.MethodGet, "/latchkey/verify", nil)
	r.RemoteAddr = "127.0.0.1:40000"
	r.Header = http.Header{
		"Authorization":     {"Bearer " + nativeToken(t, s.url)},
		"X-Original-Method": {"GET"}, "X-Original-Uri": {"/files/a/report.txt"}, "X-Forwarded-For": {"192.0.2.1"},
		"User-Agent": {"bench/1"},
	}
	w := &discard{header: http.Header{}}
	return func() {
		clear(w.header)
		delete(r.Header, web.CorrelationIDHeader)
		if s.handler.ServeHTTP(w, r); w.status != http.StatusOK {
			t.Fatalf("the answer is %d %v", w.status, w.header)
		}
	}
}

// nativeToken makes a token for the administrator.
func nativeToken(t testing.TB, base string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, base+api.Prefix+"/tokens", strings.NewReader(`{"name":"bench"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth("admin", adminPassword)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var made api.NewToken
	if err := json.NewDecoder(res.Body).Decode(&made); err != nil || made.Secret == "" {
		t.Fatalf("POST /tokens = %d, %v, want a token", res.StatusCode, err)
	}
	return made.Secret
}

func BenchmarkVerify(b *testing.B) {
	once := verifyOnce(b)
	once()
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}
