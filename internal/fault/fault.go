// Package fault has the errors that the core hands to whoever speaks a
// protocol: what kind of thing went wrong, in words that may be shown, and the
// few facts that a protocol needs to say it in its own way. What may not be
// shown stays in the wrapped cause, for the log.
package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// Kind says whose fault it is and what can be done about it.
type Kind string

// Kinds of faults.
const (
	Invalid         Kind = "invalid"         // the caller sent something that cannot be
	Unauthenticated Kind = "unauthenticated" // no or no valid credential
	Forbidden       Kind = "forbidden"       // the credential does not reach so far
	NotFound        Kind = "not_found"       // there is no such thing, or none that the caller may know of
	Conflict        Kind = "conflict"        // it cannot be done in the present state
	Limit           Kind = "limit"           // as many as there may be
	Throttled       Kind = "throttled"       // too often; later it may be done
	Unavailable     Kind = "unavailable"     // the server cannot do it now
	Internal        Kind = "internal"        // a bug, or what nobody thought of
)

// Error is a fault.
type Error struct {
	Kind    Kind
	Message string // a sentence for the caller, without secrets or inner workings

	Field      string        // Invalid: the field that is wrong
	Missing    string        // Forbidden: the scope that was needed
	RetryAfter time.Duration // Throttled and Unavailable: when to try again; 0: not known

	cause  error
	hidden error
}

// Error returns the message and the cause, for logs.
func (e *Error) Error() string {
	text := e.Message
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Invalidf says what is wrong with a field that the caller sent. The field may
// be "" when it is not about one.
func Invalidf(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Unauthenticatedf says why a credential was not taken, in words that tell
// nobody whether the account or token exists.
func Unauthenticatedf(format string, args ...any) *Error {
	return &Error{Kind: Unauthenticated, Message: fmt.Sprintf(format, args...)}
}

// Needs says which scope the caller's credential lacks.
func Needs(missing string) *Error {
	return &Error{Kind: Forbidden, Missing: missing, Message: "this needs the scope " + missing}
}

// Forbiddenf says why the caller may not do something.
func Forbiddenf(format string, args ...any) *Error {
	return &Error{Kind: Forbidden, Message: fmt.Sprintf(format, args...)}
}

// NotFoundf says what was not found.
func NotFoundf(format string, args ...any) *Error {
	return &Error{Kind: NotFound, Message: fmt.Sprintf(format, args...)}
}

// Hiddenf says that something was not found to a caller who may not know of
// it, for the reason given.
func Hiddenf(cause error, format string, args ...any) *Error {
	return &Error{Kind: NotFound, Message: fmt.Sprintf(format, args...), hidden: cause}
}

// Hidden returns why something that exists was not found, and nil where it does
// not exist. It is for the audit log and nobody else: not even the log's text
// of the error tells the two apart.
func (e *Error) Hidden() error { return e.hidden }

// Conflictf says what stands in the way.
func Conflictf(format string, args ...any) *Error {
	return &Error{Kind: Conflict, Message: fmt.Sprintf(format, args...)}
}

// Limitf says which limit was reached.
func Limitf(format string, args ...any) *Error {
	return &Error{Kind: Limit, Message: fmt.Sprintf(format, args...)}
}

// TooOften asks the caller to wait.
func TooOften(wait time.Duration) *Error {
	return &Error{Kind: Throttled, Message: "too many attempts, try again later", RetryAfter: wait}
}

// Unavailablef says that something that the server leans on does not answer.
// The cause is for the log.
func Unavailablef(cause error, format string, args ...any) *Error {
	return &Error{Kind: Unavailable, Message: fmt.Sprintf(format, args...), RetryAfter: time.Second, cause: cause}
}

// FromStore turns an error that a store returned into a fault, and leaves an
// error that is one already, or a refusal of the core's own, as it is.
func FromStore(err error) error {
	var f *Error
	switch {
	case errors.As(err, &f):
		return err
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Unavailablef(err, "the database does not answer")
	case errors.Is(err, store.ErrConflict):
		return &Error{Kind: Conflict, Message: "it exists already", cause: err}
	case errors.Is(err, store.ErrInvalid):
		return &Error{Kind: Invalid, Message: "a value is too long or not text", cause: err}
	}
	return err
}

// Of returns the fault in err, or an Internal one that shows nothing of it.
func Of(err error) *Error {
	var f *Error
	if errors.As(err, &f) {
		return f
	}
	return &Error{Kind: Internal, Message: "something went wrong in the server; its log tells what", cause: err}
}

// Is reports whether err is a fault of this kind.
func Is(err error, kind Kind) bool {
	var f *Error
	return errors.As(err, &f) && f.Kind == kind
}
