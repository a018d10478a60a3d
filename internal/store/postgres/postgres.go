// Package postgres keeps the server's data in a PostgreSQL database, which
// several nodes can share.
//
// Transactions run at READ COMMITTED and lock what they decide on. Statements
// are sent together where nothing waits for the answer of the one before:
// BEGIN goes along with the first, audit events and COMMIT with the last. New
// tokens of callers who come together are written by one transaction.
// Whatever goes wrong with the server is [store.ErrUnavailable] within
// Options.Timeout, and is over when the server is back.
//
// The package holds SQL and what PostgreSQL needs to be used well. What the
// data means is decided elsewhere; what a store promises is said in package
// store and tested by package storetest.
package postgres

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// ErrDSN says that the connection string cannot be used. What is wrong with it
// is not said, as its text holds a password.
var ErrDSN = errors.New("the connection string of the database is not valid")

// Options says how to open a database.
type Options struct {
	// DSN is a connection string, as a postgres:// URL or as words of the form
	// key=value; see https://www.postgresql.org/docs/current/libpq-connect.html.
	// What it leaves out is taken from the environment variables of libpq.
	DSN string

	// MaxConns is how many connections are used at most, besides one for
	// notifications; 0: four for each CPU, at least 8 and at most 32.
	MaxConns int

	// Timeout is how long a call may take, its wait for a connection and for
	// locks included; 0: ten seconds. The server gets the same limit for each
	// statement.
	Timeout time.Duration

	// Pooler says that the DSN leads to a connection pooler which gives a
	// server connection for one transaction only, such as PgBouncer in
	// transaction mode. Nothing is then kept on a connection: no prepared
	// statements, no settings and no notifications, so that changes of other
	// nodes are found by asking alone.
	Pooler bool

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nowhere
}

// Store is an open database. Its methods may be called from several
// goroutines at once.
type Store struct {
	pool     *pgxpool.Pool
	now      func() time.Time
	log      *slog.Logger
	timeout  time.Duration
	pooler   bool
	password string // to keep it out of texts
	listener *listener
	issuer   *issuer
}

var _ store.Store = (*Store)(nil)

// Open connects to the database and brings its schema up to date. Several
// nodes may do so at once. It fails with [store.ErrUnavailable] when the
// database cannot be reached, and with [store.ErrNewerSchema] when a newer
// version of this program has used it.
func Open(ctx context.Context, o Options) (*Store, error) {
	o.setDefaults()
	cfg, err := o.config()
	if err != nil {
		return nil, err
	}
	s := &Store{
		now: o.Now, log: o.Log, timeout: o.Timeout, pooler: o.Pooler, password: cfg.ConnConfig.Password,
	}
	if err := s.migrate(ctx, cfg.ConnConfig, latest); err != nil {
		return nil, err
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, s.fault(ctx, "open the database", err)
	}
	if err := errors.Join(s.Ping(ctx), s.takeUpPlaces(ctx)); err != nil {
		s.pool.Close()
		return nil, err
	}
	s.issuer = newIssuer(s)
	if !o.Pooler {
		s.listener = listen(cfg.ConnConfig, s.text, o.Log)
	}
	return s, nil
}

func (o *Options) setDefaults() {
	if o.MaxConns <= 0 {
		o.MaxConns = min(max(4*runtime.GOMAXPROCS(0), 8), 32)
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// config reads the connection string and says how each connection is set up.
func (o *Options) config() (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(o.DSN)
	if err != nil {
		return nil, ErrDSN // the error itself may quote the string
	}
	cfg.MaxConns = int32(o.MaxConns)
	c := cfg.ConnConfig
	if c.ConnectTimeout == 0 || c.ConnectTimeout > o.Timeout {
		c.ConnectTimeout = o.Timeout
	}
	defaults := map[string]string{"application_name": "latchkey", "timezone": "UTC"}
	if o.Pooler {
		c.DefaultQueryExecMode = pgx.QueryExecModeExec
	} else {
		ms := strconv.FormatInt(o.Timeout.Milliseconds(), 10)
		defaults["statement_timeout"] = ms
		defaults["lock_timeout"] = ms
		// A node that freezes must not keep its locks.
		defaults["idle_in_transaction_session_timeout"] = ms
	}
	for name, value := range defaults {
		if _, ok := c.RuntimeParams[name]; !ok {
			c.RuntimeParams[name] = value
		}
	}
	return cfg, nil
}

// Ping implements [store.Store]. It commits a write.
func (s *Store) Ping(ctx context.Context) error {
	return s.update(ctx, func(t *tx) error {
		_, err := t.exec("probe the database", `UPDATE probe SET at = $1::timestamptz`, s.now())
		return err
	})
}

// Close implements [store.Store].
func (s *Store) Close() error {
	if s.listener != nil {
		s.listener.stop()
	}
	s.issuer.stop()
	s.pool.Close()
	return nil
}

// text gives an error's text for logs, without the password.
func (s *Store) text(err error) string {
	if s.password == "" {
		return err.Error()
	}
	return strings.ReplaceAll(err.Error(), s.password, "[hidden]")
}

// limited gives a context for one call.
func (s *Store) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}
