package postgres

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
)

// layout describes all columns, indexes and constraints.
func layout(t *testing.T, dsn string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `
		SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, collation_name)
			FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'schema_versions'
		UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'schema_versions'
		UNION ALL SELECT format('%s: %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
			WHERE connamespace = 'public'::regnamespace AND conrelid <> 'schema_versions'::regclass
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestMigrationsUpDownUp(t *testing.T) {
	dsn := pgtest.New(t)
	o := Options{DSN: dsn}
	o.setDefaults()
	cfg, err := o.config()
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{log: o.Log, timeout: o.Timeout}
	versions := []int64{0}
	files, err := migrationFiles.ReadDir("migrations")
	for _, f := range files {
		number, _, _ := strings.Cut(f.Name(), "_")
		v, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			t.Fatalf("the migration %s has no number: %v", f.Name(), err)
		}
		versions = append(versions, v)
	}
	if err != nil || len(versions) == 1 {
		t.Fatalf("ReadDir(migrations) = %v, %v, want some", files, err)
	}
	up := make([][]string, len(versions)) // the layout of each version
	for i, v := range versions {
		if err := s.migrate(t.Context(), cfg.ConnConfig, v); err != nil {
			t.Fatalf("migrate(up to %d) = %v, want no error", v, err)
		}
		up[i] = layout(t, dsn)
	}
	if len(up[0]) != 0 || len(up[1]) == 0 {
		t.Fatalf("the layouts of versions 0 and 1 have %d and %d lines, want none and some", len(up[0]), len(up[1]))
	}
	for i := len(versions) - 2; i >= 0; i-- {
		v := versions[i]
		if err := s.migrate(t.Context(), cfg.ConnConfig, v); err != nil {
			t.Fatalf("migrate(down to %d) = %v, want no error", v, err)
		}
		if diff := cmp.Diff(up[i], layout(t, dsn)); diff != "" {
			t.Errorf("the schema after going down to %d differs (-up +down):\n%s", v, diff)
		}
	}
	if err := s.migrate(t.Context(), cfg.ConnConfig, latest); err != nil {
		t.Fatalf("migrate(up again) = %v, want no error", err)
	}
	if diff := cmp.Diff(up[len(versions)-1], layout(t, dsn)); diff != "" {
		t.Errorf("the schema after going up again differs (-first +again):\n%s", diff)
	}
}
