package registry_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/dialect/registry"
)

// BenchmarkToken gives tokens for a repository, beside what nobody can do
// without: a handler that signs as much by ES256 and answers.
func BenchmarkToken(b *testing.B) {
	serve := func(b *testing.B, h http.Handler, r *http.Request) {
		b.ReportAllocs()
		for b.Loop() {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				b.Fatalf("%d %s", w.Code, w.Body)
			}
		}
	}
	b.Run("signature", func(b *testing.B) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		claims := make([]byte, 512)
		bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			sum := sha256.Sum256(claims)
			signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
			if err != nil {
				b.Error(err)
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"token":"`)
			_, _ = w.Write(claims)
			_, _ = w.Write(signature[:0])
			_, _ = io.WriteString(w, `"}`)
		})
		serve(b, bare, httptest.NewRequest(http.MethodGet, "/token/", nil))
	})
	s := newSite(b, func(*registry.Options) {})
	for _, with := range []struct{ name, user, password string }{{"token", "ci", s.robot.Secret.Reveal()}, {"nobody", "", ""}} {
		b.Run(with.name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/token/?service="+service+"&scope=repository:team/app:pull,push&account="+with.user, nil)
			if with.user != "" {
				r.SetBasicAuth(with.user, with.password)
			}
			serve(b, s, r)
		})
	}
}
