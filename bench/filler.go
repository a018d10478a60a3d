package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Rows that only make the tables as large as they would be: live tokens of a
// thousand other accounts, which nobody presents. They are written past the
// server, since to issue ten million tokens takes an hour; one of them is no
// smaller than one that was issued. They come in the order of all indexes, so
// that each is only appended to.
const (
	fillAccounts = `INSERT INTO accounts (id, kind, name, source, subject, email, note, password_hash, fingerprint,
			disabled, disabled_reason, epoch, max_tokens, created_at)
		SELECT %[1]s, 'robot', %[1]s, 'local', %[1]s, '', '', '', '', %[2]s, '', 0, 0, %[3]s
		FROM (%[4]s) AS numbers`
	fillTokens = `INSERT INTO tokens (%[1]sid, account_id, class, name, prefix, slot, scope, labels, cidrs, epoch, parent_id,
			created_at, expires_at, idle_after, revoked_by, revoke_reason)
		SELECT %[2]s, %[3]s, 'robot', 'filler', 'lkr_fillr', '', %[4]s, 0, '', %[5]s, 0, '', ''
		FROM (%[6]s) AS numbers`
	fillAtOnce = 200_000
	fillOwners = 1000
)

func fill(ctx context.Context, database string, n int) error {
	if path, ok := strings.CutPrefix(database, sqlitePrefix); ok {
		return fillSQLite(ctx, path, n)
	}
	return fillPostgres(ctx, database, n)
}

// fillSQLite keeps the triggers that count tokens from running for each row,
// and counts once at the end.
func fillSQLite(ctx context.Context, path string, n int) error {
	const settings = "?_pragma=busy_timeout(10000)&_pragma=synchronous(OFF)&_pragma=journal_mode(OFF)&_pragma=cache_size(-400000)"
	db, err := sql.Open("sqlite", "file:"+path+settings)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	triggers, err := dropTriggers(ctx, db)
	if err != nil {
		return err
	}
	statements := []string{fmt.Sprintf(fillAccounts, "printf('filler%03d', i)", "0", "1", sqliteNumbers(0, fillOwners))}
	for from := 0; from < n; from += fillAtOnce {
		numbers := sqliteNumbers(from, min(from+fillAtOnce, n))
		statements = append(statements,
			fmt.Sprintf(fillTokens, "seq, ", "1000000000 + i, printf('filler-%010d', i)", fmt.Sprintf("printf('filler%%03d', i * %d / %d)", fillOwners, n),
				"'', '', ''", "1000000 + i, 4000000000000000 + i", numbers),
			// The digests lie evenly among those of tokens that are issued.
			fmt.Sprintf(`INSERT INTO token_secrets (digest, token, key_id, created_at, until_successor)
				SELECT CAST(unhex(printf('%%08x', i * 4294967296 / %d)) || randomblob(28) AS BLOB), 1000000000 + i, 'filler', 1, 0 FROM (%s)`, n, numbers))
	}
	statements = append(statements, `INSERT INTO token_counts (account_id, unrevoked)
		SELECT account_id, count(*) FROM tokens WHERE revoked_at IS NULL AND account_id LIKE 'filler%' GROUP BY account_id`)
	for _, s := range append(statements, triggers...) {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func sqliteNumbers(from, to int) string {
	return fmt.Sprintf(`WITH RECURSIVE r(i) AS (VALUES (%d) UNION ALL SELECT i + 1 FROM r WHERE i < %d) SELECT i FROM r`, from, to-1)
}

// dropTriggers drops the triggers on tokens, and returns what makes them again.
func dropTriggers(ctx context.Context, db *sql.DB) (again []string, err error) {
	rows, err := db.QueryContext(ctx, `SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'tokens'`)
	if err != nil {
		return nil, err
	}
	var drop []string
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		again, drop = append(again, text), append(drop, "DROP TRIGGER "+name)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for _, s := range drop {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return nil, err
		}
	}
	return again, nil
}

// padRows adds rows that nobody asks for to the table of a yardstick, so that
// what is looked for is found among as many as in Latchkey's.
func padRows(ctx context.Context, database string, n int) error {
	t, err := openTable(database) // makes the table
	if err != nil {
		return err
	}
	defer t.close()
	const columns, values = "INSERT INTO yardstick (hash, owner, scope, created, expires) ", ", 'owner', 'path:/files/*:read', 1, 4611686018427387904 FROM "
	for from := 0; from < n; from += fillAtOnce {
		to := min(from+fillAtOnce, n)
		insert := columns + fmt.Sprintf("SELECT sha256(('filler-' || i)::bytea)%sgenerate_series(%d, %d) AS i", values, from, to-1)
		if strings.HasPrefix(database, sqlitePrefix) {
			insert = columns + fmt.Sprintf("SELECT CAST(unhex(printf('%%08x', i * 4294967296 / %d)) || randomblob(28) AS BLOB)%s(%s)", n, values, sqliteNumbers(from, to))
		}
		if err := t.run(ctx, insert); err != nil {
			return err
		}
	}
	return nil
}

func fillPostgres(ctx context.Context, dsn string, n int) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	const epoch = "timestamptz 'epoch'"
	numbers := func(from, to int) string { return fmt.Sprintf("SELECT generate_series(%d, %d) AS i", from, to-1) }
	name := func(of string) string { return "'filler' || lpad((" + of + ")::text, 3, '0')" }
	if _, err := conn.Exec(ctx, fmt.Sprintf(fillAccounts, name("i"), "false", epoch, numbers(0, fillOwners))); err != nil {
		return err
	}
	for from := 0; from < n; from += fillAtOnce {
		to := min(from+fillAtOnce, n)
		made := fmt.Sprintf(fillTokens, "", "'filler-' || lpad(i::text, 10, '0')", name(fmt.Sprintf("i::bigint * %d / %d", fillOwners, n)), "'{}', '{}', '{}'",
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
