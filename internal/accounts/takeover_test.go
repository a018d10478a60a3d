package accounts_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// bcryptOf hashes a password as `htpasswd -B` does.
func bcryptOf(t *testing.T, text string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(text), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(string(hash), "$2a$", "$2y$", 1)
}

func TestTakenOverPassword(t *testing.T) {
	c := newCore(t, nil)
	hash := bcryptOf(t, "short")
	a, err := c.Accounts.Create(bg, c.Admin, accounts.NewAccount{Name: "ann", PasswordHash: secret.New(hash)})
	if err != nil {
		t.Fatal(err)
	}
	events := c.Events(t, "account.create")
	i := slices.IndexFunc(events, func(e store.Event) bool { return e.Target == a.ID })
	if i < 0 {
		t.Fatalf("no event tells that the account was made: %+v", events)
	}
	made := events[i]
	if got, want := made.Detail["password"], "taken over: bcrypt 4"; got != want {
		t.Errorf("the event says of the password: got %q, want %q", got, want)
	}
	for _, value := range made.Detail {
		if strings.Contains(value, hash[7:]) {
			t.Errorf("the event has the hash in it: %q", value)
		}
	}
	// A wrong password costs its own hash and one of ours (S100).
	before := c.Accounts.Hashed()
	if _, err := c.Accounts.Login(bg, "ann", secret.New("wrong")); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("Login with a wrong password = %v, want a refusal", err)
	}
	if got := c.Accounts.Hashed() - before; got != 2 {
		t.Errorf("a wrong password took %d hashes, want 2", got)
	}
	// The right one is hashed anew, and only once.
	for range 2 {
		if _, err := c.Accounts.Login(bg, "ann", secret.New("short")); err != nil {
			t.Fatalf("Login = %v", err)
		}
	}
	held, err := c.Accounts.Account(bg, c.Admin, a.ID)
	if err != nil || !strings.HasPrefix(held.Account.PasswordHash, "$argon2id$") {
		t.Errorf("after a login the hash is %.10q…, %v, want one of ours", held.Account.PasswordHash, err)
	}
}

func TestTakenOverPasswordIsRefused(t *testing.T) {
	c := newCore(t, nil, newDirectory("ldap"))
	good := secret.New(bcryptOf(t, right))
	for name, n := range map[string]accounts.NewAccount{
		"a robot":          {Name: "ci", Kind: store.Robot, PasswordHash: good},
		"another source":   {Name: "ann", Source: "ldap", Subject: "1", PasswordHash: good},
		"with a password":  {Name: "ann", Password: secret.New(right), PasswordHash: good},
		"a plain password": {Name: "ann", PasswordHash: secret.New("planted-plain-text")},
		"quick to guess":   {Name: "ann", PasswordHash: secret.New("sha1$planted$aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d")},
		"apr1":             {Name: "ann", PasswordHash: secret.New("$apr1$planted$xxxxxxxxxxxxxxxxxxxxxx")},
		"too costly":       {Name: "ann", PasswordHash: secret.New("$2y$31$" + strings.Repeat("a", 53))},
		"unusable":         {Name: "ann", PasswordHash: secret.New("!")},
	} {
		_, err := c.Accounts.Create(bg, c.Admin, n)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("Create of %s = %v, want it to be invalid", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "planted") {
			t.Errorf("Create of %s: the error has the hash in it: %v", name, err)
		}
	}
}

// A password opens what everyone has, so that a hash is for those alone who
// could set a password (S78).
func TestTakenOverPasswordNeedsAsMuchAsAPassword(t *testing.T) {
	c := newCore(t, nil)
	weak := c.Account(t, accounts.NewAccount{Name: "weak"})
	weak.Effective = nil
	if _, err := c.Accounts.Create(bg, weak, accounts.NewAccount{Name: "ann", PasswordHash: secret.New(bcryptOf(t, right))}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("Create by somebody without rights = %v, want a refusal", err)
	}
}
