package keyring

import (
	"reflect"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// book is the records of all keys while it is decided what becomes of them. It
// is changed in memory; [book.writes] says what that means for the store.
type book struct {
	policy Policy
	now    time.Time
	before []store.SigningKey // all of them
	keys   []store.SigningKey // our own
	create func(activeAt time.Time) (store.SigningKey, error)
	strip  func(*store.SigningKey) // takes the private part out

	// foreign are the keys of other issuers. None of what is decided about our
	// own concerns them: they have an end, and that is all.
	foreign []store.SigningKey
}

func newBook(p Policy, now time.Time, keys []store.SigningKey) *book {
	b := &book{policy: p, now: now, before: keys}
	for _, k := range keys {
		if k.Imported != "" {
			b.foreign = append(b.foreign, k)
		} else {
			b.keys = append(b.keys, k)
		}
	}
	return b
}

// current returns the key that signs and the one that follows it, nil where
// there is none.
func (b *book) current() (signs, next *store.SigningKey) {
	for i := range b.keys {
		k := &b.keys[i]
		switch StateOf(*k, b.now) {
		case Active:
			if signs == nil || k.ActiveAt.After(signs.ActiveAt) {
				signs = k
			}
		case Published:
			if next == nil || sooner(k.ActiveAt, next.ActiveAt) {
				next = k
			}
		}
	}
	return signs, next
}

// sooner compares times of first use, of which the zero time is not known yet.
func sooner(a, b time.Time) bool { return !a.IsZero() && (b.IsZero() || a.Before(b)) }

// settle sees to it that one key signs and the next one is published, and that
// those before end. To settle twice changes nothing more.
func (b *book) settle() error {
	signs, next := b.current()
	if signs == nil && next != nil { // as after an emergency
		next.ActiveAt = b.now
	} else if signs == nil {
		if err := b.add(b.now); err != nil {
			return err
		}
	}
	if signs, next = b.current(); next == nil {
		if err := b.add(b.due(signs, b.now)); err != nil {
			return err
		}
		signs, next = b.current() // adding has moved them
	} else if due := b.due(signs, next.CreatedAt); sooner(due, next.ActiveAt) {
		next.ActiveAt = due // the policy has become shorter
	}
	b.finish(signs, next)
	return nil
}

// due returns when the next key, published at the given time, follows the one
// that signs; zero: when somebody says so.
func (b *book) due(signs *store.SigningKey, published time.Time) time.Time {
	if b.policy.RotateEvery == 0 {
		return time.Time{}
	}
	return latest(signs.ActiveAt.Add(b.policy.RotateEvery), b.earliest(published))
}

// earliest returns when a key can come into use that was published at the given
// time.
func (b *book) earliest(published time.Time) time.Time {
	return latest(published.Add(b.policy.PublishBefore), b.now)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// finish ends what came before, and takes the private part of keys that sign no
// more.
func (b *book) finish(signs, next *store.SigningKey) {
	for i := range b.keys {
		k := &b.keys[i]
		switch state := StateOf(*k, b.now); {
		case k == signs:
			k.RetireAt = next.ActiveAt
			k.Longest = max(k.Longest, b.policy.Longest)
		case k == next:
			k.Longest = max(k.Longest, b.policy.Longest)
		case state == Active:
			k.RetireAt = b.now
			b.strip(k)
		case state == Retired, state == Withdrawn:
			b.strip(k)
		}
	}
	gone := func(k store.SigningKey) bool { return StateOf(k, b.now) == Gone }
	b.keys, b.foreign = slices.DeleteFunc(b.keys, gone), slices.DeleteFunc(b.foreign, gone)
}

func (b *book) add(activeAt time.Time) error {
	k, err := b.create(activeAt)
	if err != nil {
		return err
	}
	b.keys = append(b.keys, k)
	return nil
}

// rotate lets the next key follow as soon as it has been published for long
// enough, and returns its id and that time.
func (b *book) rotate() (id string, at time.Time, err error) {
	if err := b.settle(); err != nil {
		return "", time.Time{}, err
	}
	_, next := b.current()
	if at := b.earliest(next.CreatedAt); sooner(at, next.ActiveAt) {
		next.ActiveAt = at
	}
	id, at = next.ID, next.ActiveAt
	return id, at, b.settle()
}

// realign follows a policy with another algorithm. It is done when a server
// starts and not again, so that two nodes with different policies do not take
// turns.
func (b *book) realign() {
	signs, next := b.current()
	if signs == nil || next == nil {
		return
	}
	switch {
	case next.Algorithm != string(b.policy.Algorithm):
		replaced := next.ID
		b.keys = slices.DeleteFunc(b.keys, func(k store.SigningKey) bool { return k.ID == replaced })
		signs, _ = b.current()
		signs.RetireAt = time.Time{}
		if err := b.settle(); err != nil {
			return // settle is asked again
		}
		if signs, next = b.current(); signs.Algorithm == next.Algorithm {
			return
		}
	case signs.Algorithm == next.Algorithm:
		return
	}
	if at := b.earliest(next.CreatedAt); sooner(at, next.ActiveAt) {
		next.ActiveAt = at
	}
}

// writes says what has to be written to the store.
func (b *book) writes() (added, changed []store.SigningKey, removed []string) {
	was := map[string]store.SigningKey{}
	for _, k := range b.before {
		was[k.ID] = k
	}
	for _, k := range slices.Concat(b.keys, b.foreign) {
		old, known := was[k.ID]
		switch {
		case !known:
			added = append(added, k)
		case !reflect.DeepEqual(old, k):
			changed = append(changed, k)
		}
		delete(was, k.ID)
	}
	for _, k := range b.before {
		if _, left := was[k.ID]; left {
			removed = append(removed, k.ID)
		}
	}
	return added, changed, removed
}
