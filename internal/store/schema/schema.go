// Package schema moves a database between the versions of its schema. It is
// what the stores' migrations have in common; the SQL, and the lock that keeps
// two servers from migrating at once, belong to each store.
package schema

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// Latest asks [Move] for the newest version that this program knows.
const Latest = -1

// Table is the name of the table that says which migrations were applied.
const Table = "schema_versions"

// Move applies the migrations in files, up or down, until the database has the
// given version. It fails with [store.ErrNewerSchema] when the database is
// ahead of this program. The caller holds whatever lock is needed.
func Move(ctx context.Context, d goose.Dialect, db *sql.DB, files fs.FS, version int64, log *slog.Logger) error {
	p, err := goose.NewProvider(d, db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(log), goose.WithTableName(Table))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	current, newest, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	if current > newest {
		return fmt.Errorf("%w: its schema has version %d, this program knows up to %d",
			store.ErrNewerSchema, current, newest)
	}
	if version == Latest {
		version = newest
	}
	switch {
	case version > current:
		_, err = p.UpTo(ctx, version)
	case version < current:
		_, err = p.DownTo(ctx, version)
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("migrate the schema from version %d to %d: %w", current, version, err)
	}
	log.InfoContext(ctx, "the database has a new schema", "from", current, "to", version)
	return nil
}
