// Package api has the types of Latchkey's native REST API, as they travel in
// JSON under /latchkey/api/v1. The server and the Go client share them.
//
// Times are RFC 3339 in UTC, durations whole seconds. A request with a field
// that is not listed here is refused. Errors are application/problem+json
// (RFC 9457), see [Problem].
package api

// Prefix is the path under which the native API lives.
const Prefix = "/latchkey/api/v1"

// Page is one page of a list.
type Page[T any] struct {
	Items []T `json:"items"`

	// Next is the cursor for the page after this one, "" on the last. It only
	// fits the query that it came from.
	Next string `json:"next,omitempty"`
}

// Problem is the body of every error answer.
type Problem struct {
	Type      string `json:"type"`                 // always "about:blank": Code tells problems apart
	Title     string `json:"title"`                // the status in words
	Status    int    `json:"status"`               // the HTTP status
	Code      string `json:"code"`                 // what went wrong, for programs: see the Code constants
	Detail    string `json:"detail"`               // what went wrong, for people
	Field     string `json:"field,omitempty"`      // the field that is wrong
	Scope     string `json:"scope,omitempty"`      // the scope that was needed
	RequestID string `json:"request_id,omitempty"` // to find the request in the audit log by
}

// Codes of problems.
const (
	CodeInvalid         = "invalid"
	CodeUnauthenticated = "unauthenticated"
	CodeForbidden       = "forbidden"
	CodeNotFound        = "not_found"
	CodeMethod          = "method_not_allowed"
	CodeConflict        = "conflict"
	CodeLimit           = "limit"
	CodeTooLarge        = "too_large"
	CodeMediaType       = "unsupported_media_type"
	CodeThrottled       = "throttled"
	CodeUnavailable     = "unavailable"
	CodeInternal        = "internal"
)
