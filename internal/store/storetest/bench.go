package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// Bench measures the two calls that requests wait for: the look-up of a token
// that is in no cache, and the issue of a token with its audit event.
func Bench(b *testing.B, open func(b *testing.B) store.Store) {
	b.Run("TokenByDigest100k", func(b *testing.B) { benchLookup(b, open(b)) })
	for _, callers := range []int{1, 32} {
		b.Run(fmt.Sprintf("Issue%d", callers), func(b *testing.B) {
			benchIssue(b, open(b), callers, func(ctx context.Context, s store.Store, account string, i int) error {
				return s.Issue(ctx, benchIssued(account, i))
			})
		})
		b.Run(fmt.Sprintf("IssueInUpdate%d", callers), func(b *testing.B) {
			benchIssue(b, open(b), callers, func(ctx context.Context, s store.Store, account string, i int) error {
				return s.Update(ctx, benchIssued(account, i).In)
			})
		})
	}
}

const benchAccounts = 100

func benchFill(b *testing.B, s store.Store, tokens int) {
	ctx := context.Background()
	for a := range benchAccounts {
		if err := s.Update(ctx, func(tx store.Tx) error {
			if err := tx.InsertAccount(newAccount(fmt.Sprint("account-", a))); err != nil {
				return err
			}
			for i := a; i < tokens; i += benchAccounts {
				if err := benchIssued(fmt.Sprint("account-", a), i).In(tx); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
}

func benchLookup(b *testing.B, s store.Store) {
	const n = 100_000
	benchFill(b, s, n)
	b.ReportAllocs()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour) // as a request has one
	defer cancel()
	for b.Loop() {
		if _, err := s.TokenByDigest(ctx, digest(benchToken(rand.IntN(n)))); err != nil {
			b.Fatal(err)
		}
	}
}

// benchToken is an id of realistic length.
func benchToken(i int) string { return fmt.Sprintf("01HZX3V9Q5N8RZJ7%010d", i) }

// benchIssued is a token as a client asks for it with a token of its own.
func benchIssued(account string, i int) store.Issue {
	t := newToken(benchToken(i), account)
	t.CreatedAt = start.Add(time.Duration(i) * time.Millisecond)
	t.ExpiresAt = t.CreatedAt.Add(24 * time.Hour)
	t.Scope = []string{"repository:prod/*:pull"}
	one := store.Issue{Token: t, Secret: newSecret(t.ID, t.ID)}
	if i >= benchAccounts { // every account's first one has nobody to ask for it
		one.By = benchToken(i % benchAccounts)
	}
	one.Admit = func(store.Admission) (store.Event, error) {
		return store.Event{
			ID: t.ID, At: t.CreatedAt, Action: "token.issue", Outcome: "ok", ActorID: account, ActorName: "name-" + account,
			TokenID: one.By, Target: t.ID, Addr: "192.0.2.1", Agent: "curl/8.0", RequestID: "request-" + t.ID, Count: 1,
		}, nil
	}
	return one
}

func benchIssue(b *testing.B, s store.Store, callers int, issue func(context.Context, store.Store, string, int) error) {
	benchFill(b, s, 10_000)
	var next atomic.Int64
	next.Store(1_000_000)
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	b.ResetTimer()
	together(callers, func(int) {
		for {
			i := int(next.Add(1))
			if i > 1_000_000+b.N {
				return
			}
			if err := issue(ctx, s, fmt.Sprint("account-", i%benchAccounts), i); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "issues/s")
}
