//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/historytest"
	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// killsVariable names the environment variable that says how often a server is
// killed on each store.
const killsVariable = "LATCHKEY_KILLS"

func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv(killsVariable)
	if text == "" {
		return 100
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s = %q, want a number", killsVariable, text)
	}
	return n
}

// TestKilled kills the server again and again while several clients issue,
// check, rotate and revoke tokens. Every answer that was given holds after the
// restart: no revoked token works again, no issued one is lost, and no secret
// works after its rotation and overlap. The judge is package historytest.
// S114
func TestKilled(t *testing.T) {
	const manyTokens = "tokens: {max_per_account: 1000000}\n"
	t.Run("SQLite", func(t *testing.T) {
		s := serve(t, serveOptions{config: manyTokens})
		killAgainAndAgain(t, s, func(int) {}, func() {})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		db := newDatabase(t)
		s := serve(t, serveOptions{config: fmt.Sprintf("database: %q\n", db.dsn) + manyTokens})
		killAgainAndAgain(t, s, func(round int) {
			if round%10 == 5 {
				db.crash(t)
			}
		}, func() { db.awaitAlone(t) })
	})
}

// killAgainAndAgain runs the rounds. In each, disturb is called under load
// before the server is killed, and settled returns when nothing that the dead
// server has begun goes on.
func killAgainAndAgain(t *testing.T, s *latchkey, disturb func(round int), settled func()) {
	l := newLoad(t, s)
	s.awaitReady()
	for round := range kills(t) {
		l.forget()
		stop := l.run(6)
		l.await(20 + rand.Int64N(150))
		disturb(round)
		l.await(1 + rand.Int64N(20))
		s.crash()
		stop()
		settled()
		s.restart()
		touched := l.settle()
		l.recheck(append(touched, l.some(100)...))
		if t.Failed() {
			t.Fatalf("after round %d", round)
		}
	}
	l.recheck(l.tokens)
	l.list(t.Context())
	l.judge()
}

// await waits until so many more calls were answered.
func (l *load) await(n int64) {
	l.t.Helper()
	want := l.answered.Load() + n
	within(l.t, time.Minute, "the load to get answers", func(context.Context) error {
		if got := l.answered.Load(); got < want {
			return fmt.Errorf("%d calls were answered, want %d", got, want)
		}
		return nil
	})
}

// judge judges the history, and that there was enough of everything in it.
func (l *load) judge() {
	count := map[historytest.Kind]map[historytest.Outcome]int{}
	for _, c := range l.history {
		if count[c.Kind] == nil {
			count[c.Kind] = map[historytest.Outcome]int{}
		}
		count[c.Kind][c.Outcome]++
	}
	l.t.Logf("%d calls about %d tokens: %v", len(l.history), len(l.tokens), count)
	for _, kind := range []historytest.Kind{historytest.Issue, historytest.Check, historytest.Rotate, historytest.Revoke, historytest.Show} {
		if count[kind][historytest.Yes] == 0 {
			l.t.Errorf("no %s succeeded in the whole test", kind)
		}
	}
	if count[historytest.Check][historytest.No] == 0 || count[historytest.Rotate][historytest.Lost]+count[historytest.Revoke][historytest.Lost] == 0 {
		l.t.Error("no check was refused, or no answer to a change was lost, want some of both")
	}
	violations, err := historytest.Judge(l.history, 2*time.Minute)
	if err != nil {
		l.t.Error(err)
	}
	for i, v := range violations {
		if i == 3 {
			l.t.Errorf("… and %d more tokens", len(violations)-i)
			break
		}
		l.t.Error(v)
	}
}

// database is a database on a PostgreSQL of its own, which keeps what it
// commits.
type database struct {
	cluster *pgtest.Cluster
	dsn     string
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	cluster, err := pgtest.Start(pgtest.Options{Durable: true})
	if errors.Is(err, pgtest.ErrNotInstalled) {
		proctest.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	dsn, err := cluster.CreateDatabase(t.Context(), "latchkey")
	if err != nil {
		t.Fatal(err)
	}
	return &database{cluster, dsn}
}

// name is what the server calls the database.
func (d *database) name(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(d.dsn)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// crash kills the database's server and starts it again.
func (d *database) crash(t *testing.T) {
	t.Helper()
	err := d.cluster.Crash()
	if errors.Is(err, pgtest.ErrNotOurs) {
		return
	}
	if err == nil {
		err = d.cluster.Restart(t.Context())
	}
	if err != nil {
		t.Fatalf("PostgreSQL crashes: %v", err)
	}
}

// awaitAlone waits until nobody is connected to the database, so that nothing
// is committed any more.
func (d *database) awaitAlone(t *testing.T) {
	t.Helper()
	within(t, time.Minute, "PostgreSQL to be done with a dead server", func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, d.cluster.DSN())
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		var n int
		if err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = $1`, d.name(t)).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%d connections are left", n)
		}
		return nil
	})
}
