package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/source"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// roll is a source that can be asked about its users, without passwords.
type roll struct {
	people map[string]source.Change // by id
	down   error
	asked  atomic.Int64
}

func (r *roll) Name() string { return "django" }

func (r *roll) Login(context.Context, string, string) (source.Subject, error) {
	return source.Subject{}, source.ErrRefused
}

func (r *roll) Changed(_ context.Context, known map[string]source.Fingerprint) ([]source.Change, error) {
	r.asked.Add(1)
	if r.down != nil {
		return nil, r.down
	}
	var changes []source.Change
	for id := range known {
		c, ok := r.people[id]
		if !ok {
			c = source.Change{ID: id, Gone: true}
		}
		changes = append(changes, c)
	}
	return changes, nil
}

func (r *roll) Find(_ context.Context, username string) (source.Subject, error) {
	r.asked.Add(1)
	if r.down != nil {
		return source.Subject{}, r.down
	}
	for _, c := range r.people {
		if c.Now.Username == username && c.Active {
			return c.Now, nil
		}
	}
	return source.Subject{}, source.ErrRefused
}

func newRoll() *roll {
	r := &roll{people: map[string]source.Change{}}
	for id, name := range map[string]string{"1": "ann", "2": "bob", "3": "cat"} {
		r.people[id] = source.Change{
			ID: id, Unknown: true, Active: name != "cat",
			Now: source.Subject{ID: id, Username: name, Email: name + "@django.example", Fingerprint: source.Fingerprint("of " + name)},
		}
	}
	return r
}

// Whom a token of another issuer names gets an account when the source knows
// them, once, and nobody else does.
func TestAccountOf(t *testing.T) {
	r := newRoll()
	c := newCore(t, nil, r)
	local := c.User(t, "dan")
	first, err := c.Accounts.AccountOf(bg, "django", keyring.UserSubject, "1")
	if err != nil || first.Name != "ann" || first.Source != "django" || first.Subject != "1" || first.Fingerprint != "of ann" {
		t.Fatalf("AccountOf(subject 1) = %+v, %v, want an account of ann", first, err)
	}
	asked := r.asked.Load()
	for _, tt := range []struct{ userIs, value string }{
		{keyring.UserSubject, "1"}, {keyring.UserName, "ann"}, {keyring.UserID, first.ID},
	} {
		if got, err := c.Accounts.AccountOf(bg, "django", tt.userIs, tt.value); err != nil || got.ID != first.ID {
			t.Errorf("AccountOf(%s %s) = %+v, %v, want the account that was made", tt.userIs, tt.value, got, err)
		}
	}
	if got := r.asked.Load(); got != asked {
		t.Errorf("the source is asked %d times about who is known, want never", got-asked)
	}
	bob, err := c.Accounts.AccountOf(bg, "django", keyring.UserName, "bob")
	if err != nil || bob.Subject != "2" {
		t.Errorf("AccountOf(name bob) = %+v, %v, want an account of the subject 2", bob, err)
	}
	if events := c.Events(t, "account.create"); len(events) == 0 || events[0].Detail["why"] != "a token of another issuer" {
		t.Errorf("the events are %+v, want why there is a new account", events)
	}
	for name, tt := range map[string]struct{ source, userIs, value string }{
		"unknown there":       {"django", keyring.UserSubject, "9"},
		"an unknown name":     {"django", keyring.UserName, "nobody"},
		"not active":          {"django", keyring.UserSubject, "3"},
		"not active, by name": {"django", keyring.UserName, "cat"},
		"of another source":   {"django", keyring.UserID, local.AccountID},
		"an unknown id":       {"django", keyring.UserID, "acc_none"},
		"no such source":      {"ldap", keyring.UserSubject, "1"},
		"a name elsewhere":    {"django", keyring.UserName, "dan"},
		"not known locally":   {accounts.Local, keyring.UserName, "ann"},
		"nothing":             {"django", keyring.UserSubject, ""},
		"what cannot be":      {"django", keyring.UserName, "ann\n"},
		"another field":       {"django", "email", "ann@django.example"},
	} {
		if got, err := c.Accounts.AccountOf(bg, tt.source, tt.userIs, tt.value); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: AccountOf() = %+v, %v, want %v", name, got, err, store.ErrNotFound)
		}
	}
}

// A source or a database that is down makes nobody somebody (S114).
func TestAccountOfFails(t *testing.T) {
	r := newRoll()
	c := newCore(t, nil, r)
	r.down = fmt.Errorf("%w: away", source.ErrUnavailable)
	for _, userIs := range []string{keyring.UserSubject, keyring.UserName} {
		if got, err := c.Accounts.AccountOf(bg, "django", userIs, "1"); !fault.Is(err, fault.Unavailable) {
			t.Errorf("AccountOf(%s) while the source is down = %+v, %v, want that it is unavailable", userIs, got, err)
		}
	}
	r.down = nil
	c.Store.Fail(store.ErrUnavailable, "AccountBySubject", "AccountsByName", "Account")
	for _, userIs := range []string{keyring.UserSubject, keyring.UserName, keyring.UserID} {
		if got, err := c.Accounts.AccountOf(bg, "django", userIs, "1"); !fault.Is(err, fault.Unavailable) {
			t.Errorf("AccountOf(%s) while the database is down = %+v, %v, want that it is unavailable", userIs, got, err)
		}
	}
	c.Store.Heal()
}

// Of several first tokens at once, one makes the account.
func TestAccountOfAtOnce(t *testing.T) {
	c := newCore(t, nil, newRoll())
	const callers = 8
	ids := make(chan string, callers)
	for range callers {
		go func() {
			a, err := c.Accounts.AccountOf(bg, "django", keyring.UserName, "ann")
			if err != nil {
				t.Errorf("AccountOf() = %v", err)
			}
			ids <- a.ID
		}()
	}
	seen := map[string]bool{}
	for range callers {
		seen[<-ids] = true
	}
	if len(seen) != 1 {
		t.Errorf("%d at once got the accounts %v, want one", callers, seen)
	}
}
