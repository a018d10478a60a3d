package sqlite

import (
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/store/schema"
)

// layout gives the SQL of everything in a database but the migrations' own
// table.
func layout(t *testing.T, path string) string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT ifnull(sql, name) FROM sqlite_schema WHERE tbl_name NOT IN (?, 'sqlite_sequence') ORDER BY name`,
		schema.Table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return strings.Join(all, "\n")
}

func TestMigrationsUpDownUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	if err := private(path); err != nil {
		t.Fatal(err)
	}
	o := Options{Path: path}
	o.setDefaults()
	log := slog.New(slog.DiscardHandler)
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
	up := make([]string, len(versions)) // the layout of each version
	for i, v := range versions {
		if err := migrate(t.Context(), dsn(o, "OFF", false), v, log); err != nil {
			t.Fatalf("migrate(up to %d) = %v, want no error", v, err)
		}
		up[i] = layout(t, path)
	}
	for i := len(versions) - 2; i >= 0; i-- {
		v := versions[i]
		if err := migrate(t.Context(), dsn(o, "OFF", false), v, log); err != nil {
			t.Fatalf("migrate(down to %d) = %v, want no error", v, err)
		}
		if diff := cmp.Diff(up[i], layout(t, path)); diff != "" {
			t.Errorf("the schema after going down to %d differs (-up +down):\n%s", v, diff)
		}
	}
	if err := migrate(t.Context(), dsn(o, "OFF", false), schema.Latest, log); err != nil {
		t.Fatalf("migrate(up again) = %v, want no error", err)
	}
	if diff := cmp.Diff(up[len(versions)-1], layout(t, path)); diff != "" {
		t.Errorf("the schema after going up again differs (-first +again):\n%s", diff)
	}
}

// A migration that fails leaves nothing behind, not even of those before it.
func TestMigrationIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// The last table that the first migration makes is in the way.
	if _, err := db.Exec(`CREATE TABLE probe (foreign_one TEXT)`); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), Options{Path: path}); err == nil {
		s.Close()
		t.Fatal("Open() with a foreign table in the way = nil, want an error")
	}
	if got, want := layout(t, path), "CREATE TABLE probe (foreign_one TEXT)"; got != want {
		t.Errorf("after a failed migration the database has %q, want %q", got, want)
	}
}
