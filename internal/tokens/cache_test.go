package tokens_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// A check that has read the store, and not yet kept what it read, while a
// token ends must not bring the old state into the cache.
func TestFillingRacesWithEnding(t *testing.T) {
	revoke := func(c *coretest.Core, user *identity.Identity, made tokens.Issued) error {
		return c.Tokens.Revoke(bg, user, made.Token.ID, "")
	}
	disable := func(c *coretest.Core, user *identity.Identity, _ tokens.Issued) error {
		_, err := c.Accounts.Update(bg, c.Admin, user.AccountID, accounts.Change{Disabled: of(true)})
		return err
	}
	narrow := func(c *coretest.Core, _ *identity.Identity, _ tokens.Issued) error {
		return removeGrant(c, store.GrantQuery{Group: store.GroupEveryone}, "path:/*:*")
	}
	for _, tt := range []struct {
		name, after string
		end         func(*coretest.Core, *identity.Identity, tokens.Issued) error
	}{
		{"revoked after the token was read", "TokenByDigest", revoke},
		{"revoked after the account was read", "Holder", revoke},
		{"disabled after the token was read", "TokenByDigest", disable},
		{"disabled after the account was read", "Holder", disable},
		{"less granted after the account was read", "Holder", narrow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCore(t)
			user := c.User(t, "ann")
			made := issue(t, c, user, tokens.Request{})
			c.Store.After(tt.after, func() {
				if err := tt.end(c, user, made); err != nil {
					t.Error(err)
				}
			})
			_, _ = present(c.Tokens, made.Secret) // either answer is right: both happen at once
			id, err := present(c.Tokens, made.Secret)
			if id.Allows(pathRequest("GET", "/pulp/")) {
				t.Errorf("Check() after the end = %v, %v, want less", id, err)
			}
		})
	}
}

// The same with whatever the scheduler makes of it: once an end has returned,
// no check passes.
func TestEndingUnderLoad(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	for range 20 {
		made := issue(t, c, user, tokens.Request{})
		stop := make(chan struct{})
		var checkers sync.WaitGroup
		for range 4 {
			checkers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						_, _ = present(c.Tokens, made.Secret)
						c.Tokens.Apply(store.Change{Kind: store.ChangeAccount, AccountID: user.AccountID})
					}
				}
			})
		}
		if err := c.Tokens.Revoke(bg, user, made.Token.ID, ""); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			mustRefuse(t, c.Tokens, made.Secret, tokens.ReasonRevoked)
		}
		close(stop)
		checkers.Wait()
	}
}

// The memory of checks is bounded however many tokens there are.
func TestCacheIsBounded(t *testing.T) {
	const most, accountCount = 640, 3000
	mem := &crowd{accounts: accountCount}
	c := newCoreWith(t, nil)
	mem.Store = c.Store
	s := c.Node(t, func(o *tokens.Options) { o.Store, o.CacheEntries = mem, most })
	c.Ready(t, s)
	n := 1_000_000
	switch {
	case testing.Short():
		n = 20_000
	case raceEnabled:
		n = 100_000
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		// Any 40 hexadecimal digits may be a token.
		if _, err := present(s, secret.New(fmt.Sprintf("%040x", i))); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 999 { // as in life, some of it ends
			s.Apply(store.Change{Kind: store.ChangeToken, TokenID: fmt.Sprint("tok_", random.IntN(i))})
			s.Apply(store.Change{Kind: store.ChangeAccount, AccountID: fmt.Sprint("acc_", random.IntN(accountCount))})
		}
	}
	entries, holders := s.CacheIndexes()
	if got := s.CacheLen(); got > most || entries > most || holders > most {
		t.Errorf("after %d tokens of %d accounts: %d entries, %d indexed, %d accounts are kept, want at most %d each", n, accountCount, got, entries, holders, most)
	}
}

// crowd has as many tokens as anybody asks for, of a number of accounts.
type crowd struct {
	*coretest.Store
	accounts int
	seen     int
}

func (s *crowd) TokenByDigest(_ ctx, d []byte) (store.FoundToken, error) {
	id, account := "tok_"+strconv.Itoa(s.seen), "acc_"+strconv.Itoa(s.seen%s.accounts)
	s.seen++
	return store.FoundToken{
		Token:  store.Token{ID: id, AccountID: account, CreatedAt: time.Unix(1, 0)},
		Secret: store.Secret{TokenID: id, Digest: d},
	}, nil
}

func (s *crowd) Holder(_ ctx, id string) (store.Holder, error) {
	return store.Holder{Account: store.Account{ID: id, Name: id}}, nil
}

// Tokens in use stay when others come by once.
func TestCacheKeepsWhatIsUsed(t *testing.T) {
	c := newCoreWith(t, func(o *tokens.Options) { o.CacheEntries = 64 * 16 })
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	mustPass(t, c.Tokens, made.Secret)
	mem := &crowd{Store: c.Store, accounts: 10}
	s := c.Node(t, func(o *tokens.Options) { o.Store, o.CacheEntries = mem, 64*16 })
	c.Ready(t, s)
	used := make([]tokens.Presented, 64)
	for i := range used {
		text, _ := tokens.Generate(c.Keys)
		used[i] = tokens.Presented{Token: text, Addr: somewhere}
	}
	missed := 0
	for round := range 200 {
		before := mem.seen
		for _, p := range used {
			if _, err := s.Check(bg, p); err != nil {
				t.Fatal(err)
			}
		}
		if round > 0 {
			missed += mem.seen - before
		}
		for range 64 { // passers-by
			text, _ := tokens.Generate(c.Keys)
			_, _ = present(s, text)
		}
	}
	if missed > 64 {
		t.Errorf("64 tokens in use were loaded again %d times in 200 rounds, want hardly ever", missed)
	}
}

// Unknown tokens are remembered for a moment, in bounded memory.
func TestUnknownsAreBounded(t *testing.T) {
	c := newCore(t)
	mem := &empty{Store: c.Store}
	s := c.Node(t, func(o *tokens.Options) { o.Store = mem })
	c.Ready(t, s)
	one, _ := tokens.Generate(c.Keys)
	for range 100 {
		mustRefuse(t, s, one, tokens.ReasonUnknown)
	}
	if mem.asked != 1 {
		t.Errorf("a token that does not exist was looked up %d times, want once", mem.asked)
	}
	c.Clock.Advance(time.Minute)
	mustRefuse(t, s, one, tokens.ReasonUnknown)
	if mem.asked != 2 {
		t.Errorf("a minute later it was looked up %d times in all, want twice", mem.asked)
	}
	for range s.MostUnknowns() + 1000 {
		text, _ := tokens.Generate(c.Keys)
		_, _ = present(s, text)
	}
	if got := s.UnknownsLen(); got > s.MostUnknowns() {
		t.Errorf("%d unknown tokens are remembered, want at most %d", got, s.MostUnknowns())
	}
}

// empty has no token at all.
type empty struct {
	*coretest.Store
	asked int
}

func (s *empty) TokenByDigest(ctx, []byte) (store.FoundToken, error) {
	s.asked++
	return store.FoundToken{}, store.ErrNotFound
}
