package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// maxAttempts is how often a transaction is run that others got in the way of.
const maxAttempts = 10

// Update implements [store.Updater].
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error) error {
	return s.update(ctx, func(t *tx) error { return fn(t) })
}

func (s *Store) update(ctx context.Context, fn func(*tx) error) error {
	limited, cancel := s.limited(ctx)
	defer cancel()
	for attempt := 1; ; attempt++ {
		err, again := s.attempt(ctx, limited, fn)
		if !again || attempt == maxAttempts || !pause(limited, attempt) {
			return err
		}
		s.log.DebugContext(ctx, "a transaction is run again", "attempt", attempt, "cause", err)
	}
}

// pause waits a random moment, so that those who collided do not meet again.
func pause(ctx context.Context, attempt int) bool {
	wait := time.NewTimer(rand.N(time.Duration(attempt) * 10 * time.Millisecond))
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt runs fn in one transaction and reports whether to try again.
func (s *Store) attempt(ctx, limited context.Context, fn func(*tx) error) (err error, again bool) {
	conn, err := s.pool.Acquire(limited)
	if err != nil {
		return s.fault(ctx, "get a connection to the database", err), false
	}
	t := &tx{s: s, caller: ctx, ctx: limited, conn: conn}
	defer t.end() // also when fn panics
	if err := fn(t); err != nil {
		return err, t.again
	}
	if t.err == nil {
		t.commit()
	}
	return t.err, t.again
}

// tx is a transaction. It begins on the server with the first statement.
type tx struct {
	s      *Store
	caller context.Context
	ctx    context.Context
	conn   *pgxpool.Conn

	begun   bool
	over    bool
	ended   bool // the commit was sent
	changed bool // there is something for the listeners of other nodes

	// waiting are statements that go along with the next one, as nobody asks
	// for what becomes of them alone.
	waiting []pending

	// err is what made the transaction unusable, and cause what the driver
	// said; again says that it can be run anew, because it is known that
	// nothing of it is committed.
	err   error
	cause error
	again bool

	// early says that the server itself answered with an error before it came
	// to the statements that were to be sent, so that it did not run them.
	early bool
}

type pending struct {
	op, query string
	args      []any
}

var _ store.Tx = (*tx)(nil)

var errOver = errors.New("postgres: a transaction was used after its end")

func (t *tx) ready() error {
	if t.over {
		return errOver
	}
	return t.err
}

// later puts a statement in front of the next one.
func (t *tx) later(op, query string, args ...any) error {
	if err := t.ready(); err != nil {
		return err
	}
	t.waiting = append(t.waiting, pending{op, query, args})
	return nil
}

// send sends what waits and then the given statements, all at once, and gives
// the results of the latter to read. An error leaves the transaction unusable,
// except for [pgx.ErrNoRows] from read.
func (t *tx) send(op string, statements []pending, read func(pgx.BatchResults) error) error {
	if err := t.ready(); err != nil {
		return err
	}
	before := t.before()
	batch := &pgx.Batch{}
	for _, p := range before {
		batch.Queue(p.query, p.args...)
	}
	for _, p := range statements {
		batch.Queue(p.query, p.args...)
	}
	t.begun, t.waiting = true, nil
	results := t.conn.SendBatch(t.ctx, batch)
	for _, p := range before {
		if _, err := results.Exec(); err != nil {
			results.Close()
			t.early = code(err) != ""
			return t.fail(p.op, err)
		}
	}
	err := read(results)
	if closing := results.Close(); err == nil {
		err = closing
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return t.s.fault(t.caller, op, err)
	}
	if err != nil {
		return t.fail(op, err)
	}
	return nil
}

// before gives what has to be sent in front of the next statement.
func (t *tx) before() []pending {
	if t.begun {
		return t.waiting
	}
	list := []pending{{op: "begin", query: `begin isolation level read committed`}}
	if t.s.pooler { // the settings of the connection are not ours
		ms := strconv.FormatInt(t.s.timeout.Milliseconds(), 10)
		list = append(list, pending{"limit a transaction", `select set_config('statement_timeout', $1, true),
			set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $1, true)`, []any{ms}})
	}
	return append(list, t.waiting...)
}

// fail notes what made the transaction unusable.
func (t *tx) fail(op string, err error) error {
	t.cause, t.again = err, collided(err)
	if t.conn.Conn().IsClosed() && t.ctx.Err() == nil {
		t.again = true
		t.s.pool.Reset() // the others are likely as dead
	}
	t.err = t.s.fault(t.caller, op, err)
	return t.err
}

// declined reports whether the server itself said that it did not do what the
// transaction asked of it, and so has nothing of it.
func (t *tx) declined() bool {
	return (t.early || !t.ended) && code(t.cause) != "" && !lost(t.cause)
}

// exec runs a statement and returns how many rows it touched.
func (t *tx) exec(op, query string, args ...any) (int, error) {
	var n int64
	err := t.send(op, []pending{{query: query, args: args}}, func(r pgx.BatchResults) error {
		tag, err := r.Exec()
		n = tag.RowsAffected()
		return err
	})
	return int(n), err
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
	return t.send(op, []pending{{query: query, args: args}}, func(r pgx.BatchResults) error {
		return r.QueryRow().Scan(dest...)
	})
}

// guarded is change for an update that may break a uniqueness rule: it is
// undone alone, so that the caller can go on.
func (t *tx) guarded(op, query string, args ...any) error {
	var n int64
	err := t.send(op, []pending{{query: `savepoint guard`}, {query: query, args: args}, {query: `release savepoint guard`}},
		func(r pgx.BatchResults) error {
			if _, err := r.Exec(); err != nil {
				return err
			}
			tag, err := r.Exec()
			if err != nil {
				return err
			}
			n = tag.RowsAffected()
			_, err = r.Exec()
			return err
		})
	if errors.Is(err, store.ErrConflict) {
		t.err = nil
		if _, undo := t.exec(op, `rollback to savepoint guard`); undo != nil {
			return undo
		}
		return err
	}
	if err == nil && n == 0 {
		return fmt.Errorf("%s: %w", op, store.ErrNotFound)
	}
	return err
}

// commit sends what waits, and the commit. Whether the server did it is not
// known when the connection is lost before the answer, so that is no case for
// another attempt.
func (t *tx) commit() {
	if !t.begun && len(t.waiting) == 0 {
		return // nothing was asked
	}
	if t.changed {
		t.waiting = append(t.waiting, pending{"notify other nodes", `select pg_notify('` + channel + `', '')`, nil})
	}
	t.ended = true
	const op = "commit a transaction, whose outcome is not known"
	var tag string
	err := t.send(op, []pending{{query: `commit`}}, func(r pgx.BatchResults) error {
		answer, err := r.Exec()
		tag = answer.String()
		return err
	})
	switch {
	case err != nil:
		t.again = t.again && (t.early || collided(t.cause))
	case tag != "COMMIT":
		t.err = fmt.Errorf("%s: %w: the server answered %q", op, store.ErrUnavailable, tag)
	default:
		t.begun = false
	}
}

// end gives the connection back, without a transaction on it.
func (t *tx) end() {
	t.over = true
	if t.begun && !t.conn.Conn().IsClosed() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), time.Second)
		defer cancel()
		// If this fails, the pool drops the connection and the server rolls back.
		_, _ = t.conn.Exec(ctx, `rollback`)
	}
	t.conn.Release()
}
