package pulptest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// adminPassword is kept in the copy of the database, because setting one takes longer than all the rest of it. It
// guards nothing: whoever reaches this Pulp may name himself admin by a header anyway.
const adminPassword = "password-of-a-test"

// copyFormat is raised when copies of the database made by older versions of this package are no longer good.
const copyFormat = 1

// fillDatabase brings the empty database to the state after all migrations, with an admin user: from the copy in the
// cache if there is one, else by migrating, which then leaves a copy for the next time.
func (p *Pulp) fillDatabase(ctx context.Context, logf func(string, ...any)) error {
	if err := p.newDatabase(ctx); err != nil {
		return err
	}
	copyPath, err := p.copyPath(ctx)
	if err != nil {
		return err
	}
	err = p.restore(ctx, copyPath)
	switch {
	case err == nil && p.opts.Migrate:
		_, _, err = p.Manager(ctx, "migrate", "--noinput")
		return err
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		logf("pulptest: the copy of a migrated database is of no use, so it is made anew: %v", err)
		// The failed attempt may have put anything into the database.
		if err := p.cluster.DropDatabase(ctx, p.DatabaseDSN); err != nil {
			return err
		}
		if err := p.newDatabase(ctx); err != nil {
			return err
		}
	}
	if _, _, err := p.Manager(ctx, "migrate", "--noinput"); err != nil {
		return err
	}
	if _, _, err := p.Manager(ctx, "reset-admin-password", "--password", adminPassword); err != nil {
		return err
	}
	if p.opts.Migrate {
		return nil // there may be more tables in it than other tests want
	}
	if err := p.save(ctx, copyPath); err != nil {
		logf("pulptest: the migrated database could not be kept for the next time: %v", err)
	}
	return nil
}

// copyPath names the copy. The folder already stands for the versions of Pulp and its plugins; what the settings of
// different tests change has no part in a database that no Pulp has run on.
func (p *Pulp) copyPath(ctx context.Context) (string, error) {
	conn, err := pgx.Connect(ctx, p.DatabaseDSN)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var version string
	if err := conn.QueryRow(ctx, "SHOW server_version_num").Scan(&version); err != nil {
		return "", err
	}
	number, err := strconv.Atoi(version)
	if err != nil {
		return "", fmt.Errorf("server_version_num is %q: %w", version, err)
	}
	name := fmt.Sprintf("database-%d-postgresql-%d.dump", copyFormat, number/10000)
	return filepath.Join(p.venv.cache, name), nil
}

// newDatabase makes an empty database and the settings file that names it.
func (p *Pulp) newDatabase(ctx context.Context) (err error) {
	if p.DatabaseDSN, err = p.cluster.CreateDatabase(ctx, "pulp"); err != nil {
		return err
	}
	return p.writeSettings()
}

func (p *Pulp) restore(ctx context.Context, copyPath string) error {
	if _, err := os.Stat(copyPath); err != nil {
		return err
	}
	db, err := pgx.ParseConfig(p.DatabaseDSN)
	if err != nil {
		return err
	}
	return p.postgresTool(ctx, "pg_restore", "--no-owner", "--exit-on-error", "--dbname="+db.Database, copyPath)
}

// save writes the copy under another name first: it must never be seen half done, not even by a test that runs at the
// same time.
func (p *Pulp) save(ctx context.Context, copyPath string) error {
	partial, err := os.CreateTemp(filepath.Dir(copyPath), "database-*.partial")
	if err != nil {
		return err
	}
	defer os.Remove(partial.Name())
	if err := partial.Close(); err != nil {
		return err
	}
	if err := p.postgresTool(ctx, "pg_dump", "--format=custom", "--no-owner", "--file="+partial.Name()); err != nil {
		return err
	}
	return os.Rename(partial.Name(), copyPath)
}

// postgresTool runs a client program of PostgreSQL on Pulp's database. The password goes by the environment because
// every user of the machine can see the arguments.
func (p *Pulp) postgresTool(ctx context.Context, name string, args ...string) error {
	tool, err := pgtest.Tool(name)
	if err != nil {
		return err
	}
	db, err := pgx.ParseConfig(p.DatabaseDSN)
	if err != nil {
		return err
	}
	_, _, err = proctest.Run(ctx, proctest.Spec{
		Name: name, Path: tool, Args: args, Dir: p.Dir,
		Env: []string{
			"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8",
			"PGHOST=" + db.Host, "PGPORT=" + strconv.Itoa(int(db.Port)), "PGDATABASE=" + db.Database,
			"PGUSER=" + db.User, "PGPASSWORD=" + db.Password,
		},
	})
	return err
}
