package client

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/api"
)

// Kinds of failure, for errors.Is. Where the server answered with an error,
// errors.As finds the [*Error] with its words.
var (
	// ErrInvalid says that something is wrong with the request;
	// [api.Problem.Field] says what, if the server found it.
	ErrInvalid = errors.New("invalid request")

	// ErrUnauthenticated says that the credential is missing, wrong, expired
	// or revoked.
	ErrUnauthenticated = errors.New("not authenticated")

	// ErrForbidden says that the credential does not reach so far;
	// [api.Problem.Scope] may say what was missing.
	ErrForbidden = errors.New("not allowed")

	// ErrNotFound says that there is no such thing, or none that the caller
	// may know of.
	ErrNotFound = errors.New("not found")

	// ErrConflict says that it cannot be done in the present state, such as
	// making what already exists.
	ErrConflict = errors.New("conflict")

	// ErrLimit says that there are as many as there may be.
	ErrLimit = errors.New("limit reached")

	// ErrThrottled says that this was asked too often; [Error.RetryAfter] may
	// say when to ask again.
	ErrThrottled = errors.New("throttled")

	// ErrUnavailable says that the server, or a proxy for it, answered that it
	// cannot serve now.
	ErrUnavailable = errors.New("unavailable")

	// ErrUnreachable says that there was no answer: no route, connection
	// refused, a certificate that is not trusted, time out. Whether the server
	// acted on the request is not known.
	ErrUnreachable = errors.New("the server cannot be reached")

	// ErrRedirect says that the server pointed to elsewhere, where a
	// credential is not sent.
	ErrRedirect = errors.New("redirect refused")

	// ErrForeign says that the answer is none that a Latchkey server gives:
	// another kind of content, too much of it, or nonsense.
	ErrForeign = errors.New("not an answer of a Latchkey server")
)

// Error is an error answer of the server, or of a proxy before it.
type Error struct {
	Method string // of the request
	URL    string // of the request

	// Status is the HTTP status.
	Status int

	// Problem is what the server said. Where the answer was no problem
	// document, Code is "" and Detail says what came instead.
	Problem api.Problem

	// RetryAfter is how long the server asked to wait; 0 means that it did not
	// say.
	RetryAfter time.Duration
}

// Error returns the request, the status and the server's words for it.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %d %s", e.Method, e.URL, e.Status, http.StatusText(e.Status))
	if e.Problem.Detail != "" {
		text += ": " + e.Problem.Detail
	}
	if field := e.Problem.Field; field != "" && !strings.Contains(e.Problem.Detail, field) {
		text += " (field " + field + ")"
	}
	return text
}

// Is reports whether the error is of a kind: one of the Err variables of this
// package. The server's code decides; where there is none, the status does,
// except that a 404 of something else does not mean that a token is gone.
func (e *Error) Is(kind error) bool {
	return slices.Contains(e.kinds(), kind)
}

func (e *Error) kinds() []error {
	switch e.Problem.Code {
	case api.CodeInvalid, api.CodeMethod, api.CodeTooLarge, api.CodeMediaType:
		return []error{ErrInvalid}
	case api.CodeUnauthenticated:
		return []error{ErrUnauthenticated}
	case api.CodeForbidden:
		return []error{ErrForbidden}
	case api.CodeNotFound:
		return []error{ErrNotFound}
	case api.CodeConflict:
		return []error{ErrConflict}
	case api.CodeLimit:
		return []error{ErrLimit}
	case api.CodeThrottled:
		return []error{ErrThrottled}
	case api.CodeUnavailable:
		return []error{ErrUnavailable}
	}
	var kinds []error
	if e.Problem.Code == "" {
		kinds = append(kinds, ErrForeign)
	}
	switch e.Status {
	case http.StatusUnauthorized:
		kinds = append(kinds, ErrUnauthenticated)
	case http.StatusForbidden:
		kinds = append(kinds, ErrForbidden)
	case http.StatusTooManyRequests:
		kinds = append(kinds, ErrThrottled)
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		kinds = append(kinds, ErrUnavailable)
	}
	return kinds
}

// transportError is a request without an answer. Its text is kept apart from
// its cause because the cause may quote what a server sent.
type transportError struct {
	text  string
	cause error
}

func (e *transportError) Error() string   { return e.text }
func (e *transportError) Unwrap() []error { return []error{ErrUnreachable, e.cause} }

// retryAfter reads the header in both forms of RFC 9110 section 10.2.3.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}
