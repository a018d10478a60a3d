package django

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/source"
)

var _ source.Source = (*Source)(nil)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// recorded is a user table that a real Django made; see testdata/record.py.
//
//go:embed testdata/auth_user.sql
var recorded string

// right is the password of all recorded users but the few that say otherwise.
const right = "correct horse battery"

// database makes a database with some statements in it and returns where it is
// and a connection to change it by.
func database(t *testing.T, statements string) (dsn string, conn *pgx.Conn) {
	t.Helper()
	dsn = pgtest.New(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	run(t, conn, statements)
	return dsn, conn
}

func run(t *testing.T, conn *pgx.Conn, statements string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(t.Context(), statements).ReadAll(); err != nil {
		t.Fatalf("%.100s: %v", statements, err)
	}
}

func open(t *testing.T, dsn string, opts Options) *Source {
	t.Helper()
	opts.DSN = secret.New(dsn)
	if opts.Passwords == nil {
		opts.Passwords = newPasswords(t)
	}
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// counted remembers what work was done for the last login.
type counted struct {
	*password.Pool
	mu   sync.Mutex
	work []string // kinds of hashes
}

func newPasswords(t *testing.T) *counted {
	t.Helper()
	pool, err := password.New(password.Options{Memory: 8, Passes: 1})
	if err != nil {
		t.Fatal(err)
	}
	return &counted{Pool: pool}
}

func (c *counted) Verify(ctx context.Context, encoded, offered string) (password.Result, error) {
	c.note(encoded)
	return c.Pool.Verify(ctx, encoded, offered)
}

func (c *counted) Waste(ctx context.Context, like string) error {
	c.note(c.Dummy(like))
	return c.Pool.Waste(ctx, like)
}

func (c *counted) note(encoded string) {
	if kind, err := c.Kind(encoded); err == nil { // else nothing is computed
		c.mu.Lock()
		defer c.mu.Unlock()
		c.work = append(c.work, kind)
	}
}

// done returns what was computed since it was last called.
func (c *counted) done() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	work := c.work
	c.work = nil
	return work
}

// withoutPrint leaves out what is compared in the tests of Changed.
var withoutPrint = cmpopts.IgnoreFields(source.Subject{}, "Fingerprint")

func TestRecordedUsers(t *testing.T) {
	dsn, _ := database(t, recorded)
	s := open(t, dsn, Options{})
	for _, tc := range []struct {
		username, password string
		want               source.Subject
	}{
		{"pbkdf2_sha256", right, source.Subject{ID: "1", Username: "pbkdf2_sha256"}},
		{"pbkdf2_sha1", right, source.Subject{ID: "2", Username: "pbkdf2_sha1"}},
		{"argon2", right, source.Subject{ID: "3", Username: "argon2"}},
		{"bcrypt_sha256", right, source.Subject{ID: "4", Username: "bcrypt_sha256"}},
		{"bcrypt", right, source.Subject{ID: "5", Username: "bcrypt"}},
		{"scrypt", right, source.Subject{ID: "6", Username: "scrypt"}},
		{"md5", right, source.Subject{ID: "7", Username: "md5"}},
		{"default", right, source.Subject{ID: "8", Username: "default"}},
		{"root", right, source.Subject{ID: "9", Username: "root", Email: "Root@example.org", Superuser: true}},
		{"alice", right, source.Subject{ID: "10", Username: "alice", Email: "alice@example.org"}},
		{"Alice", right + " of the other Alice", source.Subject{ID: "11", Username: "Alice"}},
		{"fiona", right, source.Subject{ID: "12", Username: "fiona"}},
		{"ﬁona", right, source.Subject{ID: "12", Username: "fiona"}},
		{"Ünïcode", "пароль 密码 🔑", source.Subject{ID: "13", Username: "Ünïcode"}},
		{"U\u0308ni\u0308code", "пароль 密码 🔑", source.Subject{ID: "13", Username: "Ünïcode"}},
	} {
		got, err := s.Login(t.Context(), tc.username, tc.password)
		if diff := cmp.Diff(tc.want, got, withoutPrint); err != nil || diff != "" {
			t.Errorf("Login(%q) = %v, and (-want +got):\n%s", tc.username, err, diff)
		}
		if got.Fingerprint == "" {
			t.Errorf("Login(%q) has no fingerprint", tc.username)
		}
	}
	for _, tc := range [][2]string{
		{"alice", "wrong"},
		{"alice", ""},
		{"alice", right + " of the other Alice"},
		{"ALICE", right},
		{"alice ", right},
		{"inactive", right},
		{"unusable", right},
		{"unusable", ""},
		{"unusable", "!"},
		{"nobody", right},
		{"", right},
		{"", ""},
		{"alice\x00", right},
		{"alice\xff", right},
		{"al%", right},
		{"' OR ''='", right},
		{strings.Repeat("a", 151), right},
		{strings.Repeat("a", maxName+1), right},
	} {
		if got, err := s.Login(t.Context(), tc[0], tc[1]); !errors.Is(err, source.ErrRefused) || got != (source.Subject{}) {
			t.Errorf("Login(%.30q, %q) = %+v, %v; want ErrRefused", tc[0], tc[1], got, err)
		}
	}
}

// The hashes that the recorded table lacks, in the formats of old Djangos.
func TestOlderHashes(t *testing.T) {
	dsn, conn := database(t, recorded)
	s := open(t, dsn, Options{})
	for encoded, want := range map[string]error{
		"argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdHNhbHRzYWx0c2FsdHNhbHQxMg$7XRlbHgZIntvpJHvj6Kyiw": nil,
		"pbkdf2_sha1$1000$saltsaltsaltsaltsalt12$1pu+tW76YzmJvQyLf7eBqjomBSA=":                        nil,
		"sha1$salt12$5ca19aff26ed280dfa700f2eba0e25b2123d2ee6":                                        nil,
		"sha1$$5ca19aff26ed280dfa700f2eba0e25b2123d2ee6":                                              source.ErrRefused,
		"5ca19aff26ed280dfa700f2eba0e25b2":                                                            source.ErrRefused,
		"pbkdf2_sha256$99999999999$saltsaltsalt$/5khlUZtHc7+FlwT/3JFXmPSgN8muGdOiOA2/Hv/n9k=":         source.ErrRefused,
		"": source.ErrRefused,
	} {
		if _, err := conn.Exec(t.Context(), "UPDATE auth_user SET password = $1 WHERE username = 'alice'", encoded); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Login(t.Context(), "alice", right); !errors.Is(err, want) {
			t.Errorf("Login against %.40q = %v, want %v", encoded, err, want)
		}
	}
}

// S72, S100: whoever is refused costs one hash of the kind that the table has.
func TestEqualWork(t *testing.T) {
	const kind = "pbkdf2_sha256 1000"
	dsn, conn := database(t, recorded)
	run(t, conn, "DELETE FROM auth_user WHERE password NOT LIKE 'pbkdf2_sha256$1000$%' AND password NOT LIKE '!%'")
	passwords := newPasswords(t)
	s := open(t, dsn, Options{Passwords: passwords})
	for _, username := range []string{"alice", "nobody", "inactive", "unusable", "", "alice\x00", strings.Repeat("a", 5000)} {
		for _, offered := range []string{"wrong", ""} {
			if _, err := s.Login(t.Context(), username, offered); !errors.Is(err, source.ErrRefused) {
				t.Fatalf("Login(%.20q) = %v, want ErrRefused", username, err)
			}
			if diff := cmp.Diff([]string{kind}, passwords.done()); diff != "" {
				t.Errorf("Login(%.20q, %q): hashes (-want +got):\n%s", username, offered, diff)
			}
		}
	}
	// The pool's own kind, where the table has none.
	run(t, conn, "DELETE FROM auth_user")
	s = open(t, dsn, Options{Passwords: passwords})
	if _, err := s.Login(t.Context(), "nobody", "wrong"); !errors.Is(err, source.ErrRefused) {
		t.Errorf("Login = %v, want ErrRefused", err)
	}
	if diff := cmp.Diff([]string{"argon2id m=8,t=1,p=1"}, passwords.done()); diff != "" {
		t.Errorf("hashes with an empty table (-want +got):\n%s", diff)
	}
}

// A full queue is answered alike for names that exist and names that do not.
func TestBusy(t *testing.T) {
	dsn, _ := database(t, recorded)
	pool, err := password.New(password.Options{Memory: 8, Passes: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, dsn, Options{Passwords: busy{pool}})
	for _, username := range []string{"alice", "nobody", "inactive", "unusable"} {
		_, err := s.Login(t.Context(), username, right)
		if !errors.Is(err, source.ErrUnavailable) || !errors.Is(err, password.ErrBusy) {
			t.Errorf("Login(%q) = %v, want ErrUnavailable and ErrBusy", username, err)
		}
	}
}

type busy struct{ *password.Pool }

func (b busy) Verify(_ context.Context, encoded, _ string) (password.Result, error) {
	if _, err := b.Kind(encoded); err != nil {
		return password.Result{}, err
	}
	return password.Result{}, password.ErrBusy
}

func (busy) Waste(context.Context, string) error { return password.ErrBusy }

func TestReadOnly(t *testing.T) {
	dsn, _ := database(t, recorded)
	s := open(t, dsn, Options{Timeout: 3 * time.Second})
	_, err := s.pool.Exec(t.Context(), "UPDATE auth_user SET is_superuser = true")
	if err == nil || !strings.Contains(err.Error(), "25006") { // read_only_sql_transaction
		t.Errorf("a write = %v, want it refused as read-only", err)
	}
	var timeout string
	if err := s.pool.QueryRow(t.Context(), "SHOW statement_timeout").Scan(&timeout); err != nil || timeout != "3s" {
		t.Errorf("statement_timeout = %q, %v; want 3s", timeout, err)
	}
}

// The table may have any names, fewer columns, and another type of id.
func TestOtherTable(t *testing.T) {
	const hash = "pbkdf2_sha256$1000$saltsaltsaltsaltsalt12$/5khlUZtHc7+FlwT/3JFXmPSgN8muGdOiOA2/Hv/n9k="
	dsn, _ := database(t, `
		CREATE SCHEMA "Odd ""schema""";
		CREATE TABLE "Odd ""schema"""."users; --" ("the id" uuid, "e-mail" text, "select" text);
		INSERT INTO "Odd ""schema"""."users; --" VALUES ('0193b1f2-0000-7000-8000-0123456789ab', 'alice@example.org', '`+hash+`')`)
	s := open(t, dsn, Options{
		Name: "shop", Schema: `Odd "schema"`, Table: "users; --",
		Columns: Columns{ID: "the id", Username: "e-mail", Password: "select", Active: Absent, Superuser: Absent, Email: Absent},
	})
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check = %v, want nil", err)
	}
	got, err := s.Login(t.Context(), "alice@example.org", right)
	want := source.Subject{ID: "0193b1f2-0000-7000-8000-0123456789ab", Username: "alice@example.org"}
	if diff := cmp.Diff(want, got, withoutPrint); err != nil || diff != "" {
		t.Errorf("Login = %v, and (-want +got):\n%s", err, diff)
	}
	if _, err := s.Login(t.Context(), "bob@example.org", right); !errors.Is(err, source.ErrRefused) {
		t.Errorf("Login of nobody = %v, want ErrRefused", err)
	}
	changes, err := s.Changed(t.Context(), map[string]source.Fingerprint{got.ID: got.Fingerprint, "7": "", strings.ToUpper(got.ID): ""})
	if err != nil || len(changes) != 2 || !changes[0].Gone || !changes[1].Gone {
		t.Errorf("Changed = %+v, %v; want the two that cannot be ids of it gone", changes, err)
	}
	if got := s.Name(); got != "shop" {
		t.Errorf("Name = %q, want shop", got)
	}
}

func TestNullsAreNothing(t *testing.T) {
	dsn, conn := database(t, `
		CREATE TABLE auth_user (id bigint, username text, password text, email text, is_active bool, is_superuser bool);
		INSERT INTO auth_user VALUES
			(1, 'no password', NULL, NULL, true, NULL),
			(2, 'no flag', 'sha1$salt12$5ca19aff26ed280dfa700f2eba0e25b2123d2ee6', NULL, NULL, NULL),
			(3, 'alice', 'sha1$salt12$5ca19aff26ed280dfa700f2eba0e25b2123d2ee6', NULL, true, NULL)`)
	s := open(t, dsn, Options{})
	for username, want := range map[string]error{"no password": source.ErrRefused, "no flag": source.ErrRefused, "alice": nil} {
		for _, offered := range []string{right, ""} {
			if offered == "" {
				want = source.ErrRefused
			}
			if _, err := s.Login(t.Context(), username, offered); !errors.Is(err, want) {
				t.Errorf("Login(%q, %q) = %v, want %v", username, offered, err, want)
			}
		}
	}
	// Two users of one name: it is not known who that would be.
	run(t, conn, "INSERT INTO auth_user SELECT 4, username, password, email, is_active, is_superuser FROM auth_user WHERE id = 3")
	if _, err := s.Login(t.Context(), "alice", right); !errors.Is(err, source.ErrUnavailable) {
		t.Errorf("Login with the name there twice = %v, want ErrUnavailable", err)
	}
}

// A server starts while the database is down, and goes on when it is there.
func TestDatabaseComesLater(t *testing.T) {
	dsn, conn := database(t, "")
	passwords := newPasswords(t)
	s := open(t, dsn, Options{Passwords: passwords}) // without its table, to begin with
	nowhere := open(t, "postgres://latchkey:hidden@127.0.0.1:1/pulp", Options{Passwords: passwords})
	for _, down := range []*Source{s, nowhere} {
		_, err := down.Login(t.Context(), "alice", right)
		if !errors.Is(err, source.ErrUnavailable) {
			t.Errorf("Login = %v, want ErrUnavailable", err)
		}
		for _, hidden := range []string{right, "hidden"} {
			if strings.Contains(fmt.Sprint(err), hidden) {
				t.Errorf("the error tells a password: %v", err)
			}
		}
		if err := down.Check(t.Context()); !errors.Is(err, source.ErrUnavailable) {
			t.Errorf("Check = %v, want ErrUnavailable", err)
		}
		// That nothing can be read does not mean that the users are gone.
		changes, err := down.Changed(t.Context(), map[string]source.Fingerprint{"1": ""})
		if changes != nil || !errors.Is(err, source.ErrUnavailable) {
			t.Errorf("Changed = %v, %v; want ErrUnavailable", changes, err)
		}
	}
	run(t, conn, recorded)
	if got, err := s.Login(t.Context(), "alice", right); err != nil || got.ID != "10" {
		t.Errorf("Login when the table is there = %+v, %v; want user 10", got, err)
	}
}

func TestLockedTable(t *testing.T) {
	dsn, conn := database(t, recorded)
	s := open(t, dsn, Options{Timeout: 200 * time.Millisecond})
	run(t, conn, "BEGIN; LOCK TABLE auth_user IN ACCESS EXCLUSIVE MODE")
	_, err := s.Login(t.Context(), "alice", right)
	if !errors.Is(err, source.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Login = %v, want ErrUnavailable and not the caller's deadline", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Login(ctx, "alice", right); !errors.Is(err, source.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Login of a caller who is gone = %v, want ErrUnavailable and context.Canceled", err)
	}
	run(t, conn, "ROLLBACK")
	if _, err := s.Login(t.Context(), "alice", right); err != nil {
		t.Errorf("Login when the lock is gone = %v, want nil", err)
	}
}

func TestParallel(t *testing.T) {
	dsn, _ := database(t, recorded)
	s := open(t, dsn, Options{})
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			username := []string{"alice", "root", "nobody"}[i%3]
			if _, err := s.Login(t.Context(), username, right); (err == nil) != (username != "nobody") {
				t.Errorf("Login(%q) = %v", username, err)
			}
		})
	}
	all.Wait()
	if got := s.pool.Stat().TotalConns(); got > 4 {
		t.Errorf("%d connections, want at most 4", got)
	}
}

func TestNewRefuses(t *testing.T) {
	passwords := newPasswords(t)
	const dsn = "postgres://latchkey@127.0.0.1:1/pulp"
	for name, opts := range map[string]Options{
		"no passwords":        {DSN: secret.New(dsn)},
		"no DSN":              {Passwords: passwords},
		"odd DSN":             {Passwords: passwords, DSN: secret.New("postgres://latchkey:hidd%en@127.0.0.1:port/")},
		"odd keywords":        {Passwords: passwords, DSN: secret.New("password='hidden user=")},
		"NUL in a table":      {Passwords: passwords, DSN: secret.New(dsn), Table: "a\x00b"},
		"no column for ids":   {Passwords: passwords, DSN: secret.New(dsn), Columns: Columns{ID: Absent}},
		"no column for names": {Passwords: passwords, DSN: secret.New(dsn), Columns: Columns{Username: Absent}},
	} {
		s, err := New(opts)
		if err == nil {
			s.Close()
		}
		if err == nil || strings.Contains(err.Error(), "hidd") {
			t.Errorf("%s: New = %v, want an error without the password", name, err)
		}
	}
}

func TestFindsByIndex(t *testing.T) {
	dsn, conn := database(t, recorded)
	s := open(t, dsn, Options{})
	var sql string
	if err := s.read(t.Context(), func(ctx context.Context) (err error) {
		sql, _, err = s.queries.condition(ctx, s.pool)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	run(t, conn, "SET enable_seqscan = off")
	for _, statement := range []string{
		strings.Replace(s.queries.byName, "$1", "'alice'", 1),
		strings.Replace(sql, "$1", "'{1,2,3}'", 1),
	} {
		rows, err := conn.Query(t.Context(), "EXPLAIN "+statement)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || !slices.ContainsFunc(plan, func(line string) bool { return strings.Contains(line, "Index") }) {
			t.Errorf("%s: %v\n%s\nwant an index to be used", statement, err, strings.Join(plan, "\n"))
		}
	}
}
