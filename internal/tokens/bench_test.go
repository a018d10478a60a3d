package tokens_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

var somewhere = netip.MustParseAddr("192.0.2.7")

// BenchmarkCheckWarm checks tokens that are in the cache, of which there are
// few or very many.
func BenchmarkCheckWarm(b *testing.B) {
	for _, n := range []int{1, 1_000, 1_000_000} {
		b.Run(fmt.Sprintf("of%d", n), func(b *testing.B) {
			s, secrets := warm(b, n)
			b.Run("alone", func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					check(b, s, secrets[i])
					i = (i + 1) % len(secrets)
				}
			})
			b.Run("parallel", func(b *testing.B) {
				b.ReportAllocs()
				var next atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					i := int(next.Add(500_009)) % len(secrets)
					for pb.Next() {
						check(b, s, secrets[i])
						i = (i + 1) % len(secrets)
					}
				})
			})
		})
	}
}

// BenchmarkCheckJunk refuses what never was a token of this server.
func BenchmarkCheckJunk(b *testing.B) {
	s, secrets := warm(b, 1)
	good := secrets[0].Reveal()
	c := coretest.New(b, coretest.Options{})
	foreign, err := c.Tokens.Issue(b.Context(), c.Admin, tokens.Request{Name: "foreign"})
	if err != nil {
		b.Fatal(err)
	}
	for name, text := range map[string]string{
		"shape":    "lkp_nothing-like-a-token",
		"checksum": good[:len(good)-1] + "~",
		"tag":      foreign.Secret.Reveal(),
		"unknown":  strings.Repeat("0", 40),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			p := tokens.Presented{Token: secret.New(text), Addr: somewhere}
			for b.Loop() {
				if _, err := s.Check(b.Context(), p); err == nil {
					b.Fatal("junk was taken for a token")
				}
			}
		})
	}
}

// BenchmarkIssue makes tokens in an SQLite file, with all that makes a commit
// last.
func BenchmarkIssue(b *testing.B) {
	for _, callers := range []int{1, 32} {
		b.Run(fmt.Sprintf("callers%d", callers), func(b *testing.B) {
			c := coretest.New(b, coretest.Options{File: coretest.OnDisk(b), Tokens: func(o *tokens.Options) {
				o.Policy.MaxPerAccount = -1
			}})
			c.Ready(b)
			b.ReportAllocs()
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var group sync.WaitGroup
			for range callers {
				group.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := c.Tokens.Issue(context.Background(), c.Admin, tokens.Request{Name: "bench"}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
		})
	}
}

func check(b *testing.B, s *tokens.Service, text secret.Text) *identity.Identity {
	id, err := s.Check(context.Background(), tokens.Presented{Token: text, Addr: somewhere, Agent: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	return id
}

// warm returns a core that has n tokens in its cache, and their secrets.
func warm(b *testing.B, n int) (*tokens.Service, []secret.Text) {
	b.Helper()
	mem := &memory{found: make(map[[32]byte]store.FoundToken, n), holder: store.Holder{
		Account: store.Account{ID: "acc_bench", Kind: store.User, Name: "bench", Source: "local"},
		Grants:  []string{"path:/*:*", "latchkey:tokens:*"},
	}}
	c := coretest.New(b, coretest.Options{})
	mem.Store = c.Store
	s := c.Node(b, func(o *tokens.Options) { o.Store, o.CacheEntries, o.Now = mem, 2*n+10_000, nil })
	c.Ready(b, s)
	texts := make([]string, n)
	for i := range texts {
		text, sum := tokens.Generate(c.Keys)
		texts[i] = text.Reveal()
		id := "tok_" + hex.EncodeToString(sum[:8])
		mem.found[sum] = store.FoundToken{
			Token:  store.Token{ID: id, AccountID: "acc_bench", Class: "personal", Name: "bench", CreatedAt: c.Clock.Now(), Scope: []string{"path:/pulp/*:read"}},
			Secret: store.Secret{Digest: sum[:], TokenID: id},
		}
		check(b, s, text)
	}
	// Requests bring their tokens along: these lie in the order in which they
	// are used, which is not that in which the cache was filled.
	slices.Sort(texts)
	together := strings.Join(texts, "")
	secrets := make([]secret.Text, n)
	for i := range secrets {
		secrets[i] = secret.New(together[i*len(texts[0]) : (i+1)*len(texts[0])])
	}
	return s, secrets
}

// memory answers look-ups of tokens that no database has.
type memory struct {
	*coretest.Store
	found  map[[32]byte]store.FoundToken
	holder store.Holder
}

func (m *memory) TokenByDigest(_ context.Context, d []byte) (store.FoundToken, error) {
	f, ok := m.found[[32]byte(d)]
	if !ok {
		return store.FoundToken{}, store.ErrNotFound
	}
	return f, nil
}

func (m *memory) Holder(context.Context, string) (store.Holder, error) { return m.holder, nil }
