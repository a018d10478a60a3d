package tokens_test

import (
	"errors"
	"fmt"
	"net/netip"
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

// A warm check asks the database nothing, whatever it answers.
func TestWarmCheckAsksNothing(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	good := issue(t, c, user, tokens.Request{})
	revoked := issue(t, c, user, tokens.Request{})
	elsewhere := issue(t, c, user, tokens.Request{CIDRs: prefixes("198.51.100.0/24")})
	if err := c.Tokens.Revoke(bg, user, revoked.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
	unknown, _ := tokens.Generate(c.Keys)
	all := map[secret.Text]tokens.Reason{
		good.Secret: "", revoked.Secret: tokens.ReasonRevoked, elsewhere.Secret: tokens.ReasonAddress,
		unknown: tokens.ReasonUnknown, secret.New("lkp_nonsense"): tokens.ReasonMalformed,
	}
	// What was changed above may come in through the log a moment later, and be
	// looked at again.
	eventually(t, "500 checks in a row ask the store nothing", func() bool {
		c.Store.Forget()
		for range 100 {
			for text, want := range all {
				if _, err := present(c.Tokens, text); reason(err) != want {
					t.Fatalf("Check() = %v, want the refusal %q", err, want)
				}
			}
		}
		return c.Store.Calls() == 0
	})
}

func TestCheckTellsWhoItIs(t *testing.T) {
	c := newCore(t)
	if _, err := c.Accounts.CreateGroup(bg, c.Admin, "staff", ""); err != nil {
		t.Fatal(err)
	}
	user := c.Account(t, accounts.NewAccount{Name: "ann", Email: "ann@example.org", Groups: []string{"staff"}, Grants: []string{"repository:library/*:pull"}})
	made := issue(t, c, user, tokens.Request{
		Name: "laptop", Scope: []string{"repository:library/a:pull,push"}, Labels: map[string]string{"at": "home"},
		CIDRs: prefixes("192.0.2.0/24"), ExpiresIn: of(hour), IdleAfter: of(time.Minute),
	})
	got := mustPass(t, c.Tokens, made.Secret)
	want := &identity.Identity{
		Method: identity.Token, AccountID: user.AccountID, Name: "ann", Source: "local", Kind: "user", Email: "ann@example.org",
		Groups: []string{"staff"}, TokenID: made.Token.ID, TokenName: "laptop", Class: "personal",
		Labels: map[string]string{"at": "home"}, CIDRs: prefixes("192.0.2.0/24"),
		IssuedAt: c.Clock.Now(), ExpiresAt: c.Clock.Now().Add(hour), IdleAfter: time.Minute, EffectiveText: "repository:library/a:pull",
	}
	// Rules are compared by what they say.
	texts := cmp.Transformer("rules", func(s scope.Set) []string { return s.Strings() })
	want.Grants, want.TokenScope = user.Grants, mustSet(t, "repository:library/a:pull,push")
	want.Effective = mustSet(t, "repository:library/a:pull")
	addresses := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, got, texts, addresses); diff != "" {
		t.Errorf("Check() differs (-want +got):\n%s", diff)
	}
}

func mustSet(t testing.TB, rules ...string) scope.Set {
	t.Helper()
	set, err := scope.ParseSet(rules)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Whatever ends a token is in force before the call that does it returns
// (S83).
func TestEndsAreInForceAtOnce(t *testing.T) {
	c := newCore(t)
	for i, end := range []struct {
		name string
		do   func(c *coretest.Core, user *identity.Identity, made tokens.Issued) error
		want tokens.Reason
	}{
		{"revoke", func(c *coretest.Core, user *identity.Identity, made tokens.Issued) error {
			return c.Tokens.Revoke(bg, user, made.Token.ID, "lost")
		}, tokens.ReasonRevoked},
		{"revoke by an administrator", func(c *coretest.Core, _ *identity.Identity, made tokens.Issued) error {
			return c.Tokens.Revoke(bg, c.Admin, made.Token.ID, "")
		}, tokens.ReasonRevoked},
		{"revoke by its own secret", func(c *coretest.Core, _ *identity.Identity, made tokens.Issued) error {
			return c.Tokens.RevokeSecret(bg, made.Secret.Reveal())
		}, tokens.ReasonRevoked},
		{"revoke all", func(c *coretest.Core, user *identity.Identity, _ tokens.Issued) error {
			_, err := c.Tokens.RevokeAll(bg, user, user.AccountID, "")
			return err
		}, tokens.ReasonRevoked},
		{"rotate", func(c *coretest.Core, user *identity.Identity, made tokens.Issued) error {
			_, err := c.Tokens.Rotate(bg, user, made.Token.ID, tokens.Overlap{})
			return err
		}, tokens.ReasonUnknown},
		{"fewer addresses", func(c *coretest.Core, user *identity.Identity, made tokens.Issued) error {
			_, err := c.Tokens.Update(bg, user, made.Token.ID, tokens.Update{CIDRs: of(prefixes("198.51.100.0/24"))})
			return err
		}, tokens.ReasonAddress},
		{"disable the account", func(c *coretest.Core, user *identity.Identity, _ tokens.Issued) error {
			_, err := c.Accounts.Update(bg, c.Admin, user.AccountID, accounts.Change{Disabled: of(true)})
			return err
		}, tokens.ReasonDisabled},
		{"delete the account", func(c *coretest.Core, user *identity.Identity, _ tokens.Issued) error {
			return c.Accounts.Delete(bg, c.Admin, user.AccountID)
		}, tokens.ReasonUnknown},
		{"change the password", func(c *coretest.Core, user *identity.Identity, _ tokens.Issued) error {
			return c.Accounts.SetPassword(bg, c.Admin, user.AccountID, secret.New("a new planted password"), false)
		}, tokens.ReasonRevoked},
	} {
		t.Run(end.name, func(t *testing.T) {
			user := c.User(t, fmt.Sprint("ann", i))
			made := issue(t, c, user, tokens.Request{})
			for range 3 {
				mustPass(t, c.Tokens, made.Secret)
			}
			if err := end.do(c, user, made); err != nil {
				t.Fatal(err)
			}
			mustRefuse(t, c.Tokens, made.Secret, end.want)
		})
	}
}

// A right that is taken away counts no more from the next check on, and one
// that is given counts (S83).
func TestRightsAreInForceAtOnce(t *testing.T) {
	const pull = "repository:library/*:pull"
	request := scope.Request{Type: "repository", Name: "library/a", Action: "pull"}
	for _, way := range []struct {
		name       string
		give, take func(c *coretest.Core, accountID string) error
	}{
		{"a grant", func(c *coretest.Core, id string) error {
			_, err := c.Accounts.AddGrant(bg, c.Admin, id, "", pull)
			return err
		}, func(c *coretest.Core, id string) error {
			return removeGrant(c, store.GrantQuery{AccountID: id}, pull)
		}},
		{"a grant to everybody", func(c *coretest.Core, _ string) error {
			_, err := c.Accounts.AddGrant(bg, c.Admin, "", store.GroupEveryone, pull)
			return err
		}, func(c *coretest.Core, _ string) error {
			return removeGrant(c, store.GrantQuery{Group: store.GroupEveryone}, pull)
		}},
		{"membership", func(c *coretest.Core, id string) error {
			return c.Accounts.AddMember(bg, c.Admin, "pullers", id)
		}, func(c *coretest.Core, id string) error {
			return c.Accounts.RemoveMember(bg, c.Admin, "pullers", id)
		}},
		{"a grant to a group", func(c *coretest.Core, id string) error {
			if err := c.Accounts.AddMember(bg, c.Admin, "empty", id); err != nil {
				return err
			}
			_, err := c.Accounts.AddGrant(bg, c.Admin, "", "empty", pull)
			return err
		}, func(c *coretest.Core, _ string) error {
			return c.Accounts.DeleteGroup(bg, c.Admin, "empty")
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			c := newCore(t)
			for _, group := range []string{"pullers", "empty"} {
				if _, err := c.Accounts.CreateGroup(bg, c.Admin, group, ""); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := c.Accounts.AddGrant(bg, c.Admin, "", "pullers", pull); err != nil {
				t.Fatal(err)
			}
			user := c.User(t, "ann")
			made := issue(t, c, user, tokens.Request{})
			may := func(want bool) {
				t.Helper()
				if got := mustPass(t, c.Tokens, made.Secret).Allows(request); got != want {
					t.Errorf("Allows(%v) = %v, want %v", request, got, want)
				}
			}
			may(false)
			if err := way.give(c, user.AccountID); err != nil {
				t.Fatal(err)
			}
			may(true)
			if err := way.take(c, user.AccountID); err != nil {
				t.Fatal(err)
			}
			may(false)
		})
	}
}

func removeGrant(c *coretest.Core, q store.GrantQuery, rule string) error {
	grants, err := c.Store.Grants(bg, q)
	for _, g := range grants {
		if g.Scope == rule {
			return c.Accounts.RemoveGrant(bg, c.Admin, g.ID)
		}
	}
	return errors.Join(err, errors.New("there is no such grant"))
}

func TestExpiry(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{ExpiresIn: of(hour)})
	mustPass(t, c.Tokens, made.Secret)
	c.Clock.Advance(hour - time.Nanosecond)
	mustPass(t, c.Tokens, made.Secret)
	c.Clock.Advance(time.Nanosecond)
	mustRefuse(t, c.Tokens, made.Secret, tokens.ReasonExpired)
	if n := len(c.Events(t, "token.check")); n != 1 {
		t.Errorf("there are %d events of refused checks, want 1", n)
	}
}

// Being used keeps a token alive, in memory too: neither the writing of last
// uses nor another look at the store makes it idle.
func TestIdleExpiry(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{IdleAfter: of(hour)})
	steps := []func(){
		func() {},
		func() { c.Tokens.FlushUses(bg) },
		func() { c.Tokens.Apply(store.Change{Kind: store.ChangeToken, TokenID: made.Token.ID}) },
		func() { c.Tokens.Apply(store.Change{Kind: store.ChangeAccount, AccountID: user.AccountID}) },
	}
	for i := range 12 {
		c.Clock.Advance(hour - time.Second)
		if _, err := present(c.Tokens, made.Secret); err != nil {
			t.Fatalf("step %d: Check() = %v within the idle time, want an identity", i, err)
		}
		steps[i%len(steps)]()
	}
	c.Clock.Advance(hour)
	mustPass(t, c.Tokens, made.Secret)
	c.Clock.Advance(hour + time.Second)
	mustRefuse(t, c.Tokens, made.Secret, tokens.ReasonIdle)
	c.Tokens.FlushUses(bg)
	mustRefuse(t, c.Tokens, made.Secret, tokens.ReasonIdle)
}

// What another node has seen counts once it is written, even though this one
// has an older entry.
func TestIdleAsksTheStoreOnceMore(t *testing.T) {
	c := newCore(t)
	other := c.Node(t, nil)
	c.Ready(t, other)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{IdleAfter: of(hour)})
	mustPass(t, c.Tokens, made.Secret)
	c.Clock.Advance(hour - time.Minute)
	mustPass(t, other, made.Secret)
	other.FlushUses(bg)
	c.Clock.Advance(30 * time.Minute)
	mustPass(t, c.Tokens, made.Secret)
}

// S84: the peer counts; IPv4 in IPv6 is IPv4; an address that is not known is
// in no network.
func TestCIDRs(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	v4 := issue(t, c, user, tokens.Request{CIDRs: prefixes("192.0.2.0/24", "203.0.113.9/32")})
	v6 := issue(t, c, user, tokens.Request{CIDRs: prefixes("2001:db8:1::/48")})
	for _, tt := range []struct {
		text secret.Text
		addr string
		ok   bool
	}{
		{v4.Secret, "192.0.2.0", true},
		{v4.Secret, "192.0.2.255", true},
		{v4.Secret, "203.0.113.9", true},
		{v4.Secret, "::ffff:192.0.2.1", true},
		{v4.Secret, "::ffff:203.0.113.9", true},
		{v4.Secret, "192.0.3.0", false},
		{v4.Secret, "203.0.113.8", false},
		{v4.Secret, "::ffff:192.0.3.0", false},
		{v4.Secret, "::192.0.2.1", false},
		{v4.Secret, "2001:db8:1::1", false},
		{v4.Secret, "", false},
		{v6.Secret, "2001:db8:1::1", true},
		{v6.Secret, "2001:db8:1:ffff::", true},
		{v6.Secret, "2001:db8:1::1%eth0", true},
		{v6.Secret, "2001:db8:2::1", false},
		{v6.Secret, "192.0.2.1", false},
		{v6.Secret, "", false},
	} {
		var addr netip.Addr
		if tt.addr != "" {
			addr = netip.MustParseAddr(tt.addr)
		}
		_, err := c.Tokens.Check(bg, tokens.Presented{Token: tt.text, Addr: addr})
		if want := map[bool]tokens.Reason{true: "", false: tokens.ReasonAddress}[tt.ok]; reason(err) != want {
			t.Errorf("Check() from %q = %v, want the refusal %q", tt.addr, err, want)
		}
	}
}

// A network that is written as IPv4 in IPv6 means the IPv4 network.
func TestCIDROfMappedAddresses(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made, err := c.Tokens.Issue(bg, user, tokens.Request{Name: "mapped", CIDRs: prefixes("::ffff:192.0.2.0/120")})
	if err != nil {
		wantFault(t, "Issue() for a mapped network", err, fault.Invalid)
		return
	}
	mustPass(t, c.Tokens, made.Secret)
}

// A scope that cannot be read, as after a downgrade, allows nothing.
func TestUnreadableScopeRefuses(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	tamper(t, c, made.Token.ID, func(tok *store.Token) { tok.Scope = []string{"path:/a:read", "not a rule"} })
	mustRefuse(t, c.Tokens, made.Secret, tokens.ReasonUnknown)
}

// tamper changes a token behind the core's back.
func tamper(t testing.TB, c *coretest.Core, id string, do func(*store.Token)) {
	t.Helper()
	err := c.Store.Store.Update(bg, func(tx store.Tx) error {
		tok, err := tx.LockToken(id)
		if err != nil {
			return err
		}
		do(&tok)
		return tx.UpdateToken(tok)
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Tokens.Apply(store.Change{Kind: store.ChangeToken, TokenID: id})
}

// S109: each refusal of a known token is an event; junk is counted by address,
// and no event holds a secret.
func TestRefusalsAreAudited(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	if err := c.Tokens.Revoke(bg, user, made.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, c.Tokens, made.Secret, tokens.ReasonRevoked)
	for range 10 {
		mustRefuse(t, c.Tokens, secret.New("lkp_junk"), tokens.ReasonMalformed)
	}
	events := c.Events(t, "token.check")
	if len(events) != 2 {
		t.Fatalf("%d events, want 2: %+v", len(events), events)
	}
	junk, known := events[0], events[1]
	if junk.Reason != "malformed" {
		junk, known = known, junk
	}
	if junk.Count != 10 || junk.Outcome != "refused" || junk.ActorID != "" {
		t.Errorf("the event of 10 malformed tokens is %+v", junk)
	}
	if known.Reason != "revoked" || known.TokenID != made.Token.ID || known.ActorID != user.AccountID || known.ActorName != "ann" {
		t.Errorf("the event of the revoked token is %+v", known)
	}
}

// S89: an error is never a yes.
func TestStoreErrorsNeverPass(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	for _, method := range []string{"TokenByDigest", "Holder"} {
		c.Tokens.Apply(store.Change{Kind: store.ChangeGroups})
		c.Store.Fail(store.ErrUnavailable, method)
		id, err := present(c.Tokens, made.Secret)
		if id != nil || !fault.Is(err, fault.Unavailable) {
			t.Errorf("Check() while %s fails = %v, %v, want a fault of the kind unavailable", method, id, err)
		}
		c.Store.Heal()
	}
	mustPass(t, c.Tokens, made.Secret)
}
