package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// fakeStore keeps events in the order of their writing.
type fakeStore struct {
	mu      sync.Mutex
	events  []store.Event
	batches []int
	tries   int
	fail    func() error // asked before each write, if set
	block   chan struct{}

	listed    store.EventQuery
	eventsErr error
}

func (s *fakeStore) AppendEvents(ctx context.Context, events []store.Event) error {
	if s.block != nil {
		select {
		case <-s.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	if s.fail != nil {
		if err := s.fail(); err != nil {
			return err
		}
	}
	s.events = append(s.events, events...)
	s.batches = append(s.batches, len(events))
	return nil
}

func (s *fakeStore) Events(_ context.Context, q store.EventQuery) ([]store.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed = q
	newestFirst := slices.Clone(s.events)
	slices.Reverse(newestFirst)
	return newestFirst, s.eventsErr
}

// total returns how many events the rows that are kept stand for.
func (s *fakeStore) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, e := range s.events {
		n += e.Count
	}
	return n
}

// asked returns how often something was to be written.
func (s *fakeStore) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries
}

func (s *fakeStore) targets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, e := range s.events {
		list = append(list, e.Target)
	}
	return list
}

func newLog(s *fakeStore) *Log { return NewLog(s, slog.New(slog.DiscardHandler)) }

// event returns one that differs from others by its target.
func event(target string) store.Event {
	return store.Event{ID: NewID(noon), At: noon, Action: "token.issue", Outcome: OK, Target: target, Count: 1}
}

func TestFlush(t *testing.T) {
	s := &fakeStore{}
	l := newLog(s)
	l.Flush(context.Background())
	if s.tries != 0 {
		t.Errorf("Flush() of nothing wrote %d times, want 0", s.tries)
	}
	var want []store.Event
	for i := range 2*batchSize + 1 {
		e := event(fmt.Sprint(i))
		want = append(want, e)
		l.Record(e)
	}
	l.Flush(context.Background())
	l.Flush(context.Background())
	if diff := cmp.Diff(want, s.events); diff != "" {
		t.Errorf("events, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]int{batchSize, batchSize, 1}, s.batches); diff != "" {
		t.Errorf("batches, -want +got:\n%s", diff)
	}
}

// S109: however many events come at once, their counts add up; refusals are
// never sampled.
func TestFloods(t *testing.T) {
	tests := []struct {
		name  string
		n     int
		event func(i int) store.Event
		rows  int
	}{
		{"below the bound equal events are kept apart", gatherFrom, func(int) store.Event { return event("x") }, gatherFrom},
		{"equal events", 10 * mostWait, func(int) store.Event { return event("x") }, gatherFrom + 1},
		{"ten kinds", 10 * mostWait, func(i int) store.Event { return event(fmt.Sprint(i % 10)) }, gatherFrom + 10},
		{"all unequal", 3 * mostWait, func(i int) store.Event { return event(fmt.Sprint(i)) }, mostWait + 1},
		{"all unequal, of three actions", 3 * mostWait, func(i int) store.Event {
			e := event(fmt.Sprint(i))
			e.Action = []string{"token.issue", "token.revoke", "login"}[i%3]
			return e
		}, mostWait + 3},
		{"events with counts", 2 * mostWait, func(int) store.Event { e := event("x"); e.Count = 7; return e }, gatherFrom + 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &fakeStore{}
			l := newLog(s)
			want := 0
			for i := range tt.n {
				e := tt.event(i)
				want += e.Count
				l.Record(e)
			}
			l.Flush(context.Background())
			if got := s.total(); got != want || len(s.events) != tt.rows {
				t.Errorf("%d events are %d rows with a count of %d, want %d rows and %d", tt.n, len(s.events), got, tt.rows, want)
			}
			l.Record(event("after"))
			l.Record(event("after"))
			l.Flush(context.Background())
			if got := s.total(); got != want+2 || len(s.events) != tt.rows+2 {
				t.Errorf("after the flood: %d rows with a count of %d, want %d and %d", len(s.events), got, tt.rows+2, want+2)
			}
		})
	}
}

// Only what is equal in all that an event tells of who, what and where is
// counted as one; past the bound a row says so.
func TestGather(t *testing.T) {
	variants := []func(*store.Event){
		func(*store.Event) {},
		func(e *store.Event) { e.Action = "token.revoke" },
		func(e *store.Event) { e.Outcome = Refused },
		func(e *store.Event) { e.Reason = "expired" },
		func(e *store.Event) { e.ActorName = "bob" },
		func(e *store.Event) { e.TokenID = "t2" },
		func(e *store.Event) { e.Target = "other" },
		func(e *store.Event) { e.Addr = "198.51.100.7" },
		func(e *store.Event) { e.Action, e.Target = "login", "token.issue" },
	}
	s := &fakeStore{}
	l := newLog(s)
	for i := range gatherFrom {
		l.Record(event(fmt.Sprint("before ", i)))
	}
	for range 3 {
		for _, vary := range variants {
			e := event("x")
			vary(&e)
			l.Record(e)
		}
	}
	l.Flush(context.Background())
	rows := s.events[gatherFrom:]
	if len(rows) != len(variants) {
		t.Fatalf("%d rows, want %d", len(rows), len(variants))
	}
	for i, vary := range variants {
		want := event("x")
		vary(&want)
		want.ID, want.Count = rows[i].ID, 3
		if diff := cmp.Diff(want, rows[i]); diff != "" {
			t.Errorf("row %d, -want +got:\n%s", i, diff)
		}
	}
}

// Past the last bound a row names only the action and the outcome, and does
// not mix with one that happens to tell no more.
func TestGatherAll(t *testing.T) {
	s := &fakeStore{}
	l := newLog(s)
	for i := range mostWait - 1 {
		l.Record(event(fmt.Sprint(i)))
	}
	bare := store.Event{ID: NewID(noon), At: noon, Action: "token.issue", Outcome: OK, Count: 1}
	l.Record(bare)
	first := event("one")
	first.ActorID, first.Addr, first.Detail = "a1", "198.51.100.7", map[string]string{"a": "b"}
	l.Record(first)
	l.Record(event("two"))
	l.Flush(context.Background())
	want := []store.Event{bare, {ID: first.ID, At: noon, Action: "token.issue", Outcome: OK, Reason: "gathered", Count: 2}}
	if diff := cmp.Diff(want, s.events[mostWait-1:]); diff != "" {
		t.Errorf("last rows, -want +got:\n%s", diff)
	}
}

// S109, S114: what cannot be written waits, in order, and is written once the
// store is back.
func TestStoreRecovers(t *testing.T) {
	away := errors.New("away")
	s := &fakeStore{fail: func() error { return away }}
	var out bytes.Buffer
	l := NewLog(s, slog.New(slog.NewTextHandler(&out, nil)))
	var want []string
	record := func(n int) {
		for range n {
			target := fmt.Sprint(len(want))
			want = append(want, target)
			l.Record(event(target))
		}
	}
	record(3)
	s.fail = func() error { record(1); return away } // one comes while the others are written
	l.Flush(context.Background())
	s.fail = func() error { return away }
	record(600)
	l.Flush(context.Background())
	if got := strings.Count(out.String(), "level=ERROR"); got != 2 || !strings.Contains(out.String(), "away") {
		t.Errorf("%d errors in the log, want 2:\n%s", got, &out)
	}
	if len(s.events) != 0 {
		t.Fatalf("%d events were kept, want none", len(s.events))
	}

	first := true // then one batch is written, and the next is not
	s.fail = func() error {
		if first {
			first = false
			return nil
		}
		return away
	}
	l.Flush(context.Background())
	record(2)
	s.fail = nil
	l.Flush(context.Background())
	if diff := cmp.Diff(want, s.targets()); diff != "" {
		t.Errorf("targets, -want +got:\n%s", diff)
	}
}

// S114: a store that is away for long costs no more memory than a flood, and
// no count.
func TestStoreAwayForLong(t *testing.T) {
	s := &fakeStore{fail: func() error { return errors.New("away") }}
	l := newLog(s)
	want, address := 0, netip.MustParseAddr("2001:db8::")
	for range 15 {
		for i := range 300 {
			l.Record(event(fmt.Sprint(want, i)))
		}
		for range 1500 {
			address = address.Next()
			l.Tally(TallyKey{Action: "token.check", Reason: "unknown", Addr: address}, func() store.Event {
				return store.Event{ID: NewID(noon), Action: "token.check", Outcome: Refused, Reason: "unknown", Addr: address.String(), Count: 1}
			})
		}
		want += 1800
		l.Flush(context.Background())
		if got := len(l.waiting); got > mostWait+2 {
			t.Fatalf("%d events wait, want at most %d", got, mostWait+2)
		}
	}
	s.fail = nil
	l.Flush(context.Background())
	if got := s.total(); got != want {
		t.Errorf("count of all rows = %d, want %d", got, want)
	}
}

// S109: nothing is lost when many record while others write to a store that
// fails at times.
func TestRecordConcurrently(t *testing.T) {
	calls := 0
	s := &fakeStore{}
	s.fail = func() error {
		if calls++; calls%3 == 0 {
			return errors.New("away")
		}
		return nil
	}
	l := newLog(s)
	var recorders, flushers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		flushers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					l.Flush(context.Background())
				}
			}
		})
	}
	const each = 2000
	for i := range 8 {
		recorders.Go(func() {
			key := TallyKey{Action: "login", Reason: "unknown", Addr: netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})}
			for n := range each {
				l.Record(event(fmt.Sprint(i, " ", n)))
				l.Tally(key, func() store.Event { return event("tally") })
			}
		})
	}
	recorders.Wait()
	close(done)
	flushers.Wait()
	s.mu.Lock()
	s.fail = nil
	s.mu.Unlock()
	l.Flush(context.Background())
	if got, want := s.total(), 8*each*2; got != want {
		t.Errorf("count of all rows = %d, want %d", got, want)
	}
}

func TestTally(t *testing.T) {
	s := &fakeStore{}
	l := newLog(s)
	one, two := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")
	made := 0
	tally := func(action, reason string, addr netip.Addr) {
		l.Tally(TallyKey{Action: action, Reason: reason, Addr: addr}, func() store.Event {
			made++
			return store.Event{ID: fmt.Sprint(made), Action: action, Reason: reason, Addr: addr.String(), Count: 1}
		})
	}
	for range 3 {
		tally("token.check", "unknown", one)
	}
	tally("token.check", "unknown", two)
	tally("token.check", "malformed", one)
	tally("login", "unknown", one)
	tally("login", "unknown", netip.Addr{})
	tally("login", "unknown", netip.Addr{})
	if made != 5 {
		t.Errorf("%d events were made, want 5: one for each row", made)
	}
	l.Flush(context.Background())
	slices.SortFunc(s.events, func(a, b store.Event) int { return strings.Compare(a.ID, b.ID) })
	want := []store.Event{
		{ID: "1", Action: "token.check", Reason: "unknown", Addr: "198.51.100.1", Count: 3},
		{ID: "2", Action: "token.check", Reason: "unknown", Addr: "198.51.100.2", Count: 1},
		{ID: "3", Action: "token.check", Reason: "malformed", Addr: "198.51.100.1", Count: 1},
		{ID: "4", Action: "login", Reason: "unknown", Addr: "198.51.100.1", Count: 1},
		{ID: "5", Action: "login", Reason: "unknown", Count: 2},
	}
	if diff := cmp.Diff(want, s.events); diff != "" {
		t.Errorf("events, -want +got:\n%s", diff)
	}
	tally("token.check", "unknown", one) // a new row after each write
	l.Flush(context.Background())
	if len(s.events) != 6 || s.events[5].Count != 1 {
		t.Errorf("after a write: %d rows, want one more", len(s.events))
	}
}

// A flood from many addresses is told apart only so far, and counted in full.
func TestTallyBound(t *testing.T) {
	s := &fakeStore{}
	l := newLog(s)
	address := netip.MustParseAddr("2001:db8::")
	const n = 5 * mostTallies
	for i := range n {
		address = address.Next()
		reason := []string{"unknown", "malformed"}[i%2]
		l.Tally(TallyKey{Action: "token.check", Reason: reason, Addr: address}, func() store.Event {
			return store.Event{ID: NewID(noon), Action: "token.check", Reason: reason, Addr: address.String(), Count: 1}
		})
	}
	l.Flush(context.Background())
	without := map[string]int{}
	for _, e := range s.events {
		if e.Addr == "" {
			without[e.Reason] = e.Count
		}
	}
	if len(s.events) != mostTallies+2 || s.total() != n {
		t.Errorf("%d rows with a count of %d, want %d and %d", len(s.events), s.total(), mostTallies+2, n)
	}
	if diff := cmp.Diff(map[string]int{"unknown": (n - mostTallies) / 2, "malformed": (n - mostTallies) / 2}, without); diff != "" {
		t.Errorf("counts without address, -want +got:\n%s", diff)
	}
}

func TestRefused(t *testing.T) {
	actor := &identity.Identity{AccountID: "a1", Name: "alice"}
	tests := []struct {
		err     error
		outcome string // "": no event
		reason  string
		missing string
	}{
		{fault.Invalidf("name", "is long"), "", "", ""},
		{fault.NotFoundf("no x"), "", "", ""},
		{fault.Unauthenticatedf("no"), Refused, "unauthenticated", ""},
		{fault.Forbiddenf("no"), Refused, "forbidden", ""},
		{fault.Needs("path:/x:read"), Refused, "forbidden", "path:/x:read"},
		{fault.Conflictf("no"), Refused, "conflict", ""},
		{fault.Limitf("no"), Refused, "limit", ""},
		{fault.TooOften(time.Second), Refused, "throttled", ""},
		{fault.Unavailablef(nil, "no"), Failed, "unavailable", ""},
		{errors.New("planted"), Failed, "internal", ""},
	}
	for _, tt := range tests {
		s := &fakeStore{}
		l := newLog(s)
		if got := l.Refused(context.Background(), noon, actor, "token.issue", "x\ny", tt.err); got != tt.err {
			t.Errorf("Refused(%v) = %v, want it as it is", tt.err, got)
		}
		l.Flush(context.Background())
		if tt.outcome == "" {
			if len(s.events) != 0 {
				t.Errorf("Refused(%v) records %+v, want nothing", tt.err, s.events)
			}
			continue
		}
		if len(s.events) != 1 {
			t.Errorf("Refused(%v) records %d events, want 1", tt.err, len(s.events))
			continue
		}
		want := store.Event{
			ID: s.events[0].ID, At: noon, Action: "token.issue", Outcome: tt.outcome, Reason: tt.reason,
			ActorID: "a1", ActorName: "alice", Target: "x?y", Count: 1,
		}
		if tt.missing != "" {
			want.Detail = map[string]string{"missing": tt.missing}
		}
		if diff := cmp.Diff(want, s.events[0]); diff != "" {
			t.Errorf("Refused(%v), -want +got:\n%s", tt.err, diff)
		}
	}
}

// Run writes at its times, at once when a batch is full, and what is left when
// it ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{}
		l := newLog(s)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { l.Run(ctx); close(ended) }()
		synctest.Wait()

		l.Record(event("a"))
		synctest.Wait()
		if n := s.total(); n != 0 {
			t.Errorf("at once %d events were written, want 0", n)
		}
		time.Sleep(flushEvery)
		synctest.Wait()
		if n := s.total(); n != 1 {
			t.Errorf("after %v %d events were written, want 1", flushEvery, n)
		}
		began := time.Now()
		for i := range batchSize {
			l.Record(event(fmt.Sprint(i)))
		}
		synctest.Wait()
		if n := s.total(); n != 1+batchSize || !time.Now().Equal(began) {
			t.Errorf("with a full batch %d events were written, want %d at once", n, 1+batchSize)
		}
		l.Record(event("b"))
		l.Tally(TallyKey{Action: "login"}, func() store.Event { return event("c") })
		cancel()
		<-ended
		if n := s.total(); n != 3+batchSize {
			t.Errorf("at the end %d events were written, want %d", n, 3+batchSize)
		}
	})
}

// A write that the end interrupts is made again.
func TestRunEndsWithinWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{block: make(chan struct{})}
		l := newLog(s)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { l.Run(ctx); close(ended) }()
		l.Record(event("a"))
		time.Sleep(2 * flushEvery)
		synctest.Wait() // the write hangs
		cancel()
		synctest.Wait()
		close(s.block)
		<-ended
		if diff := cmp.Diff([]string{"a"}, s.targets()); diff != "" {
			t.Errorf("targets, -want +got:\n%s", diff)
		}
	})
}

// A store that hangs does not keep a server from ending.
func TestRunEndsWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{block: make(chan struct{})}
		l := newLog(s)
		l.Record(event("a"))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		began := time.Now()
		l.Run(ctx)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("Run() ended after %v, want at most 10 s", took)
		}
	})
}

// While the store is away it is asked at its times, and not with every event.
func TestRunWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{fail: func() error { return errors.New("away") }}
		l := newLog(s)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { l.Run(ctx); close(ended) }()
		synctest.Wait()
		for range 10 {
			for i := range 2 * batchSize {
				l.Record(event(fmt.Sprint(i)))
				synctest.Wait()
			}
			time.Sleep(flushEvery)
		}
		synctest.Wait()
		if n := s.asked(); n > 2*10+1 {
			t.Errorf("the store was asked %d times in %v, want about 10", n, 10*flushEvery)
		}
		s.mu.Lock()
		s.fail = nil
		s.mu.Unlock()
		time.Sleep(flushEvery)
		synctest.Wait()
		if got, want := s.total(), 10*2*batchSize; got != want {
			t.Errorf("count of all rows = %d, want %d", got, want)
		}
		tries := s.asked()
		for i := range batchSize {
			l.Record(event(fmt.Sprint(i)))
		}
		synctest.Wait()
		if n := s.asked() - tries; n != 1 {
			t.Errorf("a full batch after the recovery was written %d times, want at once", n)
		}
		cancel()
		<-ended
	})
}
