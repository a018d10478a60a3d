// Package store is the contract between the core and whatever keeps its data.
//
// It declares the records, the queries and the small interfaces that the core
// needs; internal/store/sqlite and internal/store/postgres fulfil it, each in
// its own SQL, and internal/store/storetest says in tests what is promised:
//
//   - What a call said was done survives a crash; what it did not say may or
//     may not have happened, but never half of it.
//   - Writes happen in [Store.Update], whole or not at all.
//   - Change numbers are in commit order: once a reader has seen number n, no
//     change with a smaller number becomes visible later.
//   - Times are kept to the microsecond and come back in UTC; empty lists and
//     maps come back as nil.
//
// A store knows nothing of HTTP, of secrets in the clear or of who may do what.
package store

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrNotFound says that the record asked for does not exist.
	ErrNotFound = errors.New("not found")

	// ErrConflict says that a write would break a uniqueness rule: an account
	// of that name, a digest or a slot is already taken.
	ErrConflict = errors.New("already exists")

	// ErrUnavailable says that the database could not be asked or did not take
	// the write: it is down, full, read-only or too slow. Nothing is known
	// about the outcome beyond the package's promises.
	ErrUnavailable = errors.New("the store is unavailable")

	// ErrNewerSchema says that the database was last used by a newer version
	// of this program, which this one must not touch.
	ErrNewerSchema = errors.New("the database belongs to a newer version")
)

// Store is everything that a database does for the server. Code outside of
// the wiring asks for the smaller interfaces that it is made of.
type Store interface {
	TokenReader
	AccountReader
	ChangeReader
	EventReader
	SigningKeyReader
	FamilyReader
	EventChain
	Updater
	Issuer
	Batcher
	KeyRegistry

	// Ping reports whether the database answers and takes writes.
	Ping(ctx context.Context) error

	// Close waits for writes under way and releases the database.
	Close() error
}

// Updater runs atomic writes.
type Updater interface {
	// Update runs fn in a transaction and commits it when fn returns nil. An
	// error from fn is returned as it is and nothing is written. fn may be run
	// more than once when the database asks for a retry, so it must not have
	// effects of its own, and it must not keep tx. When ctx ends first, the
	// error wraps ctx.Err(), and the writes may or may not be committed.
	Update(ctx context.Context, fn func(tx Tx) error) error
}

// Tx is what can be done inside of [Updater.Update]. Reads see the
// transaction's own writes, and rows that were read for change stay locked
// until the end, so that two callers cannot decide on the same old state.
//
// A call that fails with [ErrNotFound], [ErrConflict] or [ErrInvalid] has
// written nothing, and the transaction can go on. After any other error all
// further calls fail, and Update does too, whatever its function returns.
type Tx interface {
	TokenWriter
	AccountWriter
	GroupWriter
	SigningKeyWriter
	FamilyWriter

	// AppendChange writes c to the change log, gives it the next number in
	// commit order and returns that number. From then to the commit, others
	// who append a change may have to wait, so it is best called last.
	AppendChange(c Change) (int64, error)

	// AppendEvent writes e to the audit log, cleaned by [Event.Clean]. An event
	// with the time and the id of one that is there already is the same event,
	// and nothing is written; so a batch whose outcome was not known can be
	// written again.
	AppendEvent(e Event) error
}

// Batcher takes the writes that are collected in memory and that no request
// waits for.
type Batcher interface {
	// RecordUses stores when and from where tokens were last used. A use that
	// is older than the stored one changes nothing; uses of tokens that are
	// gone are ignored.
	RecordUses(ctx context.Context, uses []Use) error

	// AppendEvents writes audit events in order.
	AppendEvents(ctx context.Context, events []Event) error

	// Sweep removes at most limit tokens that ended (by expiry, disuse,
	// revocation or a rise of their account's epoch) before the given time,
	// with all that hangs on them, and secrets whose own end lies before it. It
	// returns how many tokens went.
	Sweep(ctx context.Context, endedBefore time.Time, limit int) (int, error)

	// SweepChanges removes at most limit changes from the beginning of the
	// change log and returns how many went. It stops at the first that is
	// neither older than the given time nor followed by keep newer ones. The
	// newest change always stays (a keep below 1 counts as 1), so that
	// whoever follows the log sees a gap in the numbers when something was
	// removed that they had not read.
	SweepChanges(ctx context.Context, before time.Time, keep, limit int) (int, error)
}

// KeyRegistry remembers which server secrets belong to this database, so that
// a server with a foreign secret refuses to start instead of refusing every
// token.
type KeyRegistry interface {
	// RegisterKey stores the check value of the server secret with this id, or
	// compares it with the one stored before: [ErrConflict] when they differ.
	RegisterKey(ctx context.Context, id string, check []byte) error

	// Keys lists the ids of all registered server secrets, oldest first.
	Keys(ctx context.Context) ([]string, error)
}
