package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// SQLSTATEs, of https://www.postgresql.org/docs/current/errcodes-appendix.html.
const (
	uniqueViolation     = "23505"
	foreignKeyViolation = "23503"
	serializationFailed = "40001"
	deadlockDetected    = "40P01"
	adminShutdown       = "57P01"
	crashShutdown       = "57P02"
)

// fault turns what the driver said into one of the store's own errors. op says
// what was attempted. ctx is the caller's.
func (s *Store) fault(ctx context.Context, op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("%s: %w", op, store.ErrNotFound)
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrInvalid),
		errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrNewerSchema):
		return fmt.Errorf("%s: %w", op, err)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w: %w", op, store.ErrUnavailable, ctx.Err())
	}
	switch code(err) {
	case uniqueViolation:
		return fmt.Errorf("%s: %w", op, store.ErrConflict)
	case foreignKeyViolation:
		return fmt.Errorf("%s: %w", op, store.ErrNotFound)
	}
	return fmt.Errorf("%s: %w: %s", op, store.ErrUnavailable, s.cause(err))
}

// cause describes an error for logs. The server's messages about data quote
// the data, so only those of classes that are about the server are kept.
func (s *Store) cause(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return s.text(err)
	}
	if len(e.Code) == 5 {
		switch e.Code[:2] {
		case "08", "25", "28", "3D", "53", "54", "55", "57", "58":
			return s.text(fmt.Errorf("SQLSTATE %s: %s", e.Code, e.Message))
		}
	}
	return fmt.Sprintf("SQLSTATE %s (constraint %q, table %q)", e.Code, e.ConstraintName, e.TableName)
}

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// lost reports whether err says that the connection is gone. The server ends
// connections itself when it stops.
func lost(err error) bool {
	if c := code(err); c != "" {
		return c == adminShutdown || c == crashShutdown
	}
	// Anything else that is not the server's word comes from the connection,
	// but an attempt to connect that failed would only fail again.
	var connect *pgconn.ConnectError
	var scan pgx.ScanArgError
	return err != nil && !errors.As(err, &connect) && !errors.As(err, &scan) && !errors.Is(err, pgx.ErrNoRows)
}

// collided reports whether err says that transactions were in each other's
// way, so that one of them has to be run again.
func collided(err error) bool {
	c := code(err)
	return c == serializationFailed || c == deadlockDetected
}
