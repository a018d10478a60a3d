package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Rows that only make the tables as large as they would be: live tokens of a
// thousand other accounts, which nobody presents. They are written past the
// server, since to issue ten million tokens takes an hour; one of them is no
// smaller than one that was issued.
const (
	fillAccounts = `INSERT INTO accounts (id, kind, name, source, subject, email, note, password_hash, fingerprint,
			disabled, disabled_reason, epoch, max_tokens, created_at)
		SELECT 'filler' || i, 'robot', 'filler' || i, 'local', 'filler' || i, '', '', '', '', %s, '', 0, 0, %s
		FROM (%s) AS numbers`
	fillTokens = `INSERT INTO tokens (id, account_id, class, name, prefix, slot, scope, labels, cidrs, epoch, parent_id,
			created_at, expires_at, idle_after, revoked_by, revoke_reason)
		SELECT 'filler-' || i, 'filler' || (i %% 1000), 'robot', 'filler', 'lkr_fillr', '', %s, 0, '', %s, 0, '', ''
		FROM (%s) AS numbers`
)

func fill(ctx context.Context, database string, n int) error {
	if path, ok := strings.CutPrefix(database, sqlitePrefix); ok {
		return fillSQLite(ctx, path, n)
	}
	return fillPostgres(ctx, database, n)
}

const fillAtOnce = 200_000

func fillSQLite(ctx context.Context, path string, n int) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=synchronous(OFF)&_pragma=cache_size(-400000)")
	if err != nil {
		return err
	}
	defer db.Close()
	numbers := func(from, to int) string {
		return fmt.Sprintf(`WITH RECURSIVE r(i) AS (VALUES (%d) UNION ALL SELECT i + 1 FROM r WHERE i < %d) SELECT i FROM r`, from, to-1)
	}
	if _, err := db.ExecContext(ctx, fmt.Sprintf(fillAccounts, "0", "1", numbers(0, 1000))); err != nil {
		return err
	}
	for from := 0; from < n; from += fillAtOnce {
		to := min(from+fillAtOnce, n)
		if _, err := db.ExecContext(ctx, fmt.Sprintf(fillTokens, "'', '', ''", "1000000 + i, 4000000000000000 + i", numbers(from, to))); err != nil {
			return err
		}
		secrets := fmt.Sprintf(`INSERT INTO token_secrets (digest, token, key_id, created_at, until_successor)
			SELECT randomblob(32), seq, 'filler', 1, 0 FROM tokens WHERE account_id LIKE 'filler%%' AND created_at >= %d AND created_at < %d`, 1_000_000+from, 1_000_000+to)
		if _, err := db.ExecContext(ctx, secrets); err != nil {
			return err
		}
	}
	_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

func fillPostgres(ctx context.Context, dsn string, n int) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	const epoch = "timestamptz 'epoch'"
	numbers := func(from, to int) string { return fmt.Sprintf("SELECT generate_series(%d, %d) AS i", from, to-1) }
	if _, err := conn.Exec(ctx, fmt.Sprintf(fillAccounts, "false", epoch, numbers(0, 1000))); err != nil {
		return err
	}
	for from := 0; from < n; from += fillAtOnce {
		to := min(from+fillAtOnce, n)
		made := fmt.Sprintf(fillTokens, "'{}', '{}', '{}'",
			epoch+" + i * interval '1 second', timestamptz '2090-01-01' + i * interval '1 second'", numbers(from, to))
		secrets := `WITH made AS (` + made + ` RETURNING id)
			INSERT INTO token_secrets (digest, token_id, key_id, created_at, until_successor)
			SELECT sha256(id::bytea), id, 'filler', timestamptz 'epoch', false FROM made`
		if _, err := conn.Exec(ctx, secrets); err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, "VACUUM ANALYZE tokens, token_secrets")
	return err
}
