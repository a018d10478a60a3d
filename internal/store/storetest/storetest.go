// Package storetest says in tests what a store promises. Every store runs all
// of it; what a store needs beyond it are tests of its own means, such as
// files or connections.
package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// Run runs the suite. open gives a fresh, empty store for the life of t; it
// may be called several times by one test.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	suites := []struct {
		name  string
		tests []test
	}{
		{"Tokens", tokenTests},
		{"Secrets", secretTests},
		{"TokenLists", tokenListTests},
		{"Revoke", revokeEachTests},
		{"Accounts", accountTests},
		{"Groups", groupTests},
		{"Changes", changeTests},
		{"Events", eventTests},
		{"Chain", chainTests},
		{"Batches", batchTests},
		{"Updates", updateTests},
		{"Issue", issueTests},
		{"Rivals", rivalTests},
		{"Keys", keyTests},
		{"SigningKeys", signingTests},
		{"Families", familyTests},
		{"Ends", endTests},
	}
	for _, suite := range suites {
		t.Run(suite.name, func(t *testing.T) {
			for _, test := range suite.tests {
				t.Run(test.name, func(t *testing.T) {
					test.run(fixture{T: t, Store: open(t), ctx: t.Context()})
				})
			}
		})
	}
}

type test struct {
	name string
	run  func(fixture)
}

// fixture is a test with its own store.
type fixture struct {
	*testing.T
	store.Store
	ctx context.Context
}

// start is the time around which things happen. It has microseconds, the
// precision that stores keep.
var start = time.Date(2026, 3, 4, 5, 6, 7, 891011000, time.UTC)

// minute returns the time n minutes after start.
func minute(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }

func digest(of string) []byte {
	d := sha256.Sum256([]byte(of))
	return d[:]
}

func newAccount(id string) store.Account {
	return store.Account{ID: id, Kind: store.User, Name: "name-" + id, Source: "local", Subject: id, CreatedAt: start}
}

func newToken(id, accountID string) store.Token {
	return store.Token{ID: id, AccountID: accountID, Class: "personal", Name: "token " + id, Prefix: "lkp_" + id,
		CreatedAt: start}
}

// newSecret makes the secret of a token; its digest is that of of.
func newSecret(tokenID, of string) store.Secret {
	return store.Secret{Digest: digest(of), TokenID: tokenID, KeyID: "key-1", CreatedAt: start}
}

// update runs fn in a transaction that must succeed.
func (f fixture) update(fn func(tx store.Tx) error) {
	f.Helper()
	if err := f.Update(f.ctx, fn); err != nil {
		f.Fatalf("Update() = %v, want no error", err)
	}
}

// accounts adds accounts that have nothing special.
func (f fixture) accounts(ids ...string) {
	f.Helper()
	f.update(func(tx store.Tx) error {
		for _, id := range ids {
			if err := tx.InsertAccount(newAccount(id)); err != nil {
				return err
			}
		}
		return nil
	})
}

// tokens adds tokens, each with a secret whose digest is that of the token's id.
func (f fixture) tokens(tokens ...store.Token) {
	f.Helper()
	f.update(func(tx store.Tx) error {
		for _, t := range tokens {
			if err := tx.InsertToken(t, newSecret(t.ID, t.ID)); err != nil {
				return fmt.Errorf("InsertToken(%s): %w", t.ID, err)
			}
		}
		return nil
	})
}

// token reads a token that must be there.
func (f fixture) token(id string) store.Token {
	f.Helper()
	t, err := f.Token(f.ctx, id)
	if err != nil {
		f.Fatalf("Token(%q) = %v, want no error", id, err)
	}
	return t
}

// found looks a token up by the digest of of.
func (f fixture) found(of string) store.FoundToken {
	f.Helper()
	found, err := f.TokenByDigest(f.ctx, digest(of))
	if err != nil {
		f.Fatalf("TokenByDigest(%q) = %v, want no error", of, err)
	}
	return found
}

// gone checks that none of the tokens is there.
func (f fixture) gone(ids ...string) {
	f.Helper()
	for _, id := range ids {
		if _, err := f.Token(f.ctx, id); !errors.Is(err, store.ErrNotFound) {
			f.Errorf("Token(%q) = %v, want %v", id, err, store.ErrNotFound)
		}
	}
}

// fails runs fn in a transaction, which must fail with want.
func (f fixture) fails(call string, want error, fn func(tx store.Tx) error) {
	f.Helper()
	err := f.Update(f.ctx, fn)
	if !errors.Is(err, want) {
		f.Errorf("%s = %v, want %v", call, err, want)
	}
}

// same compares what a call gave with what it should have.
func same[T any](t testing.TB, call string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", call, diff)
	}
}

// ids gives the ids of records.
func ids[T any](records []T, id func(T) string) []string {
	var list []string
	for _, r := range records {
		list = append(list, id(r))
	}
	return list
}
