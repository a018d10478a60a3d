package accounts_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/source"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// round is long enough for the accounts to ask their sources once.
const round = 31 * time.Second

// watching runs do in a bubble with a directory that can tell what has
// changed, and accounts that ask it.
func watching(t *testing.T, do func(t *testing.T, c *coretest.Core, d *directory), usernames ...string) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory("ldap", usernames...)
		c := newCore(t, nil, watched{d})
		ctx, cancel := context.WithCancel(bg)
		done := make(chan struct{})
		go func() {
			c.Accounts.Run(ctx)
			close(done)
		}()
		do(t, c, d)
		cancel()
		<-done
	})
}

// What becomes of a user in the source is followed: tokens end when the user
// is disabled, removed or gets another password; a name is taken over.
func TestSourcesAreFollowed(t *testing.T) {
	for _, tt := range []struct {
		name     string
		change   func(*directory)
		passes   bool
		disabled bool
		called   string
	}{
		{"nothing", func(*directory) {}, true, false, "ann"},
		{"disabled", func(d *directory) { d.setActive("ann", false) }, false, true, "ann"},
		{"removed", func(d *directory) { d.remove("ann") }, false, true, "ann"},
		{"another password", func(d *directory) { d.set("1", "ann", other) }, false, false, "ann"},
		{"another name", func(d *directory) { d.remove("ann"); d.set("1", "anna", right) }, true, false, "anna"},
		{"the name goes to another", func(d *directory) { d.set("1", "anna", right); d.set("2", "ann", right) }, true, false, "anna"},
		{"the source is down", func(d *directory) { d.remove("ann"); d.fail(source.ErrUnavailable) }, true, false, "ann"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			watching(t, func(t *testing.T, c *coretest.Core, d *directory) {
				ann := mustLogin(t, c, "ann", right)
				made := issue(t, c, ann, "")
				time.Sleep(round)
				if !passes(c, made) {
					t.Fatal("a token has ended though nothing was changed")
				}
				tt.change(d)
				time.Sleep(round)
				got := account(t, c, ann.AccountID)
				if passes(c, made) != tt.passes || got.Disabled != tt.disabled || got.Name != tt.called {
					t.Errorf("the token counts: %v, the account is disabled: %v, its name is %q, want %v, %v, %q", passes(c, made), got.Disabled, got.Name, tt.passes, tt.disabled, tt.called)
				}
			}, "ann")
		})
	}
}

// Who is enabled again at the source is so here; whom an administrator has
// disabled here is not.
func TestEnabledAgainAtTheSource(t *testing.T) {
	watching(t, func(t *testing.T, c *coretest.Core, d *directory) {
		ann, bob := mustLogin(t, c, "ann", right), mustLogin(t, c, "bob", right)
		if _, err := c.Accounts.Update(bg, c.Admin, bob.AccountID, accounts.Change{Disabled: of(true), DisabledReason: of("left")}); err != nil {
			t.Fatal(err)
		}
		for _, active := range []bool{false, true} {
			d.setActive("ann", active)
			d.setActive("bob", active)
			time.Sleep(round)
		}
		if got := account(t, c, ann.AccountID); got.Disabled || got.DisabledReason != "" {
			t.Errorf("ann is disabled: %v (%q), want enabled again", got.Disabled, got.DisabledReason)
		}
		if got := account(t, c, bob.AccountID); !got.Disabled || got.DisabledReason != "left" {
			t.Errorf("bob is disabled: %v (%q), want it to stay so", got.Disabled, got.DisabledReason)
		}
	}, "ann", "bob")
}

// A source that gives no change costs no writes.
func TestFollowingWritesNothingByItself(t *testing.T) {
	watching(t, func(t *testing.T, c *coretest.Core, _ *directory) {
		mustLogin(t, c, "ann", right)
		time.Sleep(round)
		c.Store.Forget()
		time.Sleep(10 * round)
		if n := c.Store.Calls("Update"); n != 0 {
			t.Errorf("ten rounds without a change wrote %d times, want 0", n)
		}
	}, "ann")
}

// All accounts are asked about, however many there are.
func TestManyAreFollowed(t *testing.T) {
	const n = 2100
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("user%04d", i))
	}
	watching(t, func(t *testing.T, c *coretest.Core, d *directory) {
		err := c.Store.Store.Update(bg, func(tx store.Tx) error {
			for i, name := range names {
				a := store.Account{
					ID: "acc_" + name, Kind: store.User, Name: name, Source: "ldap", Subject: strconv.Itoa(i + 1), CreatedAt: c.Clock.Now(),
					Email: name + "@ldap.example", Fingerprint: fmt.Sprintf("active %s %s", name, right),
				}
				if err := tx.InsertAccount(a); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < n; i += 50 {
			d.remove(names[i])
		}
		time.Sleep(round)
		for i, name := range names {
			if got := account(t, c, "acc_"+name); got.Disabled != (i%50 == 0) {
				t.Fatalf("%s is disabled: %v, want %v", name, got.Disabled, i%50 == 0)
			}
		}
	}, names...)
}

// Who comes with a new password before it was noticed loses the old tokens
// first, and keeps what is made then.
func TestLoginWithANewPassword(t *testing.T) {
	d := newDirectory("ldap", "ann")
	c := newCore(t, watched{d})
	old := issue(t, c, mustLogin(t, c, "ann", right), "")
	d.set("1", "ann", other)
	who := mustLogin(t, c, "ann", other)
	if passes(c, old) {
		t.Error("a token from before the new password counts")
	}
	if made := issue(t, c, who, ""); !passes(c, made) {
		t.Error("a token from after the new password does not count")
	}
	d.fail(nil)
}

// An account that was made here beforehand is followed from its first login
// on.
func TestAccountMadeBeforehandIsFollowed(t *testing.T) {
	watching(t, func(t *testing.T, c *coretest.Core, d *directory) {
		var ann *identity.Identity
		made := c.Account(t, accounts.NewAccount{Name: "ann", Source: "ldap", Subject: "1", Email: "ann@ldap.example", Grants: []string{"repository:a:pull"}})
		if ann = mustLogin(t, c, "ann", right); ann.AccountID != made.AccountID || !ann.Allows(pull) {
			t.Errorf("Login() = %+v, want the account that was made", ann)
		}
		token := issue(t, c, ann, "")
		d.remove("ann")
		time.Sleep(round)
		if passes(c, token) {
			t.Error("a token counts though its owner is gone at the source")
		}
	}, "ann")
}
