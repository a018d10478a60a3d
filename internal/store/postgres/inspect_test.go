package postgres_test

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/postgres"
)

func TestInspect(t *testing.T) {
	dsn := pgtest.New(t)
	f, err := postgres.Inspect(t.Context(), postgres.Options{DSN: dsn, Timeout: patience})
	if err != nil {
		t.Fatalf("Inspect() = %v, want no error", err)
	}
	if f.Number < 100000 || f.Version == "" || f.Fsync == "" || f.FullPageWrites == "" || f.SynchronousCommit == "" {
		t.Errorf("Inspect() = %+v, want all of it", f)
	}
	if !f.Superuser || f.Standby || f.ReadOnly || f.Remote {
		t.Errorf("Inspect() = %+v, want a superuser on a server of this machine that takes writes", f)
	}
	if f.Time.Before(f.Before.Add(-time.Second)) || f.Time.After(f.After.Add(time.Second)) {
		t.Errorf("Inspect() = the clock %v between %v and %v, want one of this machine", f.Time, f.Before, f.After)
	}
}

// What is set for the role alone counts.
func TestInspectRole(t *testing.T) {
	dsn := pgtest.New(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	role := "doctor_" + time.Now().Format("150405000000")
	for _, query := range []string{
		`create role ` + role + ` login password 'doctor'`,
		`alter role ` + role + ` set synchronous_commit = off`,
		`alter role ` + role + ` set default_transaction_read_only = on`,
	} {
		if _, err := conn.Exec(t.Context(), query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	defer func() {
		if _, err := conn.Exec(t.Context(), `drop role `+role); err != nil {
			t.Errorf("drop role: %v", err)
		}
	}()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "doctor")
	f, err := postgres.Inspect(t.Context(), postgres.Options{DSN: u.String(), Timeout: patience})
	if err != nil {
		t.Fatalf("Inspect() = %v, want no error", err)
	}
	if f.Superuser || !f.ReadOnly || f.SynchronousCommit != "off" {
		t.Errorf("Inspect() = %+v, want no superuser, read-only, and synchronous_commit off", f)
	}
}

func TestInspectNobody(t *testing.T) {
	_, err := postgres.Inspect(t.Context(), postgres.Options{DSN: "postgres://u:planted@127.0.0.1:1/none", Timeout: patience})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Inspect(nobody there) = %v, want ErrUnavailable", err)
	}
}
