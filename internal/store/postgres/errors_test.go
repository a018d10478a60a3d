package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/latchkey-auth/latchkey/internal/store"
)

func TestFault(t *testing.T) {
	const planted = "planted-value"
	server := func(code string) error {
		return fmt.Errorf("query: %w", &pgconn.PgError{Code: code, Message: "about " + code, Detail: planted})
	}
	about := func(code string) error {
		return &pgconn.PgError{Code: code, Message: "invalid input: " + planted, Detail: planted, Hint: planted, Where: planted}
	}
	s := &Store{password: "planted-p4ssw0rd"}
	for _, tt := range []struct {
		err, want error
		shows     string
	}{
		{pgx.ErrNoRows, store.ErrNotFound, ""},
		{server("23505"), store.ErrConflict, ""},
		{server("23503"), store.ErrNotFound, ""},
		{server("53100"), store.ErrUnavailable, "53100: about 53100"}, // disk full
		{server("25006"), store.ErrUnavailable, "about 25006"},        // read-only
		{server("57014"), store.ErrUnavailable, "about 57014"},        // took too long
		{server("55P03"), store.ErrUnavailable, "about 55P03"},        // lock not available
		{server("40001"), store.ErrUnavailable, "40001"},
		{about("22P02"), store.ErrUnavailable, "22P02"}, // quotes the value
		{about("23514"), store.ErrUnavailable, "23514"}, // quotes the row
		{about("42601"), store.ErrUnavailable, "42601"},
		{io.ErrUnexpectedEOF, store.ErrUnavailable, "unexpected EOF"},
		{errors.New("login with planted-p4ssw0rd failed"), store.ErrUnavailable, "login with [hidden] failed"},
		{context.DeadlineExceeded, store.ErrUnavailable, ""}, // our own limit
	} {
		got := s.fault(t.Context(), "read", tt.err)
		if !errors.Is(got, tt.want) || !strings.Contains(got.Error(), tt.shows) {
			t.Errorf("fault(%v) = %v, want %v with %q", tt.err, got, tt.want, tt.shows)
		}
		if strings.Contains(got.Error(), "planted") {
			t.Errorf("fault(%v) = %v, which shows a value", tt.err, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := s.fault(ctx, "read", io.ErrUnexpectedEOF); !errors.Is(got, context.Canceled) || !errors.Is(got, store.ErrUnavailable) {
		t.Errorf("fault() with a cancelled context = %v, want %v and %v", got, context.Canceled, store.ErrUnavailable)
	}
}

func TestLostAndCollided(t *testing.T) {
	for _, tt := range []struct {
		err            error
		lost, collided bool
	}{
		{nil, false, false},
		{pgx.ErrNoRows, false, false},
		{io.ErrUnexpectedEOF, true, false},
		{&pgconn.ConnectError{}, false, false},
		{&pgconn.PgError{Code: "57P01"}, true, false},
		{&pgconn.PgError{Code: "57014"}, false, false},
		{&pgconn.PgError{Code: "40001"}, false, true},
		{&pgconn.PgError{Code: "40P01"}, false, true},
		{&pgconn.PgError{Code: "23505"}, false, false},
	} {
		if got := lost(tt.err); got != tt.lost {
			t.Errorf("lost(%v) = %v, want %v", tt.err, got, tt.lost)
		}
		if got := collided(tt.err); got != tt.collided {
			t.Errorf("collided(%v) = %v, want %v", tt.err, got, tt.collided)
		}
	}
}
