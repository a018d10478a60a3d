package throttle

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a time that only tests move.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func TestLimiter(t *testing.T) {
	c := newClock()
	l := NewLimiter(Rate{Burst: 3, Every: 10 * time.Second}, LimiterOptions{Now: c.now})
	for _, step := range []struct {
		after time.Duration
		want  time.Duration // to wait
	}{
		{0, 0}, {0, 0}, {0, 0},
		{0, 10 * time.Second},
		{4 * time.Second, 6 * time.Second},
		{0, 6 * time.Second}, // being refused costs nothing
		{6 * time.Second, 0},
		{0, 10 * time.Second},
		{20 * time.Second, 0}, {0, 0},
		{0, 10 * time.Second},
		{time.Hour, 0}, {0, 0}, {0, 0}, // never more than the burst
		{0, 10 * time.Second},
	} {
		c.advance(step.after)
		if _, got := l.Take("k"); got != step.want {
			t.Fatalf("Take at %v = %v, want %v", c.now(), got, step.want)
		}
	}
	if _, got := l.Take("another"); got != 0 {
		t.Errorf("Take of another key = %v, want 0", got)
	}
}

func TestReturn(t *testing.T) {
	c := newClock()
	l := NewLimiter(Rate{Burst: 2, Every: 10 * time.Second}, LimiterOptions{Now: c.now})
	left := func() (n int) { // how many events the budget has left
		t.Helper()
		var taken []Charge
		for {
			charge, wait := l.Take("k")
			if wait > 0 {
				break
			}
			taken = append(taken, charge)
		}
		for _, charge := range taken {
			charge.Return()
		}
		return len(taken)
	}
	first, _ := l.Take("k")
	second, _ := l.Take("k")
	if got := left(); got != 0 {
		t.Fatalf("with two of two taken, %d left, want 0", got)
	}
	second.Return()
	if got := left(); got != 1 {
		t.Errorf("after one was returned, %d left, want 1", got)
	}
	first.Return()
	if got := left(); got != 2 || l.Len() != 0 {
		t.Errorf("after both were returned, %d left and %d remembered, want 2 and 0", got, l.Len())
	}
	Charge{}.Return()

	// What time has paid off is not given back on top: the charges of others
	// would be forgiven by it.
	slow, _ := l.Take("k")
	c.advance(10 * time.Second)
	l.Take("k")
	l.Take("k")
	slow.Return()
	if got := left(); got != 0 {
		t.Errorf("after a charge that was paid off is returned, %d left, want 0", got)
	}
	// And a part is the part.
	c.advance(time.Minute)
	slow, _ = l.Take("k")
	l.Take("k")
	c.advance(5 * time.Second)
	slow.Return()
	if _, wait := l.Take("k"); wait != 0 {
		t.Errorf("Take = %v, want 0", wait)
	}
	if _, wait := l.Take("k"); wait != 10*time.Second {
		t.Errorf("Take = %v, want 10s: one charge is old by half, its other half was returned, one is new", wait)
	}
}

func TestClockSetBack(t *testing.T) {
	c := newClock()
	l := NewLimiter(Rate{Burst: 2, Every: 10 * time.Second}, LimiterOptions{Now: c.now})
	l.Take("k")
	l.Take("k")
	c.advance(-24 * time.Hour)
	if _, wait := l.Take("k"); wait != 10*time.Second {
		t.Errorf("Take a day earlier = %v, want 10s", wait)
	}
}

// S99: the budget is taken before the outcome is known.
func TestParallelTake(t *testing.T) {
	c := newClock()
	l := NewLimiter(Rate{Burst: 5, Every: time.Minute}, LimiterOptions{Now: c.now})
	var passed atomic.Int32
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			if _, wait := l.Take("k"); wait == 0 {
				passed.Add(1)
			}
		})
	}
	all.Wait()
	if got := passed.Load(); got != 5 {
		t.Errorf("%d of 1000 parallel events passed, want 5", got)
	}
}

// S99: bounded memory.
func TestLimiterBound(t *testing.T) {
	const bound = 4096
	c := newClock()
	l := NewLimiter(Rate{Burst: 5, Every: time.Minute}, LimiterOptions{Max: bound, Now: c.now})
	for range 5 {
		l.Take("charged most")
	}
	n := rounds(1_000_000)
	for i := range n {
		l.Take(strconv.Itoa(i))
	}
	if got := l.Len(); got > bound || got < bound/2 {
		t.Errorf("Len after %d keys = %d, want up to %d", n, got, bound)
	}
	for i := range l.shards {
		s := &l.shards[i]
		if len(s.index) != len(s.heap) || cap(s.heap) > 2*s.max {
			t.Errorf("shard %d has %d in its index, %d in its heap of capacity %d; want at most %d", i, len(s.index), len(s.heap), cap(s.heap), s.max)
		}
	}
	if _, wait := l.Take("charged most"); wait == 0 {
		t.Error("the key that was charged most was washed out by many that were charged once")
	}
	// What is paid off goes away by itself as others come in.
	c.advance(time.Hour)
	for i := range 10 * bound {
		l.Take("later " + strconv.Itoa(i%200))
	}
	if got := l.Len(); got > 200 {
		t.Errorf("Len an hour later = %d, want the 200 new ones at most", got)
	}
}

func TestKeysKeepTheirPartsApart(t *testing.T) {
	s := newSeed()
	if a, b := s.key("ab", "c"), s.key("a", "bc"); a == b {
		t.Error(`key("ab", "c") == key("a", "bc")`)
	}
	if a, b := s.key("a"), newSeed().key("a"); a == b {
		t.Error("keys under two seeds are equal")
	}
}

func BenchmarkTake(b *testing.B) {
	l := NewLimiter(Rate{Burst: 5, Every: time.Nanosecond}, LimiterOptions{})
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			l.Take("k")
		}
	})
	b.Run("flood", func(b *testing.B) {
		l := NewLimiter(Rate{Burst: 5, Every: time.Hour}, LimiterOptions{Max: 1 << 14})
		names := make([]string, 1<<16)
		for i := range names {
			names[i] = fmt.Sprint(i)
		}
		i := 0
		for b.Loop() {
			l.Take(names[i%len(names)])
			i++
		}
	})
}

func BenchmarkBegin(b *testing.B) {
	l := New(Options{})
	for b.Loop() {
		if a, _ := l.Begin("alice", "192.0.2.1:4000"); a != nil {
			a.Abandoned()
		}
	}
}

// rounds returns n, or a tenth of it in a short run.
func rounds(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}
