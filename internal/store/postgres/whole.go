package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/portable"
	"github.com/latchkey-auth/latchkey/internal/store/schema"
)

// Read gives fn one consistent state of a database, which others go on using
// meanwhile. Nothing is written, and the schema stays what it is.
func Read(ctx context.Context, o Options, fn func(portable.Source) error) error {
	o.setDefaults()
	w, err := openWhole(ctx, o, "backup")
	if err != nil {
		return err
	}
	defer w.close(ctx)
	if err := w.begin(ctx, `begin isolation level repeatable read, read only`); err != nil {
		return err
	}
	if err := w.describe(ctx); err != nil {
		return err
	}
	return fn(w)
}

// Replace lets fn put other content into a database, all of it in one
// transaction, and makes the tables when there are none. It fails with
// [portable.ErrInUse] when a server is connected to it. Nobody else can read or
// write the tables until Replace returns.
func Replace(ctx context.Context, o Options, fn func(portable.Target) error) error {
	o.setDefaults()
	w, err := openWhole(ctx, o, "restore")
	if err != nil {
		return err
	}
	defer w.close(ctx)
	if err := w.refuseServers(ctx); err != nil {
		return err
	}
	// As a start of the server would do it.
	if err := w.s.migrate(ctx, w.cfg, latest); err != nil {
		return err
	}
	if err := w.begin(ctx, `begin isolation level read committed`); err != nil {
		return err
	}
	if err := w.describe(ctx); err != nil {
		return err
	}
	if err := w.exec(ctx, "lock the tables", `lock table `+w.names()+`, changes, change_counter in access exclusive mode`); err != nil {
		return err
	}
	if err := fn(w); err != nil {
		return err
	}
	// So that the first queries on a large database are planned well.
	if err := w.exec(ctx, "gather statistics", `analyze `+w.names()); err != nil {
		return err
	}
	return w.exec(ctx, "commit the new content", `commit`)
}

// whole is one transaction over all of a database, on a connection of its own.
type whole struct {
	s      *Store // for what its errors look like
	cfg    *pgx.ConnConfig
	conn   *pgx.Conn
	schema int64
	tables []wholeTable
}

var _ portable.Target = (*whole)(nil)

func openWhole(ctx context.Context, o Options, purpose string) (*whole, error) {
	cfg, err := o.config()
	if err != nil {
		return nil, err
	}
	c := cfg.ConnConfig
	c.RuntimeParams["application_name"] = "latchkey " + purpose
	w := &whole{
		s:   &Store{now: o.Now, log: o.Log, timeout: o.Timeout, pooler: o.Pooler, password: c.Password},
		cfg: c,
	}
	if w.conn, err = pgx.ConnectConfig(ctx, c); err != nil {
		return nil, w.s.fault(ctx, "connect to the database", err)
	}
	return w, nil
}

// close ends the transaction, if it is open, and the connection with it.
func (w *whole) close(ctx context.Context) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = w.conn.Close(closing)
}

// begin starts a transaction that may take its time.
func (w *whole) begin(ctx context.Context, statement string) error {
	if err := w.exec(ctx, "begin a transaction", statement); err != nil {
		return err
	}
	for _, name := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
		if err := w.exec(ctx, "lift a limit", `set local `+name+` = 0`); err != nil {
			return err
		}
	}
	return nil
}

func (w *whole) exec(ctx context.Context, op, query string, args ...any) error {
	_, err := w.conn.Exec(ctx, query, args...)
	return w.s.fault(ctx, op, err)
}

// goneWithin is how long after its end a server's connections may still be
// listed.
const goneWithin = 2 * time.Second

// refuseServers looks for servers that are connected to the database. Behind a
// pooler it may not see them; what they cached is made void by the change log
// in any case.
func (w *whole) refuseServers(ctx context.Context) error {
	for began := time.Now(); ; {
		var n int
		err := w.conn.QueryRow(ctx, `select count(*) from pg_stat_activity where datname = current_database()
			and pid <> pg_backend_pid() and application_name in ('latchkey', 'latchkey listener', 'latchkey restore')`).Scan(&n)
		switch {
		case err != nil:
			return w.s.fault(ctx, "look for servers", err)
		case n == 0:
			return nil
		case time.Since(began) > goneWithin:
			return fmt.Errorf("replace the database: %w by %d connections of Latchkey", portable.ErrInUse, n)
		}
		if !pause(ctx, 10) {
			return w.s.fault(ctx, "look for servers", ctx.Err())
		}
	}
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
	var n int64
	err := w.conn.QueryRow(ctx, `select seq from change_counter`).Scan(&n)
	return n, w.s.fault(ctx, "find the last change", err)
}

// Clear implements [portable.Target]. The schema is the newest since Replace
// began. Tables that follow from others are emptied with them.
func (w *whole) Clear(ctx context.Context) error {
	return w.exec(ctx, "empty the tables", `truncate `+w.names()+` restart identity cascade`)
}

// Restart implements [portable.Target].
func (w *whole) Restart(ctx context.Context, position int64, now time.Time) error {
	err := w.exec(ctx, "empty the change log", `truncate changes`)
	if err == nil {
		err = w.exec(ctx, "number the change log", `update change_counter set seq = $1`, position)
	}
	if err == nil {
		err = w.exec(ctx, "begin the change log", `insert into changes (seq, at, kind, token_id, account_id)
			values ($1::bigint, $2::timestamptz, $3::text, '', '')`, position, now, string(store.ChangeGroups))
	}
	if err == nil {
		err = w.exec(ctx, "tell other nodes", `select pg_notify('`+channel+`', '')`)
	}
	return err
}

// version reads the version of the schema, 0 when there is none.
func (w *whole) version(ctx context.Context) (v int64, err error) {
	var exists bool
	if err := w.conn.QueryRow(ctx, `select to_regclass($1) is not null`, schema.Table).Scan(&exists); err != nil || !exists {
		return 0, w.s.fault(ctx, "read the schema version", err)
	}
	err = w.conn.QueryRow(ctx, `select coalesce(max(version_id), 0) from `+schema.Table+` where is_applied`).Scan(&v)
	return v, w.s.fault(ctx, "read the schema version", err)
}

// refusedRow is [Store.fault], except that what breaks a rule of the schema is
// not in order for the database either.
func (w *whole) refusedRow(ctx context.Context, op string, err error) error {
	if c := code(err); len(c) == 5 && (c[:2] == "23" || c[:2] == "22") {
		return fmt.Errorf("%s: %w: %s", op, portable.ErrForm, w.s.cause(err))
	}
	if errors.Is(err, portable.ErrForm) {
		return fmt.Errorf("%s: %w", op, err)
	}
	return w.s.fault(ctx, op, err)
}
