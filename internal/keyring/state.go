package keyring

import (
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// State is how far a key has come.
type State string

// States of a key of our own, in their order. A withdrawn key can be in any but the last
// when it is withdrawn.
const (
	Published State = "published" // verifiers get it; nothing is signed by it yet
	Active    State = "active"    // it signs
	Retired   State = "retired"   // it only verifies what it has signed
	Withdrawn State = "withdrawn" // nothing that it has signed counts any more
	Gone      State = "gone"      // all that it has signed has expired
)

// Imported is the state of a key of another issuer until its end, or until it
// is withdrawn: it only verifies.
const Imported State = "imported"

// slack is added to the life of what a key has signed before it goes: the
// leeway of verifiers, and clocks that differ between nodes.
const slack = 2 * time.Minute

// keepWithdrawn is how long a withdrawn key stays listed.
const keepWithdrawn = 90 * 24 * time.Hour

// StateOf returns the state of a key at a time.
func StateOf(k store.SigningKey, now time.Time) State {
	switch end := endOf(k); {
	case !end.IsZero() && !now.Before(end):
		return Gone
	case !k.WithdrawnAt.IsZero():
		return Withdrawn
	case k.Imported != "":
		return Imported
	case k.ActiveAt.IsZero() || now.Before(k.ActiveAt):
		return Published
	case k.RetireAt.IsZero() || now.Before(k.RetireAt):
		return Active
	}
	return Retired
}

// endOf returns when a key goes; zero: that is not known yet.
func endOf(k store.SigningKey) time.Time {
	switch {
	case !k.WithdrawnAt.IsZero():
		return k.WithdrawnAt.Add(keepWithdrawn)
	case k.Imported != "":
		return k.RetireAt
	case k.RetireAt.IsZero():
		return time.Time{}
	}
	return k.RetireAt.Add(k.Longest + slack)
}
