package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// errClosed is what every method gives after Close.
var errClosed = fmt.Errorf("%w: it is closed", store.ErrUnavailable)

// fault turns what the driver said into one of the store's own errors. op says
// what was attempted. The driver's text goes along for logs; SQLite names
// tables and columns in it, never values.
func fault(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s: %w", op, store.ErrNotFound)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: %w", op, store.ErrUnavailable, err)
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrConflict),
		errors.Is(err, store.ErrInvalid), errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrNewerSchema):
		return fmt.Errorf("%s: %w", op, err)
	}
	if known := broken(err); known != nil {
		return fmt.Errorf("%s: %w", op, known)
	}
	return fmt.Errorf("%s: %w: %v", op, store.ErrUnavailable, err)
}

// broken names the rule that a write broke, nil when err is no such thing.
func broken(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return store.ErrConflict
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return store.ErrNotFound
	}
	return nil
}

// isConstraint reports whether a row broke any rule of the schema.
func isConstraint(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_CONSTRAINT
}
