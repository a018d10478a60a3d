package accounts_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/source"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/throttle"
)

// hashing counts the password hashes that are made in its name: each begins by
// asking whether the context has ended.
type hashing struct {
	context.Context
	n atomic.Int64
}

func (h *hashing) Err() error {
	var pc [1]uintptr
	runtime.Callers(2, pc[:])
	if frame, _ := runtime.CallersFrames(pc[:]).Next(); strings.Contains(frame.Function, "/password.") {
		h.n.Add(1)
	}
	return h.Context.Err()
}

// S100: whether a user is unknown, disabled or there and the password wrong,
// the same number of hashes, of questions to sources and of reads are made.
func TestRefusalsCostTheSame(t *testing.T) {
	first, last := newDirectory("first"), newDirectory("last")
	c := newCore(t, first, nil, last)
	localUser(t, c, "ann")
	c.User(t, "without")
	c.Account(t, accounts.NewAccount{Name: "robot", Kind: store.Robot})
	c.Account(t, accounts.NewAccount{Name: "foreign", Source: "last", Subject: "77"})
	setHash(t, c, localUser(t, c, "broken").AccountID, "$argon2id$no such hash")
	if _, err := c.Accounts.Update(bg, c.Admin, localUser(t, c, "off").AccountID, accounts.Change{Disabled: of(true)}); err != nil {
		t.Fatal(err)
	}
	type cost struct {
		Hashes        int64
		First, Last   int
		Reads, Writes int
	}
	measure := func(name, text string) (cost, error) {
		a, b := first.calls(), last.calls()
		c.Store.Forget()
		ctx := &hashing{Context: bg}
		_, err := c.Accounts.Login(ctx, name, secret.New(text))
		writes := c.Store.Calls("Update")
		return cost{ctx.n.Load(), first.calls() - a, last.calls() - b, c.Store.Calls() - writes, writes}, err
	}
	var answer error
	for _, tt := range []struct{ name, password string }{
		{"ann", wrong}, {"nobody", wrong}, {"off", right}, {"off", wrong}, {"without", wrong}, {"robot", wrong}, {"foreign", wrong}, {"broken", right},
	} {
		got, err := measure(tt.name, tt.password)
		if diff := cmp.Diff(cost{Hashes: 1, First: 1, Last: 1, Reads: 2}, got); diff != "" {
			t.Errorf("Login(%q) costs (-want +got):\n%s", tt.name, diff)
		}
		if answer == nil {
			answer = err
		}
		if err == nil || !errors.Is(err, answer) || fault.Of(err).Kind != fault.Unauthenticated {
			t.Errorf("Login(%q) = %v, want the same as for ann: %v", tt.name, err, answer)
		}
	}
}

// What a guesser learns from is charged (S99), and nothing else is.
func TestWhatIsCharged(t *testing.T) {
	const tries = 3
	for _, tt := range []struct {
		name    string
		local   bool // the local source is asked as well
		attempt func(c *coretest.Core, d *directory) error
		want    fault.Kind
		charged bool
	}{
		{"the only source is down", false, func(c *coretest.Core, d *directory) error {
			d.fail(source.ErrUnavailable)
			return fails(login(c, "ann", wrong))
		}, fault.Unavailable, false},
		{"a source is down and another refuses", true, func(c *coretest.Core, d *directory) error {
			d.fail(source.ErrUnavailable)
			return fails(login(c, "ann", wrong))
		}, fault.Unavailable, true},
		{"the store is down before the check", false, func(c *coretest.Core, _ *directory) error {
			c.Store.Fail(store.ErrUnavailable, "AccountsByName")
			return fails(login(c, "ann", wrong))
		}, fault.Unavailable, false},
		{"the store is down behind the check", false, func(c *coretest.Core, _ *directory) error {
			c.Store.Fail(store.ErrUnavailable, "AccountBySubject")
			return fails(login(c, "ann", right))
		}, fault.Unavailable, false},
		{"a wrong password", false, func(c *coretest.Core, _ *directory) error {
			return fails(login(c, "ann", wrong))
		}, fault.Unauthenticated, true},
		{"an account that is disabled here", false, func(c *coretest.Core, _ *directory) error {
			ann := c.AccountNamed(t, "ann")
			if _, err := c.Accounts.Update(bg, c.Admin, ann.ID, accounts.Change{Disabled: of(true)}); err != nil {
				return err
			}
			return fails(login(c, "ann", right))
		}, fault.Unauthenticated, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDirectory("ldap", "ann")
			sources := []source.Source{d}
			if tt.local {
				sources = append(sources, nil)
			}
			pair := throttle.Rate{Burst: tries, Every: time.Minute}
			c := coretest.New(t, coretest.Options{Sources: sources, Logins: throttle.Options{Pair: pair, TrustedBurst: tries}})
			c.Ready(t)
			for range 2 * tries { // a success costs nothing
				mustLogin(t, c, "ann", right)
			}
			for range tries {
				wantFault(t, "Login()", tt.attempt(c, d), tt.want)
			}
			d.fail(nil)
			c.Store.Heal()
			_, err := login(c, " ANN", wrong) // in whatever spelling
			if f := fault.Of(err); (f.Kind == fault.Throttled) != tt.charged || tt.charged && f.RetryAfter != time.Minute {
				t.Errorf("Login() after %d attempts = %v, retry after %v, want to be throttled: %v", tries, err, f.RetryAfter, tt.charged)
			}
			refused := 0
			for _, e := range c.Events(t, "login") {
				if e.Outcome == "refused" && e.Reason == "throttled" {
					refused++
				}
			}
			if (refused == 1) != tt.charged {
				t.Errorf("%d events tell of a throttled login, want one: %v", refused, tt.charged)
			}
		})
	}
}

func fails[T any](_ T, err error) error { return err }

// No password is in any event, whatever was done with it (S109).
func TestNoEventHoldsAPassword(t *testing.T) {
	d := newDirectory("ldap", "bob")
	c := newCore(t, d, nil)
	ann := localUser(t, c, "ann")
	mustLogin(t, c, "bob", right)
	_, _ = login(c, "ann", wrong)
	d.fail(source.ErrUnavailable)
	_, _ = login(c, "bob", right)
	_ = c.Accounts.ChangePassword(bg, ann, secret.New(wrong), secret.New(other), false)
	_ = c.Accounts.ChangePassword(bg, ann, secret.New(right), secret.New("short"), false)
	if err := c.Accounts.ChangePassword(bg, ann, secret.New(right), secret.New(other), false); err != nil {
		t.Fatal(err)
	}
	if err := c.Accounts.SetPassword(bg, c.Admin, ann.AccountID, secret.New(right), false); err != nil {
		t.Fatal(err)
	}
	all, err := json.Marshal(c.Events(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(all), `"account.password"`); n < 3 {
		t.Errorf("there are %d events of passwords, want 3 at least", n)
	}
	for _, planted := range []string{right, other, wrong, "short", coretest.Password, "argon2id"} {
		if strings.Contains(string(all), planted) {
			t.Errorf("an event holds %q", planted)
		}
	}
}

// The right to make accounts is no right to put them into groups or to give
// them grants, within what one has either: a group may mean more to the
// service behind than it does here (S78).
func TestMakingAccountsIsNeitherGroupingNorGranting(t *testing.T) {
	c := newCore(t)
	staff(t, c)
	for _, tt := range []struct {
		n     accounts.NewAccount
		needs string
	}{
		{accounts.NewAccount{Name: "made", Groups: []string{"staff"}}, "latchkey:groups:write"},
		{accounts.NewAccount{Name: "made", Grants: []string{"path:/x/*:read"}}, "latchkey:grants:write"},
	} {
		helpdesk := c.User(t, "without-"+strings.ReplaceAll(tt.needs, ":", "-"), "latchkey:accounts:*")
		_, err := c.Accounts.Create(bg, helpdesk, tt.n)
		if f := fault.Of(err); f.Kind != fault.Forbidden || f.Missing != tt.needs {
			t.Errorf("Create(%+v) = %v, want that %s is missing", tt.n, err, tt.needs)
		}
		if _, err := c.Accounts.AddGrant(bg, c.Admin, helpdesk.AccountID, "", tt.needs); err != nil {
			t.Fatal(err)
		}
		made, err := c.Accounts.Create(bg, c.Identity(t, helpdesk.AccountID), tt.n)
		if err != nil {
			t.Fatalf("Create(%+v) with the right = %v", tt.n, err)
		}
		if err := c.Accounts.Delete(bg, c.Admin, made.ID); err != nil {
			t.Fatal(err)
		}
	}
}
