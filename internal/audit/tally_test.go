package audit

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// S109: refusals of somebody known are never lost. The first ones can be found
// by the id of their request; a flood is one row with a count, which says so.
func TestLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{}
		l := newLog(s)
		refuse := func(token string, n int) {
			for i := range n {
				l.Limited(TallyKey{Action: ActionCheck, Reason: "revoked", Addr: netip.MustParseAddr("192.0.2.1"), Token: token}, func() store.Event {
					return store.Event{ID: NewID(noon), Action: ActionCheck, TokenID: token, RequestID: fmt.Sprint(i), Addr: "192.0.2.1", Count: 1}
				})
			}
		}
		counts := func() map[string][2]int {
			l.Flush(context.Background())
			rows := map[string][2]int{}
			for _, e := range s.events {
				n := rows[e.TokenID]
				rows[e.TokenID] = [2]int{n[0] + 1, n[1] + e.Count}
				if gathered := e.Detail["gathered"] != ""; gathered != (e.Count > 1) || e.Addr != "192.0.2.1" {
					t.Errorf("event %+v, want those that stand for many, and only those, to say so, and the address in all", e)
				}
			}
			s.events = nil
			return rows
		}
		refuse("a", singly)
		refuse("b", singly+1000)
		if diff := cmp.Diff(map[string][2]int{"a": {singly, singly}, "b": {singly + 1, singly + 1000}}, counts()); diff != "" {
			t.Errorf("rows and count by token, -want +got:\n%s", diff)
		}
		refuse("b", 500) // in the same window
		if diff := cmp.Diff(map[string][2]int{"b": {1, 500}}, counts()); diff != "" {
			t.Errorf("rows and count in the same window, -want +got:\n%s", diff)
		}
		time.Sleep(tallyWindow)
		l.Flush(context.Background())
		refuse("b", 3)
		if diff := cmp.Diff(map[string][2]int{"b": {3, 3}}, counts()); diff != "" {
			t.Errorf("rows and count in the next window, -want +got:\n%s", diff)
		}
	})
}

// Past the bound of keys memory does not grow, and the counts still add up.
func TestLimitedKeys(t *testing.T) {
	s := &fakeStore{}
	l := newLog(s)
	const n = 2 * mostTallies
	for i := range n {
		token := fmt.Sprint(i)
		l.Limited(TallyKey{Action: ActionCheck, Reason: "revoked", Token: token}, func() store.Event {
			return store.Event{ID: NewID(noon), Action: ActionCheck, TokenID: token, Count: 1}
		})
	}
	if got := len(l.tallies); got > mostTallies+1 {
		t.Errorf("%d keys are kept, want at most %d", got, mostTallies+1)
	}
	l.Flush(context.Background())
	if got := s.total(); got != n {
		t.Errorf("count of all rows = %d, want %d", got, n)
	}
}

// S109: who asks for what they may not know of is recorded, who asks for what
// does not exist or makes a mistake is not.
func TestRefusedHidden(t *testing.T) {
	s := &fakeStore{}
	l := newLog(s)
	caller := &identity.Identity{Name: "bob", TokenID: "t1"}
	ctx := NewContext(context.Background(), Request{RequestID: "r1", Method: "GET", Path: "/latchkey/api/v1/tokens/t2"})
	for _, err := range []error{
		fault.Hiddenf(fault.Needs("latchkey:all-tokens:read"), "there is no token"),
		fault.NotFoundf("there is no token"), fault.Invalidf("id", "is odd"),
	} {
		if got := l.Refused(ctx, noon, caller, "token.read", "t2", err); got != err {
			t.Errorf("Refused() = %v, want the error as it is, %v", got, err)
		}
	}
	l.Flush(ctx)
	want := []store.Event{{
		At: noon, Action: "token.read", Outcome: Refused, Reason: "forbidden", ActorName: "bob", TokenID: "t1", Target: "t2", RequestID: "r1",
		Detail: map[string]string{"method": "GET", "path": "/latchkey/api/v1/tokens/t2", "door": "api", "missing": "latchkey:all-tokens:read"}, Count: 1,
	}}
	if diff := cmp.Diff(want, s.events, cmpopts.IgnoreFields(store.Event{}, "ID")); diff != "" {
		t.Errorf("events, -want +got:\n%s", diff)
	}
}

// S109: successes may be sampled: one row for a token, door and address says
// in how many seconds they were used, and none is lost at the end.
func TestUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{}
		l := newLog(s)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { l.Run(ctx); close(ended) }()
		rows := func() (list []string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, e := range s.events {
				list = append(list, fmt.Sprintf("%s %s %s %s %s %d", e.Action, e.Outcome, e.TokenID, e.Detail["door"], e.Addr, e.Count))
			}
			slices.Sort(list)
			s.events = nil
			return list
		}
		use := func(token, door, addr string, n int) {
			for i := range n {
				at := noon.Add(time.Duration(i) * time.Second)
				l.Used(Use{By: &identity.Identity{AccountID: "a", Name: "alice", TokenID: token}, Door: door, Addr: netip.MustParseAddr(addr), First: at, Last: at, Seconds: 1})
			}
		}
		use("t1", "verify", "192.0.2.1", 300)
		use("t1", "gateway", "192.0.2.1", 1)
		use("t1", "verify", "192.0.2.2", 2)
		use("t2", "verify", "192.0.2.1", 3)
		time.Sleep(usageEvery - time.Second)
		if got := rows(); got != nil {
			t.Errorf("before the time: %q, want none", got)
		}
		time.Sleep(2 * time.Second)
		want := []string{
			"token.check ok t1 gateway 192.0.2.1 1", "token.check ok t1 verify 192.0.2.1 300",
			"token.check ok t1 verify 192.0.2.2 2", "token.check ok t2 verify 192.0.2.1 3",
		}
		if diff := cmp.Diff(want, rows()); diff != "" {
			t.Errorf("after %s, -want +got:\n%s", usageEvery, diff)
		}
		use("t3", "verify", "192.0.2.1", 4)
		cancel()
		<-ended
		if diff := cmp.Diff([]string{"token.check ok t3 verify 192.0.2.1 4"}, rows()); diff != "" {
			t.Errorf("at the end, -want +got:\n%s", diff)
		}
	})
}

// However many tokens are in use, memory is bounded and each has its row.
func TestUsedByMany(t *testing.T) {
	s := &fakeStore{}
	l := newLog(s)
	for i := range 2*mostUsage + 1 {
		l.Used(Use{By: &identity.Identity{TokenID: fmt.Sprint(i)}})
		if got := len(l.usage.rows); got > mostUsage {
			t.Fatalf("%d rows are gathered, want at most %d", got, mostUsage)
		}
	}
	l.FinishUsage()
	l.Flush(context.Background())
	if got := len(s.events); got != 2*mostUsage+1 {
		t.Errorf("%d rows, want %d", got, 2*mostUsage+1)
	}
}

// S109: an event that the table does not have cannot be written.
func TestUnknownAction(t *testing.T) {
	s := &fakeStore{}
	l := newLog(s)
	e := event("x")
	e.Action = "token.polish"
	l.Record(e)
	l.Limited(TallyKey{}, func() store.Event { return e })
	l.Flush(context.Background())
	if len(s.events) != 0 {
		t.Errorf("events = %+v, want none", s.events)
	}
}

func TestAsk(t *testing.T) {
	ctx := NewContext(context.Background(), Request{Method: "GET", Path: "/latchkey/verify", RequestID: "r"})
	Ask(ctx, "PUT", "/x/"+strings.Repeat("y", 5000)+"\n")
	Ask(context.Background(), "PUT", "/nobody listens")
	got := Asked(ctx, "path:/x:write")
	want := map[string]string{"method": "PUT", "path": "/x/" + strings.Repeat("y", maxPath-3), "door": "verify", "missing": "path:/x:write"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Asked(), -want +got:\n%s", diff)
	}
	if got := Asked(context.Background(), ""); got != nil {
		t.Errorf("Asked() of no request = %v, want nil", got)
	}
	for path, want := range map[string]string{
		"/latchkey/verify": "verify", "/latchkey/api/v1/tokens": "api", "/latchkey/": "", "/latchkeys/x": "gateway", "/": "gateway", "": "gateway",
	} {
		if got := DoorOf(path); got != want {
			t.Errorf("DoorOf(%q) = %q, want %q", path, got, want)
		}
	}
}
