// Package source is the contract of the places, other than Latchkey's own
// accounts, where passwords can be checked: a Django user table, Pulp's login
// endpoint, and whatever follows. Each is a package below this one. A source
// says who somebody is; what they may do, how often they may guess and what
// is written down about it are the business of its caller.
package source

import (
	"context"
	"errors"
)

var (
	// ErrRefused is the one answer to a wrong password, an unknown user and a
	// disabled one, so that nobody learns which names exist.
	ErrRefused = errors.New("source: wrong user name or password")
	// ErrUnavailable is returned when the source could not be asked or gave no
	// answer that makes sense. Nothing was learnt about the password. The
	// cause is in the text, for operators, and never holds a password.
	ErrUnavailable = errors.New("source: not available")
)

// Source checks passwords. Its methods may be called from several goroutines.
type Source interface {
	// Name is what the operator calls this source. With the ID of a Subject
	// it keys an account.
	Name() string
	// Login says who the user name and the password belong to. The error is
	// ErrRefused or ErrUnavailable; one that is due to a full password queue
	// or to ctx wraps its cause beside ErrUnavailable.
	Login(ctx context.Context, username, password string) (Subject, error)
}

// Subject is who a source says that a user name and a password belong to.
type Subject struct {
	ID        string // the source's own stable id, never given to another person
	Username  string // as the source spells it
	Email     string // may be empty; not unique and not proven
	Superuser bool   // the source lets them do everything

	// Fingerprint is what the source compares when it is asked later whether
	// anything has changed, read together with the password that matched. It
	// is empty where a source cannot tell.
	Fingerprint Fingerprint
}

// Fingerprint stands for the state of a user in a source: the password, the
// name, whether they are active. It is text to be stored and given back, of
// no meaning to anyone but the source that made it, and not secret.
type Fingerprint string

// Watcher is a Source that can tell later what has become of somebody.
type Watcher interface {
	Source
	// Changed compares users, by the IDs of their Subjects, with what was
	// known of them, and returns those for whom anything is different. When
	// any of it fails the result is nil and the error ErrUnavailable: nobody
	// is ever gone because a source could not be asked.
	Changed(ctx context.Context, known map[string]Fingerprint) ([]Change, error)
}

// Change says what has become of a user since a Fingerprint was taken.
type Change struct {
	ID   string
	Gone bool // there is no such row any more; all else is empty

	Disabled  bool // no longer active
	Enabled   bool // active again
	Renamed   bool
	Superuser bool // became one, or is one no more
	// Password is set when another hash is stored. Rehashed is set beside it
	// when its algorithm or cost is another too. Django replaces a hash by a
	// better one of the same password when a user logs in after an upgrade, so
	// that the password may be the same then; there is no way to know.
	Password, Rehashed bool
	// Unknown is set when the given Fingerprint was empty or of another
	// version, so that there is nothing to compare.
	Unknown bool

	// Now is the user as the row has it, with the Fingerprint to keep. A user
	// who is not active is here as well.
	Now    Subject
	Active bool
}
