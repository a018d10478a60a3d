package postgres

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/latchkey-auth/latchkey/internal/store/schema"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

const latest = schema.Latest

// migrationLock is the key of the advisory lock that is held while migrating:
// "latchkey" in ASCII.
const migrationLock = 0x6c617463686b6579

// migrate brings the schema to the given version, up or down.
//
// The lock belongs to a transaction on a connection of its own. A lock of the
// session would do no good behind a pooler, where the next statement may run
// on another session.
func (s *Store) migrate(ctx context.Context, cfg *pgx.ConnConfig, version int64) error {
	cfg = cfg.Copy()
	if !s.pooler {
		for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
			cfg.RuntimeParams[name] = "0" // a large table takes its time
		}
	}
	lock, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return s.fault(ctx, "connect to the database", err)
	}
	defer func() { // ends the transaction and with it the lock
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = lock.Close(closing)
	}()
	if _, err := lock.Exec(ctx, `begin`); err != nil {
		return s.fault(ctx, "lock the database for migration", err)
	}
	if _, err := lock.Exec(ctx, `select pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
		return s.fault(ctx, "lock the database for migration", err)
	}
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	err = schema.Move(ctx, goose.DialectPostgres, db, files, version, s.log)
	return s.fault(ctx, "bring the schema up to date", err)
}
