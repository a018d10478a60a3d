package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var issueTests = []test{
	{"AddsAll", issueAll},
	{"Admission", issueAdmission},
	{"Refusal", issueRefusal},
	{"Conflicts", issueConflicts},
	{"Panic", issuePanic},
	{"ManyAtOnce", issueMany},
	{"OneBadOfMany", issueOneBad},
	{"LimitHolds", issueLimit},
	{"NoneByARevokedToken", issueRevoked},
	{"EndedContext", issueEnded},
}

// issued is the event of a token that was issued.
func issued(id string) store.Event {
	return store.Event{ID: "event of " + id, At: start, Action: "token.issue", Outcome: "ok", Target: id, Count: 1}
}

// admitted asks for a token that is let in whatever the admission says.
func admitted(id, account string) store.Issue {
	return store.Issue{
		Token: newToken(id, account), Secret: newSecret(id, id),
		Admit: func(store.Admission) (store.Event, error) { return issued(id), nil },
	}
}

// complete checks that a token is there with its secret and one event, or that
// nothing of it is.
func (f fixture) complete(id string, want bool) {
	f.Helper()
	_, err := f.Token(f.ctx, id)
	found, err2 := f.TokenByDigest(f.ctx, digest(id))
	events := len(f.events(store.EventQuery{Target: id}))
	if want && (err != nil || err2 != nil || found.Token.ID != id || events != 1) {
		f.Errorf("token %s = %v, its secret is of %q, %v, and it has %d events, want all of it", id, err, found.Token.ID, err2, events)
	}
	if !want && (!errors.Is(err, store.ErrNotFound) || !errors.Is(err2, store.ErrNotFound) || events != 0) {
		f.Errorf("token %s = %v, its secret %v, and it has %d events, want nothing of it", id, err, err2, events)
	}
}

func issueAll(f fixture) {
	f.accounts("a")
	t := newToken("t", "a")
	t.Slot, t.ParentID, t.Epoch, t.IdleAfter = "drf", "parent", 3, time.Hour
	t.Scope = []string{`repository:a,b/*:pull`, `"quoted" {x} \back`, "NULL", ""}
	t.Labels = map[string]string{"k\"": "v\\\n", "": ""}
	t.CIDRs = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	t.ExpiresAt, t.RotatedAt = minute(9), minute(2)
	s := newSecret("t", "t")
	s.Sealed, s.ExpiresAt, s.UntilSuccessor = []byte{0, 1}, minute(8), true
	event := fullEvent("e")
	event.MAC = []byte{1, 0, 2}
	err := f.Issue(f.ctx, store.Issue{Token: t, Secret: s, Admit: func(store.Admission) (store.Event, error) { return event, nil }})
	if err != nil {
		f.Fatalf("Issue() = %v, want no error", err)
	}
	found := f.found("t")
	same(f, "the token", found.Token, t)
	same(f, "its secret", found.Secret, s)
	placed, err := f.EventsByPlace(f.ctx, 0, 10)
	if err != nil || len(placed) != 1 {
		f.Fatalf("EventsByPlace() = %v, %v, want one event", placed, err)
	}
	same(f, "its event", placed[0].Event, event)
	plain := admitted("plain", "a")
	if err := f.Issue(f.ctx, plain); err != nil {
		f.Fatalf("Issue(plain) = %v, want no error", err)
	}
	same(f, "the plain token", f.token("plain"), plain.Token)
	same(f, "the plain secret", f.found("plain").Secret, plain.Secret)
}

func issueAdmission(f fixture) {
	account := newAccount("a")
	account.Disabled, account.Epoch, account.MaxTokens = true, 7, 9
	f.update(func(tx store.Tx) error { return tx.InsertAccount(account) })
	f.accounts("other")
	gone := newToken("gone", "a")
	gone.RevokedAt = minute(1)
	f.tokens(newToken("live", "a"), gone, newToken("foreign", "other"))
	for i, tt := range []struct {
		by   string
		want bool
	}{{"", false}, {"live", false}, {"foreign", false}, {"gone", true}, {"never was", true}, {"\x00", true}} {
		one := admitted(fmt.Sprint("t", i), "a")
		one.By = tt.by
		var got store.Admission
		one.Admit = func(a store.Admission) (store.Event, error) {
			got = a
			return issued(one.Token.ID), nil
		}
		if err := f.Issue(f.ctx, one); err != nil {
			f.Errorf("Issue() by %q = %v, want no error", tt.by, err)
		}
		same(f, fmt.Sprintf("the admission by %q", tt.by), got, store.Admission{
			Owner: "name-a", Disabled: true, Epoch: 7, MaxTokens: 9, Unrevoked: 1 + i, ByGone: tt.want,
		})
	}
}

var errRefused = errors.New("refused")

func issueRefusal(f fixture) {
	f.accounts("a")
	one := admitted("t", "a")
	one.Admit = func(store.Admission) (store.Event, error) { return issued("t"), errRefused }
	if err := f.Issue(f.ctx, one); err != errRefused {
		f.Errorf("Issue() that is not admitted = %v, want %v", err, errRefused)
	}
	f.complete("t", false)
}

func issueConflicts(f fixture) {
	f.accounts("a")
	t := newToken("taken", "a")
	t.Slot = "drf"
	f.tokens(t)
	for name, tt := range map[string]struct {
		change func(*store.Issue)
		want   error
	}{
		"its id":         {func(i *store.Issue) { i.Token.ID = "taken" }, store.ErrConflict},
		"its slot":       {func(i *store.Issue) { i.Token.Slot = "drf" }, store.ErrConflict},
		"its digest":     {func(i *store.Issue) { i.Secret.Digest = digest("taken") }, store.ErrConflict},
		"no account":     {func(i *store.Issue) { i.Token.AccountID = "nobody" }, store.ErrNotFound},
		"not an account": {func(i *store.Issue) { i.Token.AccountID = "\x00" }, store.ErrInvalid},
		"not a name":     {func(i *store.Issue) { i.Token.Name = "\xff" }, store.ErrInvalid},
		"no digest":      {func(i *store.Issue) { i.Secret.Digest = nil }, store.ErrInvalid},
	} {
		one := admitted("t", "a")
		tt.change(&one)
		if err := f.Issue(f.ctx, one); !errors.Is(err, tt.want) {
			f.Errorf("Issue() with %s = %v, want %v", name, err, tt.want)
		}
		f.complete("t", false)
	}
	if got := f.listTokens(store.TokenQuery{}); len(got) != 1 {
		f.Errorf("Tokens() = %q, want the first alone", got)
	}
	if err := f.Issue(f.ctx, admitted("t", "a")); err != nil {
		f.Errorf("Issue() after conflicts = %v, want no error", err)
	}
	f.complete("t", true)
}

func issuePanic(f fixture) {
	f.accounts("a")
	together(9, func(i int) {
		one := admitted(fmt.Sprint("t", i), "a")
		if i != 4 {
			if err := f.Issue(f.ctx, one); err != nil {
				f.Errorf("Issue(t%d) = %v, want no error", i, err)
			}
			return
		}
		defer func() {
			if r := recover(); r != "boom" {
				f.Errorf("recover() = %v, want boom", r)
			}
		}()
		one.Admit = func(store.Admission) (store.Event, error) { panic("boom") }
		_ = f.Issue(f.ctx, one)
	})
	for i := range 9 {
		f.complete(fmt.Sprint("t", i), i != 4)
	}
}

// issueMany lets callers come together for few accounts and by few tokens, with
// some who are refused and others who write by [store.Updater].
func issueMany(f fixture) {
	f.accounts("a", "b", "c")
	f.tokens(newToken("by a", "a"), newToken("by b", "b"))
	const callers, times = 24, 4
	together(callers, func(i int) {
		account := string(rune('a' + i%3))
		for n := range times {
			id := fmt.Sprintf("t%d-%d", i, n)
			one := admitted(id, account)
			one.By = []string{"", "by a", "by b"}[i%3]
			var err error
			switch i % 8 {
			case 6:
				one.Admit = func(store.Admission) (store.Event, error) { return store.Event{}, errRefused }
				if err = f.Issue(f.ctx, one); errors.Is(err, errRefused) {
					err = nil
				}
			case 7:
				err = f.Update(f.ctx, one.In)
			default:
				err = f.Issue(f.ctx, one)
			}
			if err != nil {
				f.Errorf("Issue(%s) = %v, want no error", id, err)
			}
		}
	})
	perAccount := map[string]int{"a": 1, "b": 1}
	for i := range callers {
		for n := range times {
			f.complete(fmt.Sprintf("t%d-%d", i, n), i%8 != 6)
		}
		if i%8 != 6 {
			perAccount[string(rune('a'+i%3))] += times
		}
	}
	for account, want := range perAccount {
		f.update(func(tx store.Tx) error {
			if n, err := tx.CountUnrevoked(account); err != nil || n != want {
				f.Errorf("CountUnrevoked(%s) = %d, %v, want %d", account, n, err, want)
			}
			return nil
		})
	}
}

// issueOneBad lets several ask for one id: one gets it, and nobody else is
// harmed by the conflict.
func issueOneBad(f fixture) {
	f.accounts("a", "b")
	var winners atomic.Int32
	together(24, func(i int) {
		one := admitted(fmt.Sprint("t", i), string(rune('a'+i%2)))
		if i%4 == 0 {
			one.Token.ID = "same"
		}
		switch err := f.Issue(f.ctx, one); {
		case err == nil && i%4 == 0:
			winners.Add(1)
		case i%4 == 0 && !errors.Is(err, store.ErrConflict), i%4 != 0 && err != nil:
			f.Errorf("Issue(%s) = %v", one.Token.ID, err)
		}
	})
	if n := winners.Load(); n != 1 {
		f.Errorf("%d callers got the same id, want 1", n)
	}
	if got := f.listTokens(store.TokenQuery{}); len(got) != 19 {
		f.Errorf("Tokens() = %d, want 18 and one", len(got))
	}
}

// issueLimit shows that what an admission counts includes those who were
// admitted at the same time.
func issueLimit(f fixture) {
	f.accounts("a")
	const most = 5
	together(32, func(i int) {
		one := admitted(fmt.Sprint("t", i), "a")
		one.Admit = func(a store.Admission) (store.Event, error) {
			if a.Unrevoked >= most {
				return store.Event{}, errRefused
			}
			return issued(one.Token.ID), nil
		}
		do := func() error { return f.Issue(f.ctx, one) }
		if i%4 == 0 {
			do = func() error { return f.Update(f.ctx, one.In) }
		}
		if err := do(); err != nil && !errors.Is(err, errRefused) {
			f.Errorf("Issue(t%d) = %v, want nil or %v", i, err, errRefused)
		}
	})
	if got := f.listTokens(store.TokenQuery{}); len(got) != most {
		f.Errorf("Tokens() = %d, want %d", len(got), most)
	}
}

// issueRevoked revokes a token while others ask by it: once that is done,
// nothing is issued by it any more (S78).
func issueRevoked(f fixture) {
	f.accounts("a")
	f.tokens(newToken("by", "a"))
	var revoked atomic.Bool
	var before atomic.Int32
	together(9, func(i int) {
		if i == 0 {
			for before.Load() < 20 && !f.Failed() {
				time.Sleep(time.Millisecond)
			}
			if err := f.Update(f.ctx, func(tx store.Tx) error {
				t, err := tx.LockToken("by")
				if err != nil {
					return err
				}
				t.RevokedAt = minute(1)
				return tx.UpdateToken(t)
			}); err != nil {
				f.Errorf("Update() = %v, want no error", err)
			}
			revoked.Store(true)
			return
		}
		for n := 0; ; n++ {
			one := admitted(fmt.Sprintf("t%d-%d", i, n), "a")
			one.By = "by"
			one.Admit = func(a store.Admission) (store.Event, error) {
				if a.ByGone {
					return store.Event{}, errRefused
				}
				return issued(one.Token.ID), nil
			}
			late := revoked.Load()
			err := f.Issue(f.ctx, one)
			switch {
			case errors.Is(err, errRefused):
				return
			case err != nil:
				f.Errorf("Issue() = %v, want nil or %v", err, errRefused)
				return
			case late:
				f.Errorf("Issue() by a token that was revoked before = nil, want %v", errRefused)
				return
			}
			before.Add(1)
		}
	})
}

func issueEnded(f fixture) {
	f.accounts("a")
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	if err := f.Issue(ctx, admitted("t", "a")); !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrUnavailable) {
		f.Errorf("Issue() whose context has ended = %v, want %v", err, context.Canceled)
	}
	f.complete("t", false)
}
