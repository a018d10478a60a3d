//go:build e2e && linux

package e2e

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to edit the database behind the server's back

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/auditchain"
)

// S111: what somebody does to the database file, while the server runs or while
// it is stopped, is found by the server and in an export.
func TestAuditLogIsProof(t *testing.T) {
	s := serve(t, serveOptions{})
	admin := s.admin()
	var made api.NewToken
	for _, name := range []string{"one", "two", "three"} {
		made = s.token(t, admin, api.CreateToken{Name: name})
	}
	if err := admin.Tokens.Revoke(t.Context(), made.ID, "no longer needed"); err != nil {
		t.Fatal(err)
	}
	report, err := admin.Audit.Verify(t.Context(), "", nil)
	if err != nil || !report.Intact || report.Events < 5 {
		t.Fatalf("Verify() = %+v, %v, want what was done, intact", report, err)
	}
	kept, err := admin.Audit.Head(t.Context())
	if err != nil || kept.Head == "" {
		t.Fatalf("Head() = %+v, %v, want one", kept, err)
	}
	db, err := sql.Open("sqlite", filepath.Join(s.data, "latchkey.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	edit := func(query string, args ...any) {
		t.Helper()
		r, err := db.Exec(query, args...)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if n, _ := r.RowsAffected(); n == 0 {
			t.Fatalf("%s: nothing was edited", query)
		}
	}
	finds := func(head, kind, words string) {
		t.Helper()
		report, err := admin.Audit.Verify(t.Context(), head, nil)
		if err != nil {
			t.Fatalf("Verify() = %v", err)
		}
		for _, f := range report.Findings {
			if f.Kind == kind && strings.Contains(f.Text, words) {
				return
			}
		}
		t.Errorf("Verify() = %+v, want a finding of kind %s with %q", report, kind, words)
	}
	edit(`UPDATE events SET outcome = 'refused' WHERE action = 'token.revoke' AND target = ?`, made.ID)
	finds("", "changed", "was changed or replaced")
	edit(`DELETE FROM events WHERE action = 'token.revoke'`)
	finds("", "missing", "is missing")

	var export bytes.Buffer
	if err := admin.Audit.Export(t.Context(), &export, time.Time{}, time.Time{}); err != nil {
		t.Fatalf("Export() = %v", err)
	}
	keys, err := auditchain.ParseKeys(kept.Keys)
	if err != nil {
		t.Fatal(err)
	}
	if report, err := auditchain.VerifyFile(&export, keys, auditchain.Head{}); err != nil || report.Intact {
		t.Errorf("VerifyFile() = %+v, %v, want what is missing found", report, err)
	}

	if err := s.process.terminate(); err != nil {
		t.Fatal(err)
	}
	edit(`DELETE FROM event_seals`)
	edit(`DELETE FROM events`)
	edit(`DELETE FROM sqlite_sequence WHERE name = 'events'`)
	s.restart()
	finds("", "seal_missing", "seal")
	finds(kept.Head, "seal_missing", "seal")
	events := s.events(t, "")
	found := false
	for _, e := range events {
		found = found || e.Action == "audit.broken" && e.Reason == "cut"
	}
	if !found {
		t.Errorf("the events %+v do not say that the log was cut", events)
	}
}
