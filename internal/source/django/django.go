// Package django checks passwords against the user table of a Django project
// in PostgreSQL, such as Pulp's, and tells later what has become of a user. It
// reads that table and nothing else, and writes nothing: hashes that Django
// would bring up to date at login stay as they are.
package django

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/text/unicode/norm"

	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/source"
)

// maxName bounds a user name, in bytes; Django's column has 150 characters.
const maxName = 1024

// Absent stands in Columns for a column that the table does not have.
const Absent = "-"

// Columns names the columns of a user table. Empty ones are those of Django's
// own model (django/contrib/auth/models.py). Active, Superuser and Email may
// be Absent: then everybody is active, nobody a superuser, and no address
// known.
type Columns struct {
	ID, Username, Password, Active, Superuser, Email string
}

// Passwords checks stored hashes; *password.Pool does.
type Passwords interface {
	Verify(ctx context.Context, encoded, password string) (password.Result, error)
	Waste(ctx context.Context, like string) error
	Kind(encoded string) (string, error)
}

// Options says which table is read. DSN and Passwords are needed.
type Options struct {
	Name string // "django" if empty
	// DSN is a connection string as pgx reads it (RFC 3986 URL or libpq's
	// keywords). Give the role nothing but SELECT on the columns. It must lead
	// to PostgreSQL itself or to a pooler that keeps the settings of a session.
	DSN       secret.Text
	Passwords Passwords

	Schema  string // that of the search path if empty
	Table   string // "auth_user" if empty
	Columns Columns

	Timeout  time.Duration // for each query, connecting included; 5 s if zero
	MaxConns int32         // 4 if zero
	Resample time.Duration // age at which the kinds of hashes are looked at again; 10 min if zero
	Now      func() time.Time
}

// Source reads one user table. Its methods may be called from several
// goroutines.
type Source struct {
	name      string
	passwords Passwords
	pool      *pgxpool.Pool
	timeout   time.Duration
	queries   queries
	sample    sample
}

// New makes a Source. It does not connect: that is done when the first user
// logs in, so that a server starts while this database is down.
func New(opts Options) (*Source, error) {
	if opts.Name == "" {
		opts.Name = "django"
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 5 * time.Second
	}
	if opts.MaxConns <= 0 {
		opts.MaxConns = 4
	}
	if opts.Resample <= 0 {
		opts.Resample = 10 * time.Minute
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Passwords == nil {
		return nil, fmt.Errorf("source %s: nothing to check passwords with", opts.Name)
	}
	q, err := newQueries(opts)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", opts.Name, err)
	}
	config, err := poolConfig(opts)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", opts.Name, err)
	}
	// The context bounds only what is done in the background at the start,
	// which is nothing while no connections are asked for in advance.
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("source %s: %v", opts.Name, err)
	}
	return &Source{
		name:      opts.Name,
		passwords: opts.Passwords,
		pool:      pool,
		timeout:   opts.Timeout,
		queries:   q,
		sample:    sample{seed: maphash.MakeSeed(), lasts: opts.Resample, now: opts.Now},
	}, nil
}

// poolConfig makes every session read-only and impatient by its start-up
// parameters. SET would do too, but not where a pooler hands the session, with
// what was set, on to somebody else.
func poolConfig(opts Options) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(opts.DSN.Reveal())
	if err != nil || opts.DSN.Empty() {
		// The error quotes the string, which has a password in it.
		return nil, errors.New("the connection string is missing or cannot be read")
	}
	config.MaxConns, config.MinConns, config.MinIdleConns = opts.MaxConns, 0, 0
	config.MaxConnIdleTime = 5 * time.Minute
	config.ConnConfig.ConnectTimeout = opts.Timeout
	parameters := config.ConnConfig.RuntimeParams
	parameters["default_transaction_read_only"] = "on"
	parameters["statement_timeout"] = fmt.Sprint(opts.Timeout.Milliseconds())
	if parameters["application_name"] == "" {
		parameters["application_name"] = "latchkey"
	}
	return config, nil
}

// Name returns the name from the Options.
func (s *Source) Name() string { return s.name }

// Close ends all connections. Logins that are under way fail.
func (s *Source) Close() { s.pool.Close() }

// Check reads from the table once and reports whether that can be done. The
// error is ErrUnavailable with its cause.
func (s *Source) Check(ctx context.Context) error {
	_, err := s.readSample(ctx)
	return err
}

// Login finds the user of that exact name, after the normalisation that
// Django's login form does (NFKC), and checks the password. Whoever cannot log
// in costs the work of a real check: names that do not exist, users that are
// not active, and those without a usable password.
func (s *Source) Login(ctx context.Context, username, offered string) (source.Subject, error) {
	if err := s.resample(ctx); err != nil {
		return source.Subject{}, err
	}
	u, err := s.find(ctx, username)
	if errors.Is(err, errNobody) {
		return s.refuse(ctx, username)
	} else if err != nil {
		return source.Subject{}, err
	}
	result, err := s.passwords.Verify(ctx, u.password, offered)
	if errors.Is(err, password.ErrUnusable) {
		return s.refuse(ctx, username)
	} else if err != nil {
		return source.Subject{}, s.interrupted(err)
	}
	if !result.OK || !u.active {
		return source.Subject{}, source.ErrRefused
	}
	return s.subject(u), nil
}

// refuse does the work of a check that there is nothing for.
func (s *Source) refuse(ctx context.Context, username string) (source.Subject, error) {
	if err := s.passwords.Waste(ctx, s.sample.like(username)); err != nil {
		return source.Subject{}, s.interrupted(err)
	}
	return source.Subject{}, source.ErrRefused
}

func (s *Source) subject(u user) source.Subject {
	return source.Subject{
		ID: u.id, Username: u.username, Email: u.email, Superuser: u.superuser,
		Fingerprint: s.fingerprint(u),
	}
}

// errNobody is for names that no row has.
var errNobody = errors.New("no such user")

// find returns the row of a user name.
func (s *Source) find(ctx context.Context, username string) (user, error) {
	if !storable(username) || len(username) > maxName {
		return user{}, errNobody
	}
	var found []user
	err := s.read(ctx, func(ctx context.Context) (err error) {
		found, err = s.queries.users(ctx, s.pool, s.queries.byName, norm.NFKC.String(username))
		return err
	})
	switch {
	case err != nil:
		return user{}, err
	case len(found) == 0:
		return user{}, errNobody
	case len(found) > 1:
		return user{}, s.unreadable(fmt.Errorf("the column %s is not unique", s.queries.columns.Username))
	}
	return found[0], nil
}

// Find returns the active user of that exact name, after the same
// normalisation; [source.ErrRefused] when there is none.
func (s *Source) Find(ctx context.Context, username string) (source.Subject, error) {
	u, err := s.find(ctx, username)
	if errors.Is(err, errNobody) || err == nil && !u.active {
		return source.Subject{}, source.ErrRefused
	}
	if err != nil {
		return source.Subject{}, err
	}
	return s.subject(u), nil
}

// storable reports whether PostgreSQL takes a text at all; asking it with
// another one would fail as if it were broken.
func storable(text string) bool {
	return text != "" && utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

// read does one query within the timeout. The error is ErrUnavailable.
func (s *Source) read(ctx context.Context, query func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	switch err := query(limited); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return s.interrupted(ctx.Err())
	default:
		return s.unreadable(err)
	}
}

// interrupted wraps a cause that the caller may act on: a context that is
// done, a full password queue.
func (s *Source) interrupted(err error) error {
	return fmt.Errorf("%w: %s: %w", source.ErrUnavailable, s.name, err)
}

func (s *Source) unreadable(err error) error {
	return fmt.Errorf("%w: %s: reading %s: %v", source.ErrUnavailable, s.name, s.queries.table, err)
}
