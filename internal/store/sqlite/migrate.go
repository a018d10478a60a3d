package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"

	"github.com/latchkey-auth/latchkey/internal/store/schema"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrate brings the schema to the given version, up or down, or refuses with
// [store.ErrNewerSchema] when the database is ahead of this program.
//
// All of it is one transaction that takes the write lock first: two processes
// that open the same new file wait for each other, and an upgrade of several
// steps is done whole or not at all.
func migrate(ctx context.Context, dsn string, version int64, log *slog.Logger) (err error) {
	inner, err := sqlite.NewConnector(dsn)
	if err != nil {
		return err
	}
	db := sql.OpenDB(nestedConnector{inner})
	db.SetMaxOpenConns(1)
	defer db.Close()

	if _, err := db.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fault("lock the database for migration", err)
	}
	defer func() {
		if err != nil {
			_, undo := db.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			err = errors.Join(err, undo)
		}
	}()
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	if err := schema.Move(ctx, goose.DialectSQLite3, db, files, version, log); err != nil {
		return fault("bring the schema up to date", err)
	}
	_, err = db.ExecContext(ctx, "COMMIT")
	return fault("commit the migration", err)
}

// nestedConnector opens connections on which a transaction is a savepoint, so
// that the migrations, which begin transactions of their own, can be run
// inside of one.
type nestedConnector struct{ driver.Connector }

// Connect implements [driver.Connector].
func (c nestedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := conn.(sqliteConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("the driver's connection %T lacks a method", conn)
	}
	return nestedConn{full}, nil
}

type nestedConn struct{ sqliteConn }

// BeginTx implements [driver.ConnBeginTx].
func (c nestedConn) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	_, err := c.ExecContext(ctx, "SAVEPOINT migration", nil)
	return nestedTx(c), err
}

type nestedTx struct{ sqliteConn }

// Commit implements [driver.Tx].
func (t nestedTx) Commit() error {
	_, err := t.ExecContext(context.Background(), "RELEASE migration", nil)
	return err
}

// Rollback implements [driver.Tx].
func (t nestedTx) Rollback() error {
	_, err := t.ExecContext(context.Background(), "ROLLBACK TO migration; RELEASE migration", nil)
	return err
}
