package auditchain_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to edit the database behind the store's back

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/auditchain"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func newKey(t testing.TB) *serverkey.Key {
	t.Helper()
	k, err := serverkey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keysOf(t testing.TB, secrets ...*serverkey.Key) *auditchain.Keys {
	t.Helper()
	ring, err := serverkey.NewRing(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := auditchain.NewKeys(ring)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// log is a database with an audit log, the server that keeps it, and somebody
// who can write to it behind the server's back.
type log struct {
	*testing.T
	path, headFile string
	secrets        []*serverkey.Key
	keys           *auditchain.Keys
	store          store.Store
	chain          *auditchain.Chain
	now            time.Time
	alarms         []string
	db             *sql.DB
	n              int
}

func newLog(t *testing.T) *log {
	t.Helper()
	dir := t.TempDir()
	l := &log{T: t, path: filepath.Join(dir, "latchkey.db"), headFile: filepath.Join(dir, "audit.head"), now: noon, secrets: []*serverkey.Key{newKey(t)}}
	l.start()
	t.Cleanup(l.stop)
	return l
}

// start starts the server.
func (l *log) start() {
	l.Helper()
	l.keys = keysOf(l.T, l.secrets...)
	inner, err := sqlite.Open(context.Background(), sqlite.Options{Path: l.path})
	if err != nil {
		l.Fatal(err)
	}
	l.store = auditchain.Attest(inner, l.keys)
	l.chain = l.node()
	if l.db, err = sql.Open("sqlite", l.path+"?_pragma=busy_timeout(5000)"); err != nil {
		l.Fatal(err)
	}
}

// node returns a server's chain on the log.
func (l *log) node() *auditchain.Chain {
	return auditchain.New(auditchain.Options{
		Store: l.store, Keys: l.keys, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return l.now }, HeadFile: l.headFile,
		Report: func(action, reason, text string) { l.alarms = append(l.alarms, action+" "+reason) },
	})
}

func (l *log) stop() {
	if err := l.store.Close(); err != nil {
		l.Error(err)
	}
	l.db.Close()
}

func (l *log) restart() {
	l.Helper()
	l.stop()
	l.start()
}

// write appends events as a server does, half of them in transactions.
func (l *log) write(n int) {
	l.Helper()
	for range n {
		l.n++
		e := audit.Event(context.Background(), l.now.Add(time.Duration(l.n)*time.Second), nil, "token.issue", audit.OK)
		e.ActorID, e.ActorName, e.TokenID, e.Target = "acc", "älice", "tok_1", fmt.Sprint("tok_", l.n)
		e.Addr, e.Agent, e.RequestID, e.CorrelationID, e.Reason = "192.0.2.1", "curl/8", fmt.Sprint("r", l.n), "c", "none"
		e.Detail = map[string]string{"name": fmt.Sprint("n", l.n), "scope": "path:/x:read"}
		var err error
		if l.n%2 == 0 {
			err = l.store.AppendEvents(context.Background(), []store.Event{e})
		} else {
			err = l.store.Update(context.Background(), func(tx store.Tx) error { return tx.AppendEvent(e) })
		}
		if err != nil {
			l.Fatal(err)
		}
	}
}

func (l *log) seal() {
	l.Helper()
	if err := l.chain.Seal(context.Background()); err != nil {
		l.Fatalf("Seal() = %v", err)
	}
}

// fill writes some seals of some events each.
func (l *log) fill(seals, each int) {
	l.Helper()
	for range seals {
		l.write(each)
		l.seal()
	}
}

// exec edits the database.
func (l *log) exec(query string, args ...any) int64 {
	l.Helper()
	r, err := l.db.Exec(query, args...)
	if err != nil {
		l.Fatalf("%s: %v", query, err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		l.Fatal(err)
	}
	return n
}

func (l *log) verify(given auditchain.Head) api.AuditReport {
	l.Helper()
	report, err := l.chain.Verify(context.Background(), given, nil)
	if err != nil {
		l.Fatalf("Verify() = %v", err)
	}
	return report
}

// finds insists that a verification finds something of this kind, with these
// words, and returns all of it.
func (l *log) finds(report api.AuditReport, kind string, words ...string) {
	l.Helper()
	if report.Intact {
		l.Errorf("Verify() = intact, want a finding of kind %s", kind)
		return
	}
	for _, f := range report.Findings {
		all := f.Kind == kind
		for _, w := range words {
			all = all && strings.Contains(f.Text, w)
		}
		if all {
			return
		}
	}
	l.Errorf("Verify() found %+v, want one of kind %s with %q", report.Findings, kind, words)
}

func (l *log) intact(report api.AuditReport, events, seals int64) {
	l.Helper()
	if !report.Intact || len(report.Findings) > 0 || report.Events != events || report.Seals != seals {
		l.Errorf("Verify() = %+v, want %d events in %d seals and nothing wrong", report, events, seals)
	}
}

func (l *log) readHeadFile() string {
	l.Helper()
	text, err := os.ReadFile(l.headFile)
	if err != nil {
		l.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
