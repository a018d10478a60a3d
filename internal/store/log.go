package store

import (
	"context"
	"time"
)

// ChangeKind says what a change is about.
type ChangeKind string

// Kinds of changes. A change names the smallest thing that readers must load
// again.
const (
	ChangeToken   ChangeKind = "token"   // TokenID
	ChangeAccount ChangeKind = "account" // AccountID, with all its tokens
	ChangeGroups  ChangeKind = "groups"  // some group or its grants: every account
	ChangeKeys    ChangeKind = "keys"    // the signing keys: all that is verified by them
)

// Change is one row of the change log: something that turned, or may turn, an
// answer of a check into another.
type Change struct {
	Seq       int64 // set by the store
	At        time.Time
	Kind      ChangeKind
	TokenID   string
	AccountID string
}

// ChangeReader follows the change log.
type ChangeReader interface {
	// LastChange returns the number of the newest change, 0 when there is none.
	LastChange(ctx context.Context) (int64, error)

	// ChangesAfter lists at most limit changes with numbers above seq, in
	// order.
	ChangesAfter(ctx context.Context, seq int64, limit int) ([]Change, error)

	// Changed returns a channel that gets a value when there may be new
	// changes. It is a hint that can be missed or be wrong, never the only way
	// to learn of a change. It is nil where the database has no such thing.
	Changed() <-chan struct{}
}

// Event is one row of the audit log: who did or was refused what, and why.
type Event struct {
	ID      string
	At      time.Time
	Action  string // what was asked for: "token.issue", "login", "gateway.request", …
	Outcome string // "ok" or "refused" or "failed"
	Reason  string // why it was refused; a word from a fixed list

	ActorID   string // account that asked; "" when it is not known
	ActorName string // its name then, or the name that was claimed
	TokenID   string // the token that was used to ask
	Target    string // what it was about: a token's, an account's, a group's id or name

	Addr          string // where the request came from
	Agent         string
	RequestID     string
	CorrelationID string
	Detail        map[string]string // anything else worth knowing; never a secret
	Count         int               // how many equal events this row stands for; at least 1

	// MAC proves that a server wrote the event. [EventReader.Events] leaves it
	// out.
	MAC []byte
}

// EventReader reads the audit log.
type EventReader interface {
	// Events lists events, newest first.
	Events(ctx context.Context, q EventQuery) ([]Event, error)
}

// EventQuery selects events. Zero fields do not restrict.
type EventQuery struct {
	Action        string // exact, or a prefix when it ends in "."
	Outcome       string
	ActorID       string
	ActorName     string
	TokenID       string // used to ask, or the target
	Target        string
	RequestID     string
	CorrelationID string
	Since         time.Time // not before
	Until         time.Time // before

	After Position // only what comes after this position in the list
	Limit int      // at most so many; must be positive
}
