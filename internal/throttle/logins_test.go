package throttle

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fails makes one attempt that fails, and returns how long it had to wait.
func fails(l *Logins, account, addr string) time.Duration {
	a, wait := l.Begin(account, addr)
	if a != nil {
		a.Failed()
	}
	return wait
}

// allowed counts the attempts that may fail in a row.
func allowed(l *Logins, account, addr string) (n int) {
	for fails(l, account, addr) == 0 {
		n++
	}
	return n
}

// stranger is the i-th address of an attacker who has many.
func stranger(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255) }

func TestPair(t *testing.T) {
	c := newClock()
	l := New(Options{Now: c.now})
	if got := allowed(l, "alice", "192.0.2.1"); got != 5 {
		t.Errorf("%d failures at once, want 5", got)
	}
	if got := fails(l, "alice", "192.0.2.1"); got != 30*time.Second {
		t.Errorf("then wait %v, want 30s", got)
	}
	if got := fails(l, "bob", "192.0.2.1"); got != 0 {
		t.Errorf("another account: wait %v, want 0", got)
	}
	if got := fails(l, "alice", "192.0.2.2"); got != 0 {
		t.Errorf("another address: wait %v, want 0", got)
	}
	c.advance(30 * time.Second)
	if got := allowed(l, "alice", "192.0.2.1"); got != 1 {
		t.Errorf("%d failures after 30s, want 1", got)
	}
}

func TestAddress(t *testing.T) {
	c := newClock()
	l := New(Options{Now: c.now})
	n := 0
	for fails(l, fmt.Sprint("account", n), "192.0.2.1") == 0 {
		n++
	}
	if n != 30 {
		t.Errorf("%d failures on as many accounts from one address, want 30", n)
	}
	if got := fails(l, "one more", "192.0.2.1"); got != 2*time.Second {
		t.Errorf("then wait %v, want 2s", got)
	}
	if got := fails(l, "one more", "192.0.2.2"); got != 0 {
		t.Errorf("another address: wait %v, want 0", got)
	}
}

func TestAccount(t *testing.T) {
	c := newClock()
	l := New(Options{Now: c.now})
	for i := range 50 {
		if got := fails(l, "alice", stranger(i)); got != 0 {
			t.Fatalf("failure %d from as many addresses: wait %v, want 0", i+1, got)
		}
	}
	// The budget is spent: a new address has one, an old one no more.
	if got := allowed(l, "alice", "192.0.2.1"); got != 1 {
		t.Errorf("%d failures from a new address, want 1", got)
	}
	if got := fails(l, "alice", "192.0.2.1"); got != time.Minute {
		t.Errorf("then wait %v, want 1m", got)
	}
	if got := fails(l, "bob", "192.0.2.1"); got != 0 {
		t.Errorf("another account: wait %v, want 0", got)
	}
	c.advance(10 * time.Second)
	if got := fails(l, "alice", "192.0.2.1"); got != 0 {
		t.Errorf("wait %v after 10s, want 0", got)
	}
}

// S99: the rightful owner is never locked out. Not from a place where they
// were before, and from a new one not for longer than a minute, whatever is
// failed from other addresses, in whatever order.
func TestOwnerIsNotLockedOut(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := newClock()
		l := New(Options{Now: c.now, Max: 512})
		if a, _ := l.Begin("alice", "[2001:db8::1]:443"); a != nil {
			a.Succeeded()
		}
		for range 3000 {
			var open []*Attempt
			for range rng.IntN(4) {
				account := []string{"alice", "ALICE ", "bob", fmt.Sprint(rng.IntN(1000))}[rng.IntN(4)]
				a, _ := l.Begin(account, stranger(rng.IntN(2000)))
				open = append(open, a)
			}
			c.advance(time.Duration(rng.IntN(5000)) * time.Millisecond)
			for _, a := range open {
				if a != nil && rng.IntN(2) == 0 {
					a.Failed() // the others are dropped
				}
			}
			if rng.IntN(50) > 0 {
				continue
			}
			a, wait := l.Begin("alice", "[2001:db8::1234]:999")
			if wait != 0 {
				t.Fatalf("seed %d: the owner waits %v at a trusted address", seed, wait)
			}
			a.Succeeded()
			a, wait = l.Begin("alice", fmt.Sprintf("2001:db8:0:%x::1", 1+rng.IntN(1<<15)))
			if wait > time.Minute {
				t.Fatalf("seed %d: the owner waits %v at a new address, want up to a minute", seed, wait)
			}
			if a != nil {
				a.Abandoned()
			}
		}
	}
}

// At a trusted address the owner has four times the burst of a pair, and no
// more than that: somebody else may be at that address too.
func TestTrustedIsNotUnlimited(t *testing.T) {
	c := newClock()
	l := New(Options{Now: c.now})
	a, _ := l.Begin("alice", "192.0.2.1")
	a.Succeeded()
	for i := range 200 {
		fails(l, "alice", stranger(i))
	}
	if got := allowed(l, "alice", "192.0.2.1"); got != 20 {
		t.Errorf("%d failures from a trusted address, want 20", got)
	}
	if got := fails(l, "alice", "192.0.2.1"); got != 30*time.Second {
		t.Errorf("then wait %v, want 30s", got)
	}
	// Its failures do not touch what the others have.
	if got := fails(l, "alice", "192.0.2.9"); got != 0 {
		t.Errorf("a new address: wait %v, want 0", got)
	}
}

// A program that logs in ten times at the same moment, from where it has
// logged in before, is let in ten times.
func TestManyLoginsAtOnce(t *testing.T) {
	l := New(Options{Now: newClock().now})
	a, _ := l.Begin("alice", "192.0.2.1")
	a.Succeeded()
	var open []*Attempt
	for i := range 10 {
		a, wait := l.Begin("alice", "192.0.2.1")
		if a == nil {
			t.Fatalf("login %d of ten at once waits %v, want none to wait", i+1, wait)
		}
		open = append(open, a)
	}
	for _, a := range open {
		a.Succeeded()
	}
	if got := allowed(l, "alice", "192.0.2.1"); got != 20 {
		t.Errorf("%d failures after ten successes, want 20: they cost nothing", got)
	}
}

func TestTrustEnds(t *testing.T) {
	c := newClock()
	l := New(Options{Now: c.now})
	a, _ := l.Begin("alice", "192.0.2.1")
	a.Succeeded()
	spend := func() {
		for i := range 200 {
			fails(l, "alice", stranger(i))
		}
	}
	c.advance(30*24*time.Hour - time.Second)
	spend()
	if got := allowed(l, "alice", "192.0.2.1"); got != 20 {
		t.Errorf("%d failures just before 30 days, want 20", got)
	}
	c.advance(10 * time.Minute) // the pair's budget is full again
	spend()
	if got := allowed(l, "alice", "192.0.2.1"); got != 1 {
		t.Errorf("%d failures after 30 days, want 1", got)
	}
}

func TestTrustIsBounded(t *testing.T) {
	c := newClock()
	l := New(Options{Now: c.now, Max: 400}) // 100 accounts
	success := func(account, addr string) {
		t.Helper()
		a, wait := l.Begin(account, addr)
		if a == nil {
			t.Fatalf("Begin(%q, %q): wait %v", account, addr, wait)
		}
		a.Succeeded()
	}
	table := l.tables.Load()
	is := func(account, addr string) bool {
		return table.trusted.has(table.seed.key(account), table.seed.key(addr), c.now())
	}
	// One account with many addresses pushes nobody out but itself.
	success("alice", "192.0.2.1")
	for i := range 1000 {
		success("mallory", stranger(i))
	}
	if !is("alice", "192.0.2.1") || !is("mallory", stranger(999)) || is("mallory", stranger(999-perAccount)) {
		t.Error("want alice and the 16 latest of mallory trusted, and no others")
	}
	// Many accounts push out those that were away for the longest time.
	for i := range 99 {
		success(fmt.Sprint("user", i), "192.0.2.7")
	}
	if !is("user0", "192.0.2.7") || is("alice", "192.0.2.1") || !is("mallory", stranger(999)) {
		t.Error("want the account whose success is the oldest forgotten, and no other")
	}
	if got := len(table.trusted.accounts); got > 100 || got != table.trusted.order.Len() {
		t.Errorf("%d accounts have trusted addresses, %d are in order; want at most 100", got, table.trusted.order.Len())
	}
	c.advance(31 * 24 * time.Hour)
	success("alice", "192.0.2.1")
	if got := len(table.trusted.accounts); got != 1 {
		t.Errorf("%d accounts a month later, want 1", got)
	}
}

func TestEndsOfAnAttempt(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(*Attempt)
		want int // left of 5; of 20 where the address is trusted then
	}{
		"succeeded":              {(*Attempt).Succeeded, 20},
		"abandoned":              {(*Attempt).Abandoned, 5},
		"failed":                 {(*Attempt).Failed, 4},
		"dropped":                {func(*Attempt) {}, 4},
		"failed, then succeeded": {func(a *Attempt) { a.Failed(); a.Succeeded() }, 4},
		"succeeded twice":        {func(a *Attempt) { a.Succeeded(); a.Succeeded(); a.Abandoned() }, 20},
	} {
		l := New(Options{Now: newClock().now})
		fails(l, "alice", "192.0.2.1")
		a, _ := l.Begin("alice", "192.0.2.1")
		tc.end(a)
		if got := 1 + allowed(l, "alice", "192.0.2.1"); got != tc.want {
			t.Errorf("%s: %d left with the one before, want %d", name, got, tc.want)
		}
	}
}

// A success forgives nothing but itself: who has an account could otherwise
// wash the address clean between guesses at others.
func TestSuccessForgivesNothingElse(t *testing.T) {
	l := New(Options{Now: newClock().now})
	for i := range 30 {
		if a, _ := l.Begin("mallory", "192.0.2.1"); a != nil {
			a.Succeeded()
		}
		if wait := fails(l, fmt.Sprint("victim", i), "192.0.2.1"); wait != 0 {
			t.Fatalf("failure %d: wait %v, want 0", i+1, wait)
		}
	}
	if a, _ := l.Begin("mallory", "192.0.2.1"); a != nil {
		a.Succeeded()
	}
	if wait := fails(l, "one more", "192.0.2.1"); wait == 0 {
		t.Error("failure 31 from one address was let through")
	}
}

// A refused attempt is charged nowhere.
func TestRefusedCostsNothing(t *testing.T) {
	c := newClock()
	l := New(Options{Now: c.now})
	for range 1000 {
		fails(l, "alice", "192.0.2.1")
	}
	n := 0
	for fails(l, fmt.Sprint("account", n), "192.0.2.1") == 0 {
		n++
	}
	if n != 25 {
		t.Errorf("%d failures left for the address after 5 charged and 995 refused, want 25", n)
	}
}

// S99: a thousand guesses at once, from many addresses and one, with the race
// detector on.
func TestParallelLogins(t *testing.T) {
	l := New(Options{Now: newClock().now})
	var one, many atomic.Int32
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			if a, _ := l.Begin("alice", "192.0.2.1"); a != nil {
				one.Add(1)
			}
			if a, _ := l.Begin("bob", stranger(i%40)); a != nil {
				many.Add(1)
			}
		})
		if i%100 == 0 {
			all.Go(func() {
				if err := New(Options{}).Restore(l.Snapshot()); err != nil {
					t.Errorf("Restore = %v", err)
				}
			})
		}
	}
	all.Wait()
	// An attempt that is refused is charged for a moment, so that another one
	// beside it may be refused too: never more, perhaps fewer.
	if got := one.Load(); got < 1 || got > 5 {
		t.Errorf("%d of 1000 from one address passed, want up to 5", got)
	}
	if got := many.Load(); got < 40 || got > 50+40 {
		t.Errorf("%d of 1000 from 40 addresses passed, want up to 50 and one each", got)
	}
}

func TestLoginsBound(t *testing.T) {
	l := New(Options{Now: newClock().now, Max: 1000})
	for i := range rounds(100_000) {
		fails(l, fmt.Sprint("account", i), stranger(i))
		fails(l, "alice", stranger(i))
	}
	for i, limiter := range l.tables.Load().limiters() {
		if got := limiter.Len(); got > 1000 {
			t.Errorf("table %d has %d entries, want at most 1000", i, got)
		}
	}
	if got := len(l.Snapshot()); got > 4*1000*entrySize+200 {
		t.Errorf("the snapshot has %d bytes", got)
	}
}

// What a source may take for one name or one customer is counted as one.
func TestFolding(t *testing.T) {
	for _, same := range [][]string{
		{"alice", "Alice", " alice\t", "ａｌｉｃｅ", "ⓐlice", "ALICE"},
		{"straße", "STRAßE"},
		{"file", "ﬁle"},
	} {
		for _, name := range same[1:] {
			if got, want := fold(name), fold(same[0]); got != want {
				t.Errorf("fold(%q) = %q, want %q", name, got, want)
			}
		}
	}
	if a, b := fold("alice"), fold("alicе"); a == b {
		t.Error("fold makes one of a Latin and a Cyrillic letter")
	}
	long := strings.Repeat("Ａ", 1000)
	if got := fold(long); got != long {
		t.Errorf("fold of %d bytes did something", len(long))
	}
	for addr, want := range map[string]string{
		"192.0.2.1":                  "192.0.2.1",
		"192.0.2.1:4711":             "192.0.2.1",
		"::ffff:192.0.2.1":           "192.0.2.1",
		"[::ffff:192.0.2.1]:4711":    "192.0.2.1",
		"2001:db8:1:2:3:4:5:6":       "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::]:4711": "2001:db8:1:2::/64",
		"2001:db8:1:3::":             "2001:db8:1:3::/64",
		"fe80::1%eth0":               "fe80::/64",
		"":                           "",
		"@":                          "@",
		"/run/latchkey.sock":         "/run/latchkey.sock",
	} {
		if got := network(addr); got != want {
			t.Errorf("network(%q) = %q, want %q", addr, got, want)
		}
	}
}
