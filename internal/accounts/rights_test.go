package accounts_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// operation is one thing that somebody may ask for.
type operation struct {
	call   string
	needs  string // the scope
	action string // of its events
	do     func(c *coretest.Core, who *identity.Identity, target string) error
}

// operations are all there are, on an account, on the group "staff" and on a
// grant of it.
var operations = []operation{
	{"Create", "latchkey:accounts:write", "account.create", func(c *coretest.Core, who *identity.Identity, _ string) error {
		_, err := c.Accounts.Create(bg, who, accounts.NewAccount{Name: "made"})
		return err
	}},
	{"Update", "latchkey:accounts:write", "account.update", func(c *coretest.Core, who *identity.Identity, target string) error {
		_, err := c.Accounts.Update(bg, who, target, accounts.Change{Note: of("changed")})
		return err
	}},
	{"Update (disable)", "latchkey:accounts:write", "account.update", func(c *coretest.Core, who *identity.Identity, target string) error {
		_, err := c.Accounts.Update(bg, who, target, accounts.Change{Disabled: of(true)})
		return err
	}},
	{"SetPassword", "latchkey:accounts:write", "account.password", func(c *coretest.Core, who *identity.Identity, target string) error {
		return c.Accounts.SetPassword(bg, who, target, secret.New(other), false)
	}},
	{"Delete", "latchkey:accounts:delete", "account.delete", func(c *coretest.Core, who *identity.Identity, target string) error {
		return c.Accounts.Delete(bg, who, target)
	}},
	{"List", "latchkey:accounts:read", "account.list", func(c *coretest.Core, who *identity.Identity, _ string) error {
		_, err := c.Accounts.List(bg, who, store.AccountQuery{Limit: 10})
		return err
	}},
	{"Account", "latchkey:accounts:read", "account.read", func(c *coretest.Core, who *identity.Identity, target string) error {
		_, err := c.Accounts.Account(bg, who, target)
		return err
	}},
	{"AddGrant", "latchkey:grants:write", "grant.add", func(c *coretest.Core, who *identity.Identity, target string) error {
		_, err := c.Accounts.AddGrant(bg, who, target, "", "path:/x:read")
		return err
	}},
	{"AddGrant (group)", "latchkey:grants:write", "grant.add", func(c *coretest.Core, who *identity.Identity, _ string) error {
		_, err := c.Accounts.AddGrant(bg, who, "", "staff", "path:/x:read")
		return err
	}},
	{"RemoveGrant", "latchkey:grants:delete", "grant.remove", func(c *coretest.Core, who *identity.Identity, _ string) error {
		grants, err := c.Store.Store.Grants(bg, store.GrantQuery{Group: "staff"})
		if err != nil {
			return err
		}
		return c.Accounts.RemoveGrant(bg, who, grants[0].ID)
	}},
	{"ListGrants", "latchkey:grants:read", "grant.list", func(c *coretest.Core, who *identity.Identity, target string) error {
		_, err := c.Accounts.ListGrants(bg, who, store.GrantQuery{AccountID: target})
		return err
	}},
	{"CreateGroup", "latchkey:groups:write", "group.create", func(c *coretest.Core, who *identity.Identity, _ string) error {
		_, err := c.Accounts.CreateGroup(bg, who, "made", "")
		return err
	}},
	{"DeleteGroup", "latchkey:groups:delete", "group.delete", func(c *coretest.Core, who *identity.Identity, _ string) error {
		return c.Accounts.DeleteGroup(bg, who, "staff")
	}},
	{"AddMember", "latchkey:groups:write", "group.add", func(c *coretest.Core, who *identity.Identity, target string) error {
		return c.Accounts.AddMember(bg, who, "staff", target)
	}},
	{"RemoveMember", "latchkey:groups:write", "group.remove", func(c *coretest.Core, who *identity.Identity, target string) error {
		return c.Accounts.RemoveMember(bg, who, "staff", target)
	}},
	{"ListGroups", "latchkey:groups:read", "group.list", func(c *coretest.Core, who *identity.Identity, _ string) error {
		_, err := c.Accounts.ListGroups(bg, who)
		return err
	}},
	{"Group", "latchkey:groups:read", "group.list", func(c *coretest.Core, who *identity.Identity, _ string) error {
		_, _, err := c.Accounts.Group(bg, who, "staff")
		return err
	}},
}

// staff makes what operations are about: a group with a grant and a member,
// which is the target. What is left of another time goes.
func staff(t testing.TB, c *coretest.Core) (target string) {
	t.Helper()
	for _, name := range []string{"made", "target"} {
		if known, err := c.Store.Store.AccountsByName(bg, name); err == nil && len(known) > 0 {
			if err := c.Accounts.Delete(bg, c.Admin, known[0].ID); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Accounts.DeleteGroup(bg, c.Admin, map[string]string{"made": "made", "target": "staff"}[name]); err != nil && !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
	}
	if _, err := c.Accounts.CreateGroup(bg, c.Admin, "staff", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Accounts.AddGrant(bg, c.Admin, "", "staff", "path:/x/*:read"); err != nil {
		t.Fatal(err)
	}
	return c.Account(t, accounts.NewAccount{Name: "target", Groups: []string{"staff"}, Password: secret.New(right)}).AccountID
}

// state is all that operations can change, to compare.
func state(t testing.TB, c *coretest.Core) string {
	t.Helper()
	list, err1 := c.Store.Store.Accounts(bg, store.AccountQuery{Limit: 100})
	groups, err2 := c.Store.Store.Groups(bg)
	grants, err3 := c.Store.Store.Grants(bg, store.GrantQuery{})
	members, err4 := c.Store.Store.Members(bg, "staff")
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return strings.ReplaceAll(fmt.Sprintf("%+v\n%+v\n%+v\n%+v", list, groups, grants, members), "} {", "}\n{")
}

// S77, S78, S109: without the right nothing happens, the answer says which
// right is missing, and the attempt is written down. Nobody at all is told to
// come with a credential.
func TestEveryOperationNeedsItsRight(t *testing.T) {
	c := newCore(t)
	all := c.User(t, "almost", "latchkey:*:*", "path:/*:*", "repository:*:*")
	plain := c.User(t, "plain")
	narrow := check(t, c, issueScoped(t, c, c.Admin, "latchkey:tokens:*", "path:/*:*"))
	for _, op := range operations {
		t.Run(op.call, func(t *testing.T) {
			target := staff(t, c)
			others := check(t, c, issueScoped(t, c, c.Admin, rightsBut(op.needs)...))
			before := state(t, c)
			for name, who := range map[string]*identity.Identity{"a plain user": plain, "a narrow token of the administrator": narrow, "a token with all rights but this": others, "nobody": nil} {
				c.Clock.Advance(time.Second)
				seen := len(c.Events(t, op.action))
				err := op.do(c, who, target)
				f := fault.Of(err)
				if who == nil {
					wantFault(t, op.call+"() by nobody", err, fault.Unauthenticated)
				} else if f.Kind != fault.Forbidden || f.Missing != op.needs {
					t.Errorf("%s() by %s = %v, missing %q, want that %s is missing", op.call, name, err, f.Missing, op.needs)
				}
				if diff := cmp.Diff(before, state(t, c)); diff != "" {
					t.Errorf("%s() by %s changed something:\n%s", op.call, name, diff)
				}
				events := c.Events(t, op.action)
				if len(events) != seen+1 || events[0].Outcome != "refused" {
					t.Errorf("%s() by %s left %d events, want one of a refusal", op.call, name, len(events)-seen)
				}
			}
			if err := op.do(c, all, target); err != nil {
				t.Errorf("%s() with the right = %v", op.call, err)
			}
		})
	}
}

// rightsBut are all rights but one.
func rightsBut(needs string) []string {
	var rules []string
	for _, part := range []string{"accounts", "groups", "grants", "tokens", "all-tokens", "audit", "self"} {
		for _, verb := range []string{"read", "write", "delete"} {
			if rule := "latchkey:" + part + ":" + verb; rule != needs {
				rules = append(rules, rule)
			}
		}
	}
	return append(rules, "path:/*:*")
}

func issueScoped(t testing.TB, c *coretest.Core, who *identity.Identity, rules ...string) tokens.Issued {
	t.Helper()
	made, err := c.Tokens.Issue(bg, who, tokens.Request{Name: "scoped", Scope: rules})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func check(t testing.TB, c *coretest.Core, made tokens.Issued) *identity.Identity {
	t.Helper()
	id, err := c.Tokens.Check(bg, tokens.Presented{Token: made.Secret})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// What is done is written down too, with who and what (S109).
func TestEveryChangeIsWrittenDown(t *testing.T) {
	c := newCore(t)
	for _, op := range operations {
		if strings.HasSuffix(op.needs, ":read") {
			continue
		}
		t.Run(op.call, func(t *testing.T) {
			target := staff(t, c)
			c.Clock.Advance(time.Second)
			seen := len(c.Events(t, op.action))
			if err := op.do(c, c.Admin, target); err != nil {
				t.Fatal(err)
			}
			events := c.Events(t, op.action)
			if len(events) != seen+1 || events[0].Outcome != "ok" || events[0].ActorID != c.Admin.AccountID || events[0].Target == "" {
				t.Errorf("%s() left %+v, want one event with the actor and the target", op.call, events[:len(events)-seen])
			}
			if text := fmt.Sprintf("%+v", events); strings.Contains(text, other) || strings.Contains(text, "argon2") {
				t.Errorf("an event of %s() holds a password or its hash", op.call)
			}
		})
	}
}

// Without a store nothing is said to be done.
func TestOperationsWithoutAStore(t *testing.T) {
	c := newCore(t)
	for _, op := range operations {
		target := staff(t, c)
		before := state(t, c)
		c.Store.Fail(store.ErrUnavailable)
		if err := op.do(c, c.Admin, target); op.call != "RemoveGrant" || err == nil {
			wantFault(t, op.call+"() without a store", err, fault.Unavailable)
		}
		c.Store.Heal()
		if diff := cmp.Diff(before, state(t, c)); diff != "" {
			t.Errorf("%s() without a store changed something:\n%s", op.call, diff)
		}
	}
}

// S82: two users walk over all ids; each sees and changes but their own.
func TestNobodyReachesOthersAccounts(t *testing.T) {
	c := newCore(t)
	people := []*identity.Identity{localUser(t, c, "ann"), localUser(t, c, "bob")}
	list, err := c.Accounts.List(bg, c.Admin, store.AccountQuery{Limit: 10})
	if err != nil || len(list) != 3 {
		t.Fatalf("List() = %d, %v, want 3", len(list), err)
	}
	ids := []string{"acc_0000", "", "id:x", "' OR 1=1"}
	for _, a := range list {
		ids = append(ids, a.ID)
	}
	for _, who := range people {
		for _, id := range ids {
			held, err := c.Accounts.Account(bg, who, id)
			if own := id == who.AccountID; own != (err == nil) || own && held.Account.Name != who.Name {
				t.Errorf("Account(%q) by %s = %q, %v, want one's own alone", id, who.Name, held.Account.Name, err)
			} else if !own {
				wantFault(t, fmt.Sprintf("Account(%q) by %s", id, who.Name), err, fault.Forbidden)
			}
		}
	}
	stranger := check(t, c, issueScoped(t, c, people[0], "path:/*:read"))
	_, err = c.Accounts.Account(bg, stranger, people[0].AccountID)
	if f := fault.Of(err); f.Missing != scope.TypeLatchkey+":self:read" {
		t.Errorf("Account() of one's own by a token without the right = %v, want that latchkey:self:read is missing", err)
	}
}
