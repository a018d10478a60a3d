package web

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/secret"
)

// ErrMethod says that a path does not know the request's method.
var ErrMethod = errors.New("the method is not allowed here")

// Status returns the HTTP status of a kind of fault.
func Status(kind fault.Kind) int {
	switch kind {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict, fault.Limit:
		return http.StatusConflict
	case fault.Throttled:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// WriteProblem answers with an error as application/problem+json (RFC 9457).
// What may not be shown goes to the log.
func WriteProblem(w http.ResponseWriter, log *slog.Logger, err error) {
	p := problemOf(err)
	f := fault.Of(err)
	if p.Status >= http.StatusInternalServerError {
		log.Error("a request failed", "request_id", RequestID(w), "err", err)
	}
	h := w.Header()
	if f.RetryAfter > 0 {
		h.Set("Retry-After", RetryAfter(f.RetryAfter))
	}
	p.RequestID = RequestID(w)
	body, _ := json.Marshal(p) // strings and numbers can always be encoded
	h.Set("Content-Type", "application/problem+json")
	NoStore(h)
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}

func problemOf(err error) api.Problem {
	status, code, detail := 0, "", ""
	f := fault.Of(err)
	switch {
	case errors.Is(err, ErrTooLarge):
		status, code, detail = http.StatusRequestEntityTooLarge, api.CodeTooLarge, "the body is longer than "+strconv.Itoa(MaxBody)+" bytes"
	case errors.Is(err, ErrMediaType):
		status, code, detail = http.StatusUnsupportedMediaType, api.CodeMediaType, ErrMediaType.Error()
	case errors.Is(err, ErrMethod):
		status, code, detail = http.StatusMethodNotAllowed, api.CodeMethod, ErrMethod.Error()
	default:
		status, code, detail = Status(f.Kind), string(f.Kind), f.Message
		if f.Field != "" {
			detail = f.Field + " " + f.Message
		}
	}
	return api.Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code,
		Detail: secret.Scrub(detail), Field: secret.Scrub(f.Field), Scope: secret.Scrub(f.Missing),
	}
}

// RetryAfter returns a wait in whole seconds, rounded up, as the header has it.
func RetryAfter(wait time.Duration) string {
	return strconv.FormatInt(int64(math.Ceil(wait.Seconds())), 10)
}
