// Package coretest puts the core together for tests: tokens, accounts, the
// audit log and the server's keys on a fresh store, SQLite if nothing else is
// said, that can be made to fail, with a clock that stands still. It is no server: there is no HTTP in
// it, and nothing of it may be used outside of tests.
package coretest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/auditchain"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/source"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
	"github.com/latchkey-auth/latchkey/internal/throttle"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// Password is the password of the administrator, and of nobody else.
const Password = "planted correct horse battery"

// Issuer is who signs the access tokens.
const Issuer = "https://latchkey.example"

// Core is the parts of a core.
type Core struct {
	Store    *Store
	Keys     *serverkey.Ring
	Audit    *audit.Log
	Chain    *auditchain.Chain
	Log      *slog.Logger
	Clock    *Clock
	Tokens   *tokens.Service
	Accounts *accounts.Service
	Signing  *keyring.Service // has no keys before its Start

	Admin *identity.Identity // who may do everything, logged in with a password
}

// Options say what is different in a test. The zero value is a core that
// trusts its cache for an hour, follows the change log and writes nothing by
// itself.
type Options struct {
	Tokens  func(*tokens.Options) // changes the options of the tokens
	Signing keyring.Policy
	Logins  throttle.Options
	Sources []source.Source
	Keys    *serverkey.Ring // nil: a new one

	// File keeps the data in this file, written as a server writes it; "":
	// in a temporary one.
	File string

	// Database is used instead of SQLite, if it is not nil. It is empty, and
	// whoever made it closes it.
	Database store.Store
}

// New returns a core with an administrator and the grants that everybody has,
// as after the first start. It ends with the test.
func New(t testing.TB, o Options) *Core {
	t.Helper()
	c := &Core{Log: slog.New(slog.DiscardHandler), Clock: NewClock(), Keys: o.Keys}
	if os.Getenv("LATCHKEY_TEST_LOG") != "" {
		c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	if c.Keys == nil {
		c.Keys = NewKeys(t)
	}
	db := o.Database
	if db == nil {
		db = c.openSQLite(t, o.File)
	}
	proofs, err := auditchain.NewKeys(c.Keys)
	if err != nil {
		t.Fatalf("NewKeys() = %v", err)
	}
	c.Store = Wrap(auditchain.Attest(db, proofs))
	c.Audit = audit.NewLog(c.Store, c.Log)
	c.Chain = auditchain.New(auditchain.Options{Store: c.Store, Keys: proofs, Log: c.Log, Now: c.Clock.Now})
	c.Tokens, c.Signing = c.SigningNode(t, o.Tokens, o.Signing)
	c.Accounts = c.NewAccounts(t, o)
	c.Tokens.TakeImported(c.Accounts)
	if _, err := c.Accounts.Bootstrap(context.Background(), secret.New(Password)); err != nil {
		t.Fatalf("Bootstrap() = %v", err)
	}
	c.Admin = c.Identity(t, c.AccountNamed(t, accounts.AdminName).ID)
	return c
}

// openSQLite opens a database that is closed when the test ends.
func (c *Core) openSQLite(t testing.TB, file string) store.Store {
	t.Helper()
	if file == "" {
		file = sqlite.Memory
	}
	db, err := sqlite.Open(context.Background(), sqlite.Options{Path: file, Now: c.Clock.Now, Log: c.Log})
	if err != nil {
		t.Fatalf("sqlite.Open(%q) = %v", file, err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return db
}

// OnDisk returns the path of a database file for [Options.File].
func OnDisk(t testing.TB) string { return filepath.Join(t.TempDir(), "latchkey.db") }

// NewKeys returns a ring of one new key.
func NewKeys(t testing.TB) *serverkey.Ring {
	t.Helper()
	key, err := serverkey.Generate()
	if err != nil {
		t.Fatalf("Generate() = %v", err)
	}
	ring, err := serverkey.NewRing(key)
	if err != nil {
		t.Fatalf("NewRing() = %v", err)
	}
	return ring
}

// Node returns one more core on the same store, as another node has it. It
// follows the change log until the test ends.
func (c *Core) Node(t testing.TB, change func(*tokens.Options)) *tokens.Service {
	t.Helper()
	s := c.Idle(t, change)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return s
}

// SigningNode is Node with a ring of signing keys.
func (c *Core) SigningNode(t testing.TB, change func(*tokens.Options), p keyring.Policy) (*tokens.Service, *keyring.Service) {
	t.Helper()
	follower := &following{}
	ring, err := keyring.New(keyring.Options{
		Store: c.Store, Secrets: c.Keys, Follower: follower, Audit: c.Audit, Log: c.Log, Policy: p, Now: c.Clock.Now,
	})
	if err != nil {
		t.Fatalf("keyring.New() = %v", err)
	}
	follower.Service = c.Node(t, func(o *tokens.Options) {
		o.OnKeys = ring.Changed
		if change != nil {
			change(o)
		}
	})
	if err := follower.Service.SignWith(ring, tokens.AccessShape(Issuer)); err != nil {
		t.Fatalf("SignWith() = %v", err)
	}
	return follower.Service, ring
}

// following is a node that its ring of keys is made before.
type following struct{ *tokens.Service }

// Idle is Node without following the change log.
func (c *Core) Idle(t testing.TB, change func(*tokens.Options)) *tokens.Service {
	t.Helper()
	o := tokens.Options{
		Store: c.Store, Keys: c.Keys, Audit: c.Audit, Log: c.Log, Now: c.Clock.Now,
		Bound: time.Hour, FlushEvery: time.Hour,
	}
	if change != nil {
		change(&o)
	}
	s, err := tokens.New(o)
	if err != nil {
		t.Fatalf("tokens.New() = %v", err)
	}
	return s
}

// NewAccounts returns the accounts, with quick password hashes.
func (c *Core) NewAccounts(t testing.TB, o Options) *accounts.Service {
	t.Helper()
	pool, err := password.New(password.Options{Memory: 64, Passes: 1, Queue: 1000})
	if err != nil {
		t.Fatalf("password.New() = %v", err)
	}
	o.Logins.Now = c.Clock.Now
	s, err := accounts.New(accounts.Options{
		Store: c.Store, Tokens: c.Tokens, Passwords: pool, Throttle: throttle.New(o.Logins),
		Audit: c.Audit, Log: c.Log, Sources: o.Sources, Now: c.Clock.Now,
	})
	if err != nil {
		t.Fatalf("accounts.New() = %v", err)
	}
	return s
}

// Ready waits until what is cached counts, on this core and on other nodes.
func (c *Core) Ready(t testing.TB, nodes ...*tokens.Service) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for _, s := range append(nodes, c.Tokens) {
		for !s.Ready() {
			if time.Now().After(deadline) {
				t.Fatal("a node does not follow the change log")
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// AccountNamed finds an account.
func (c *Core) AccountNamed(t testing.TB, name string) store.Account {
	t.Helper()
	known, err := c.Store.Store.AccountsByName(context.Background(), name)
	if err != nil || len(known) != 1 {
		t.Fatalf("AccountsByName(%q) = %v, %v, want one", name, known, err)
	}
	return known[0]
}

// Identity returns what an account is once its password was checked.
func (c *Core) Identity(t testing.TB, accountID string) *identity.Identity {
	t.Helper()
	id, err := c.Tokens.IdentityOf(context.Background(), accountID)
	if err != nil {
		t.Fatalf("IdentityOf(%q) = %v", accountID, err)
	}
	return id
}

// User makes a local user with these grants beside everybody's, and returns
// who that is once the password was checked.
func (c *Core) User(t testing.TB, name string, grants ...string) *identity.Identity {
	t.Helper()
	return c.Account(t, accounts.NewAccount{Name: name, Grants: grants})
}

// Account makes an account as the administrator.
func (c *Core) Account(t testing.TB, n accounts.NewAccount) *identity.Identity {
	t.Helper()
	a, err := c.Accounts.Create(context.Background(), c.Admin, n)
	if err != nil {
		t.Fatalf("Create(%+v) = %v", n, err)
	}
	return c.Identity(t, a.ID)
}

// Events returns what the audit log has about an action (or all that begin
// with it, when it ends in "."), newest first.
func (c *Core) Events(t testing.TB, action string) []store.Event {
	t.Helper()
	c.Audit.Flush(context.Background())
	events, err := c.Store.Store.Events(context.Background(), store.EventQuery{Action: action, Limit: 10_000})
	if err != nil {
		t.Fatalf("Events(%q) = %v", action, err)
	}
	return events
}

// Clock is a clock that goes when it is told to.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at noon of a day in 2026.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

// Now returns the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock, backwards too.
func (c *Clock) Advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}
