package audit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

// lockedBuffer is a buffer that can be read while a log writes to it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Old events go in bounded steps, at once and then every hour, until the end.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{sweep: []int{sweepAtOnce, sweepAtOnce, 5, -1, 0}}
		var out lockedBuffer
		l := NewLog(s, slog.New(slog.NewTextHandler(&out, nil)))
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		began := time.Now()
		go func() { l.Sweep(ctx, 24*time.Hour); close(ended) }()
		var want []time.Time
		for _, step := range []struct{ asked, warned int }{{3, 0}, {1, 1}, {1, 1}} {
			synctest.Wait()
			for range step.asked {
				want = append(want, time.Now().Add(-24*time.Hour))
			}
			s.mu.Lock()
			swept := slices.Clone(s.swept)
			s.mu.Unlock()
			if diff := cmp.Diff(want, swept); diff != "" {
				t.Errorf("after %v, swept before, -want +got:\n%s", time.Since(began), diff)
			}
			if got := strings.Count(out.String(), "level=WARN"); got != step.warned {
				t.Errorf("after %v, %d warnings, want %d:\n%s", time.Since(began), got, step.warned, out.String())
			}
			time.Sleep(sweepEvery)
			s.mu.Lock()
			if len(s.sweep) == 0 {
				s.sweep = []int{0}
			}
			s.mu.Unlock()
		}
		cancel()
		<-ended
	})
}

// The end is not waited for through a long clean-up.
func TestSweepEnds(t *testing.T) {
	s := &fakeStore{sweep: []int{sweepAtOnce, sweepAtOnce, sweepAtOnce}}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	newLog(s).Sweep(ctx, time.Hour)
	if len(s.swept) > 0 {
		t.Errorf("Sweep() after the end asked %d times, want 0", len(s.swept))
	}
}

func TestSweepKeepsForEver(t *testing.T) {
	s := &fakeStore{}
	for _, keep := range []time.Duration{0, -time.Hour} {
		newLog(s).Sweep(context.Background(), keep) // returns at once
	}
	if len(s.swept) != 0 {
		t.Errorf("Sweep() asked %d times, want 0", len(s.swept))
	}
}
