package pgtest_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

func TestMain(m *testing.M) {
	if os.Getenv(orphanVariable) != "" {
		os.Exit(orphanMain())
	}
	os.Exit(pgtest.Main(m))
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("pgx.Connect(%q): %v", dsn, err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func query[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var got T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&got); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return got
}

func TestNewIsEmptyAndSeparate(t *testing.T) {
	one, two := connect(t, pgtest.New(t)), connect(t, pgtest.New(t))
	if _, err := one.Exec(t.Context(), "CREATE TABLE marker (id int)"); err != nil {
		t.Fatal(err)
	}
	const tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
	if got := query[int](t, one, tables); got != 1 {
		t.Errorf("tables in the first database = %d, want the 1 that was made", got)
	}
	if got := query[int](t, two, tables); got != 0 {
		t.Errorf("tables in the second database = %d, want 0", got)
	}
	if got := query[string](t, two, "SHOW server_encoding"); got != "UTF8" {
		t.Errorf("server_encoding = %q, want UTF8", got)
	}
	if got := query[string](t, two, "SELECT lower('É')"); got != "é" {
		t.Errorf("lower('É') = %q, want é", got)
	}
}

func TestNewIsDroppedAtTheEnd(t *testing.T) {
	var dsn string
	t.Run("uses a database", func(t *testing.T) {
		dsn = pgtest.New(t)
		// Left open on purpose: a leaked pool of the code under test must not keep the database alive.
		if _, err := pgx.Connect(t.Context(), dsn); err != nil {
			t.Fatal(err)
		}
	})
	if dsn == "" {
		t.SkipNow() // the subtest has said why
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	conn := connect(t, pgtest.New(t))
	if n := query[int](t, conn, "SELECT count(*) FROM pg_database WHERE datname = $1", name); n != 0 {
		t.Errorf("databases named %q after the test that used it = %d, want 0", name, n)
	}
}

func TestNewInParallel(t *testing.T) {
	for range 4 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			conn := connect(t, pgtest.New(t))
			if got := query[int](t, conn, "SELECT 1"); got != 1 {
				t.Errorf("SELECT 1 = %d", got)
			}
		})
	}
}

func start(t *testing.T, opts pgtest.Options) *pgtest.Cluster {
	t.Helper()
	t.Setenv("LATCHKEY_TEST_POSTGRES", "") // these tests are about servers that are started here
	c, err := pgtest.Start(opts)
	if errors.Is(err, pgtest.ErrNotInstalled) {
		proctest.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatalf("Start(%+v): %v", opts, err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("Stop() = %v", err)
		}
	})
	return c
}

func TestStartOptions(t *testing.T) {
	for _, test := range []struct {
		opts                  pgtest.Options
		fsync, maxConnections string
	}{
		{pgtest.Options{}, "off", "100"},
		{pgtest.Options{Durable: true, Settings: map[string]string{"max_connections": "7"}}, "on", "7"},
	} {
		conn := connect(t, start(t, test.opts).DSN())
		if got := query[string](t, conn, "SHOW fsync"); got != test.fsync {
			t.Errorf("Start(%+v): fsync = %q, want %q", test.opts, got, test.fsync)
		}
		if got := query[string](t, conn, "SHOW max_connections"); got != test.maxConnections {
			t.Errorf("Start(%+v): max_connections = %q, want %q", test.opts, got, test.maxConnections)
		}
	}
}

func TestStopLeavesNothing(t *testing.T) {
	temp := setTempDir(t)
	c := start(t, pgtest.Options{})
	if got := entries(t, temp); len(got) != 1 {
		t.Fatalf("entries of the temporary folder while the server runs = %q, want one", got)
	}
	checkPasswordIsWanted(t, c.DSN())
	if err := c.Stop(); err != nil {
		t.Fatalf("Stop() = %v", err)
	}
	if got := entries(t, temp); len(got) != 0 {
		t.Errorf("entries of the temporary folder after Stop = %q, want none", got)
	}
	if conn, err := pgx.Connect(t.Context(), c.DSN()); err == nil {
		conn.Close(t.Context())
		t.Error("pgx.Connect after Stop succeeded, want an error")
	}
}

// setTempDir gives the test a temporary folder of its own for the data of servers. t.TempDir would not do: another user,
// which the server may have to run as, cannot get through its parents.
func setTempDir(t *testing.T) string {
	t.Helper()
	temp, err := os.MkdirTemp("", "pgtest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temp) })
	if err := os.Chmod(temp, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temp)
	return temp
}

func checkPasswordIsWanted(t *testing.T, dsn string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), "not the password")
	conn, err := pgx.Connect(t.Context(), u.String())
	if err == nil {
		conn.Close(t.Context())
		t.Error("pgx.Connect with a wrong password succeeded, want an error")
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestExternalServer(t *testing.T) {
	dsn := pgtest.New(t)
	t.Setenv("LATCHKEY_TEST_POSTGRES", dsn)
	other, err := pgtest.Start(pgtest.Options{})
	if err != nil {
		t.Fatalf("Start with LATCHKEY_TEST_POSTGRES: %v", err)
	}
	if other.DSN() != dsn {
		t.Errorf("DSN() = %q, want that of the server named by LATCHKEY_TEST_POSTGRES", other.DSN())
	}
	if err := other.Stop(); err != nil {
		t.Errorf("Stop() = %v", err)
	}
	connect(t, dsn) // it must still be there
}

func TestExternalServerMustBeAURL(t *testing.T) {
	t.Setenv("LATCHKEY_TEST_POSTGRES", "host=127.0.0.1 password=not-to-be-shown")
	_, err := pgtest.Start(pgtest.Options{})
	if err == nil || strings.Contains(err.Error(), "not-to-be-shown") {
		t.Errorf("Start with a DSN that is no URL: error %v, want one without the password", err)
	}
}

// A server that crashes comes back with what it said was committed, at the same address.
func TestCrash(t *testing.T) {
	cluster, err := pgtest.Start(pgtest.Options{Durable: true})
	if errors.Is(err, pgtest.ErrNotInstalled) {
		proctest.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	dsn, err := cluster.CreateDatabase(t.Context(), "crash")
	if err != nil {
		t.Fatal(err)
	}
	before := connect(t, dsn)
	if _, err := before.Exec(t.Context(), "CREATE TABLE kept (id int)"); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Crash(); errors.Is(err, pgtest.ErrNotOurs) {
		t.Skip("the server is not the test's own")
	} else if err != nil {
		t.Fatalf("Crash() = %v, want no error", err)
	}
	if err := before.Ping(t.Context()); err == nil {
		t.Error("a connection outlived the crash")
	}
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatalf("Restart() = %v, want no error", err)
	}
	if got := query[int](t, connect(t, dsn), "SELECT count(*) FROM kept"); got != 0 {
		t.Errorf("rows in the table that was kept = %d, want 0", got)
	}
}
