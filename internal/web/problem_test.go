package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// S112: an answer says what the fault says, and never what caused it; that is
// in the log.
func TestWriteProblem(t *testing.T) {
	cause := errors.New("dial tcp 10.0.0.5:5432: password=inner")
	tests := []struct {
		err        error
		want       api.Problem // without Type, Title and RequestID
		retryAfter string
		logged     bool
	}{
		{fault.Invalidf("", "it is odd"), api.Problem{Status: 400, Code: api.CodeInvalid, Detail: "it is odd"}, "", false},
		{fault.Invalidf("name", "is %s", "long"), api.Problem{Status: 400, Code: api.CodeInvalid, Detail: "name is long", Field: "name"}, "", false},
		{fault.Unauthenticatedf("no"), api.Problem{Status: 401, Code: api.CodeUnauthenticated, Detail: "no"}, "", false},
		{fault.Forbiddenf("not you"), api.Problem{Status: 403, Code: api.CodeForbidden, Detail: "not you"}, "", false},
		{fault.Needs("path:/x:read"), api.Problem{Status: 403, Code: api.CodeForbidden, Detail: "this needs the scope path:/x:read", Scope: "path:/x:read"}, "", false},
		{fault.NotFoundf("there is no x"), api.Problem{Status: 404, Code: api.CodeNotFound, Detail: "there is no x"}, "", false},
		{fault.Conflictf("it is there"), api.Problem{Status: 409, Code: api.CodeConflict, Detail: "it is there"}, "", false},
		{fault.Limitf("50 are there"), api.Problem{Status: 409, Code: api.CodeLimit, Detail: "50 are there"}, "", false},
		{fault.TooOften(1500 * time.Millisecond), api.Problem{Status: 429, Code: api.CodeThrottled, Detail: "too many attempts, try again later"}, "2", false},
		{fault.Unavailablef(cause, "it does not answer"), api.Problem{Status: 503, Code: api.CodeUnavailable, Detail: "it does not answer"}, "1", true},
		{fault.FromStore(fmt.Errorf("read: %w: %w", store.ErrUnavailable, cause)), api.Problem{Status: 503, Code: api.CodeUnavailable, Detail: "the database does not answer"}, "1", true},
		{fault.FromStore(fmt.Errorf("write: %w: %w", store.ErrConflict, cause)), api.Problem{Status: 409, Code: api.CodeConflict, Detail: "it exists already"}, "", false},
		{cause, api.Problem{Status: 500, Code: api.CodeInternal, Detail: "something went wrong in the server; its log tells what"}, "", true},
		{&fault.Error{Kind: fault.Internal, Message: "a bug"}, api.Problem{Status: 500, Code: api.CodeInternal, Detail: "a bug"}, "", true},
		{&fault.Error{Kind: "odd", Message: "what"}, api.Problem{Status: 500, Code: "odd", Detail: "what"}, "", true},
		{fmt.Errorf("make the token for password=inner: %w", fault.Limitf("50 are there")), api.Problem{Status: 409, Code: api.CodeLimit, Detail: "50 are there"}, "", false},
		{ErrTooLarge, api.Problem{Status: 413, Code: api.CodeTooLarge, Detail: "the body is longer than 65536 bytes"}, "", false},
		{fmt.Errorf("inner: %w", ErrMediaType), api.Problem{Status: 415, Code: api.CodeMediaType, Detail: "the body must be application/json"}, "", false},
		{ErrMethod, api.Problem{Status: 405, Code: api.CodeMethod, Detail: "the method is not allowed here"}, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.err.Error(), func(t *testing.T) {
			var out bytes.Buffer
			w := httptest.NewRecorder()
			w.Header()[RequestIDHeader] = []string{"7f"}
			WriteProblem(w, slog.New(slog.NewTextHandler(&out, nil)), tt.err)

			tt.want.Type, tt.want.Title, tt.want.RequestID = "about:blank", http.StatusText(tt.want.Status), "7f"
			body := w.Body.String()
			var got api.Problem
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatalf("Unmarshal(%s) = %v", body, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problem, -want +got:\n%s", diff)
			}
			if w.Code != tt.want.Status {
				t.Errorf("status = %d, want %d", w.Code, tt.want.Status)
			}
			header := http.Header{
				RequestIDHeader: {"7f"}, "Content-Type": {"application/problem+json"},
				"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"},
			}
			if tt.retryAfter != "" {
				header.Set("Retry-After", tt.retryAfter)
			}
			if diff := cmp.Diff(header, w.Result().Header); diff != "" {
				t.Errorf("header, -want +got:\n%s", diff)
			}
			if strings.Contains(body, "inner") {
				t.Errorf("the answer shows the cause: %s", body)
			}
			if logged := strings.Contains(out.String(), "level=ERROR") && strings.Contains(out.String(), "request_id=7f"); logged != tt.logged {
				t.Errorf("logged = %v, want %v: %s", logged, tt.logged, &out)
			}
			if tt.logged && strings.Contains(tt.err.Error(), "inner") && !strings.Contains(out.String(), "inner") {
				t.Errorf("the log lacks the cause: %s", &out)
			}
		})
	}
}

// Every kind of fault has a code that the API lists.
func TestCodesOfKinds(t *testing.T) {
	kinds := map[fault.Kind]string{
		fault.Invalid: api.CodeInvalid, fault.Unauthenticated: api.CodeUnauthenticated, fault.Forbidden: api.CodeForbidden,
		fault.NotFound: api.CodeNotFound, fault.Conflict: api.CodeConflict, fault.Limit: api.CodeLimit,
		fault.Throttled: api.CodeThrottled, fault.Unavailable: api.CodeUnavailable, fault.Internal: api.CodeInternal,
	}
	for kind, want := range kinds {
		if string(kind) != want {
			t.Errorf("kind %s has the code %s, want the same word", kind, want)
		}
		if got := Status(kind); got < 400 || (got >= 500) != (kind == fault.Unavailable || kind == fault.Internal) {
			t.Errorf("Status(%s) = %d, want 5xx for the server's own faults and 4xx for others", kind, got) // S89
		}
	}
}

func TestRetryAfter(t *testing.T) {
	tests := []struct {
		wait time.Duration
		want string
	}{
		{time.Nanosecond, "1"},
		{time.Second, "1"},
		{time.Second + 1, "2"},
		{90 * time.Second, "90"},
		{24 * time.Hour, "86400"},
	}
	for _, tt := range tests {
		if got := RetryAfter(tt.wait); got != tt.want {
			t.Errorf("RetryAfter(%v) = %s, want %s", tt.wait, got, tt.want)
		}
	}
}
