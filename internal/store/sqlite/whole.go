package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/portable"
	"github.com/latchkey-auth/latchkey/internal/store/schema"
)

// Read gives fn one consistent state of a database, which others may go on
// using meanwhile. Nothing is written, and the schema stays what it is.
func Read(ctx context.Context, o Options, fn func(portable.Source) error) (err error) {
	o.setDefaults()
	if o.Path, err = filepath.Abs(o.Path); err != nil {
		return fmt.Errorf("find the database file: %w", err)
	}
	if _, err := os.Stat(o.Path); err != nil {
		return fmt.Errorf("read the database %s: %w", o.Path, reason(err))
	}
	if err := checkFiles(o.Path); err != nil {
		return err
	}
	w, err := openWhole(ctx, dsn(o, "FULL", true), "BEGIN", o.Log)
	if err != nil {
		return fmt.Errorf("read the database %s: %w", o.Path, err)
	}
	defer func() { err = errors.Join(err, w.close()) }()
	return fn(w)
}

// Replace lets fn put other content into a database, all of it in one
// transaction, and makes the file when there is none. It fails with
// [portable.ErrInUse] when a server or another program has the file open, and
// nobody else can open it until Replace returns.
func Replace(ctx context.Context, o Options, fn func(portable.Target) error) (err error) {
	o.setDefaults()
	o.Patience = min(o.Patience, 2*time.Second) // who has it open does not go away by itself
	if o.Path, err = filepath.Abs(o.Path); err != nil {
		return fmt.Errorf("find the database file: %w", err)
	}
	_, missing := os.Stat(o.Path)
	isNew := errors.Is(missing, fs.ErrNotExist)
	if err := private(o.Path); err != nil {
		return err
	}
	defer func() {
		if err != nil && isNew {
			err = errors.Join(err, removeDatabase(o.Path))
		}
	}()
	if isNew {
		if err := giveToFolder(o.Path); err != nil {
			return err
		}
	}
	w, err := openWhole(ctx, exclusive(dsn(o, "FULL", false)), "BEGIN EXCLUSIVE", o.Log)
	if err != nil {
		if locked(err) {
			return fmt.Errorf("replace the database %s: %w", o.Path, portable.ErrInUse)
		}
		return fmt.Errorf("replace the database %s: %w", o.Path, err)
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := fn(w); err != nil {
		return err
	}
	return w.exec(ctx, "commit the new content", "COMMIT")
}

// exclusive changes a connection string so that the connection has the file to
// itself or fails. It has to be said before the log is opened; from then on,
// every other connection to a file in WAL mode, though it does nothing, is in
// the way. See https://www.sqlite.org/wal.html#use_of_wal_without_shared_memory.
func exclusive(dsn string) string {
	return strings.Replace(dsn, "?", "?_pragma=locking_mode(EXCLUSIVE)&", 1)
}

// locked reports whether another connection was in the way.
func locked(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// removeDatabase takes a file away that was made for nothing.
func removeDatabase(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// whole is one transaction over all of a database, on the only connection of
// a pool, since migrations can be run on nothing else.
type whole struct {
	db     *sql.DB
	log    *slog.Logger
	schema int64
	tables []wholeTable
}

var _ portable.Target = (*whole)(nil)

func openWhole(ctx context.Context, dsn, begin string, log *slog.Logger) (_ *whole, err error) {
	inner, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	w := &whole{db: sql.OpenDB(nestedConnector{inner}), log: log}
	w.db.SetMaxOpenConns(1)
	w.db.SetMaxIdleConns(1)
	defer func() {
		if err != nil {
			err = errors.Join(err, w.db.Close())
		}
	}()
	// Not by way of fault: the caller looks for a lock.
	if _, err := w.db.ExecContext(ctx, begin); err != nil {
		return nil, fmt.Errorf("begin a transaction: %w", err)
	}
	if err := w.describe(ctx); err != nil {
		return nil, err
	}
	newest, err := newestSchema()
	if err != nil {
		return nil, err
	}
	if w.schema > newest {
		return nil, newerSchema(w.schema, newest)
	}
	return w, nil
}

func newerSchema(has, known int64) error {
	return fmt.Errorf("%w: its schema has version %d, this program knows up to %d", store.ErrNewerSchema, has, known)
}

// newestSchema is the version that the newest migration leads to.
func newestSchema() (int64, error) {
	files, err := migrationFiles.ReadDir("migrations")
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("read the migrations: %w", err)
	}
	return goose.NumericComponent(files[len(files)-1].Name())
}

// close ends the transaction, if it is open, and the connection with it.
func (w *whole) close() error { return w.db.Close() }

// raw lends the connection.
func (w *whole) raw(ctx context.Context, fn func(*conn) error) error {
	c, err := w.db.Conn(ctx)
	if err != nil {
		return fault("get the connection", err)
	}
	defer c.Close()
	return c.Raw(func(driverConn any) (err error) {
		nested, ok := driverConn.(nestedConn)
		if !ok {
			return fmt.Errorf("the connection is a %T", driverConn)
		}
		lent := &conn{inner: nested.sqliteConn, prepared: map[string]sqliteStmt{}}
		defer func() { err = errors.Join(err, lent.forget()) }()
		return fn(lent)
	})
}

// exec runs one statement.
func (w *whole) exec(ctx context.Context, op, query string, args ...any) error {
	return w.raw(ctx, func(c *conn) error {
		_, err := c.exec(query, args)
		return fault(op, err)
	})
}

// count runs a query for one number.
func (w *whole) count(ctx context.Context, op, query string, args ...any) (n int64, err error) {
	err = w.raw(ctx, func(c *conn) error { return fault(op, c.first(query, args, []any{&n})) })
	return n, err
}

// Schema implements [portable.Source].
func (w *whole) Schema() int64 { return w.schema }

// Tables implements [portable.Source].
func (w *whole) Tables() []portable.Table {
	list := make([]portable.Table, len(w.tables))
	for i, t := range w.tables {
		list[i] = t.shown()
	}
	return list
}

// Position implements [portable.Source].
func (w *whole) Position(ctx context.Context) (int64, error) {
	if w.schema == 0 {
		return 0, nil
	}
	return w.count(ctx, "find the last change", `SELECT seq FROM change_counter`)
}

// Clear implements [portable.Target].
func (w *whole) Clear(ctx context.Context) error {
	if err := w.empty(ctx); err != nil {
		return err
	}
	if err := w.move(ctx, schema.Latest); err != nil {
		return err
	}
	return w.empty(ctx) // what the migrations put there
}

// empty removes the rows of all tables, those first that refer to others.
func (w *whole) empty(ctx context.Context) error {
	for i := len(w.tables) - 1; i >= 0; i-- {
		if err := w.exec(ctx, "empty the table "+w.tables[i].name, `DELETE FROM `+quote(w.tables[i].name)); err != nil {
			return err
		}
	}
	return nil
}

// move brings the schema to a version.
func (w *whole) move(ctx context.Context, version int64) error {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	if err := schema.Move(ctx, goose.DialectSQLite3, w.db, files, version, w.log); err != nil {
		return fault("bring the schema up to date", err)
	}
	return w.describe(ctx)
}

// Restart implements [portable.Target].
func (w *whole) Restart(ctx context.Context, position int64, now time.Time) error {
	err := w.exec(ctx, "empty the change log", `DELETE FROM changes`)
	if err == nil {
		err = w.exec(ctx, "number the change log", `UPDATE change_counter SET seq = ?`, position)
	}
	if err == nil {
		err = w.exec(ctx, "begin the change log", `INSERT INTO changes (seq, at, kind, token_id, account_id)
			VALUES (?, ?, ?, '', '')`, position, now.UnixMicro(), string(store.ChangeGroups))
	}
	return err
}
