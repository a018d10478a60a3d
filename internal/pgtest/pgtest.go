// Package pgtest gives tests a real PostgreSQL.
//
// New is for the ordinary case: a new, empty database for one test. The server behind it is started at the first call,
// once per test process, in a temporary folder and on a loopback port of its own, and it is stopped by Main. So a
// package that uses New needs
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
// Start gives a whole server instead, for tests that need one of their own.
//
// The server is whatever `postgres` is installed; a test is skipped when there is none, and fails when CI=true.
// LATCHKEY_TEST_POSTGRES may hold the postgres:// URL of a superuser on a running server, which is then used instead of
// starting one.
//
// The package is not for production code, and it knows nothing of the tables that the project keeps.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// shared is the server that all calls of New in this process use. It has to be a package variable: TestMain and the
// tests have nothing else in common.
var shared struct {
	sync.Mutex
	inMain  bool // Main is running, so somebody will stop the cluster
	cluster *Cluster
	err     error // why there is no cluster; it is not tried again for every test
}

// Main runs the tests of a package and then stops the server that New has started. It returns the exit code for
// os.Exit.
func Main(m *testing.M) int {
	shared.Lock()
	shared.inMain = true
	shared.Unlock()

	code := m.Run()

	shared.Lock()
	defer shared.Unlock()
	shared.inMain = false
	if shared.cluster == nil {
		return code
	}
	if err := shared.cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	shared.cluster = nil
	return code
}

// New returns the postgres:// URL of a new, empty database, which is dropped at the end of the test. The user in it is
// a superuser. Databases of different tests are independent, so tests may run in parallel. With -short the test is
// skipped.
func New(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("PostgreSQL is for the long form of the tests")
	}
	cluster, err := sharedCluster()
	if errors.Is(err, ErrNotInstalled) {
		proctest.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dsn, err := cluster.CreateDatabase(ctx, "latchkey_test")
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := cluster.DropDatabase(ctx, dsn); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return dsn
}

func sharedCluster() (*Cluster, error) {
	shared.Lock()
	defer shared.Unlock()
	if !shared.inMain {
		return nil, errors.New("New needs a TestMain in this package that calls pgtest.Main, or nobody would stop the server")
	}
	if shared.cluster == nil && shared.err == nil {
		shared.cluster, shared.err = Start(Options{})
	}
	return shared.cluster, shared.err
}
