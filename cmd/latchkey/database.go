package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/config"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/portable"
	"github.com/latchkey-auth/latchkey/internal/store/postgres"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
)

// database is one of the two kinds that there are, so there is no registry of
// them.
type database struct {
	postgres *postgres.Options // nil: it is the other
	sqlite   sqlite.Options
}

// databaseOf finds the database that the configuration names.
func databaseOf(c config.Config, log *slog.Logger) database {
	return databaseNamed(c.Database.Reveal(), c, log)
}

// databaseNamed finds a database by its name in the form of the configuration,
// with everything else as configured.
func databaseNamed(name string, c config.Config, log *slog.Logger) database {
	if strings.HasPrefix(name, "postgres://") || strings.HasPrefix(name, "postgresql://") {
		return database{postgres: &postgres.Options{DSN: name, MaxConns: c.DatabaseMaxConns, Pooler: c.DatabasePooler, Log: log}}
	}
	path := filepath.Join(c.Data, "latchkey.db")
	if file, ok := strings.CutPrefix(name, "sqlite:"); ok {
		path = file
	}
	return database{sqlite: sqlite.Options{Path: path, Log: log}}
}

// open opens the database for a server.
func (d database) open(ctx context.Context) (store.Store, error) {
	if d.postgres != nil {
		return postgres.Open(ctx, *d.postgres)
	}
	return sqlite.Open(ctx, d.sqlite)
}

// read gives fn one consistent state of the database.
func (d database) read(ctx context.Context, fn func(portable.Source) error) error {
	if d.postgres != nil {
		return postgres.Read(ctx, *d.postgres, fn)
	}
	return sqlite.Read(ctx, d.sqlite, fn)
}

// replace lets fn put other content into the database.
func (d database) replace(ctx context.Context, fn func(portable.Target) error) error {
	if d.postgres != nil {
		return postgres.Replace(ctx, *d.postgres, fn)
	}
	return sqlite.Replace(ctx, d.sqlite, fn)
}

// openStore opens the database that the configuration names.
func openStore(ctx context.Context, c config.Config, log *slog.Logger) (store.Store, error) {
	return databaseOf(c, log).open(ctx)
}
