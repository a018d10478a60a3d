package tokens_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

func scopes(t testing.TB, texts ...string) scope.Set {
	t.Helper()
	set, err := scope.ParseSet(texts)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func of2(account string) tokens.Query {
	return tokens.Query{TokenQuery: store.TokenQuery{AccountID: account}}
}

// count is a dry run that must be given.
func count(t testing.TB, c *coretest.Core, who *identity.Identity, q tokens.Query) int {
	t.Helper()
	m, err := c.Tokens.Matching(bg, who, q)
	if err != nil {
		t.Fatalf("Matching(%s) = %v", q, err)
	}
	return m.Count
}

// What only the core can select by: the use that is not written yet, the
// network, and what a token reaches. A page goes on where it ended.
func TestQuerySelects(t *testing.T) {
	c := newCore(t)
	ann, bob := c.User(t, "ann"), c.User(t, "bob", "repository:prod/*:pull")
	used := issue(t, c, ann, tokens.Request{Name: "used"})
	issue(t, c, ann, tokens.Request{Name: "narrow", Scope: []string{"path:/a/*:read"}})
	issue(t, c, bob, tokens.Request{Name: "whole"})
	c.Clock.Advance(hour)
	mustPass(t, c.Tokens, used.Secret) // stays in memory: nothing flushes
	lan := func(text string) tokens.Query { return tokens.Query{LastAddr: netip.MustParsePrefix(text)} }
	touching := func(rule string) tokens.Query { return tokens.Query{Touching: scopes(t, rule)} }
	for name, tt := range map[string]struct {
		q    tokens.Query
		want string
	}{
		"network":           {lan("192.0.2.0/24"), "used"},
		"another network":   {lan("198.51.100.0/24"), ""},
		"never used":        {tokens.Query{TokenQuery: store.TokenQuery{NeverUsed: true}}, "whole narrow"},
		"unused":            {tokens.Query{TokenQuery: store.TokenQuery{UnusedSince: c.Clock.Now()}}, "whole narrow"},
		"own scope":         {touching("path:/a/b:read"), "whole narrow used"},
		"not by its scope":  {touching("path:/a/*:write"), "whole used"},
		"by an owner's":     {touching("repository:*:pull,push"), "whole"},
		"by nobody's":       {touching("repository:test/*:pull"), ""},
		"two at once":       {tokens.Query{TokenQuery: store.TokenQuery{AccountID: ann.AccountID}, Touching: scopes(t, "path:/b:read")}, "used"},
		"created afterward": {tokens.Query{TokenQuery: store.TokenQuery{CreatedSince: c.Clock.Now()}}, ""},
	} {
		for _, limit := range []int{1, 100} {
			var names []string
			q := tt.q
			q.Limit = limit
			for {
				page, err := c.Tokens.List(bg, c.Admin, q)
				if err != nil {
					t.Fatalf("List(%s) = %v", name, err)
				}
				for _, found := range page.Tokens {
					names = append(names, found.Name)
				}
				if q.After = page.Next; page.Next == (store.Position{}) {
					break
				}
			}
			if got := strings.Join(names, " "); !sameWords(got, tt.want) {
				t.Errorf("List(%s) in pages of %d = %q, want %q", name, limit, got, tt.want)
			}
		}
	}
}

// sameWords compares lists whose order is that of random ids.
func sameWords(a, b string) bool {
	count := map[string]int{}
	for _, w := range strings.Fields(a) {
		count[w]++
	}
	for _, w := range strings.Fields(b) {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestRevokeMatching(t *testing.T) {
	c := newCore(t)
	other := c.Node(t, nil)
	c.Ready(t, other)
	ann, bob := c.User(t, "ann"), c.User(t, "bob")
	const many = 230 // more than two transactions
	var gone []tokens.Issued
	for i := range many {
		gone = append(gone, issue(t, c, ann, tokens.Request{Name: fmt.Sprint("old-", i)}))
	}
	kept, his := issue(t, c, ann, tokens.Request{Name: "new"}), issue(t, c, bob, tokens.Request{Name: "old-his"})
	for _, one := range append(gone, kept, his) {
		mustPass(t, c.Tokens, one.Secret)
		mustPass(t, other, one.Secret)
	}
	q := of2(ann.AccountID)
	q.NamePrefix = "old-"
	m, err := c.Tokens.Matching(bg, c.Admin, q)
	if err != nil || m.Count != many || len(m.Sample) != 10 {
		t.Fatalf("Matching() = %d with a sample of %d, %v, want %d and 10", m.Count, len(m.Sample), err, many)
	}
	for _, r := range []tokens.RevokeMatching{
		{Query: q, Expect: of(many - 1)}, {Query: q, Expect: of(many + 1)}, {Query: q, AtMost: of(many - 1)}, {Query: q, Expect: of(0)},
		{Query: q, Expect: of(many), AtMost: of(5)},
	} {
		_, err := c.Tokens.RevokeMatching(bg, c.Admin, r)
		wantFault(t, "RevokeMatching() with another count", err, fault.Conflict)
	}
	mustPass(t, c.Tokens, gone[0].Secret)

	done, err := c.Tokens.RevokeMatching(bg, c.Admin, tokens.RevokeMatching{Query: q, Expect: of(many), Reason: "a spring clean"})
	if want := (tokens.RevokedMatching{Matched: many, Revoked: many, Complete: true}); err != nil || done != want {
		t.Fatalf("RevokeMatching() = %+v, %v, want %+v", done, err, want)
	}
	for _, one := range gone {
		mustRefuse(t, c.Tokens, one.Secret, tokens.ReasonRevoked)
	}
	other.CatchUp(bg)
	for _, one := range gone {
		mustRefuse(t, other, one.Secret, tokens.ReasonRevoked)
	}
	mustPass(t, c.Tokens, kept.Secret)
	mustPass(t, c.Tokens, his.Secret)

	// Each has its own event, and the query is written down.
	revoked := map[string]bool{}
	for _, e := range c.Events(t, "token.revoke") {
		revoked[e.Target] = e.Detail["reason"] == "a spring clean"
	}
	if len(revoked) != many || !revoked[gone[7].Token.ID] {
		t.Errorf("there are events about %d tokens, want %d with the reason", len(revoked), many)
	}
	sum := 0
	for _, e := range c.Events(t, "token.revoke_matching") {
		if e.Outcome != "ok" {
			continue
		}
		n, _ := strconv.Atoi(e.Detail["revoked"])
		sum += n
		if want := "account=" + ann.AccountID + " name=old-"; e.Detail["query"] != want || e.Detail["matched"] != strconv.Itoa(many) {
			t.Errorf("the event has %v, want the query %q", e.Detail, want)
		}
	}
	if sum != many {
		t.Errorf("the events count %d, want %d", sum, many)
	}

	// Again: nothing is left to do.
	done, err = c.Tokens.RevokeMatching(bg, c.Admin, tokens.RevokeMatching{Query: q, AtMost: of(many)})
	if want := (tokens.RevokedMatching{Complete: true}); err != nil || done != want {
		t.Errorf("RevokeMatching() once more = %+v, %v, want %+v", done, err, want)
	}
}

// S82: everybody may end their own, and needs the right over all for others'.
func TestRevokeMatchingRefuses(t *testing.T) {
	c := newCore(t)
	ann, bob := c.User(t, "ann"), c.User(t, "bob")
	hers := issue(t, c, ann, tokens.Request{})
	reader := mustPass(t, c.Tokens, issue(t, c, ann, tokens.Request{Scope: []string{"latchkey:tokens:read"}}).Secret)
	ender := mustPass(t, c.Tokens, issue(t, c, ann, tokens.Request{Scope: []string{"latchkey:tokens:delete"}}).Secret)
	used := tokens.Query{TokenQuery: store.TokenQuery{NeverUsed: true}}
	for name, tt := range map[string]struct {
		who  *identity.Identity
		r    tokens.RevokeMatching
		want fault.Kind
	}{
		"others'":           {bob, tokens.RevokeMatching{Query: of2(ann.AccountID), AtMost: of(99)}, fault.Forbidden},
		"everybody's":       {bob, tokens.RevokeMatching{Query: used, AtMost: of(99)}, fault.Forbidden},
		"nobody":            {nil, tokens.RevokeMatching{Query: used, AtMost: of(99)}, fault.Unauthenticated},
		"by reading alone":  {reader, tokens.RevokeMatching{Query: of2(ann.AccountID), AtMost: of(99)}, fault.Forbidden},
		"without reading":   {ender, tokens.RevokeMatching{Query: of2(ann.AccountID), AtMost: of(99)}, fault.Forbidden},
		"all there are":     {c.Admin, tokens.RevokeMatching{AtMost: of(99)}, fault.Invalid},
		"all of everyone":   {c.Admin, tokens.RevokeMatching{Query: tokens.Query{TokenQuery: store.TokenQuery{Group: store.GroupEveryone}}, AtMost: of(99)}, fault.Invalid},
		"without a count":   {c.Admin, tokens.RevokeMatching{Query: used}, fault.Invalid},
		"a negative count":  {c.Admin, tokens.RevokeMatching{Query: used, Expect: of(-1)}, fault.Invalid},
		"a negative bound":  {c.Admin, tokens.RevokeMatching{Query: used, AtMost: of(-1)}, fault.Invalid},
		"an unclean reason": {c.Admin, tokens.RevokeMatching{Query: used, AtMost: of(99), Reason: "a\nb"}, fault.Invalid},
	} {
		_, err := c.Tokens.RevokeMatching(bg, tt.who, tt.r)
		wantFault(t, "RevokeMatching() of "+name, err, tt.want)
		if tt.want == fault.Forbidden || tt.want == fault.Unauthenticated {
			_, err := c.Tokens.Matching(bg, tt.who, tt.r.Query)
			wantFault(t, "Matching() of "+name, err, tt.want)
		}
	}
	mustPass(t, c.Tokens, hers.Secret)
	refused := 0
	for _, e := range c.Events(t, "token.revoke_matching") {
		if e.Outcome == "refused" {
			refused++
		}
	}
	if refused == 0 {
		t.Error("no refusal is in the audit log")
	}
	if n := count(t, c, ann, of2(ann.AccountID)); n != 3 {
		t.Errorf("ann sees %d tokens of hers, want 3", n)
	}
}

// A whole secret that somebody gave as a prefix does not reach the audit log
// (S69).
func TestQueryInEventsHasNoSecret(t *testing.T) {
	c := newCore(t)
	ann := c.User(t, "ann")
	made := issue(t, c, ann, tokens.Request{})
	q := of2(ann.AccountID)
	q.Prefix = made.Secret.Reveal()
	if text := q.String(); strings.Contains(text, made.Secret.Reveal()) || !strings.Contains(text, "prefix="+made.Token.Prefix) {
		t.Errorf("String() = %q, want what is shown of the secret alone", text)
	}
}

// The token that asks is the last one to end.
func TestRevokeMatchingEndsItselfLast(t *testing.T) {
	c := newCore(t)
	ann := c.User(t, "ann")
	for range 3 {
		issue(t, c, ann, tokens.Request{})
	}
	own := issue(t, c, ann, tokens.Request{Name: "own"})
	self := mustPass(t, c.Tokens, own.Secret)
	done, err := c.Tokens.RevokeMatching(bg, self, tokens.RevokeMatching{Query: of2(ann.AccountID), Expect: of(4)})
	if err != nil || done.Revoked != 4 {
		t.Fatalf("RevokeMatching() = %+v, %v, want 4", done, err)
	}
	mustRefuse(t, c.Tokens, own.Secret, tokens.ReasonRevoked)
	changes, err := c.Store.ChangesAfter(bg, 0, 1000)
	if last := changes[len(changes)-1]; err != nil || last.TokenID != own.Token.ID {
		t.Errorf("the last change is %+v, %v, want the end of the token that asked", last, err)
	}
}

// When the answer of a transaction is lost, the call says so, what was ended
// is refused, and the same call ends the rest.
func TestRevokeMatchingIsSafeToRepeat(t *testing.T) {
	c := newCore(t)
	ann := c.User(t, "ann")
	const many = 150
	var list []tokens.Issued
	for range many {
		list = append(list, issue(t, c, ann, tokens.Request{}))
		mustPass(t, c.Tokens, list[len(list)-1].Secret)
	}
	c.Store.Before("Update", func() { c.Store.Lose(store.ErrUnavailable, "Update") })
	_, err := c.Tokens.RevokeMatching(bg, c.Admin, tokens.RevokeMatching{Query: of2(ann.AccountID), Expect: of(many)})
	wantFault(t, "RevokeMatching() whose answer is lost", err, fault.Unavailable)
	c.Store.Heal()
	refused := 0
	for _, one := range list {
		if _, err := present(c.Tokens, one.Secret); err != nil {
			refused++
		}
	}
	left := count(t, c, c.Admin, of2(ann.AccountID))
	if refused != many-left || refused == 0 {
		t.Errorf("%d of %d are refused, and %d are left", refused, many, left)
	}
	done, err := c.Tokens.RevokeMatching(bg, c.Admin, tokens.RevokeMatching{Query: of2(ann.AccountID), AtMost: of(many)})
	if err != nil || !done.Complete || done.Revoked != left {
		t.Errorf("RevokeMatching() once more = %+v, %v, want %d", done, err, left)
	}
	for _, one := range list {
		mustRefuse(t, c.Tokens, one.Secret, tokens.ReasonRevoked)
	}
}

// While tokens are issued and checked, a query ends what was there when it
// began, nothing that does not match, and never more than was agreed to; what
// it ended never works again.
func TestRevokeMatchingRacesWithIssueAndCheck(t *testing.T) {
	c := coretest.New(t, coretest.Options{File: coretest.OnDisk(t)})
	c.Ready(t)
	ann := c.User(t, "ann")
	robot := c.Account(t, accounts.NewAccount{Name: "ci", Kind: store.Robot})
	spared := issue(t, c, c.Admin, tokens.Request{Name: "spared", AccountID: robot.AccountID})
	stop := make(chan struct{})
	var mu sync.Mutex
	var made []tokens.Issued
	var busy sync.WaitGroup
	for range 3 {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				issued, err := c.Tokens.Issue(bg, ann, tokens.Request{Name: "racing"})
				if fault.Is(err, fault.Limit) {
					continue
				}
				if err != nil {
					t.Errorf("Issue() = %v", err)
					return
				}
				if _, err := present(c.Tokens, issued.Secret); err != nil && reason(err) != tokens.ReasonRevoked {
					t.Errorf("Check() = %v", err)
				}
				mu.Lock()
				made = append(made, issued)
				mu.Unlock()
				if _, err := present(c.Tokens, spared.Secret); err != nil {
					t.Errorf("Check() of a token that does not match = %v", err)
				}
			}
		})
	}
	q := of2(ann.AccountID)
	for range 10 {
		mu.Lock()
		before := append([]tokens.Issued(nil), made...)
		mu.Unlock()
		agreed := count(t, c, c.Admin, q) + 1000
		done, err := c.Tokens.RevokeMatching(bg, c.Admin, tokens.RevokeMatching{Query: q, AtMost: &agreed})
		if err != nil || !done.Complete || done.Revoked > agreed || done.Matched > agreed {
			t.Fatalf("RevokeMatching() at most %d = %+v, %v", agreed, done, err)
		}
		for _, one := range before {
			if _, err := present(c.Tokens, one.Secret); reason(err) != tokens.ReasonRevoked {
				t.Fatalf("Check() of a token that was there before = %v, want it revoked", err)
			}
		}
	}
	close(stop)
	busy.Wait()
	live := 0
	for _, one := range made {
		_, err := present(c.Tokens, one.Secret)
		var refusal *tokens.Refusal
		switch {
		case err == nil:
			live++
		case !errors.As(err, &refusal):
			t.Errorf("Check() = %v", err)
		}
	}
	if n := count(t, c, c.Admin, q); n != live {
		t.Errorf("%d tokens are live in the store, and %d work", n, live)
	}
	mustPass(t, c.Tokens, spared.Secret)
}

func TestMatchingDoesNotReadEverythingAtOnce(t *testing.T) {
	c := newCoreWith(t, func(o *tokens.Options) { o.Policy.MaxPerAccount = -1 })
	ann := c.User(t, "ann")
	for range 1200 {
		issue(t, c, ann, tokens.Request{})
	}
	c.Store.Forget()
	if n := count(t, c, c.Admin, of2(ann.AccountID)); n != 1200 {
		t.Errorf("Matching() = %d, want 1200", n)
	}
	if diff := cmp.Diff(3, c.Store.Calls("Tokens")); diff != "" {
		t.Errorf("pages that were read (-want +got):\n%s", diff)
	}
	// As much as was agreed to, and no more, is counted for the real run.
	c.Store.Forget()
	_, err := c.Tokens.RevokeMatching(bg, c.Admin, tokens.RevokeMatching{Query: of2(ann.AccountID), AtMost: of(10)})
	wantFault(t, "RevokeMatching() of too many", err, fault.Conflict)
	if n := c.Store.Calls("Tokens"); n != 1 {
		t.Errorf("%d pages were read to find more than 10, want 1", n)
	}
}
