package store

import (
	"context"
	"time"
)

// PlacedEvent is an event with its place: a number that the database gave it
// when it was written. Places rise, but with several nodes a smaller one can
// become visible after a greater one, and there are gaps.
type PlacedEvent struct {
	Event
	Place int64
}

// Seal vouches for some events of the audit log and for the seal before it.
// What its fields mean is the business of internal/auditchain; a store only
// keeps them.
type Seal struct {
	Number    int64 // from 1 on, without gaps
	At        time.Time
	Previous  []byte    // hash of the seal before
	Members   string    // places of the events, as "3-7,9"
	Count     int       // of the events
	First     time.Time // of the earliest event
	Last      time.Time // of the latest
	Root      []byte    // hash over the events
	Tags      []byte    // some bytes of each event's own hash, in order
	Adopted   bool      // some events are older than the chain itself
	KeyID     string
	Signature []byte
}

// Trimmed says where the chain begins since its old end was removed.
type Trimmed struct {
	Number    int64     // of the last seal that was removed
	Hash      []byte    // of that seal
	Through   time.Time // of the latest event that was removed
	Removed   int64     // how many events were, in all
	At        time.Time
	KeyID     string
	Signature []byte
}

// SealQuery selects seals. Zero fields do not restrict.
type SealQuery struct {
	After int64     // only numbers above
	Since time.Time // only with events from then on
	Until time.Time // only with events before
	Limit int       // at most so many; must be positive
}

// EventChain keeps the audit log's events in the order of their places, and
// the seals that vouch for them. Events are only ever added, and removed from
// the old end with the seals that vouch for them.
type EventChain interface {
	// EventsByPlace lists at most limit events with places above the given
	// one, in order.
	EventsByPlace(ctx context.Context, above int64, limit int) ([]PlacedEvent, error)

	// EventsAt returns the events with these places, in order, as far as there
	// are any.
	EventsAt(ctx context.Context, places []int64) ([]PlacedEvent, error)

	// Seals lists seals by number.
	Seals(ctx context.Context, q SealQuery) ([]Seal, error)

	// LastSeal returns the seal with the highest number; [ErrNotFound] when
	// there is none.
	LastSeal(ctx context.Context) (Seal, error)

	// AppendSeal adds a seal; [ErrConflict] when there is one with its number.
	AppendSeal(ctx context.Context, s Seal) error

	// TrimmedTo returns where the chain begins; [ErrNotFound] when nothing of
	// it was removed.
	TrimmedTo(ctx context.Context) (Trimmed, error)

	// Trim removes all seals up to t's number, with the events that have the
	// given places, and stores t in place of what TrimmedTo returned before;
	// [ErrConflict] when that has got as far already.
	Trim(ctx context.Context, t Trimmed, places [][2]int64) error
}
