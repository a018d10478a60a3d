package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// openFeed follows the changes as the administrator.
func openFeed(t *testing.T, c *coretest.Core, s *tokens.Service, after int64) *tokens.Feed {
	t.Helper()
	f, err := s.Follow(bg, c.Admin, after)
	if err != nil {
		t.Fatalf("Follow(%d) = %v", after, err)
	}
	t.Cleanup(f.Close)
	return f
}

func next(t *testing.T, f *tokens.Feed) tokens.Batch {
	t.Helper()
	b, err := f.Next(bg, time.Second)
	if err != nil {
		t.Fatalf("Next() = %v", err)
	}
	return b
}

// appendChanges writes changes of tokens past the service, as other nodes do.
func appendChanges(t *testing.T, c *coretest.Core, n int) (last int64) {
	t.Helper()
	err := c.Store.Update(bg, func(tx store.Tx) (err error) {
		for i := range n {
			if last, err = tx.AppendChange(store.Change{At: c.Clock.Now(), Kind: store.ChangeToken, TokenID: fmt.Sprint("tok_", i)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// What is changed here is told at once, in order, and how far all was told.
func TestFeedTellsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoreWith(t, bounded)
		user := c.User(t, "ann")
		made := issue(t, c, user, tokens.Request{})
		synctest.Wait()
		time.Sleep(bound)
		f := openFeed(t, c, c.Tokens, -1)
		began := next(t, f)
		if !began.Whole || began.Reset || len(began.Changes) > 0 || began.AsOf > time.Second {
			t.Errorf("Next() of a new feed = %+v, want nothing but how far all was told", began)
		}
		at := time.Now()
		if err := c.Tokens.Revoke(bg, user, made.Token.ID, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Accounts.Update(bg, c.Admin, user.AccountID, accounts.Change{Disabled: of(true)}); err != nil {
			t.Fatal(err)
		}
		var told []store.Change
		var b tokens.Batch
		for len(told) < 2 {
			b = next(t, f)
			told = append(told, b.Changes...)
		}
		if took := time.Since(at); took > 0 { // nothing was waited for
			t.Errorf("the changes were told after %v, want at once", took)
		}
		if told[0].TokenID != made.Token.ID || told[0].Seq != began.Position+1 || told[1].Seq != began.Position+2 || b.Position != told[len(told)-1].Seq {
			t.Errorf("Next() = %+v at %d, want the token's and then the account's behind %d", told, b.Position, began.Position)
		}
	})
}

// How old the news is shows when the log cannot be read any more, and nothing
// is said to be whole that is not.
func TestFeedSaysHowOldItIs(t *testing.T) {
	twoNodes(t, bounded, func(t *testing.T, c *coretest.Core, other *tokens.Service) {
		f := openFeed(t, c, other, -1)
		before := next(t, f)
		c.Store.Fail(store.ErrUnavailable, "ChangesAfter", "LastChange")
		time.Sleep(10 * time.Second)
		stuck := next(t, f)
		if stuck.AsOf > before.AsOf+2*time.Second {
			t.Errorf("AsOf 10 s after the log was lost = %v, before %v, want it to stand", stuck.AsOf, before.AsOf)
		}
		if _, err := other.Follow(bg, c.Admin, -1); !fault.Is(err, fault.Unavailable) {
			t.Errorf("Follow() on a node that lags = %v, want it to be unavailable", err)
		}
		last := appendChanges(t, c, 3)
		c.Store.Heal()
		var b tokens.Batch
		for b.Position < last {
			b = next(t, f)
		}
		time.Sleep(time.Second)
		if b = next(t, f); b.AsOf < 10*time.Second || !b.Whole {
			t.Errorf("Next() after recovery = %+v, want it as of now", b)
		}
	})
}

// A reader resumes from memory and from the store, and is told to start over
// when what it missed was removed, or when the log begins anew.
func TestFeedResumes(t *testing.T) {
	c := newCoreWith(t, func(o *tokens.Options) { o.PollEvery = time.Millisecond })
	first := appendChanges(t, c, 1)
	last := appendChanges(t, c, 10_000) // more than is kept in memory
	for deadline := time.Now().Add(time.Minute); next(t, openFeed(t, c, c.Tokens, -1)).Position < last; {
		if time.Now().After(deadline) {
			t.Fatal("the node does not follow")
		}
	}
	for _, from := range []int64{first, last - 4000, last - 1, last} {
		f := openFeed(t, c, c.Tokens, from)
		at := from
		for at < last {
			b := next(t, f)
			if b.Reset || len(b.Changes) == 0 {
				t.Fatalf("Next() behind %d = %+v, want changes", at, b)
			}
			for _, change := range b.Changes {
				if at++; change.Seq != at {
					t.Fatalf("change %d is told after %d, want no gap", change.Seq, at-1)
				}
			}
			if b.Whole != (at == last) {
				t.Fatalf("Next() at %d of %d says Whole = %v", at, last, b.Whole)
			}
		}
	}
	fresh := c.Node(t, nil) // has nothing in memory
	c.Ready(t, fresh)
	if b := next(t, openFeed(t, c, fresh, last-1)); b.Reset || len(b.Changes) != 1 {
		t.Errorf("Next() on another node = %+v, want one change", b)
	}
	if b := next(t, openFeed(t, c, fresh, last+1)); !b.Reset || b.Position != last {
		t.Errorf("Next() behind the end of the log = %+v, want a reset", b)
	}
	for {
		if n, err := c.Store.SweepChanges(bg, c.Clock.Now(), 5, 5000); err != nil {
			t.Fatal(err)
		} else if n == 0 {
			break
		}
	}
	if b := next(t, openFeed(t, c, fresh, last-100)); !b.Reset || b.Position != last {
		t.Errorf("Next() behind what was removed = %+v, want a reset to %d", b, last)
	}
	if b := next(t, openFeed(t, c, fresh, last-5)); b.Reset || len(b.Changes) != 5 {
		t.Errorf("Next() behind what is still there = %+v, want five changes", b)
	}
}

// Old changes are removed by themselves, and a node that slept meanwhile sees
// that it missed some, although all that is left is old too.
func TestChangeLogIsTrimmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoreWith(t, func(o *tokens.Options) { o.Bound, o.KeepChanges = bound, time.Hour })
		asleep := c.Idle(t, func(o *tokens.Options) { o.Bound = bound })
		asleep.CatchUp(bg)
		user := c.User(t, "ann")
		made := issue(t, c, user, tokens.Request{})
		asleep.CatchUp(bg)
		mustPass(t, asleep, made.Secret)
		if err := c.Tokens.Revoke(bg, user, made.Token.ID, ""); err != nil {
			t.Fatal(err)
		}
		appendChanges(t, c, 1200)
		last := appendChanges(t, c, 1)
		c.Clock.Advance(2 * time.Hour)
		time.Sleep(3 * time.Minute)
		left, err := c.Store.ChangesAfter(bg, 0, 10)
		if err != nil || len(left) != 1 || left[0].Seq != last {
			t.Errorf("ChangesAfter(0) after the sweep = %v, %v, want the newest alone", left, err)
		}
		asleep.CatchUp(bg)
		mustRefuse(t, asleep, made.Secret, tokens.ReasonRevoked)
	})
}

// S41
func TestFeedNeedsTheRight(t *testing.T) {
	c := newCore(t)
	narrow := issue(t, c, c.Admin, tokens.Request{Scope: []string{"latchkey:tokens:*", "path:/*:*"}})
	for _, tt := range []struct {
		caller *identity.Identity
		want   fault.Kind
	}{
		{nil, fault.Unauthenticated}, {c.User(t, "ann"), fault.Forbidden}, {mustPass(t, c.Tokens, narrow.Secret), fault.Forbidden},
	} {
		if f, err := c.Tokens.Follow(bg, tt.caller, -1); f != nil || !fault.Is(err, tt.want) {
			t.Errorf("Follow() without the right = %v, %v, want %q", f, err, tt.want)
		}
	}
	if n := len(c.Events(t, "change.follow")); n != 3 {
		t.Errorf("three refused readers left %d events", n)
	}
}

func TestFeedEndsWithItsContext(t *testing.T) {
	c := newCore(t)
	f := openFeed(t, c, c.Tokens, -1)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if _, err := f.Next(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("Next() of a reader that left = %v, want %v", err, context.Canceled)
	}
}

func TestFeedsAreBounded(t *testing.T) {
	c := newCore(t)
	var open []*tokens.Feed
	for {
		f, err := c.Tokens.Follow(bg, c.Admin, -1)
		if err != nil {
			wantFault(t, fmt.Sprintf("Follow() number %d", len(open)+1), err, fault.Unavailable)
			break
		}
		if open = append(open, f); len(open) > 100_000 {
			t.Fatal("there is no bound to the readers")
		}
	}
	open[0].Close()
	openFeed(t, c, c.Tokens, -1)
	for _, f := range open[1:] {
		f.Close()
	}
}

// The newest of what the feed told is in every answer from then on, and the
// position of an answer says what is in it.
func TestAnswersTellTheirPosition(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	presented := tokens.Presented{Token: made.Secret, Addr: somewhere}
	f := openFeed(t, c, c.Tokens, -1)
	before, err := c.Tokens.CheckFor(bg, c.Admin, presented, nil)
	if err != nil || before.Identity == nil {
		t.Fatalf("CheckFor() = %+v, %v, want an identity", before, err)
	}
	if _, err := c.Accounts.Update(bg, c.Admin, user.AccountID, accounts.Change{Email: of("ann@example.org")}); err != nil {
		t.Fatal(err)
	}
	var told int64
	for told == 0 {
		for _, change := range next(t, f).Changes {
			if change.AccountID == user.AccountID {
				told = change.Seq
			}
		}
	}
	after, err := c.Tokens.CheckFor(bg, c.Admin, presented, nil)
	if err != nil || before.Position >= told || after.Position < told {
		t.Errorf("CheckFor() is at %d before and at %d behind change %d (%v)", before.Position, after.Position, told, err)
	}
}

// S41, S42: whatever is wrong with a token, a service learns no more than that
// it does not count; who has no right to ask learns nothing.
func TestCheckForTellsNothingOfBadTokens(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	revoked := issue(t, c, user, tokens.Request{})
	if err := c.Tokens.Revoke(bg, user, revoked.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
	expired := issue(t, c, user, tokens.Request{ExpiresIn: of(hour)})
	elsewhere := issue(t, c, user, tokens.Request{CIDRs: prefixes("203.0.113.0/24")})
	unknown, _ := tokens.Generate(c.Keys)
	c.Clock.Advance(hour)
	for name, p := range map[string]tokens.Presented{
		"malformed":            {Token: secret.New("lkp_nonsense"), Addr: somewhere},
		"unknown":              {Token: unknown, Addr: somewhere},
		"revoked":              {Token: revoked.Secret, Addr: somewhere},
		"expired":              {Token: expired.Secret, Addr: somewhere},
		"of another network":   {Token: elsewhere.Secret, Addr: somewhere},
		"of an unknown origin": {Token: elsewhere.Secret},
	} {
		got, err := c.Tokens.CheckFor(bg, c.Admin, p, nil)
		if diff := cmp.Diff(tokens.Answer{At: c.Clock.Now()}, got); err != nil || diff != "" {
			t.Errorf("CheckFor() of a token that is %s = %v, %s, want nothing in it", name, err, diff)
		}
	}
	good := issue(t, c, user, tokens.Request{})
	got, err := c.Tokens.CheckFor(bg, user, tokens.Presented{Token: good.Secret, Addr: somewhere}, nil)
	if !fault.Is(err, fault.Forbidden) || got.Identity != nil {
		t.Errorf("CheckFor() without the right = %+v, %v, want it to be forbidden", got, err)
	}
	c.Store.Fail(store.ErrUnavailable)
	got, err = c.Tokens.CheckFor(bg, c.Admin, tokens.Presented{Token: good.Secret, Addr: somewhere}, nil)
	if !fault.Is(err, fault.Unavailable) || got.Identity != nil { // S89
		t.Errorf("CheckFor() without a store = %+v, %v, want it to be unavailable", got, err)
	}
	c.Store.Heal()
}

// The old secret of a rotation ends before its token does.
func TestAnswersTellWhenTheSecretEnds(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	old := issue(t, c, user, tokens.Request{ExpiresIn: of(24 * hour)})
	renewed, err := c.Tokens.Rotate(bg, user, old.Token.ID, tokens.Overlap{For: hour})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		issued tokens.Issued
		want   time.Time
	}{
		"old": {old, c.Clock.Now().Add(hour)}, "new": {renewed, c.Clock.Now().Add(24 * hour)},
	} {
		a, err := c.Tokens.CheckFor(bg, c.Admin, tokens.Presented{Token: tt.issued.Secret, Addr: somewhere}, nil)
		if err != nil || a.Identity == nil {
			t.Fatalf("CheckFor() of the %s secret = %+v, %v", name, a, err)
		}
		if !a.Ends().Equal(tt.want) {
			t.Errorf("the %s secret ends at %v, want %v", name, a.Ends(), tt.want)
		}
	}
}

// S80: what a service asks for is judged, and what is missing named and noted.
func TestCheckForJudgesScopes(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{Scope: []string{"path:/a/*:read"}})
	presented := tokens.Presented{Token: made.Secret, Addr: somewhere}
	for asked, want := range map[string]string{
		"path:/a/b:read": "", "path:/a/b/*:read": "", "path:/a/b:write": "path:/a/b:write", "path:/*:read": "path:/*:read", "latchkey:tokens:read": "latchkey:tokens:read",
	} {
		asking := audit.NewContext(bg, audit.Request{Method: "POST", Path: "/latchkey/api/v1/check"})
		a, err := c.Tokens.CheckFor(asking, c.Admin, presented, mustSet(t, "path:/a/x:read", asked))
		if err != nil || a.Missing != want {
			t.Errorf("CheckFor(%s) misses %q, %v, want %q", asked, a.Missing, err, want)
		}
	}
	var missing []string
	for _, e := range c.Events(t, audit.ActionCheck) {
		if e.Outcome != audit.Refused {
			continue
		}
		if e.Reason != "forbidden" || e.TokenID != made.Token.ID || e.Detail["door"] != "service admin" || e.Addr != somewhere.String() {
			t.Errorf("a refused scope left the event %+v", e)
		}
		missing = append(missing, e.Detail["missing"])
	}
	if len(missing) != 3 {
		t.Errorf("refused scopes left events about %q, want three", missing)
	}
}
