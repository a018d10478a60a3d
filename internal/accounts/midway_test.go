package accounts_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/source"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/throttle"
)

// midway is a store that breaks down in the midst of transactions, in one
// method of them.
type midway struct {
	*coretest.Store
	method string
	broke  int
}

func (m *midway) Update(ctx context.Context, fn func(store.Tx) error) error {
	return m.Store.Update(ctx, func(tx store.Tx) error { return fn(&brokenTx{tx, m}) })
}

func (m *midway) breaks(method string) error {
	if m.method != method {
		return nil
	}
	m.broke++
	return store.ErrUnavailable
}

type brokenTx struct {
	store.Tx
	m *midway
}

func (t *brokenTx) AppendEvent(e store.Event) error {
	if err := t.m.breaks("AppendEvent"); err != nil {
		return err
	}
	return t.Tx.AppendEvent(e)
}

func (t *brokenTx) AppendChange(c store.Change) (int64, error) {
	if err := t.m.breaks("AppendChange"); err != nil {
		return 0, err
	}
	return t.Tx.AppendChange(c)
}

func (t *brokenTx) UpdateAccount(a store.Account) error {
	if err := t.m.breaks("UpdateAccount"); err != nil {
		return err
	}
	return t.Tx.UpdateAccount(a)
}

func (t *brokenTx) InsertGrant(g store.Grant) error {
	if err := t.m.breaks("InsertGrant"); err != nil {
		return err
	}
	return t.Tx.InsertGrant(g)
}

func (t *brokenTx) AddMember(group, accountID string) (bool, error) {
	if err := t.m.breaks("AddMember"); err != nil {
		return false, err
	}
	return t.Tx.AddMember(group, accountID)
}

// breaking puts a store that breaks down under the accounts of a core.
func breaking(t *testing.T, c *coretest.Core, sources ...source.Source) *midway {
	t.Helper()
	pool, err := password.New(password.Options{Memory: 64, Passes: 1})
	if err != nil {
		t.Fatal(err)
	}
	m := &midway{Store: c.Store}
	c.Accounts, err = accounts.New(accounts.Options{
		Store: m, Tokens: c.Tokens, Passwords: pool, Throttle: throttle.New(throttle.Options{Now: c.Clock.Now}),
		Audit: c.Audit, Log: c.Log, Sources: sources, Now: c.Clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What breaks down in the middle is not done in part: the answer is that the
// server cannot, and nothing is different. That holds for the event too: what
// cannot be written down does not happen (S109).
func TestBreakingDownMidway(t *testing.T) {
	more := append([]operation{
		{"Create (whole)", "", "account.create", func(c *coretest.Core, who *identity.Identity, _ string) error {
			_, err := c.Accounts.Create(bg, who, accounts.NewAccount{Name: "made", Groups: []string{"staff"}, Grants: []string{"path:/a:read", "path:/b:read"}})
			return err
		}},
		{"ChangePassword", "", "account.password", func(c *coretest.Core, _ *identity.Identity, target string) error {
			return c.Accounts.ChangePassword(bg, c.Identity(t, target), secret.New(right), secret.New(other), false)
		}},
		{"Login (first)", "", "account.create", func(c *coretest.Core, _ *identity.Identity, _ string) error {
			_, err := login(c, "new", right)
			return err
		}},
		{"Login (of a name that another had)", "", "account.retire", func(c *coretest.Core, _ *identity.Identity, _ string) error {
			_, err := login(c, "eve", other)
			return err
		}},
		{"Login (renamed)", "", "account.rename", func(c *coretest.Core, _ *identity.Identity, _ string) error {
			_, err := login(c, "bobby", right)
			return err
		}},
	}, operations...)
	for _, op := range more {
		if strings.HasSuffix(op.needs, ":read") {
			continue
		}
		t.Run(op.call, func(t *testing.T) {
			r := newRoster(eve, entry{id: "5", name: "bob", password: right})
			c := newCore(t)
			target := staff(t, c)
			m := breaking(t, c, nil, r)
			mustLogin(t, c, "eve", right)
			mustLogin(t, c, "bob", right)
			r.set("1", func(p *entry) { p.name = "elsewhere" })
			r.set("2", func(p *entry) { p.name, p.password = "eve", other })
			r.set("4", func(p *entry) { p.name, p.password = "new", right })
			r.set("5", func(p *entry) { p.name = "bobby" })
			before, events := state(t, c), done(t, c, op.action)
			for _, m.method = range []string{"AppendEvent", "AppendChange", "UpdateAccount", "InsertGrant", "AddMember"} {
				m.broke = 0
				if m.method != "AppendEvent" && !uses(op.call, m.method) {
					continue
				}
				err := op.do(c, c.Admin, target)
				wantFault(t, op.call+"() while "+m.method+" fails", err, fault.Unavailable)
				if m.broke == 0 {
					t.Errorf("%s() did not come to %s", op.call, m.method)
				}
				if diff := cmp.Diff(before, state(t, c)); diff != "" || done(t, c, op.action) != events {
					t.Errorf("%s() while %s fails has changed something:\n%s", op.call, m.method, diff)
				}
			}
			m.method = ""
			if err := op.do(c, c.Admin, target); err != nil {
				t.Errorf("%s() after that = %v", op.call, err)
			}
		})
	}
}

// uses reports which other methods an operation comes to.
func uses(call, method string) bool {
	switch method {
	case "InsertGrant":
		return strings.HasPrefix(call, "AddGrant") || call == "Create (whole)"
	case "AddMember":
		return call == "AddMember" || call == "Create (whole)"
	case "UpdateAccount":
		return strings.HasPrefix(call, "Update") || strings.HasSuffix(call, "Password") || strings.Contains(call, "name")
	}
	return !strings.HasPrefix(call, "Create") && call != "Login (first)" || call == "CreateGroup"
}

// done counts the events of an action that was done.
func done(t *testing.T, c *coretest.Core, action string) int {
	t.Helper()
	n := 0
	for _, e := range c.Events(t, action) {
		if e.Outcome == "ok" {
			n++
		}
	}
	return n
}

// When the answer of the store gets lost, what may have ended has ended for
// this node.
func TestAnswersThatGetLost(t *testing.T) {
	c := newCore(t)
	for name, end := range map[string]func(id string) error{
		"disable": func(id string) error {
			_, err := c.Accounts.Update(bg, c.Admin, id, accounts.Change{Disabled: of(true)})
			return err
		},
		"delete": func(id string) error { return c.Accounts.Delete(bg, c.Admin, id) },
		"password": func(id string) error {
			return c.Accounts.SetPassword(bg, c.Admin, id, secret.New(other), false)
		},
	} {
		who := localUser(t, c, name)
		made := issue(t, c, who, "")
		if !passes(c, made) {
			t.Fatal("a new token does not count")
		}
		c.Store.Lose(store.ErrUnavailable, "Update")
		wantFault(t, name, end(who.AccountID), fault.Unavailable)
		c.Store.Heal()
		if passes(c, made) {
			t.Errorf("%s: the token counts though it has ended in the store", name)
		}
	}
}
