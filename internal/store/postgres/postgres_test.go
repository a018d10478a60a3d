package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/postgres"
	"github.com/latchkey-auth/latchkey/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func open(tb testing.TB, o postgres.Options) *postgres.Store {
	tb.Helper()
	s, err := postgres.Open(context.Background(), o)
	if err != nil {
		tb.Fatalf("Open() = %v, want no error", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close() = %v, want no error", err)
		}
	})
	return s
}

// patience is for machines that are busy with other things.
const patience = time.Minute

// schemas gives each test an empty schema in one database, which costs far less
// than a database each.
type schemas struct {
	dsn string
	n   atomic.Int64
}

func (s *schemas) next(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", s.n.Add(1))
	conn, err := pgx.Connect(t.Context(), s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), "CREATE SCHEMA "+name); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

func TestStore(t *testing.T) {
	one := &schemas{dsn: pgtest.New(t)}
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, postgres.Options{DSN: one.next(t), Timeout: patience})
	})
}

func TestStoreForPooler(t *testing.T) {
	if testing.Short() {
		t.Skip("the same tests once more")
	}
	one := &schemas{dsn: pgtest.New(t)}
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, postgres.Options{DSN: one.next(t), Timeout: patience, Pooler: true})
	})
}

func TestReopen(t *testing.T) {
	dsn := pgtest.New(t)
	storetest.RunReopen(t, func() store.Store { return open(t, postgres.Options{DSN: dsn}) })
}

// BenchmarkStore measures a server that waits for the disk, as it does in
// production.
func BenchmarkStore(b *testing.B) {
	cluster, err := pgtest.Start(pgtest.Options{Durable: true})
	if errors.Is(err, pgtest.ErrNotInstalled) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Stop()
	storetest.Bench(b, func(b *testing.B) store.Store {
		dsn, err := cluster.CreateDatabase(context.Background(), "bench")
		if err != nil {
			b.Fatal(err)
		}
		return open(b, postgres.Options{DSN: dsn})
	})
}

// Places of events rise on in a database that was filled with the rows of
// another, whose sequence is not among them.
func TestCopied(t *testing.T) {
	dsn := pgtest.New(t)
	storetest.RunCopied(t, func() store.Store {
		s, err := postgres.Open(t.Context(), postgres.Options{DSN: dsn})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}, func(place int64) {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
		if _, err := conn.Exec(t.Context(), `UPDATE events SET place = $1`, place); err != nil {
			t.Fatal(err)
		}
	})
}
