package keyring

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/store"
)

const day = 24 * time.Hour

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// shelf is the records of a store between two looks at them.
type shelf struct {
	t      *testing.T
	policy Policy
	keys   []store.SigningKey
	made   int
}

func newShelf(t *testing.T, p Policy) *shelf {
	p, err := p.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return &shelf{t: t, policy: p}
}

// at decides at a time and keeps the outcome.
func (s *shelf) at(now time.Time, decide func(*book) error) {
	s.t.Helper()
	b := newBook(s.policy, now, s.keys)
	b.strip = func(k *store.SigningKey) { k.Sealed = []byte("public") }
	b.create = func(activeAt time.Time) (store.SigningKey, error) {
		s.made++
		return store.SigningKey{
			ID: fmt.Sprint("k", s.made), Algorithm: string(s.policy.Algorithm), CreatedAt: now, ActiveAt: activeAt,
			Longest: s.policy.Longest, Sealed: []byte("private"),
		}, nil
	}
	if err := decide(b); err != nil {
		s.t.Fatalf("at %s: %v", now, err)
	}
	s.keys = b.keys
	again := newBook(s.policy, now, s.keys)
	again.strip, again.create = b.strip, b.create
	if err := again.settle(); err != nil {
		s.t.Fatal(err)
	}
	if added, changed, removed := again.writes(); len(added)+len(changed)+len(removed) > 0 {
		s.t.Errorf("to settle again at %s adds %v, changes %v, removes %v, want nothing", now, added, changed, removed)
	}
}

// want checks the states of all keys at a time.
func (s *shelf) want(now time.Time, states map[string]State) {
	s.t.Helper()
	got := map[string]State{}
	signing := 0
	for _, k := range s.keys {
		got[k.ID] = StateOf(k, now)
		if got[k.ID] == Active {
			signing++
		}
	}
	if diff := cmp.Diff(states, got); diff != "" {
		s.t.Errorf("the keys at %s (-want +got):\n%s", now, diff)
	}
	if signing != 1 {
		s.t.Errorf("at %s %d keys sign, want one", now, signing)
	}
}

// S58: the whole life of keys by the schedule.
func TestSchedule(t *testing.T) {
	s := newShelf(t, Policy{RotateEvery: 90 * day, Longest: time.Hour})
	s.at(noon, (*book).settle)
	s.want(noon, map[string]State{"k1": Active, "k2": Published})

	// By the clock alone the next key takes over, at the same moment everywhere.
	turn := noon.Add(90 * day)
	s.want(turn.Add(-time.Nanosecond), map[string]State{"k1": Active, "k2": Published})
	s.want(turn, map[string]State{"k1": Retired, "k2": Active})
	s.at(turn.Add(time.Minute), (*book).settle)
	s.want(turn.Add(time.Minute), map[string]State{"k1": Retired, "k2": Active, "k3": Published})

	if got := string(s.keys[0].Sealed); got != "public" {
		t.Errorf("a key that signs no more has its %s part, want the public one alone", got)
	}

	// The old one stays until the longest token that it signed has expired.
	s.at(turn.Add(time.Hour+time.Minute), (*book).settle)
	s.want(turn.Add(time.Hour+time.Minute), map[string]State{"k1": Retired, "k2": Active, "k3": Published})
	s.at(turn.Add(time.Hour+slack), (*book).settle)
	s.want(turn.Add(time.Hour+slack), map[string]State{"k2": Active, "k3": Published})

	// After a long sleep the next is not used before it was published.
	late := turn.Add(400 * day)
	s.at(late, (*book).settle)
	s.want(late, map[string]State{"k3": Active, "k4": Published})
	s.want(late.Add(time.Hour-time.Nanosecond), map[string]State{"k3": Active, "k4": Published})
	s.want(late.Add(time.Hour), map[string]State{"k3": Retired, "k4": Active})
}

// S58: what is signed by hand is published before, too.
func TestRotateByHand(t *testing.T) {
	s := newShelf(t, Policy{})
	s.at(noon, (*book).settle)
	s.want(noon.Add(1000*day), map[string]State{"k1": Active, "k2": Published}) // nobody said so

	var id string
	var at time.Time
	rotate := func(b *book) (err error) { id, at, err = b.rotate(); return err }
	soon := noon.Add(time.Minute)
	s.at(soon, rotate)
	if id != "k2" || !at.Equal(noon.Add(time.Hour)) {
		t.Errorf("rotate() a minute after the key was made = %s at %s, want k2 at %s", id, at, noon.Add(time.Hour))
	}
	s.want(soon, map[string]State{"k1": Active, "k2": Published})
	s.at(soon.Add(time.Minute), rotate) // again changes nothing
	if id != "k2" || !at.Equal(noon.Add(time.Hour)) {
		t.Errorf("rotate() again = %s at %s, want k2 at %s", id, at, noon.Add(time.Hour))
	}
	s.at(noon.Add(time.Hour), (*book).settle)
	s.want(noon.Add(time.Hour), map[string]State{"k1": Retired, "k2": Active, "k3": Published})

	tomorrow := noon.Add(day)
	s.at(tomorrow, rotate)
	if id != "k3" || !at.Equal(tomorrow) {
		t.Errorf("rotate() a day after the key was made = %s at %s, want k3 at once", id, at)
	}
	s.want(tomorrow, map[string]State{"k2": Retired, "k3": Active, "k4": Published})
}

// S58: an emergency does not wait.
func TestWithdraw(t *testing.T) {
	s := newShelf(t, Policy{RotateEvery: 90 * day})
	s.at(noon, (*book).settle)
	withdraw := func(id string) func(*book) error {
		return func(b *book) error { return b.withdraw(id, admin, "leaked") }
	}
	soon := noon.Add(time.Second)
	s.at(soon, withdraw("k1"))
	s.want(soon, map[string]State{"k1": Withdrawn, "k2": Active, "k3": Published})
	s.at(soon, withdraw("k3")) // the next one
	s.want(soon, map[string]State{"k1": Withdrawn, "k2": Active, "k3": Withdrawn, "k4": Published})
	for _, k := range s.keys {
		if !k.WithdrawnAt.IsZero() && string(k.Sealed) != "public" {
			t.Errorf("the withdrawn key %s has its private part still", k.ID)
		}
	}
	b := newBook(s.policy, soon, s.keys)
	for _, id := range []string{"k1", "none", ""} {
		if err := b.withdraw(id, admin, ""); err == nil {
			t.Errorf("withdraw(%q) = nil, want an error", id)
		}
	}
	s.at(noon.Add(keepWithdrawn+day), (*book).settle)
	for _, k := range s.keys {
		if !k.WithdrawnAt.IsZero() {
			t.Errorf("the withdrawn key %s is still there after %s", k.ID, keepWithdrawn)
		}
	}
}

func TestShorterPolicy(t *testing.T) {
	s := newShelf(t, Policy{RotateEvery: 90 * day})
	s.at(noon, (*book).settle)
	s.policy.RotateEvery = 10 * day
	s.at(noon.Add(time.Minute), (*book).settle)
	s.want(noon.Add(10*day), map[string]State{"k1": Retired, "k2": Active})
	s.policy.RotateEvery = 1000 * day // a date that was set stays
	s.at(noon.Add(day), (*book).settle)
	s.want(noon.Add(10*day), map[string]State{"k1": Retired, "k2": Active})
}

// S58: a key is kept for the longest life that it has ever been used with.
func TestLongerLife(t *testing.T) {
	s := newShelf(t, Policy{RotateEvery: 90 * day, Longest: time.Hour})
	s.at(noon, (*book).settle)
	s.policy.Longest = 2 * day
	s.at(noon.Add(time.Minute), (*book).settle)
	s.policy.Longest = time.Minute
	s.at(noon.Add(2*time.Minute), (*book).settle)
	turn := noon.Add(90 * day)
	s.want(turn.Add(2*day), map[string]State{"k1": Retired, "k2": Active})
}

func TestAnotherAlgorithm(t *testing.T) {
	s := newShelf(t, Policy{RotateEvery: 90 * day})
	s.at(noon, (*book).settle)
	start := func(b *book) error { b.realign(); return b.settle() }
	s.policy.Algorithm = jose.EdDSA
	later := noon.Add(day)
	s.at(later, start)
	s.want(later, map[string]State{"k1": Active, "k3": Published})
	s.want(later.Add(time.Hour), map[string]State{"k1": Retired, "k3": Active})
	s.at(later, start)
	s.want(later.Add(time.Hour), map[string]State{"k1": Retired, "k3": Active})
	s.at(later.Add(2*time.Hour), start)
	s.want(later.Add(2*time.Hour), map[string]State{"k3": Active, "k4": Published})
	for _, k := range s.keys {
		if k.Algorithm != "EdDSA" {
			t.Errorf("the key %s is for %s, want EdDSA", k.ID, k.Algorithm)
		}
	}
}
