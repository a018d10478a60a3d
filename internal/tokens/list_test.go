package tokens_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// Lists show the last use that is known, written or not, from any address and
// never an older one.
func TestLastUse(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	use := func(addr, agent string) {
		t.Helper()
		_, err := c.Tokens.Check(bg, tokens.Presented{Token: made.Secret, Addr: netip.MustParseAddr(addr), Agent: agent})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(when, agent string, at time.Time) {
		t.Helper()
		list, err := listed(c, user, store.TokenQuery{AccountID: user.AccountID, Limit: 10})
		if err != nil || len(list) != 1 {
			t.Fatalf("List() = %v, %v, want one token", list, err)
		}
		one, err := c.Tokens.Token(bg, user, made.Token.ID)
		if err != nil {
			t.Fatal(err)
		}
		for call, got := range map[string]store.Use{"List": list[0].LastUse, "Token": one.LastUse} {
			if !got.At.Equal(at) || got.Agent != agent {
				t.Errorf("%s: %s() shows the last use %+v, want %q at %v", when, call, got, agent, at)
			}
		}
	}
	want("before any", "", time.Time{})
	first := c.Clock.Now()
	use("192.0.2.1", "dnf")
	want("before it is written", "dnf", first)
	c.Tokens.FlushUses(bg)
	want("when it is written", "dnf", first)
	c.Clock.Advance(time.Minute)
	use("2001:db8::1", "pip")
	want("a later one", "pip", first.Add(time.Minute))
	c.Clock.Advance(100 * time.Millisecond)
	use("192.0.2.9", "apt")
	want("in the same second", "pip", first.Add(time.Minute))
	c.Clock.Advance(-time.Hour)
	use("192.0.2.9", "apt")
	want("when the clock went back", "pip", first.Add(time.Minute))
}

// A thousand uses of a token in a second are one row, written with others in
// one batch; nothing is written while a request waits.
func TestUsesAreBatched(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	var made []tokens.Issued
	for range 5 {
		made = append(made, issue(t, c, user, tokens.Request{}))
	}
	c.Store.Forget()
	for range 1000 {
		for _, m := range made {
			mustPass(t, c.Tokens, m.Secret)
		}
	}
	if n := c.Store.Calls("RecordUses", "Update"); n != 0 {
		t.Errorf("5000 checks wrote %d times, want 0", n)
	}
	c.Tokens.FlushUses(bg)
	c.Tokens.FlushUses(bg)
	if n := c.Store.Calls("RecordUses"); n != 1 {
		t.Errorf("two flushes wrote %d times, want once", n)
	}
	for _, m := range made {
		stored, err := c.Store.Token(bg, m.Token.ID)
		if err != nil || !stored.LastUse.At.Equal(c.Clock.Now()) || stored.LastUse.Addr != somewhere || stored.LastUse.Agent != "test" {
			t.Errorf("the stored last use is %+v, %v", stored.LastUse, err)
		}
	}
}

// Uses that cannot be written wait, are seen while they do, and newer ones
// win.
func TestUsesSurviveAFailingStore(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	one, two := issue(t, c, user, tokens.Request{}), issue(t, c, user, tokens.Request{})
	mustPass(t, c.Tokens, one.Secret)
	mustPass(t, c.Tokens, two.Secret)
	lastUse := func(m tokens.Issued) time.Time {
		t.Helper()
		got, err := c.Tokens.Token(bg, user, m.Token.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got.LastUse.At
	}
	early := c.Clock.Now()
	c.Store.Fail(store.ErrUnavailable, "RecordUses")
	c.Store.Before("RecordUses", func() { // in the middle of it
		c.Clock.Advance(time.Minute)
		mustPass(t, c.Tokens, two.Secret)
		if got := lastUse(one); !got.Equal(early) {
			t.Errorf("while it is being written the last use is %v, want %v", got, early)
		}
	})
	c.Tokens.FlushUses(bg)
	late := early.Add(time.Minute)
	for _, when := range []string{"waiting", "written"} {
		if a, b := lastUse(one), lastUse(two); !a.Equal(early) || !b.Equal(late) {
			t.Errorf("%s: the last uses are %v and %v, want %v and %v", when, a, b, early, late)
		}
		c.Store.Heal()
		c.Tokens.FlushUses(bg)
	}
	stored, err := c.Store.Store.Token(bg, two.Token.ID)
	if err != nil || !stored.LastUse.At.Equal(late) {
		t.Errorf("the stored last use is %v, %v, want %v", stored.LastUse.At, err, late)
	}
}

// S110: what a client calls itself cannot break a line, nor fill the database.
func TestAgentIsClipped(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	long := "evil\r\n\x1b[31m" + fmt.Sprintf("%01000d", 0)
	if _, err := c.Tokens.Check(bg, tokens.Presented{Token: made.Secret, Addr: somewhere, Agent: long}); err != nil {
		t.Fatal(err)
	}
	got, err := c.Tokens.Token(bg, user, made.Token.ID)
	if err != nil || len(got.LastUse.Agent) != 256 || got.LastUse.Agent[:8] != "evil???[" {
		t.Errorf("the agent is kept as %q, %v", got.LastUse.Agent, err)
	}
}

// S82: two users walk over all ids, with every operation there is; neither
// reaches what is the other's, and neither learns that it exists.
func TestNobodyReachesOthersTokens(t *testing.T) {
	c := newCore(t)
	ann, bob := c.User(t, "ann"), c.User(t, "bob")
	// The right over one's own tokens is not one over others'.
	full := c.User(t, "eve", "latchkey:tokens:*", "path:/*:*", "repository:*:*")
	owners := map[string]*identity.Identity{}
	secrets := map[string]secret.Text{}
	for _, who := range []*identity.Identity{ann, bob, full} {
		for range 3 {
			made := issue(t, c, who, tokens.Request{Scope: []string{"path:/a:read"}})
			owners[made.Token.ID], secrets[made.Token.ID] = who, made.Secret
		}
	}
	operations := map[string]func(who *identity.Identity, id string) error{
		"Token": func(who *identity.Identity, id string) error {
			_, err := c.Tokens.Token(bg, who, id)
			return err
		},
		"Update": func(who *identity.Identity, id string) error {
			_, err := c.Tokens.Update(bg, who, id, tokens.Update{Name: of("mine now")})
			return err
		},
		"Rotate": func(who *identity.Identity, id string) error {
			_, err := c.Tokens.Rotate(bg, who, id, tokens.Overlap{})
			return err
		},
		"Revoke": func(who *identity.Identity, id string) error { return c.Tokens.Revoke(bg, who, id, "") },
	}
	for id, owner := range owners {
		for _, who := range []*identity.Identity{ann, bob, full} {
			if who == owner {
				continue
			}
			for call, do := range operations {
				err := do(who, id)
				missing := do(who, "tok_"+strings.Repeat("0", len(id)-len("tok_")))
				if !fault.Is(err, fault.NotFound) || len(err.Error()) != len(missing.Error()) {
					t.Errorf("%s() of %s's token by %s = %v, want what is said of one that does not exist", call, owner.Name, who.Name, err)
				}
			}
			if _, err := listed(c, who, store.TokenQuery{AccountID: owner.AccountID, Limit: 10}); !fault.Is(err, fault.Forbidden) {
				t.Errorf("List() of %s's tokens by %s = %v, want a fault of the kind forbidden", owner.Name, who.Name, err)
			}
		}
	}
	for id, owner := range owners {
		mustPass(t, c.Tokens, secrets[id])
		if got, err := c.Tokens.Token(bg, owner, id); err != nil || got.Name != "made for a test" {
			t.Errorf("%s's own token is %+v, %v", owner.Name, got, err)
		}
	}
	_, err := listed(c, ann, store.TokenQuery{Limit: 10})
	wantFault(t, "List() of everybody's", err, fault.Forbidden)
	list, err := listed(c, c.Admin, store.TokenQuery{Limit: 100})
	if err != nil || len(list) != len(owners) {
		t.Errorf("List() of everybody's by the administrator = %d, %v, want %d", len(list), err, len(owners))
	}
}

func TestState(t *testing.T) {
	now := at(0)
	early, late := now.Add(-hour), now.Add(hour)
	for name, tt := range map[string]struct {
		token store.Token
		epoch int64
		want  store.TokenState
	}{
		"plain":            {store.Token{CreatedAt: early}, 0, store.TokenLive},
		"revoked":          {store.Token{CreatedAt: early, RevokedAt: early}, 0, store.TokenRevoked},
		"of an old epoch":  {store.Token{CreatedAt: early, Epoch: 1}, 2, store.TokenRevoked},
		"of the epoch":     {store.Token{CreatedAt: early, Epoch: 2}, 2, store.TokenLive},
		"expires now":      {store.Token{CreatedAt: early, ExpiresAt: now}, 0, store.TokenExpired},
		"expires later":    {store.Token{CreatedAt: early, ExpiresAt: late}, 0, store.TokenLive},
		"idle":             {store.Token{CreatedAt: early, IdleAfter: time.Minute}, 0, store.TokenExpired},
		"used":             {store.Token{CreatedAt: early, IdleAfter: time.Minute, LastUse: store.Use{At: now}}, 0, store.TokenLive},
		"rotated":          {store.Token{CreatedAt: early, IdleAfter: time.Minute, RotatedAt: now}, 0, store.TokenLive},
		"revoked, expired": {store.Token{CreatedAt: early, RevokedAt: early, ExpiresAt: early}, 0, store.TokenRevoked},
	} {
		if got := tokens.State(tt.token, tt.epoch, now); got != tt.want {
			t.Errorf("State() of a token that is %s = %q, want %q", name, got, tt.want)
		}
	}
}

// Own needs no right, and says so when there is no token.
func TestOwn(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{Scope: []string{"path:/a:read"}})
	got, err := c.Tokens.Own(bg, mustPass(t, c.Tokens, made.Secret))
	if err != nil || got.ID != made.Token.ID || got.LastUse.At.IsZero() {
		t.Errorf("Own() = %+v, %v, want the token with its last use", got, err)
	}
	_, err = c.Tokens.Own(bg, user)
	wantFault(t, "Own() with a password", err, fault.NotFound)
	_, err = c.Tokens.Own(bg, nil)
	wantFault(t, "Own() of nobody", err, fault.NotFound)
}

// Tokens that ended long ago are swept, with a backlog of any length.
func TestSweep(t *testing.T) {
	c := newCoreWith(t, func(o *tokens.Options) { o.KeepEnded, o.Policy.MaxPerAccount = tokens.Day, -1 })
	user := c.User(t, "ann")
	for range 3 {
		issue(t, c, user, tokens.Request{ExpiresIn: of(hour)})
	}
	kept := issue(t, c, user, tokens.Request{ExpiresIn: of(10 * tokens.Day)})
	count := func() int {
		list, err := listed(c, user, store.TokenQuery{AccountID: user.AccountID, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	c.Clock.Advance(hour + tokens.Day - time.Second)
	c.Tokens.SweepEnded(bg)
	if got := count(); got != 4 {
		t.Errorf("before their time %d tokens are left, want 4", got)
	}
	c.Clock.Advance(2 * time.Second)
	c.Tokens.SweepEnded(bg)
	if got := count(); got != 1 {
		t.Errorf("after their time %d tokens are left, want 1", got)
	}
	mustPass(t, c.Tokens, kept.Secret)
}
