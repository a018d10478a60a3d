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
