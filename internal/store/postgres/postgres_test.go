package postgres_test

import (
	"context"
	"os"
	"testing"
	"time"

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

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, postgres.Options{DSN: pgtest.New(t), Timeout: patience})
	})
}

func TestStoreForPooler(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, postgres.Options{DSN: pgtest.New(t), Timeout: patience, Pooler: true})
	})
}

func TestReopen(t *testing.T) {
	dsn := pgtest.New(t)
	storetest.RunReopen(t, func() store.Store { return open(t, postgres.Options{DSN: dsn}) })
}

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(b *testing.B) store.Store { return open(b, postgres.Options{DSN: pgtest.New(b)}) })
}
