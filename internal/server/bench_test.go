package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
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
	s := startListed(t)
	return verifier(t, s.handler, nativeToken(t, s.url))
}

// startListed starts a server that believes proxies on this machine.
func startListed(t testing.TB) running {
	return start(t, open(t, filepath.Join(t.TempDir(), "latchkey.db")), coretest.NewKeys(t), func(o *server.Options) {
		o.Peers = web.Peers{netip.MustParsePrefix("127.0.0.1/32")}
		o.Tokens.Policy.MaxPerAccount = -1
	})
}

// verifier returns a function that has a token checked.
func verifier(t testing.TB, h http.Handler, token string) func() {
	r := httptest.NewRequest(http.MethodGet, "/latchkey/verify", nil)
	r.RemoteAddr = "127.0.0.1:40000"
	r.Header = http.Header{
		"Authorization":     {"Bearer " + token},
		"X-Original-Method": {"GET"}, "X-Original-Uri": {"/files/a/report.txt"}, "X-Forwarded-For": {"192.0.2.1"},
		"User-Agent": {"bench/1"},
	}
	w := &discard{header: http.Header{}}
	return func() {
		clear(w.header)
		delete(r.Header, web.CorrelationIDHeader)
		if h.ServeHTTP(w, r); w.status != http.StatusOK {
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

// BenchmarkVerifyInTurn checks tokens of which each has its turn, so that what
// is known of one is seldom in the processor's own memory.
func BenchmarkVerifyInTurn(b *testing.B) {
	const used = 5_000
	s := startListed(b)
	by := nativeToken(b, s.url)
	checks := make([]func(), used)
	var group sync.WaitGroup
	for part := range 50 {
		group.Go(func() {
			for i := part; i < used; i += 50 {
				r := httptest.NewRequest(http.MethodPost, api.Prefix+"/tokens", strings.NewReader(`{"name":"bench"}`))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer "+by)
				w := httptest.NewRecorder()
				s.handler.ServeHTTP(w, r)
				var made api.NewToken
				if err := json.NewDecoder(w.Body).Decode(&made); err != nil || made.Secret == "" {
					b.Errorf("POST /tokens = %d, %v, want a token", w.Code, err)
					return
				}
				checks[i] = verifier(b, s.handler, made.Secret)
			}
		})
	}
	group.Wait()
	if b.Failed() {
		return
	}
	for _, once := range checks {
		once()
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i = (i + 1) % used {
		checks[i]()
	}
}
