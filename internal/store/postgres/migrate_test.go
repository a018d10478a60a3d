package postgres

import (
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
	files, err := migrationFiles.ReadDir("migrations")
	if err != nil || len(files) == 0 {
		t.Fatalf("ReadDir(migrations) = %v, %v, want some", files, err)
	}
	up := make([][]string, len(files)+1) // the layout of each version, 0 first
	for v := range up {
		if err := s.migrate(t.Context(), cfg.ConnConfig, int64(v)); err != nil {
			t.Fatalf("migrate(up to %d) = %v, want no error", v, err)
		}
		up[v] = layout(t, dsn)
	}
	if len(up[0]) != 0 || len(up[1]) == 0 {
		t.Fatalf("the layouts of versions 0 and 1 have %d and %d lines, want none and some", len(up[0]), len(up[1]))
	}
	for v := len(files) - 1; v >= 0; v-- {
		if err := s.migrate(t.Context(), cfg.ConnConfig, int64(v)); err != nil {
			t.Fatalf("migrate(down to %d) = %v, want no error", v, err)
		}
		if diff := cmp.Diff(up[v], layout(t, dsn)); diff != "" {
			t.Errorf("the schema after going down to %d differs (-up +down):\n%s", v, diff)
		}
	}
	if err := s.migrate(t.Context(), cfg.ConnConfig, latest); err != nil {
		t.Fatalf("migrate(up again) = %v, want no error", err)
	}
	if diff := cmp.Diff(up[len(files)], layout(t, dsn)); diff != "" {
		t.Errorf("the schema after going up again differs (-first +again):\n%s", diff)
	}
}
