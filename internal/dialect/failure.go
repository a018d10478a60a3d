package dialect

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// Texts of rest_framework/exceptions.py.
const (
	textServerError      = "A server error occurred."
	textNotFound         = "Not found."
	textDenied           = "You do not have permission to perform this action."
	textNotAuthenticated = "Authentication credentials were not provided."
	textBadCredentials   = "Incorrect authentication credentials."
	textThrottled        = "Request was throttled."
)

// nonFieldErrors names the errors of a whole object.
const nonFieldErrors = "non_field_errors"

// Error is an error that says by itself what the client is answered.
type Error struct {
	Status int
	Body   any // encoded as JSON

	// Authentication marks a failed or missing authentication. Its status is
	// 401 only where the view has a challenge, and 403 elsewhere.
	Authentication bool
}

// Error returns the status and the body, which are no secrets.
func (e *Error) Error() string { return fmt.Sprintf("the answer is %d %v", e.Status, e.Body) }

type detail struct {
	Detail string `json:"detail"`
}

// Detail is an error of the form {"detail": "…"}.
func Detail(status int, text string) *Error { return &Error{Status: status, Body: detail{text}} }

// AuthenticationFailed says why a credential does not count.
func AuthenticationFailed(text string) *Error {
	return &Error{Status: http.StatusUnauthorized, Body: detail{text}, Authentication: true}
}

// FieldError is what is wrong with one field.
type FieldError struct {
	Field    string
	Messages []string
}

// Invalid is what is wrong with the fields of a request, in the order given.
func Invalid(fields ...FieldError) *Error {
	var body object
	for _, f := range fields {
		body = append(body, member{f.Field, f.Messages})
	}
	return &Error{Status: http.StatusBadRequest, Body: body}
}

// NonField is what is wrong with a request as a whole.
func NonField(message string) *Error {
	return Invalid(FieldError{nonFieldErrors, []string{message}})
}

// failed turns an error into an answer, and sets the headers that go with it.
// What may not be shown goes to the log.
func (v *View) failed(w http.ResponseWriter, err error) Response {
	e, wait := failure(err)
	if e.Status >= http.StatusInternalServerError {
		v.Log.Error("a request failed", "request_id", web.RequestID(w), "err", err)
	}
	if wait > 0 {
		w.Header().Set("Retry-After", web.RetryAfter(wait))
	}
	if !e.Authentication {
		return Response{Status: e.Status, Body: e.Body}
	}
	challenge := v.challenge()
	if challenge == "" {
		return Response{Status: http.StatusForbidden, Body: e.Body}
	}
	w.Header().Set("WWW-Authenticate", challenge)
	return Response{Status: e.Status, Body: e.Body}
}

// failure is the one place that words the core's errors as the framework
// does. The wait is 0 when none is known.
func failure(err error) (e *Error, wait time.Duration) {
	var refusal *tokens.Refusal
	switch {
	case errors.As(err, &e):
		return e, 0
	case errors.As(err, &refusal) && refusal.Reason == tokens.ReasonDisabled:
		return AuthenticationFailed("User inactive or deleted."), 0
	case errors.As(err, &refusal):
		return AuthenticationFailed("Invalid token."), 0
	case errors.Is(err, web.ErrTooLarge):
		return Detail(http.StatusRequestEntityTooLarge, fmt.Sprintf("The request body is longer than %d bytes.", web.MaxBody)), 0
	}
	f := fault.Of(err)
	status := web.Status(f.Kind)
	switch f.Kind {
	case fault.Invalid:
		if f.Field != "" {
			return Invalid(FieldError{f.Field, []string{f.Message}}), 0
		}
		return Detail(status, f.Message), 0
	case fault.Unauthenticated:
		return AuthenticationFailed(textBadCredentials), 0
	case fault.Forbidden:
		return Detail(status, textDenied), 0
	case fault.NotFound:
		return Detail(status, textNotFound), 0
	case fault.Conflict:
		return Detail(status, f.Message), 0
	case fault.Limit:
		return Detail(http.StatusForbidden, f.Message), 0
	case fault.Throttled:
		return Detail(status, throttled(f.RetryAfter)), f.RetryAfter
	case fault.Unavailable:
		return Detail(status, "Service temporarily unavailable, try again later."), f.RetryAfter
	}
	return Detail(status, textServerError), 0
}

// throttled words the wait as the framework's Throttled exception does.
func throttled(wait time.Duration) string {
	switch seconds := int(math.Ceil(wait.Seconds())); {
	case seconds <= 0:
		return textThrottled
	case seconds == 1:
		return textThrottled + " Expected available in 1 second."
	default:
		return textThrottled + " Expected available in " + strconv.Itoa(seconds) + " seconds."
	}
}
