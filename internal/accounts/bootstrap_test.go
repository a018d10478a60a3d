package accounts_test

import (
	"regexp"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// emptied returns a core without any account or grant, as at the first start.
func emptied(t testing.TB) *coretest.Core {
	t.Helper()
	c := newCore(t)
	err := c.Store.Store.Update(bg, func(tx store.Tx) error {
		grants, err := c.Store.Store.Grants(bg, store.GrantQuery{Group: store.GroupEveryone})
		if err != nil {
			return err
		}
		for _, g := range grants {
			if _, err := tx.DeleteGrant(g.ID); err != nil {
				return err
			}
		}
		return tx.DeleteAccount(c.Admin.AccountID)
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Tokens.Apply(store.Change{Kind: store.ChangeGroups})
	return c
}

// S73: there is no default password: the first start makes a random one, tells
// it once, and keeps only its hash.
func TestBootstrap(t *testing.T) {
	c := emptied(t)
	made, err := c.Accounts.Bootstrap(bg, secret.Text{})
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^([a-z2-9]{6}-){3}[a-z2-9]{6}$`).MatchString(made.Reveal()) {
		t.Error("the password is not four groups of six letters and digits")
	}
	admin := mustLogin(t, c, "admin", made.Reveal())
	if !admin.Allows(scope.Request{Type: "anything", Name: "at", Action: "all"}) {
		t.Errorf("the administrator may do %q, want everything", admin.Grants)
	}
	user := c.User(t, "ann")
	want := []string{"latchkey:self:*", "latchkey:tokens:*", "path:/*:*"}
	if diff := cmp.Diff(want, user.Grants.Strings()); diff != "" {
		t.Errorf("everybody may do (-want +got):\n%s", diff)
	}
	again, err := c.Accounts.Bootstrap(bg, secret.New(other))
	if err != nil || !again.Empty() {
		t.Errorf("Bootstrap() again made a password: %v, %v, want nothing", !again.Empty(), err)
	}
	mustLogin(t, c, "admin", made.Reveal())
}

func TestBootstrapWithAGivenPassword(t *testing.T) {
	c := emptied(t)
	for _, bad := range []string{"short", "password123"} {
		if _, err := c.Accounts.Bootstrap(bg, secret.New(bad)); err == nil {
			t.Errorf("Bootstrap() with the password %q = nil, want an error", bad)
		}
	}
	if _, err := c.Accounts.Bootstrap(bg, secret.New(other)); err != nil {
		t.Fatal(err)
	}
	mustLogin(t, c, "admin", other)
}

// Several nodes may start at once: one of them makes the administrator.
func TestBootstrapInParallel(t *testing.T) {
	c := emptied(t)
	var mu sync.Mutex
	var made []secret.Text
	var nodes sync.WaitGroup
	for range 8 {
		node := c.NewAccounts(t, coretest.Options{})
		nodes.Go(func() {
			text, err := node.Bootstrap(bg, secret.Text{})
			if err != nil {
				t.Errorf("Bootstrap() = %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !text.Empty() {
				made = append(made, text)
			}
		})
	}
	nodes.Wait()
	if len(made) != 1 {
		t.Fatalf("%d nodes made a password, want 1", len(made))
	}
	mustLogin(t, c, "admin", made[0].Reveal())
	if list, err := c.Store.Accounts(bg, store.AccountQuery{Limit: 10}); err != nil || len(list) != 1 {
		t.Errorf("there are %d accounts, %v, want 1", len(list), err)
	}
}

// The same when another node is quicker by a moment.
func TestBootstrapComesSecond(t *testing.T) {
	c := emptied(t)
	var first secret.Text
	c.Store.Before("Update", func() {
		var err error
		if first, err = c.Accounts.Bootstrap(bg, secret.Text{}); err != nil {
			t.Errorf("the first Bootstrap() = %v", err)
		}
	})
	second, err := c.Accounts.Bootstrap(bg, secret.Text{})
	if err != nil || !second.Empty() {
		t.Errorf("the second Bootstrap() made a password: %v, %v, want nothing", !second.Empty(), err)
	}
	mustLogin(t, c, "admin", first.Reveal())
}

func TestBootstrapWithoutAStore(t *testing.T) {
	for _, method := range []string{"Accounts", "Update"} {
		c := emptied(t)
		c.Store.Fail(store.ErrUnavailable, method)
		if _, err := c.Accounts.Bootstrap(bg, secret.Text{}); err == nil {
			t.Errorf("Bootstrap() while %s fails = nil, want an error", method)
		}
	}
}
