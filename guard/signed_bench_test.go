package guard_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/guard"
)

// telling is a signing server that says twice a second that nothing changed.
type telling struct{ *signing }

func (s telling) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/latchkey/api/v1/changes" {
		return s.signing.RoundTrip(r)
	}
	body, w := io.Pipe()
	opened := time.Now()
	context.AfterFunc(r.Context(), func() { body.CloseWithError(r.Context().Err()) })
	go func() {
		for {
			if _, err := fmt.Fprintf(w, "event: seen\ndata: {\"position\":10,\"as_of\":%d}\n\n", time.Since(opened).Milliseconds()); err != nil {
				return
			}
			time.Sleep(500 * time.Millisecond)
		}
	}()
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: body, Request: r}, nil
}

// family returns a guard that knows a family, with many of its tokens. The guard
// keeps few of them, so that each is new to it again when its turn comes.
func family(b testing.TB, tokens int) (*guard.Guard, []string) {
	s := &signing{fake: &fake{}, key: newKey(b), status: 200}
	s.fake.answer = func(in api.Check) (api.Checked, error) { return s.judge(in) }
	s.publish(s.key)
	g, err := guard.New(guard.Options{Server: "http://latchkey.example", Token: "lkr_planted-service-token", Transport: telling{s}, MaxEntries: 32, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(g.Close)
	fresh(b, g)
	list := make([]string, tokens)
	for i := range list {
		list[i] = s.token(b, s.key, nil)
	}
	return g, list
}

// BenchmarkSigned is a signed access token that the guard has not seen, of a
// family that it knows ("cold"), one that it has seen ("warm"), and beside them
// what the verification of the signature alone takes ("signature").
func BenchmarkSigned(b *testing.B) {
	for name, tokens := range map[string]int{"cold": 2000, "warm": 1} {
		b.Run(name, func(b *testing.B) {
			g, list := family(b, tokens)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := g.Check(context.Background(), guard.Credential{Token: list[i%len(list)]}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("signature", func(b *testing.B) {
		_, list := family(b, 1)
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		signed := []byte(list[0])
		sum := sha256.Sum256(signed)
		r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
		if err != nil {
			b.Fatal(err)
		}
		signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		b.ReportAllocs()
		for b.Loop() {
			sum := sha256.Sum256(signed)
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			if !ecdsa.Verify(&private.PublicKey, sum[:], r, s) {
				b.Fatal("the signature is wrong")
			}
		}
	})
}

// A check of a signed token that is kept allocates nothing, like that of others.
func TestSignedCheckAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	g, list := family(t, 1)
	c := guard.Credential{Token: list[0]}
	eventually(t, "a check of a signed token that is kept allocates nothing", func() bool {
		return testing.AllocsPerRun(1000, func() {
			if _, err := g.Check(context.Background(), c); err != nil {
				t.Fatal(err)
			}
		}) < 0.1
	})
}
