package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// tx is a transaction as one caller sees it.
type tx struct {
	w      *writer
	shared bool // others have had their turn before, and are not committed
	saved  bool // a savepoint is open
	wrote  bool // something was changed
	over   bool // the caller's turn has ended

	// err is what went wrong in a way that may have undone more than the one
	// statement. Whatever else is tried then must fail too: on a connection
	// that SQLite has rolled back, it would be committed by itself.
	err error
}

var _ store.Tx = (*tx)(nil)

var errOver = errors.New("sqlite: a transaction was used after its end")

// ready says whether the transaction can be used.
func (t *tx) ready() error {
	if t.over {
		return errOver
	}
	return t.err
}

// readyToWrite is ready, and where the writer is careful it puts a savepoint
// in front of the first write.
func (t *tx) readyToWrite() error {
	if err := t.ready(); err != nil || t.saved || !t.w.careful {
		return err
	}
	t.saved = true
	return t.w.control("SAVEPOINT caller")
}

// fault is [fault], and remembers what makes the transaction unusable.
func (t *tx) fault(op string, err error) error {
	err = fault(op, err)
	if errors.Is(err, store.ErrUnavailable) && t.err == nil {
		t.err = err
	}
	return err
}

// run runs a write.
func (t *tx) run(op, query string, args []any) (driver.Result, error) {
	if err := t.readyToWrite(); err != nil {
		return nil, t.fault(op, err)
	}
	r, err := t.w.conn.exec(query, args)
	t.wrote = t.wrote || err == nil
	return r, t.fault(op, err)
}

// exec runs a write and returns how many rows it changed.
func (t *tx) exec(op, query string, args ...any) (int, error) {
	r, err := t.run(op, query, args)
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), t.fault(op, err)
}

// insert runs an insert of one row and returns the row's integer key.
func (t *tx) insert(op, query string, args ...any) (int64, error) {
	r, err := t.run(op, query, args)
	if err != nil {
		return 0, err
	}
	seq, err := r.LastInsertId()
	return seq, t.fault(op, err)
}

// change is exec for a write that must find its row.
func (t *tx) change(op, query string, args ...any) error {
	n, err := t.exec(op, query, args...)
	if err == nil && n == 0 {
		return fmt.Errorf("%s: %w", op, store.ErrNotFound)
	}
	return err
}

// get reads one row; [store.ErrNotFound] when there is none.
func (t *tx) get(op, query string, args []any, dest ...any) error {
	if err := t.ready(); err != nil {
		return t.fault(op, err)
	}
	return t.fault(op, t.w.conn.first(query, args, dest))
}

// put runs a write that returns one row; [store.ErrNotFound] when it does not.
func (t *tx) put(op, query string, args []any, dest ...any) error {
	if err := t.readyToWrite(); err != nil {
		return t.fault(op, err)
	}
	err := t.w.conn.first(query, args, dest)
	t.wrote = t.wrote || err == nil
	return t.fault(op, err)
}
