package tokens_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

const bound = 2 * time.Second

// bounded gives a core the bound that a server has by default.
func bounded(o *tokens.Options) { o.Bound = bound }

// twoNodes runs do in a bubble with two nodes on one store, which hear of each
// other only by polling.
func twoNodes(t *testing.T, change func(*tokens.Options), do func(t *testing.T, c *coretest.Core, other *tokens.Service)) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoreWith(t, change)
		other := c.Node(t, change)
		c.Ready(t, other)
		do(t, c, other)
	})
}

// What is ended on one node is ended on the other within the bound.
func TestEndsReachOtherNodesWithinTheBound(t *testing.T) {
	for name, end := range map[string]func(c *coretest.Core, user *identity.Identity, made tokens.Issued) error{
		"revoke": func(c *coretest.Core, user *identity.Identity, made tokens.Issued) error {
			return c.Tokens.Revoke(bg, user, made.Token.ID, "")
		},
		"disable": func(c *coretest.Core, user *identity.Identity, _ tokens.Issued) error {
			_, err := c.Accounts.Update(bg, c.Admin, user.AccountID, accounts.Change{Disabled: of(true)})
			return err
		},
		"take the grants": func(c *coretest.Core, _ *identity.Identity, _ tokens.Issued) error {
			return removeGrant(c, store.GrantQuery{Group: store.GroupEveryone}, "path:/*:*")
		},
	} {
		t.Run(name, func(t *testing.T) {
			twoNodes(t, bounded, func(t *testing.T, c *coretest.Core, other *tokens.Service) {
				user := c.User(t, "ann")
				made := issue(t, c, user, tokens.Request{})
				mustPass(t, other, made.Secret)
				if err := end(c, user, made); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				for {
					id, _ := present(other, made.Secret)
					if !id.Allows(pathRequest("GET", "/a")) {
						break
					}
					if time.Since(began) > bound {
						t.Fatalf("the other node still says yes after %v, want an end within %v", time.Since(began), bound)
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		})
	}
}

// A hint of the store is followed at once.
func TestHintsWakeTheFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoreWith(t, bounded)
		hinted := coretest.Wrap(c.Store.Store)
		hinted.Hints = make(chan struct{}, 1)
		other := c.Node(t, func(o *tokens.Options) { o.Store, o.Bound, o.PollEvery = hinted, time.Hour, time.Hour })
		c.Ready(t, other)
		user := c.User(t, "ann")
		made := issue(t, c, user, tokens.Request{})
		mustPass(t, other, made.Secret)
		if err := c.Tokens.Revoke(bg, user, made.Token.ID, ""); err != nil {
			t.Fatal(err)
		}
		mustPass(t, other, made.Secret) // nothing has told it
		hinted.Hints <- struct{}{}
		synctest.Wait()
		mustRefuse(t, other, made.Secret, tokens.ReasonRevoked)
	})
}

// A node that cannot follow the change log trusts its cache up to the bound,
// then asks the store each time, and when the store does not answer refuses.
func TestLaggingNodeStopsTrustingItsCache(t *testing.T) {
	twoNodes(t, bounded, func(t *testing.T, c *coretest.Core, other *tokens.Service) {
		user := c.User(t, "ann")
		made := issue(t, c, user, tokens.Request{})
		mustPass(t, other, made.Secret)
		c.Store.Fail(store.ErrUnavailable, "ChangesAfter", "LastChange")

		time.Sleep(bound - time.Millisecond)
		c.Store.Forget()
		mustPass(t, other, made.Secret)
		if n := c.Store.Calls("TokenByDigest", "Holder"); n != 0 {
			t.Errorf("within the bound a check asked the store %d times, want 0", n)
		}
		time.Sleep(bound)
		if other.Ready() {
			t.Error("Ready() past the bound = true, want false")
		}
		for range 3 {
			c.Store.Forget()
			mustPass(t, other, made.Secret)
			if n := c.Store.Calls("TokenByDigest"); n != 1 {
				t.Errorf("past the bound a check looked the token up %d times, want once", n)
			}
		}
		c.Store.Fail(store.ErrUnavailable, "TokenByDigest")
		id, err := present(other, made.Secret)
		if id != nil || !fault.Is(err, fault.Unavailable) {
			t.Errorf("Check() without a store = %v, %v, want a fault of the kind unavailable", id, err)
		}
		c.Store.Heal()
		time.Sleep(bound)
		c.Store.Forget()
		mustPass(t, other, made.Secret)
		mustPass(t, other, made.Secret)
		if n := c.Store.Calls("TokenByDigest"); n > 1 || !other.Ready() {
			t.Errorf("after recovery two checks looked the token up %d times, Ready() = %v, want at most once, true", n, other.Ready())
		}
	})
}

// While the log cannot be followed, nothing that is cached decides: neither
// the token nor what is known of its account (S83, S114).
func TestLaggingNodeSeesEndsOfOtherNodes(t *testing.T) {
	for name, end := range map[string]func(c *coretest.Core, user *identity.Identity, made tokens.Issued) error{
		"revoked": func(c *coretest.Core, user *identity.Identity, made tokens.Issued) error {
			return c.Tokens.Revoke(bg, user, made.Token.ID, "")
		},
		"all revoked": func(c *coretest.Core, user *identity.Identity, _ tokens.Issued) error {
			_, err := c.Tokens.RevokeAll(bg, user, user.AccountID, "")
			return err
		},
		"disabled": func(c *coretest.Core, user *identity.Identity, _ tokens.Issued) error {
			_, err := c.Accounts.Update(bg, c.Admin, user.AccountID, accounts.Change{Disabled: of(true)})
			return err
		},
		"a grant was taken": func(c *coretest.Core, user *identity.Identity, _ tokens.Issued) error {
			return removeGrant(c, store.GrantQuery{AccountID: user.AccountID}, "repository:a:pull")
		},
		"an unmarked end by the epoch": func(c *coretest.Core, user *identity.Identity, _ tokens.Issued) error {
			return c.Store.Update(bg, func(tx store.Tx) error {
				a, err := tx.LockAccount(user.AccountID)
				if err != nil {
					return err
				}
				a.Epoch++
				return tx.UpdateAccount(a)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			twoNodes(t, bounded, func(t *testing.T, c *coretest.Core, other *tokens.Service) {
				user := c.User(t, "ann", "repository:a:pull")
				made := issue(t, c, user, tokens.Request{})
				mustPass(t, other, made.Secret)
				c.Store.Fail(store.ErrUnavailable, "ChangesAfter", "LastChange")
				time.Sleep(2 * bound)
				mustPass(t, other, made.Secret)
				if err := end(c, user, made); err != nil {
					t.Fatal(err)
				}
				id, err := present(other, made.Secret)
				if pull := (req{Type: "repository", Name: "a", Action: "pull"}); id.Allows(pull) {
					t.Errorf("Check() on a node that lags = %v, %v, want less than before", id, err)
				}
			})
		})
	}
}

// With StaleFor, a node goes on answering from its cache for a stated time
// while the store is down, and says so; it never says yes to what it knows to
// have ended.
func TestStaleAnswers(t *testing.T) {
	const stale = time.Minute
	setup := func(o *tokens.Options) { o.Bound, o.StaleFor = bound, stale }
	twoNodes(t, setup, func(t *testing.T, c *coretest.Core, other *tokens.Service) {
		user := c.User(t, "ann")
		made := issue(t, c, user, tokens.Request{ExpiresIn: of(hour)})
		short := issue(t, c, user, tokens.Request{ExpiresIn: of(time.Minute)})
		revoked := issue(t, c, user, tokens.Request{})
		rotated := issue(t, c, user, tokens.Request{})
		if err := c.Tokens.Revoke(bg, user, revoked.Token.ID, ""); err != nil {
			t.Fatal(err)
		}
		next, err := c.Tokens.Rotate(bg, user, rotated.Token.ID, tokens.Overlap{UntilUsed: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []tokens.Issued{made, short, revoked, rotated} {
			_, _ = present(other, s.Secret)
		}
		c.Store.Fail(store.ErrUnavailable)
		if id := mustPass(t, other, made.Secret); id.Stale {
			t.Error("an answer within the bound is marked as stale")
		}
		time.Sleep(bound + time.Second)
		id := mustPass(t, other, made.Secret)
		if !id.Stale || other.StaleAnswers() != 1 {
			t.Errorf("an answer past the bound: Stale = %v, %d counted, want true, 1", id.Stale, other.StaleAnswers())
		}
		mustRefuse(t, other, revoked.Secret, tokens.ReasonRevoked)
		c.Clock.Advance(2 * time.Minute)
		mustRefuse(t, other, short.Secret, tokens.ReasonExpired)
		never, _ := tokens.Generate(c.Keys)
		for name, text := range map[string]tokens.Issued{"the new secret of a rotation": next, "a secret that was never seen": {Secret: never}} {
			if _, err := present(other, text.Secret); !fault.Is(err, fault.Unavailable) {
				t.Errorf("Check() of %s = %v, want a fault of the kind unavailable", name, err)
			}
		}
		time.Sleep(stale)
		if _, err := present(other, made.Secret); !fault.Is(err, fault.Unavailable) {
			t.Errorf("Check() when the stated time has run out = %v, want a fault of the kind unavailable", err)
		}
		c.Store.Heal()
		time.Sleep(bound)
		if id := mustPass(t, other, made.Secret); id.Stale {
			t.Error("an answer after recovery is marked as stale")
		}
	})
}

// Revoking while the log cannot be followed is in force on the node that did
// it, in stale answers too.
func TestStaleAnswersKnowOwnEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoreWith(t, func(o *tokens.Options) { o.Bound, o.StaleFor = bound, time.Hour })
		user := c.User(t, "ann")
		made := issue(t, c, user, tokens.Request{})
		mustPass(t, c.Tokens, made.Secret)
		if err := c.Tokens.Revoke(bg, user, made.Token.ID, ""); err != nil {
			t.Fatal(err)
		}
		c.Store.Fail(store.ErrUnavailable)
		time.Sleep(2 * bound)
		if id, err := present(c.Tokens, made.Secret); id != nil || err == nil {
			t.Errorf("Check() of a revoked token = %v, %v, want no identity", id, err)
		}
	})
}

// A node that starts while the store is down trusts nothing, and follows once
// it can.
func TestStartWithoutAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoreWith(t, bounded)
		user := c.User(t, "ann")
		made := issue(t, c, user, tokens.Request{})
		c.Store.Fail(store.ErrUnavailable)
		other := c.Node(t, func(o *tokens.Options) { o.Bound, o.StaleFor = bound, time.Hour })
		synctest.Wait()
		if _, err := present(other, made.Secret); !fault.Is(err, fault.Unavailable) || other.Ready() {
			t.Errorf("Check() = %v, Ready() = %v, want a fault of the kind unavailable, false", err, other.Ready())
		}
		c.Store.Heal()
		time.Sleep(bound)
		mustPass(t, other, made.Secret)
		if !other.Ready() {
			t.Error("Ready() = false though the log can be followed")
		}
	})
}

// When rows of the log are gone that a node has not seen, it forgets all.
func TestGapInTheLogClearsTheCache(t *testing.T) {
	twoNodes(t, bounded, func(t *testing.T, c *coretest.Core, other *tokens.Service) {
		user := c.User(t, "ann")
		lost := issue(t, c, user, tokens.Request{})
		mustPass(t, other, lost.Secret)
		c.Store.EditChanges(func(all []store.Change) []store.Change {
			var kept []store.Change
			for _, change := range all {
				if change.TokenID != lost.Token.ID {
					kept = append(kept, change)
				}
			}
			return kept
		})
		if err := c.Tokens.Revoke(bg, user, lost.Token.ID, ""); err != nil {
			t.Fatal(err)
		}
		visible := issue(t, c, user, tokens.Request{})
		if err := c.Tokens.Revoke(bg, user, visible.Token.ID, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(bound)
		mustRefuse(t, other, lost.Secret, tokens.ReasonRevoked)
	})
}

// More changes than are read at once, and all of them count in one go.
func TestFollowsLongLogs(t *testing.T) {
	c := newCore(t)
	other := c.Idle(t, nil)
	other.CatchUp(bg)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	mustPass(t, other, made.Secret)
	err := c.Store.Update(bg, func(tx store.Tx) error {
		for range 2500 {
			if _, err := tx.AppendChange(store.Change{Kind: store.ChangeToken, TokenID: "tok_other", At: c.Clock.Now()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Tokens.Revoke(bg, user, made.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
	mustPass(t, other, made.Secret) // nothing has told it
	other.CatchUp(bg)
	mustRefuse(t, other, made.Secret, tokens.ReasonRevoked)
}

// What a node has loaded before it began to follow the log is not trusted: an
// end may lie in between.
func TestNothingFromBeforeFollowingIsTrusted(t *testing.T) {
	c := newCore(t)
	other := c.Idle(t, nil)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	mustPass(t, other, made.Secret)
	if err := c.Tokens.Revoke(bg, user, made.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
	other.CatchUp(bg)
	mustRefuse(t, other, made.Secret, tokens.ReasonRevoked)
}

// When the answer of the database to a revocation gets lost, the caller hears
// of an error (S46), and if the token has ended it is refused.
func TestUnknownOutcomeIsLookedUp(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	mustPass(t, c.Tokens, made.Secret)
	c.Store.Lose(store.ErrUnavailable, "Update")
	wantFault(t, "Revoke() with a lost answer", c.Tokens.Revoke(bg, user, made.Token.ID, ""), fault.Unavailable)
	mustRefuse(t, c.Tokens, made.Secret, tokens.ReasonRevoked)
}

// Run writes what waits before it returns, and ends with its context.
func TestRunWritesLastUsesAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t)
		user := c.User(t, "ann")
		made := issue(t, c, user, tokens.Request{})
		s := c.Idle(t, nil)
		ctx, cancel := context.WithCancel(bg)
		var running sync.WaitGroup
		running.Go(func() { s.Run(ctx) })
		synctest.Wait()
		mustPass(t, s, made.Secret)
		cancel()
		running.Wait()
		if n := c.Store.Calls("RecordUses"); n != 1 {
			t.Errorf("RecordUses was called %d times, want once", n)
		}
		stored, err := c.Store.Token(bg, made.Token.ID)
		if err != nil || stored.LastUse.Addr != somewhere {
			t.Errorf("the stored last use is %+v, %v, want one from %v", stored.LastUse, err, somewhere)
		}
	})
}
