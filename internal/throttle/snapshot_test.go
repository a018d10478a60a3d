package throttle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"
)

// S99: counters survive a restart.
func TestSnapshot(t *testing.T) {
	c := newClock()
	before := New(Options{Now: c.now})
	if a, _ := before.Begin("alice", "192.0.2.1"); a != nil {
		a.Succeeded()
	}
	allowed(before, "bob", "192.0.2.2")
	for i := range 60 {
		fails(before, "alice", stranger(i))
	}
	fails(before, "carol", "192.0.2.3")
	c.advance(10 * time.Second)

	after := New(Options{Now: c.now})
	fails(after, "nobody", "192.0.2.99")
	if err := after.Restore(before.Snapshot()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sorted(before), sorted(after)) {
		t.Error("a snapshot of what was restored differs from the one before")
	}
	for _, l := range []*Logins{before, after} {
		if got := fails(l, "bob", "192.0.2.2"); got != 20*time.Second {
			t.Errorf("bob waits %v, want 20s", got)
		}
		if got := allowed(l, "carol", "192.0.2.3"); got != 4 {
			t.Errorf("carol has %d left, want 4", got)
		}
		if got := allowed(l, "alice", "192.0.2.1"); got != 20 {
			t.Errorf("alice has %d at her trusted address, want 20", got)
		}
		if got := allowed(l, "alice", "192.0.2.50"); got != 2 {
			t.Errorf("alice has %d at a new address, want 2: one that 10s have paid off and one narrow", got)
		}
	}
}

// sorted is a snapshot without its order, as a sum of its entries.
func sorted(l *Logins) []byte {
	t := l.tables.Load()
	sum := make([]byte, 64)
	add := func(b [32]byte) {
		for i := range b {
			sum[i] ^= b[i]
		}
		sum[32]++
	}
	for i, limiter := range t.limiters() {
		for _, e := range limiter.entries() {
			add(sha256.Sum256(fmt.Append(nil, i, e)))
		}
	}
	for _, e := range t.trusted.entries() {
		add(sha256.Sum256(fmt.Append(nil, e)))
	}
	return sum
}

func TestRestoreLater(t *testing.T) {
	c := newClock()
	l := New(Options{Now: c.now})
	allowed(l, "alice", "192.0.2.1")
	a, _ := l.Begin("bob", "192.0.2.2")
	a.Succeeded()
	snapshot := l.Snapshot()

	c.advance(40 * 24 * time.Hour)
	if err := l.Restore(snapshot); err != nil {
		t.Fatal(err)
	}
	for i, limiter := range l.tables.Load().limiters() {
		if got := limiter.Len(); got != 0 {
			t.Errorf("table %d has %d entries that are long paid off", i, got)
		}
	}
	if got := len(l.tables.Load().trusted.accounts); got != 0 {
		t.Errorf("%d accounts are trusted after 40 days, want 0", got)
	}
	// The clock may also have gone back: then nobody waits for a month.
	c.advance(-80 * 24 * time.Hour)
	if err := l.Restore(snapshot); err != nil {
		t.Fatal(err)
	}
	if got := fails(l, "alice", "192.0.2.1"); got <= 0 || got > 30*time.Second {
		t.Errorf("alice waits %v, want up to 30s", got)
	}
	if got := len(l.tables.Load().trusted.accounts); got != 1 {
		t.Errorf("%d accounts are trusted, want 1", got)
	}
	c.advance(31 * 24 * time.Hour)
	if s := l.Snapshot(); l.Restore(s) != nil || len(l.tables.Load().trusted.accounts) != 0 {
		t.Error("a success in the future is trusted for longer than 30 days from now")
	}
}

func TestRestoreIntoLess(t *testing.T) {
	c := newClock()
	large := New(Options{Now: c.now})
	for i := range 2000 {
		fails(large, fmt.Sprint("account", i), stranger(i))
	}
	small := New(Options{Now: c.now, Max: 100, Pair: Rate{1, time.Second}})
	if err := small.Restore(large.Snapshot()); err != nil {
		t.Fatal(err)
	}
	for i, limiter := range small.tables.Load().limiters() {
		if got := limiter.Len(); got > 100 {
			t.Errorf("table %d has %d entries, want at most 100", i, got)
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	c := newClock()
	l := New(Options{Now: c.now})
	allowed(l, "alice", "192.0.2.1")
	good := l.Snapshot()
	signed := func(body []byte) []byte {
		sum := sha256.Sum256(body)
		return append(body, sum[:]...)
	}
	body := func() []byte { return bytes.Clone(good[:len(good)-sha256.Size]) }
	flipped, version, many := bytes.Clone(good), body(), body()
	flipped[len(flipped)/2] ^= 1
	version[7]++
	many[8+32] = 0xff // the count of the first table
	for name, snapshot := range map[string][]byte{
		"nothing":         nil,
		"text":            []byte("not a snapshot at all, but long enough to be one, or is it? one cannot know"),
		"only the magic":  []byte(snapshotMagic),
		"cut":             good[:len(good)-1],
		"longer":          append(bytes.Clone(good), 0),
		"flipped":         flipped,
		"next version":    signed(version),
		"count too large": signed(many),
		"tail":            signed(append(body(), 1, 2, 3)),
		"no tables":       signed(body()[:8+32]),
		"half a table":    signed(body()[:8+32+4+10]),
	} {
		if err := l.Restore(snapshot); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%s: Restore = %v, want ErrSnapshot", name, err)
		}
		if fails(l, "alice", "192.0.2.1") == 0 {
			t.Fatalf("%s: Restore refused, but changed the counters", name)
		}
	}
}

// FuzzRestore fixes the checksum, so that the rest is reached.
func FuzzRestore(f *testing.F) {
	c := newClock()
	l := New(Options{Now: c.now, Max: 64})
	f.Add(l.Snapshot()[:len(l.Snapshot())-sha256.Size])
	allowed(l, "alice", "192.0.2.1")
	a, _ := l.Begin("bob", "192.0.2.2")
	a.Succeeded()
	f.Add(l.Snapshot()[:len(l.Snapshot())-sha256.Size])
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		l := New(Options{Now: c.now, Max: 64})
		if err := l.Restore(append(body, sum[:]...)); err != nil {
			if !errors.Is(err, ErrSnapshot) {
				t.Errorf("Restore = %v, want ErrSnapshot", err)
			}
			return
		}
		for i, limiter := range l.tables.Load().limiters() {
			if got := limiter.Len(); got > 64 {
				t.Errorf("table %d has %d entries, want at most 64", i, got)
			}
		}
		if wait := fails(l, "alice", "192.0.2.1"); wait > time.Minute {
			t.Errorf("alice waits %v, want up to a minute", wait)
		}
		if err := l.Restore(l.Snapshot()); err != nil {
			t.Errorf("Restore of its own snapshot = %v", err)
		}
	})
}
