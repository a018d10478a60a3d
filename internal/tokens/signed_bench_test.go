package tokens_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// BenchmarkSignedWarm checks an access token that was verified before: it is
// found by its hash.
func BenchmarkSignedWarm(b *testing.B) {
	c := newSigning(b, nil)
	text := pair(b, c, c.User(b, "ann"), tokens.PairRequest{}).Access
	check(b, c.Tokens, text)
	b.ReportAllocs()
	for b.Loop() {
		check(b, c.Tokens, text)
	}
}

// A warm check of an access token allocates nothing: it is not verified again,
// and nothing of it is parsed.
func TestSignedWarmAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	c := newSigning(t, nil)
	text := pair(t, c, c.User(t, "ann"), tokens.PairRequest{}).Access
	// What was changed above may come in through the log a moment later.
	eventually(t, "a check of a known access token allocates nothing", func() bool {
		return testing.AllocsPerRun(200, func() { mustPass(t, c.Tokens, text) }) < 1
	})
}

// BenchmarkSignedCold checks access tokens that nothing is known of, each of a
// family of its own, which is read from an SQLite store. In turns with it a
// signature alone is verified, by the standard library: "x-bare" is the median
// ratio.
func BenchmarkSignedCold(b *testing.B) {
	c, texts := cold(b)
	compare(b, func(i int) { check(b, c.Tokens, texts[i%len(texts)]) })
}

// BenchmarkSignedVerification is what of that has nothing to do with the store.
func BenchmarkSignedVerification(b *testing.B) {
	c, texts := cold(b)
	profile := jose.AccessToken(coretest.Issuer, coretest.Issuer)
	compare(b, func(i int) {
		if _, err := c.Signing.Verify(bg, texts[i%len(texts)].Reveal(), profile); err != nil {
			b.Fatal(err)
		}
	})
}

// cold returns a core that keeps fewer tokens than there are.
func cold(b *testing.B) (*coretest.Core, []secret.Text) {
	b.Helper()
	c := newSigning(b, func(o *tokens.Options) { o.CacheEntries, o.Policy.MaxPerAccount = 64, -1 })
	ann := c.User(b, "ann")
	texts := make([]secret.Text, 1024)
	for i := range texts {
		texts[i] = pair(b, c, ann, tokens.PairRequest{}).Access
	}
	return c, texts
}

// compare measures do in turns with the verification of a signature, so that
// both have the same machine.
func compare(b *testing.B, do func(i int)) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256([]byte("a token"))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	raw := slices.Concat(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32)))
	var ratios []float64
	next := 0
	for b.Loop() {
		const turn = 4
		began := time.Now()
		for range turn {
			if !ecdsa.Verify(&key.PublicKey, sum[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])) {
				b.Fatal("the signature is wrong")
			}
		}
		bare := time.Since(began)
		for range turn {
			do(next)
			next++
		}
		ratios = append(ratios, float64(time.Since(began)-bare)/float64(bare))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x-bare")
}

// BenchmarkIssuePair makes pairs in an SQLite file, with all that makes a commit
// last.
func BenchmarkIssuePair(b *testing.B) {
	c := coretest.New(b, coretest.Options{File: coretest.OnDisk(b), Tokens: func(o *tokens.Options) { o.Policy.MaxPerAccount = -1 }})
	if err := c.Signing.Start(bg); err != nil {
		b.Fatal(err)
	}
	c.Ready(b)
	b.ReportAllocs()
	for b.Loop() {
		pair(b, c, c.Admin, tokens.PairRequest{AccessFor: of(10 * time.Second), Request: tokens.Request{ExpiresIn: of(20 * time.Second)}})
	}
}
