package tokens_test

import (
	"fmt"
	"regexp"
	"sync"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

const slot = "drf"

func standing(t testing.TB, s *tokens.Service, caller *identity.Identity, form tokens.Form, r tokens.Request) tokens.Issued {
	t.Helper()
	r.Name = "standing"
	got, err := s.Standing(bg, caller, slot, form, r)
	if err != nil {
		t.Fatalf("Standing() = %v", err)
	}
	return got
}

// The same token comes back at each call, in the form that was asked for, to
// each account its own.
func TestStandingIsTheSame(t *testing.T) {
	for form, want := range map[tokens.Form]string{tokens.Hex40: `^[0-9a-f]{40}$`, tokens.Native: `^lkp_[0-9A-Za-z]{38}$`} {
		c := newCore(t)
		ann, bob := c.User(t, "ann"), c.User(t, "bob")
		first := standing(t, c.Tokens, ann, form, tokens.Request{})
		if !regexp.MustCompile(want).MatchString(first.Secret.Reveal()) {
			t.Errorf("Standing() in the form %q does not match %s", form, want)
		}
		for range 3 {
			again := standing(t, c.Tokens, ann, form, tokens.Request{})
			if again.Secret.Reveal() != first.Secret.Reveal() || again.Token.ID != first.Token.ID {
				t.Error("Standing() = another token, want the same")
			}
		}
		if id := mustPass(t, c.Tokens, first.Secret); id.Name != "ann" || id.TokenID != first.Token.ID {
			t.Errorf("it stands for %s by %s, want ann by %s", id.Name, id.TokenID, first.Token.ID)
		}
		if bobs := standing(t, c.Tokens, bob, form, tokens.Request{}); bobs.Secret.Reveal() == first.Secret.Reveal() {
			t.Error("two accounts got one token")
		}
		// A second slot is another dialect's.
		other, err := c.Tokens.Standing(bg, ann, "other", form, tokens.Request{Name: "x"})
		if err != nil || other.Token.ID == first.Token.ID {
			t.Errorf("another slot = %v, %v, want another token", other.Token.ID, err)
		}
	}
}

// One token for 32 logins at once.
func TestStandingInParallel(t *testing.T) {
	c := newCore(t)
	ann := c.User(t, "ann")
	for _, alreadyOne := range []bool{false, true} {
		if alreadyOne { // that has ended: all find it so at once
			if _, err := c.Tokens.RevokeAll(bg, ann, ann.AccountID, ""); err != nil {
				t.Fatal(err)
			}
			ann = c.Identity(t, ann.AccountID)
		}
		var mu sync.Mutex
		secrets := map[string]bool{}
		var logins sync.WaitGroup
		for range 32 {
			logins.Go(func() {
				got, err := c.Tokens.Standing(bg, ann, slot, tokens.Hex40, tokens.Request{Name: "standing"})
				if err != nil {
					t.Errorf("Standing() = %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				secrets[got.Secret.Reveal()] = true
			})
		}
		logins.Wait()
		live, err := listed(c, ann, store.TokenQuery{AccountID: ann.AccountID, State: store.TokenLive, Limit: 100})
		if err != nil || len(secrets) != 1 || len(live) != 1 {
			t.Errorf("32 logins at once got %d secrets, %d tokens are live, %v, want 1 of each", len(secrets), len(live), err)
		}
	}
}

// When the token has ended, in whatever way, the next login makes another; the
// old one does not come back.
func TestStandingIsReplacedWhenItEnded(t *testing.T) {
	c := newCore(t)
	people := 0
	for name, end := range map[string]func(c *coretest.Core, ann *identity.Identity, old tokens.Issued) error{
		"revoked": func(c *coretest.Core, ann *identity.Identity, old tokens.Issued) error {
			return c.Tokens.Revoke(bg, ann, old.Token.ID, "")
		},
		"revoked by its secret": func(c *coretest.Core, _ *identity.Identity, old tokens.Issued) error {
			return c.Tokens.RevokeSecret(bg, old.Secret.Reveal())
		},
		"all revoked": func(c *coretest.Core, ann *identity.Identity, _ tokens.Issued) error {
			_, err := c.Tokens.RevokeAll(bg, ann, ann.AccountID, "")
			return err
		},
		"expired": func(c *coretest.Core, _ *identity.Identity, _ tokens.Issued) error {
			c.Clock.Advance(2 * hour)
			return nil
		},
		"idle": func(c *coretest.Core, _ *identity.Identity, _ tokens.Issued) error {
			c.Clock.Advance(hour + 1)
			return nil
		},
		"disabled and enabled": func(c *coretest.Core, ann *identity.Identity, _ tokens.Issued) error {
			for _, disabled := range []bool{true, false} {
				if _, err := c.Accounts.Update(bg, c.Admin, ann.AccountID, accounts.Change{Disabled: &disabled}); err != nil {
					return err
				}
			}
			return nil
		},
		"of an older epoch, without a mark": func(c *coretest.Core, ann *identity.Identity, _ tokens.Issued) error {
			return c.Store.Update(bg, func(tx store.Tx) error {
				a, err := tx.LockAccount(ann.AccountID)
				if err != nil {
					return err
				}
				a.Epoch++
				c.Tokens.Apply(store.Change{Kind: store.ChangeAccount, AccountID: a.ID})
				return tx.UpdateAccount(a)
			})
		},
		"its sealed secret was lost": func(c *coretest.Core, _ *identity.Identity, old tokens.Issued) error {
			return c.Store.Update(bg, func(tx store.Tx) error {
				found, err := tx.LockSlot(old.Token.AccountID, slot)
				if err != nil {
					return err
				}
				if err := tx.RetireSecrets(old.Token.ID, nil, c.Clock.Now().Add(-1), false); err != nil {
					return err
				}
				found.Secret.Sealed, found.Secret.Digest = []byte("garbled"), make([]byte, 32)
				return tx.InsertSecret(found.Secret)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			people++
			ann := c.User(t, fmt.Sprint("ann", people))
			r := tokens.Request{ExpiresIn: of(2 * hour)}
			if name == "idle" {
				r.IdleAfter = of(hour)
			}
			old := standing(t, c.Tokens, ann, tokens.Hex40, r)
			mustPass(t, c.Tokens, old.Secret)
			if err := end(c, ann, old); err != nil {
				t.Fatal(err)
			}
			ann = c.Identity(t, ann.AccountID)
			next := standing(t, c.Tokens, ann, tokens.Hex40, r)
			if next.Token.ID == old.Token.ID {
				t.Fatal("Standing() = the token that has ended")
			}
			mustPass(t, c.Tokens, next.Secret)
			if id, err := present(c.Tokens, old.Secret); err == nil {
				t.Errorf("Check() of the old one = %v, want a refusal", id)
			}
			if again := standing(t, c.Tokens, ann, tokens.Hex40, r); again.Token.ID != next.Token.ID {
				t.Error("the token after that is another one again")
			}
		})
	}
}

// Being used keeps the token, before that is written too.
func TestStandingStaysWhileItIsUsed(t *testing.T) {
	c := newCore(t)
	ann := c.User(t, "ann")
	r := tokens.Request{IdleAfter: of(hour)}
	first := standing(t, c.Tokens, ann, tokens.Hex40, r)
	for range 3 {
		c.Clock.Advance(hour)
		mustPass(t, c.Tokens, first.Secret)
		if got := standing(t, c.Tokens, ann, tokens.Hex40, r); got.Token.ID != first.Token.ID {
			t.Fatal("Standing() replaced a token that is in use")
		}
	}
}

// Rotating the token by hand gives the dialect the new secret.
func TestStandingAfterRotation(t *testing.T) {
	c := newCore(t)
	ann := c.User(t, "ann")
	old := standing(t, c.Tokens, ann, tokens.Hex40, tokens.Request{})
	c.Clock.Advance(hour)
	next := rotate(t, c, ann, old.Token.ID, tokens.Overlap{For: hour})
	if len(next.Reveal()) != 40 {
		t.Errorf("the new secret has %d characters, want 40 as the old one", len(next.Reveal()))
	}
	if got := standing(t, c.Tokens, ann, tokens.Hex40, tokens.Request{}); got.Secret.Reveal() != next.Reveal() || got.Token.ID != old.Token.ID {
		t.Error("Standing() after a rotation gives another secret than the new one")
	}
}

// After the server's secret was rotated, what was sealed under the old one is
// still shown; when the old one is gone, the token is replaced.
func TestStandingWithRotatedServerSecret(t *testing.T) {
	c := newCore(t)
	ann := c.User(t, "ann")
	first := standing(t, c.Tokens, ann, tokens.Native, tokens.Request{})
	newer := coretest.NewKeys(t).Current()
	both := ring(t, newer, c.Keys.Current())
	s := c.Node(t, func(o *tokens.Options) { o.Keys = both })
	if again := standing(t, s, ann, tokens.Native, tokens.Request{}); again.Secret.Reveal() != first.Secret.Reveal() {
		t.Error("under a newer server secret Standing() gives another token")
	}
	mustPass(t, s, first.Secret)
	alone := c.Node(t, func(o *tokens.Options) { o.Keys = ring(t, newer) })
	mustRefuse(t, alone, first.Secret, tokens.ReasonMalformed)
	next := standing(t, alone, ann, tokens.Native, tokens.Request{})
	if next.Token.ID == first.Token.ID {
		t.Error("without the old server secret Standing() gives a token that it cannot read")
	}
	mustPass(t, alone, next.Secret)
}

// Tokens of both forms count under an older server secret as well; those
// without a tag are looked for under each.
func TestOlderServerSecretCounts(t *testing.T) {
	c := newCore(t)
	ann := c.User(t, "ann")
	var made []tokens.Issued
	for i, form := range []tokens.Form{tokens.Native, tokens.Hex40} {
		one, err := c.Tokens.Standing(bg, ann, fmt.Sprint("slot", i), form, tokens.Request{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, one)
	}
	s := c.Node(t, func(o *tokens.Options) {
		o.Keys = ring(t, coretest.NewKeys(t).Current(), coretest.NewKeys(t).Current(), c.Keys.Current())
	})
	c.Ready(t, s)
	for range 2 {
		for _, m := range made {
			if id := mustPass(t, s, m.Secret); id.TokenID != m.Token.ID {
				t.Errorf("Check() = %s, want %s", id.TokenID, m.Token.ID)
			}
		}
	}
	for _, m := range made {
		if err := s.RevokeSecret(bg, m.Secret.Reveal()); err != nil {
			t.Fatal(err)
		}
		mustRefuse(t, s, m.Secret, tokens.ReasonRevoked)
	}
}

func ring(t testing.TB, keys ...*serverkey.Key) *serverkey.Ring {
	t.Helper()
	r, err := serverkey.NewRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// S78: who comes with a narrow token does not leave with a broad one.
func TestStandingGivesNoMoreThanTheCallerHas(t *testing.T) {
	for name, ask := range map[string]tokens.Request{
		"a narrower scope":    {Scope: []string{"path:/a:read", "latchkey:tokens:write"}},
		"fewer addresses":     {CIDRs: prefixes("192.0.2.0/24")},
		"a shorter life":      {ExpiresIn: of(hour)},
		"a shorter idle time": {IdleAfter: of(hour)},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCore(t)
			ann := c.User(t, "ann")
			broad := standing(t, c.Tokens, ann, tokens.Hex40, tokens.Request{})
			caller := mustPass(t, c.Tokens, issue(t, c, ann, ask).Secret)
			got, err := c.Tokens.Standing(bg, caller, slot, tokens.Hex40, tokens.Request{Name: "x"})
			if err == nil {
				t.Errorf("Standing() for a token with %s = %+v, want a refusal", name, got.Token)
			}
			wantFault(t, "Standing() for a token with "+name, err, fault.Forbidden)
			mustPass(t, c.Tokens, broad.Secret)
		})
	}
}

// The same when the broad token comes to stand there in the same moment.
func TestStandingGivesNoMoreInARace(t *testing.T) {
	c := newCore(t)
	ann := c.User(t, "ann")
	caller := mustPass(t, c.Tokens, issue(t, c, ann, tokens.Request{Scope: []string{"latchkey:tokens:write"}}).Secret)
	c.Store.After("SecretOfSlot", func() { standing(t, c.Tokens, ann, tokens.Hex40, tokens.Request{}) })
	got, err := c.Tokens.Standing(bg, caller, slot, tokens.Hex40, tokens.Request{Name: "x"})
	if !got.Secret.Empty() {
		t.Error("Standing() gave the secret of a broader token")
	}
	wantFault(t, "Standing() for a narrow token", err, fault.Forbidden)
}

func TestStandingRefuses(t *testing.T) {
	c := newCore(t)
	ann := c.User(t, "ann")
	_, err := c.Tokens.Standing(bg, nil, slot, tokens.Hex40, tokens.Request{Name: "x"})
	wantFault(t, "Standing() for nobody", err, fault.Unauthenticated)
	reader := mustPass(t, c.Tokens, issue(t, c, ann, tokens.Request{Scope: []string{"latchkey:tokens:read"}}).Secret)
	_, err = c.Tokens.Standing(bg, reader, slot, tokens.Hex40, tokens.Request{Name: "x"})
	wantFault(t, "Standing() without the right", err, fault.Forbidden)
	c.Store.After("SecretOfSlot", func() { // the account goes in the middle of it
		if err := c.Accounts.Delete(bg, c.Admin, ann.AccountID); err != nil {
			t.Error(err)
		}
	})
	_, err = c.Tokens.Standing(bg, ann, slot, tokens.Hex40, tokens.Request{Name: "x"})
	wantFault(t, "Standing() for a deleted account", err, fault.NotFound)
}
