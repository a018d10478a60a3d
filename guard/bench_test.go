package guard_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/latchkey-auth/latchkey/guard"
	"github.com/latchkey-auth/latchkey/latchkeytest"
)

func warm(b testing.TB) (*guard.Guard, string) {
	srv := latchkeytest.Start(b)
	g := newGuard(b, srv.URL, srv.Service(b, "service"), nil)
	fresh(b, g)
	token := srv.Token(b, "alice", "path:/reports/*:read")
	if _, err := as(g, token); err != nil {
		b.Fatal(err)
	}
	return g, token
}

func BenchmarkCheck(b *testing.B) {
	g, token := warm(b)
	c := guard.Credential{Token: token}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := g.Check(context.Background(), c); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkProtect(b *testing.B) {
	g, token := warm(b)
	h := g.Protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := httptest.NewRequest("GET", "/reports/7", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		for pb.Next() {
			w := httptest.ResponseRecorder{}
			if h.ServeHTTP(&w, r); w.Code != http.StatusNoContent {
				b.Error(w.Code)
			}
		}
	})
}

// A check of a token that is kept allocates nothing.
func TestCheckAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	g, token := warm(t)
	c := guard.Credential{Token: token}
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := g.Check(context.Background(), c); err != nil {
			t.Fatal(err)
		}
	}); n > 0.1 {
		t.Errorf("Check() of a token that is kept allocates %.1f times, want never", n)
	}
}
