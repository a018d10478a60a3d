package fault

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-auth/latchkey/internal/store"
)

func TestMakers(t *testing.T) {
	cause := errors.New("away")
	tests := []struct {
		got  *Error
		want Error
		text string // as the log has it
	}{
		{Invalidf("name", "is %d long", 3), Error{Kind: Invalid, Field: "name", Message: "is 3 long"}, "name: is 3 long"},
		{Invalidf("", "it is odd"), Error{Kind: Invalid, Message: "it is odd"}, "it is odd"},
		{Unauthenticatedf("no"), Error{Kind: Unauthenticated, Message: "no"}, "no"},
		{Needs("a:b:c"), Error{Kind: Forbidden, Missing: "a:b:c", Message: "this needs the scope a:b:c"}, "this needs the scope a:b:c"},
		{Needs("path:/100%d:c"), Error{Kind: Forbidden, Missing: "path:/100%d:c", Message: "this needs the scope path:/100%d:c"}, "this needs the scope path:/100%d:c"},
		{Forbiddenf("not %s", "you"), Error{Kind: Forbidden, Message: "not you"}, "not you"},
		{NotFoundf("no %s", "x"), Error{Kind: NotFound, Message: "no x"}, "no x"},
		{Conflictf("%s is there", "x"), Error{Kind: Conflict, Message: "x is there"}, "x is there"},
		{Limitf("%d are there", 5), Error{Kind: Limit, Message: "5 are there"}, "5 are there"},
		{TooOften(time.Minute), Error{Kind: Throttled, Message: "too many attempts, try again later", RetryAfter: time.Minute}, "too many attempts, try again later"},
		{Unavailablef(cause, "%s is silent", "it"), Error{Kind: Unavailable, Message: "it is silent", RetryAfter: time.Second, cause: cause}, "it is silent: away"},
		{Unavailablef(nil, "it is silent"), Error{Kind: Unavailable, Message: "it is silent", RetryAfter: time.Second}, "it is silent"},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, *tt.got, cmp.AllowUnexported(Error{}), cmpopts.EquateErrors()); diff != "" {
			t.Errorf("%s, -want +got:\n%s", tt.text, diff)
		}
		if got := tt.got.Error(); got != tt.text {
			t.Errorf("Error() = %q, want %q", got, tt.text)
		}
	}
	if err := Unavailablef(cause, "it is silent"); !errors.Is(err, cause) {
		t.Errorf("errors.Is(%v, cause) = false, want true", err)
	}
}

func TestFromStore(t *testing.T) {
	own := errors.New("a refusal of the core's own")
	taken := &Error{Kind: Limit, Message: "no more", cause: store.ErrConflict}
	silent := Unavailablef(context.DeadlineExceeded, "the directory does not answer")
	tests := []struct {
		err  error
		kind Kind // "": the error comes back as it is
	}{
		{nil, ""},
		{own, ""},
		{store.ErrNotFound, ""}, // what is missing, only the caller knows
		{store.ErrNewerSchema, ""},
		{Conflictf("x"), ""},
		{taken, ""},
		{silent, ""},
		{fmt.Errorf("log in: %w", silent), ""},
		{errors.Join(own, Invalidf("a", "b")), ""},
		{store.ErrUnavailable, Unavailable},
		{fmt.Errorf("read: %w", store.ErrUnavailable), Unavailable},
		{context.Canceled, Unavailable},
		{fmt.Errorf("read: %w", context.DeadlineExceeded), Unavailable},
		{errors.Join(store.ErrConflict, store.ErrUnavailable), Unavailable}, // the worse: it is not known
		{fmt.Errorf("write: %w", store.ErrConflict), Conflict},
		{fmt.Errorf("write: %w", store.ErrInvalid), Invalid},
	}
	for _, tt := range tests {
		got := FromStore(tt.err)
		if tt.kind == "" {
			if got != tt.err {
				t.Errorf("FromStore(%v) = %v, want it as it is", tt.err, got)
			}
			continue
		}
		if !Is(got, tt.kind) || !errors.Is(got, tt.err) {
			t.Errorf("FromStore(%v) = %v, want a fault of kind %s that wraps it", tt.err, got, tt.kind)
		}
		if again := FromStore(got); again != got {
			t.Errorf("FromStore(%v) = %v, want it as it is", got, again)
		}
	}
}

func TestOf(t *testing.T) {
	inner := Conflictf("inner")
	outer := Unavailablef(inner, "outer")
	tests := []struct {
		err  error
		want *Error // nil: an internal one
	}{
		{inner, inner},
		{fmt.Errorf("do: %w", inner), inner},
		{errors.Join(errors.New("x"), inner), inner},
		{outer, outer},
		{fmt.Errorf("do: %v", inner), nil},
		{store.ErrConflict, nil},
		{context.Canceled, nil},
		{nil, nil},
	}
	for _, tt := range tests {
		got := Of(tt.err)
		if tt.want != nil && got != tt.want {
			t.Errorf("Of(%v) = %v, want %v", tt.err, got, tt.want)
		}
		if tt.want == nil {
			want := Error{Kind: Internal, Message: "something went wrong in the server; its log tells what", cause: tt.err}
			if diff := cmp.Diff(want, *got, cmp.AllowUnexported(Error{}), cmpopts.EquateErrors()); diff != "" {
				t.Errorf("Of(%v), -want +got:\n%s", tt.err, diff)
			}
		}
	}
}

func TestIs(t *testing.T) {
	inner := Conflictf("inner")
	tests := []struct {
		err  error
		kind Kind
		want bool
	}{
		{inner, Conflict, true},
		{inner, Limit, false},
		{fmt.Errorf("do: %w", inner), Conflict, true},
		{Unavailablef(inner, "outer"), Unavailable, true},
		{Unavailablef(inner, "outer"), Conflict, false}, // the outermost one counts
		{errors.New("x"), Internal, false},              // it becomes one only when it is shown
		{nil, Internal, false},
		{nil, "", false},
	}
	for _, tt := range tests {
		if got := Is(tt.err, tt.kind); got != tt.want {
			t.Errorf("Is(%v, %q) = %v, want %v", tt.err, tt.kind, got, tt.want)
		}
	}
}
