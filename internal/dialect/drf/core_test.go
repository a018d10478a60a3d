package drf_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
	"github.com/latchkey-auth/latchkey/internal/throttle"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// core is the real core on a store of its own, with an administrator.
type core struct {
	accounts *accounts.Service
	tokens   *tokens.Service
	audit    *audit.Log
	admin    *identity.Identity
}

func newCore(t *testing.T, limits throttle.Options) *core {
	t.Helper()
	ctx := t.Context()
	log := slog.New(slog.DiscardHandler)
	db, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(t.TempDir(), "test.db"), Log: log})
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	key, err := serverkey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := serverkey.NewRing(key)
	if err != nil {
		t.Fatal(err)
	}
	c := &core{audit: audit.NewLog(db, log)}
	c.tokens, err = tokens.New(tokens.Options{Store: db, Keys: keys, Audit: c.audit, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := password.New(password.Options{Memory: 64, Passes: 1})
	if err != nil {
		t.Fatal(err)
	}
	c.accounts, err = accounts.New(accounts.Options{
		Store: db, Tokens: c.tokens, Passwords: pool, Throttle: throttle.New(limits), Audit: c.audit, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.accounts.Bootstrap(ctx, secret.Text{})
	if err != nil {
		t.Fatal(err)
	}
	if c.admin, err = c.accounts.Login(ctx, accounts.AdminName, text); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *core) addUser(t *testing.T, name, text string) {
	t.Helper()
	n := accounts.NewAccount{Name: name, Password: secret.New(text)}
	if _, err := c.accounts.Create(t.Context(), c.admin, n); err != nil {
		t.Fatalf("create the user %s: %v", name, err)
	}
}

func (c *core) account(t *testing.T, name string) store.Account {
	t.Helper()
	a, err := c.accounts.Resolve(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (c *core) deactivate(t *testing.T, name string) {
	t.Helper()
	yes := true
	if _, err := c.accounts.Update(t.Context(), c.admin, c.account(t, name).ID, accounts.Change{Disabled: &yes}); err != nil {
		t.Fatalf("deactivate %s: %v", name, err)
	}
}

// revoke ends the tokens of an account one by one, and returns how many there
// were.
func (c *core) revoke(t *testing.T, name string) int {
	t.Helper()
	list := c.list(t, name)
	for _, token := range list {
		if err := c.tokens.Revoke(t.Context(), c.admin, token.ID, "for a test"); err != nil {
			t.Fatalf("revoke the token of %s: %v", name, err)
		}
	}
	return len(list)
}

func (c *core) list(t *testing.T, name string) []store.Token {
	t.Helper()
	page, err := c.tokens.List(t.Context(), c.admin, tokens.Query{TokenQuery: store.TokenQuery{AccountID: c.account(t, name).ID, Limit: 10}})
	if err != nil {
		t.Fatal(err)
	}
	return page.Tokens
}

func (c *core) events(t *testing.T, action string) []store.Event {
	t.Helper()
	list, err := c.audit.List(context.WithoutCancel(t.Context()), c.admin, store.EventQuery{Action: action, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// manyLogins lets a script log in as often as it likes.
func manyLogins() throttle.Options {
	rate := throttle.Rate{Burst: 100_000, Every: time.Millisecond}
	return throttle.Options{Pair: rate, Address: rate, Account: rate, Narrow: rate}
}
