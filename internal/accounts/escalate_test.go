package accounts_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// S78: the right to manage is no right to get more than one has, by no detour.
func TestManagersGetNoMoreThanTheyHave(t *testing.T) {
	c := newCore(t)
	if _, err := c.Accounts.CreateGroup(bg, c.Admin, "strong", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Accounts.CreateGroup(bg, c.Admin, "weak", ""); err != nil {
		t.Fatal(err)
	}
	strongGrant, err := c.Accounts.AddGrant(bg, c.Admin, "", "strong", "repository:*:*")
	if err != nil {
		t.Fatal(err)
	}
	strong := c.Account(t, accounts.NewAccount{Name: "strong", Groups: []string{"strong"}, Password: secret.New(right)}).AccountID
	weak := localUser(t, c, "weak").AccountID
	helpdesk := c.User(t, "helpdesk", "latchkey:accounts:*")
	manager := c.User(t, "manager", "latchkey:*:*", "repository:a:pull")
	ask := func(name string, who *identity.Identity, do func(*identity.Identity) error) {
		t.Helper()
		wantFault(t, who.Name+": "+name, do(who), fault.Forbidden)
	}
	for _, who := range []*identity.Identity{helpdesk, manager} {
		for name, n := range map[string]accounts.NewAccount{
			"make an administrator":            {Grants: []string{"*:*:*"}},
			"make somebody who may pull all":   {Grants: []string{"repository:*:pull"}},
			"make somebody who may push":       {Grants: []string{"repository:a:push"}},
			"make one of many with one strong": {Grants: []string{"path:/a:read", "repository:b:pull"}},
			"make a member of the strong":      {Groups: []string{"strong"}},
			"make a robot of the strong":       {Kind: store.Robot, Groups: []string{"weak", "strong"}},
		} {
			n.Name = "made"
			ask(name, who, func(who *identity.Identity) error {
				_, err := c.Accounts.Create(bg, who, n)
				return err
			})
		}
		for _, target := range []string{strong, c.Admin.AccountID} {
			ask("set the password", who, func(who *identity.Identity) error {
				return c.Accounts.SetPassword(bg, who, target, secret.New(other), false)
			})
			ask("disable", who, func(who *identity.Identity) error {
				_, err := c.Accounts.Update(bg, who, target, accounts.Change{Disabled: of(true)})
				return err
			})
			ask("rename", who, func(who *identity.Identity) error {
				_, err := c.Accounts.Update(bg, who, target, accounts.Change{Name: of("gone")})
				return err
			})
			ask("delete", who, func(who *identity.Identity) error { return c.Accounts.Delete(bg, who, target) })
		}
	}
	for name, do := range map[string]func(*identity.Identity) error{
		"grant everything to oneself": func(who *identity.Identity) error {
			_, err := c.Accounts.AddGrant(bg, who, who.AccountID, "", "*:*:*")
			return err
		},
		"grant more of the same to somebody": func(who *identity.Identity) error {
			_, err := c.Accounts.AddGrant(bg, who, weak, "", "repository:a*:pull")
			return err
		},
		"grant everybody more": func(who *identity.Identity) error {
			_, err := c.Accounts.AddGrant(bg, who, "", store.GroupEveryone, "repository:*:pull")
			return err
		},
		"grant the anonymous more": func(who *identity.Identity) error {
			_, err := c.Accounts.AddGrant(bg, who, "", store.GroupAnonymous, "repository:*:pull")
			return err
		},
		"take a strong grant away": func(who *identity.Identity) error { return c.Accounts.RemoveGrant(bg, who, strongGrant.ID) },
		"join the strong":          func(who *identity.Identity) error { return c.Accounts.AddMember(bg, who, "strong", who.AccountID) },
		"put somebody in with the strong": func(who *identity.Identity) error {
			return c.Accounts.AddMember(bg, who, "strong", weak)
		},
		"put the strong in a weak group": func(who *identity.Identity) error { return c.Accounts.AddMember(bg, who, "weak", strong) },
		"put the strong out":             func(who *identity.Identity) error { return c.Accounts.RemoveMember(bg, who, "strong", strong) },
		"delete the strong group":        func(who *identity.Identity) error { return c.Accounts.DeleteGroup(bg, who, "strong") },
		"make a token for the strong": func(who *identity.Identity) error {
			_, err := c.Tokens.Issue(bg, who, tokens.Request{Name: "x", AccountID: strong})
			return err
		},
	} {
		ask(name, manager, do)
	}
	// What they may, they can.
	for _, who := range []*identity.Identity{helpdesk, manager} {
		if err := c.Accounts.SetPassword(bg, who, weak, secret.New(other), false); err != nil {
			t.Errorf("%s: set the password of an equal = %v", who.Name, err)
		}
	}
	if _, err := c.Accounts.AddGrant(bg, manager, weak, "", "repository:a:pull"); err != nil {
		t.Errorf("grant what one has = %v", err)
	}
}

// S78: a narrow token of a mighty owner is as weak as it is narrow, in managing
// too.
func TestNarrowTokensManageNarrowly(t *testing.T) {
	c := newCore(t)
	weak := c.User(t, "weak").AccountID
	token := check(t, c, issueScoped(t, c, c.Admin, "latchkey:*:*", "path:/a/*:read"))
	for name, do := range map[string]func() error{
		"grant everything": func() error {
			_, err := c.Accounts.AddGrant(bg, token, weak, "", "*:*:*")
			return err
		},
		"grant another path": func() error {
			_, err := c.Accounts.AddGrant(bg, token, weak, "", "path:/b:read")
			return err
		},
		"make somebody with a password, who may all that everybody may": func() error {
			_, err := c.Accounts.Create(bg, token, accounts.NewAccount{Name: "made", Password: secret.New(right)})
			return err
		},
		"set a password": func() error { return c.Accounts.SetPassword(bg, token, weak, secret.New(right), false) },
		"set the owner's password": func() error {
			return c.Accounts.SetPassword(bg, token, c.Admin.AccountID, secret.New(right), false)
		},
		"delete somebody who may more": func() error { return c.Accounts.Delete(bg, token, weak) },
	} {
		wantFault(t, name, do(), fault.Forbidden)
	}
	if _, err := c.Accounts.AddGrant(bg, token, weak, "", "path:/a/b:read"); err != nil {
		t.Errorf("grant what the token has = %v", err)
	}
}

// The same by random walks: a manager with random rights tries whatever there
// is, with accounts, groups and tokens of its own making. In the end nothing
// that it can use may do what it could not do at the start.
func TestRandomWalksGainNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	d := rand.New(rand.NewPCG(seed, 0))
	one := func(from ...string) string { return from[d.IntN(len(from))] }
	rules := []string{"repository:a:pull", "repository:*:pull", "repository:a:*", "path:/a:read", "path:/*:*", "latchkey:grants:*", "latchkey:all-tokens:*", "latchkey:*:*", "*:*:*"}
	done, rounds := 0, 15
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		c := coretest.New(t, coretest.Options{})
		c.Ready(t)
		groups := []string{"g1", "g2", store.GroupEveryone}
		for _, g := range groups[:2] {
			if _, err := c.Accounts.CreateGroup(bg, c.Admin, g, ""); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Accounts.AddGrant(bg, c.Admin, "", g, one(rules...)); err != nil {
				t.Fatal(err)
			}
		}
		ids := []string{c.Admin.AccountID}
		for i := range 3 {
			ids = append(ids, c.Account(t, accounts.NewAccount{Name: fmt.Sprint("other", i), Grants: []string{one(rules...)}}).AccountID)
		}
		mallory := c.Account(t, accounts.NewAccount{Name: "mallory", Password: secret.New(right), Grants: []string{"latchkey:accounts:*", one("latchkey:grants:*", "latchkey:groups:*", "latchkey:all-tokens:*"), one(rules[:4]...)}})
		atStart := mallory.Grants
		ids = append(ids, mallory.AccountID)
		controlled := map[string]bool{mallory.AccountID: true} // by a password that mallory knows
		var secrets []tokens.Issued
		for range 60 {
			who := c.Identity(t, mallory.AccountID)
			target, group, rule := one(ids...), one(groups...), one(rules...)
			var err error
			switch d.IntN(8) {
			case 0:
				var a store.Account
				n := accounts.NewAccount{Name: fmt.Sprint("made", d.Int32())}
				if d.IntN(2) == 0 {
					n.Password = secret.New(right)
				}
				if d.IntN(2) == 0 {
					n.Groups = []string{one(groups[:2]...)}
				}
				if d.IntN(2) == 0 {
					n.Grants = []string{rule}
				}
				if a, err = c.Accounts.Create(bg, who, n); err == nil {
					ids = append(ids, a.ID)
					controlled[a.ID] = !n.Password.Empty()
				}
			case 1:
				if err = c.Accounts.SetPassword(bg, who, target, secret.New(other), true); err == nil {
					controlled[target] = true
				}
			case 2:
				_, err = c.Accounts.AddGrant(bg, who, target, "", rule)
			case 3:
				_, err = c.Accounts.AddGrant(bg, who, "", group, rule)
			case 4:
				err = c.Accounts.AddMember(bg, who, group, target)
			case 5:
				err = c.Accounts.RemoveMember(bg, who, group, target)
			case 6:
				var made tokens.Issued
				if made, err = c.Tokens.Issue(bg, who, tokens.Request{Name: "x", AccountID: target, Scope: [][]string{nil, {rule}}[d.IntN(2)]}); err == nil {
					secrets = append(secrets, made)
				}
			case 7:
				_, err = c.Accounts.Update(bg, who, target, accounts.Change{Note: of("was here")})
			}
			if err == nil {
				done++
			}
		}
		usable := map[string]scope.Set{}
		for id := range controlled {
			if controlled[id] {
				usable["the account "+id] = c.Identity(t, id).Grants
			}
		}
		for _, made := range secrets {
			if id, err := c.Tokens.Check(bg, tokens.Presented{Token: made.Secret}); err == nil {
				usable["the token "+made.Token.ID] = id.Effective
			}
		}
		for name, set := range usable {
			for _, q := range []scope.Request{
				{Type: "repository", Name: "a", Action: "pull"}, {Type: "repository", Name: "b", Action: "pull"}, {Type: "repository", Name: "a", Action: "push"},
				{Type: "path", Name: "/a", Action: "read"}, {Type: "path", Name: "/b", Action: "write"}, {Type: "registry", Name: "catalog", Action: "*"},
				{Type: "latchkey", Name: "grants", Action: "write"}, {Type: "latchkey", Name: "groups", Action: "write"}, {Type: "latchkey", Name: "all-tokens", Action: "write"}, {Type: "latchkey", Name: "audit", Action: "read"},
			} {
				if set.Allows(q) && !atStart.Allows(q) {
					t.Fatalf("round %d: mallory has %s, which may do %v; at the start mallory might not (%q)", round, name, q, atStart)
				}
			}
		}
	}
	if done < 7*rounds {
		t.Errorf("%d operations were done, too few to show anything", done)
	}
	t.Logf("%d operations were done", done)
}
