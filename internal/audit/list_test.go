package audit

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

func reader(t *testing.T, rule string) *identity.Identity {
	t.Helper()
	grants, err := scope.ParseGrants([]string{rule})
	if err != nil {
		t.Fatalf("ParseGrants(%q) = %v", rule, err)
	}
	return &identity.Identity{AccountID: "a1", Name: "alice", Grants: grants}
}

func TestList(t *testing.T) {
	s := &fakeStore{}
	l := newLog(s)
	l.Record(event("1"))
	l.Record(event("2"))
	q := store.EventQuery{Action: "token.", Limit: 10}
	events, err := l.List(context.Background(), reader(t, "latchkey:audit:read"), q)
	if err != nil || len(events) != 2 || events[0].Target != "2" || events[1].Target != "1" {
		t.Errorf("List() = %+v, %v, want what waited, newest first", events, err)
	}
	if diff := cmp.Diff(q, s.listed); diff != "" {
		t.Errorf("query, -want +got:\n%s", diff)
	}
	s.eventsErr = fmt.Errorf("read: %w", store.ErrUnavailable)
	if _, err := l.List(context.Background(), reader(t, "*:*:*"), q); !fault.Is(err, fault.Unavailable) {
		t.Errorf("List() = %v, want a fault of kind unavailable", err)
	}
}

// S78, S109: who may not read is told so, and it is recorded.
func TestListNeedsRight(t *testing.T) {
	narrowed := reader(t, "*:*:*")
	narrowed.TokenScope = reader(t, "latchkey:tokens:*").Grants
	for name, caller := range map[string]*identity.Identity{
		"nobody": nil, "other": reader(t, "latchkey:tokens:*"), "writer": reader(t, "latchkey:audit:write"), "narrowed": narrowed,
	} {
		s := &fakeStore{}
		l := newLog(s)
		events, err := l.List(context.Background(), caller, store.EventQuery{Limit: 1})
		f := fault.Of(err)
		if events != nil || f.Kind != fault.Forbidden || f.Missing != "latchkey:audit:read" {
			t.Errorf("%s: List() = %v, %v, want the scope that is missing", name, events, err)
		}
		if s.listed.Limit != 0 || len(s.events) != 0 {
			t.Errorf("%s: the store was asked", name)
		}
		l.Flush(context.Background())
		if len(s.events) != 1 || s.events[0].Action != "audit.read" || s.events[0].Outcome != Refused {
			t.Errorf("%s: recorded %+v, want the refusal", name, s.events)
		}
	}
}
