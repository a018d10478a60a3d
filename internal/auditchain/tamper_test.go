package auditchain_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/auditchain"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// S111: a log that nobody has touched is intact, over restarts, with several
// nodes, and however it was written.
func TestIntact(t *testing.T) {
	l := newLog(t)
	l.intact(l.verify(auditchain.Head{}), 0, 0)
	l.fill(3, 5)
	l.restart()
	l.write(2500) // several seals at once
	kept := l.chain
	l.intact(l.verify(auditchain.Head{}), 2515, 6)
	l.chain = l.node() // another node
	l.fill(1, 3)
	l.chain = kept
	l.fill(1, 4)
	report := l.verify(l.chain.Head())
	l.intact(report, 2522, 8)
	if report.Head != l.chain.Head().String() || l.readHeadFile() != report.Head || len(l.alarms) != 0 {
		l.Errorf("head %q, in the file %q, alarms %v, want one head and no alarm", report.Head, l.readHeadFile(), l.alarms)
	}
	for _, a := range report.Anchors {
		if !a.Fits {
			l.Errorf("anchor %+v does not fit", a)
		}
	}
	info, err := os.Stat(l.headFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		l.Errorf("mode of the file with the head = %v, %v, want 0600", info.Mode(), err)
	}
}

// place returns the place of the nth event, counted from 0.
func (l *log) place(n int) (place int64) {
	l.Helper()
	if err := l.db.QueryRow(`SELECT place FROM events ORDER BY place LIMIT 1 OFFSET ?`, n).Scan(&place); err != nil {
		l.Fatal(err)
	}
	return place
}

// S111: an edit of any column of any event is found, and the event is named.
func TestEditedEvents(t *testing.T) {
	edits := map[string]any{
		"at": noon.UnixMicro(), "id": "06eajh8a0000000000000000zz", "action": "login", "outcome": "refused", "reason": "", "actor_id": "acc2",
		"actor_name": "alice", "token_id": "", "target": "tok_other", "addr": "192.0.2.2", "agent": "curl/9", "request_id": "q", "correlation_id": "",
		"detail": `{"name":"n1","scope":"path:/x:write"}`, "count": 2, "mac": []byte("0123456789abcdef-some-key"), "place": 1000,
	}
	l := newLog(t)
	var columns []string
	rows, err := l.db.Query(`SELECT name FROM pragma_table_info('events')`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		columns = append(columns, name)
	}
	if len(columns) != len(edits) {
		t.Errorf("events has the columns %q, want each edited here", columns)
	}
	for i, column := range columns {
		some := []int{0, 7, 14} // first, middle, last
		if column != "target" {
			some = some[i%3 : i%3+1]
		}
		for _, nth := range some {
			t.Run(fmt.Sprintf("%s of %d", column, nth), func(t *testing.T) {
				l := newLog(t)
				l.fill(3, 5)
				p := l.place(nth)
				if n := l.exec(`UPDATE events SET `+column+` = ? WHERE place = ?`, edits[column], p); n != 1 {
					t.Fatalf("%d rows were edited, want 1", n)
				}
				kind := "changed"
				if column == "place" {
					kind = "missing"
				}
				report := l.verify(auditchain.Head{})
				l.finds(report, kind, fmt.Sprintf("at place %d of seal %d", p, nth/5+1))
				if column == "mac" || column == "place" {
					return
				}
				if len(report.Findings) != 1 || report.Events != 14 {
					t.Errorf("Verify() = %+v, want one finding and 14 good events", report)
				}
			})
		}
	}
	for _, mac := range [][]byte{{}, []byte("x")} { // a code that is gone
		l := newLog(t)
		l.fill(1, 3)
		l.exec(`UPDATE events SET mac = ? WHERE place = ?`, mac, l.place(1))
		l.finds(l.verify(auditchain.Head{}), "changed", fmt.Sprint("place ", l.place(1)))
	}
}

// S111: what is removed, moved or put in is found, and named.
func TestMovedEvents(t *testing.T) {
	tests := []struct {
		name  string
		do    func(l *log)
		kind  string
		words func(l *log) []string
	}{
		{"the first one is gone", func(l *log) { l.exec(`DELETE FROM events WHERE place = 1`) }, "missing", says("place 1 of seal 1")},
		{"one in the middle is gone", func(l *log) { l.exec(`DELETE FROM events WHERE place = 8`) }, "missing", says("place 8 of seal 2")},
		{"the last one is gone", func(l *log) { l.exec(`DELETE FROM events WHERE place = 15`) }, "missing", says("place 15 of seal 3")},
		{"a seal's are gone", func(l *log) { l.exec(`DELETE FROM events WHERE place BETWEEN 6 AND 10`) }, "missing", says("place 10 of seal 2")},
		{"all are gone", func(l *log) { l.exec(`DELETE FROM events`) }, "missing", says("place 15 of seal 3")},
		{"two in one seal have changed places", swap(7, 9), "moved", says("place 7 of seal 2")},
		{"two in different seals have", swap(2, 14), "moved", says("place 14 of seal 3")},
		{"one is put in", func(l *log) {
			l.exec(`INSERT INTO events SELECT NULL, at, 'x', action, outcome, reason, actor_id, actor_name, token_id, target, addr, agent,
				request_id, correlation_id, detail, count, mac FROM events WHERE place = 3`)
		}, "inserted", says("event x")},
		{"one is put in without a code", func(l *log) {
			l.exec(`INSERT INTO events SELECT NULL, at, 'x', action, outcome, reason, actor_id, actor_name, token_id, target, addr, agent,
				request_id, correlation_id, detail, count, x'' FROM events WHERE place = 3`)
		}, "inserted", says("event x")},
		{"one is put in between", func(l *log) {
			l.exec(`UPDATE events SET place = place + 100 WHERE place > 5`)
			l.exec(`INSERT INTO events SELECT 6, at, 'x', action, outcome, reason, actor_id, actor_name, token_id, target, addr, agent,
				request_id, correlation_id, detail, count, mac FROM events WHERE place = 3`)
		}, "changed", says("event x at place 6")},
		{"one is removed and put back elsewhere", func(l *log) { l.exec(`UPDATE events SET place = 40 WHERE place = 3`) }, "missing", says("place 3 of seal 1")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLog(t)
			l.fill(3, 5)
			tt.do(l)
			l.finds(l.verify(auditchain.Head{}), tt.kind, tt.words(l)...)
			l.restart() // it is as well found by a server that has seen nothing
			l.finds(l.verify(auditchain.Head{}), tt.kind, tt.words(l)...)
		})
	}
}

func says(words ...string) func(*log) []string { return func(*log) []string { return words } }

func swap(a, b int64) func(l *log) {
	return func(l *log) {
		l.exec(`UPDATE events SET place = -1 WHERE place = ?`, a)
		l.exec(`UPDATE events SET place = ? WHERE place = ?`, a, b)
		l.exec(`UPDATE events SET place = ? WHERE place = -1`, b)
	}
}

// S111: edits of the seals themselves are found.
func TestEditedSeals(t *testing.T) {
	edits := map[string]any{
		"number": 77, "at": 5, "previous": []byte("x"), "members": "1-2", "count": 4, "first_at": 1, "last_at": 1, "root": []byte("x"),
		"tags": []byte("x"), "adopted": 1, "key_id": "x", "signature": []byte("x"),
	}
	for column, value := range edits {
		for _, number := range []int{1, 2, 3} {
			t.Run(fmt.Sprintf("%s of %d", column, number), func(t *testing.T) {
				l := newLog(t)
				l.fill(3, 5)
				if n := l.exec(`UPDATE event_seals SET `+column+` = ? WHERE number = ?`, value, number); n != 1 {
					t.Fatalf("%d rows were edited, want 1", n)
				}
				report := l.verify(auditchain.Head{})
				if report.Intact {
					t.Fatalf("Verify() = %+v, want findings", report)
				}
				if !slices.ContainsFunc(report.Findings, func(f api.AuditFinding) bool { return f.Seal == int64(number) || f.Seal == int64(number)+1 }) {
					t.Errorf("Verify() found %+v, want seal %d named", report.Findings, number)
				}
			})
		}
	}
	for name, tt := range map[string]struct{ query, kind, words string }{
		"the first is gone":   {`DELETE FROM event_seals WHERE number = 1`, "seal_missing", "seal 1,"},
		"one is gone":         {`DELETE FROM event_seals WHERE number = 2`, "seal_missing", "seal 2,"},
		"one with its events": {`DELETE FROM event_seals WHERE number = 2; DELETE FROM events WHERE place BETWEEN 6 AND 10`, "seal_missing", "seal 2,"},
		"two changed places":  {`UPDATE event_seals SET number = -1 WHERE number = 1; UPDATE event_seals SET number = 1 WHERE number = 2; UPDATE event_seals SET number = 2 WHERE number = -1`, "seal_changed", "signature"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog(t)
			l.fill(3, 5)
			l.exec(tt.query)
			l.finds(l.verify(auditchain.Head{}), tt.kind, tt.words)
		})
	}
}

// cut removes the last seal with its events.
func (l *log) cut() {
	l.exec(`DELETE FROM events WHERE place > 10`)
	l.exec(`DELETE FROM event_seals WHERE number > 2`)
	l.exec(`UPDATE sqlite_sequence SET seq = 10 WHERE name = 'events'`)
}

// S111: a tail that was cut off is found by a server that runs, by one that was
// started since, and for ever after by what it seals then.
func TestCutTail(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprint("restarted ", restarted), func(t *testing.T) {
			l := newLog(t)
			l.fill(3, 5)
			l.cut()
			if restarted {
				l.restart()
			}
			l.finds(l.verify(auditchain.Head{}), "cut", "seal 3")
			if !slices.Contains(l.alarms, "audit.broken cut") {
				t.Errorf("alarms = %v, want one about the cut", l.alarms)
			}
			l.fill(2, 5)
			l.finds(l.verify(auditchain.Head{}), "seal_missing", "seal 3,")
			l.restart()
			report := l.verify(auditchain.Head{})
			l.finds(report, "seal_missing", "seal 3,")
			if report.Events != 20 {
				t.Errorf("%d good events, want the 20 that are left", report.Events)
			}
		})
	}
}

// S111: with the file of the head gone too, a head that was kept elsewhere
// finds the cut; without one, the report says that nothing shows the end.
func TestCutTailWithoutHeadFile(t *testing.T) {
	l := newLog(t)
	l.fill(3, 5)
	kept := l.chain.Head()
	l.stop()
	if err := os.Remove(l.headFile); err != nil {
		t.Fatal(err)
	}
	l.start()
	l.cut()
	report := l.verify(auditchain.Head{})
	if len(report.Anchors) != 0 {
		t.Errorf("Verify() = %+v, want no anchor for the end", report)
	}
	if !slices.Contains(l.alarms, "audit.unanchored no_head") {
		t.Errorf("alarms = %v, want one about the file", l.alarms)
	}
	l.finds(l.verify(kept), "cut", "seal 3")
	l.fill(1, 5) // a new seal 3
	l.finds(l.verify(kept), "seal_changed", "seal 3", "rewritten")
}

// S111: a log that was replaced as a whole by one that the same server could
// have made is found by the head.
func TestRewritten(t *testing.T) {
	l := newLog(t)
	l.fill(3, 5)
	kept := l.chain.Head()
	other := newLog(t)
	other.secrets = l.secrets
	other.restart()
	other.fill(4, 5)
	l.stop()
	other.stop()
	content, err := os.ReadFile(other.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	l.start()
	other.start()
	l.finds(l.verify(auditchain.Head{}), "seal_changed", "rewritten")
	l.finds(l.verify(kept), "seal_changed", "given")
	if !slices.Contains(l.alarms, "audit.broken rewritten") {
		t.Errorf("alarms = %v, want one about the head", l.alarms)
	}
}

// Events that were forged before they could be sealed are left out, whatever
// their number, and those after them are sealed all the same.
func TestForgedBeforeSeal(t *testing.T) {
	l := newLog(t)
	l.fill(1, 5)
	l.write(1)
	l.exec(`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2199)
		INSERT INTO events SELECT NULL, at, 'forged-' || i, action, outcome, reason, actor_id, actor_name, token_id, target, addr, agent,
		request_id, correlation_id, detail, count, mac FROM events, n WHERE place = 3`)
	l.write(2)
	l.exec(`UPDATE events SET target = 'x' WHERE place = 6`)
	report := l.verify(auditchain.Head{})
	l.finds(report, "inserted", "event forged-0")
	l.finds(report, "inserted", "place 6")
	if report.Events != 7 || report.More != 2201-1000 {
		t.Errorf("Verify() = %d good events and %d more findings, want 7 and 1201", report.Events, report.More)
	}
	if !slices.Contains(l.alarms, "audit.forged forged") {
		t.Errorf("alarms = %v, want some about the forged", l.alarms)
	}
}

// S111: retention removes whole seals from the old end, and the log still
// verifies from there on; what is said of the beginning cannot be edited.
func TestTrim(t *testing.T) {
	ctx := context.Background()
	trimmed := func(t *testing.T) *log {
		l := newLog(t)
		l.fill(4, 5)
		n, err := l.chain.Trim(ctx, noon.Add(12*time.Second))
		if err != nil || n != 10 {
			t.Fatalf("Trim() = %d, %v, want the 10 events of two seals", n, err)
		}
		return l
	}
	l := trimmed(t)
	report := l.verify(auditchain.Head{})
	l.intact(report, 10, 2)
	if report.Removed != 10 || !report.Through.Equal(noon.Add(10*time.Second)) || report.FirstSeal != 3 {
		t.Errorf("Verify() = %+v, want 10 events removed through the tenth", report)
	}
	for _, before := range []time.Duration{12 * time.Second, time.Hour} {
		if _, err := l.chain.Trim(ctx, noon.Add(before)); err != nil {
			t.Fatalf("Trim() = %v", err)
		}
	}
	l.intact(l.verify(auditchain.Head{}), 5, 1) // the last seal always stays
	l.restart()
	l.fill(1, 5)
	l.intact(l.verify(auditchain.Head{}), 10, 2)

	for column, value := range map[string]any{"number": 1, "hash": []byte("x"), "through": 1, "removed": 3, "at": 1, "signature": []byte("x")} {
		l := trimmed(t)
		l.exec(`UPDATE event_trim SET `+column+` = ?`, value)
		l.finds(l.verify(auditchain.Head{}), "trim_changed", "removed for their age")
	}
	l = trimmed(t)
	l.exec(`DELETE FROM event_trim`)
	l.finds(l.verify(auditchain.Head{}), "seal_missing", "seals 1 to 2")

	// A seal that was made to look old does not take its events along.
	l = newLog(t)
	l.fill(3, 5)
	l.exec(`UPDATE event_seals SET last_at = 1 WHERE number = 1`)
	if n, err := l.chain.Trim(ctx, noon); n != 0 || err == nil {
		t.Errorf("Trim() of a changed seal = %d, %v, want an error", n, err)
	}
	// An event that was removed for its age and is put back is found.
	l = newLog(t)
	l.fill(1, 5)
	l.exec(`CREATE TABLE kept AS SELECT * FROM events WHERE place = 2`)
	l.fill(3, 5)
	if _, err := l.chain.Trim(ctx, noon.Add(12*time.Second)); err != nil {
		t.Fatal(err)
	}
	l.exec(`INSERT INTO events SELECT * FROM kept`)
	l.finds(l.verify(auditchain.Head{}), "unsealed", "place 2")
}

// S111: the server's secret can be rotated. While the old one is there both
// count; afterwards what it has sealed is vouched for by what came later.
func TestRotatedSecret(t *testing.T) {
	l := newLog(t)
	l.fill(2, 5)
	old := l.secrets[0]
	l.secrets = []*serverkey.Key{newKey(t), old}
	l.restart()
	l.fill(2, 5)
	l.intact(l.verify(auditchain.Head{}), 20, 4)
	l.secrets = l.secrets[:1]
	l.restart()
	l.intact(l.verify(auditchain.Head{}), 20, 4)
	l.exec(`UPDATE events SET target = 'x' WHERE place = 2`)
	l.finds(l.verify(auditchain.Head{}), "changed", "place 2 of seal 1")
	l.exec(`UPDATE event_seals SET at = at + 1 WHERE number = 2`)
	report := l.verify(auditchain.Head{})
	l.finds(report, "seal_changed", "seal 3 does not continue")
	l.finds(report, "unknown_key", "seals 1 to 2")

	// Without a later seal nothing vouches for the old ones.
	l = newLog(t)
	l.fill(2, 5)
	l.secrets = []*serverkey.Key{newKey(t)}
	l.restart()
	l.finds(l.verify(auditchain.Head{}), "unknown_key", "seals 1 to 2")
}

// Events from before the chain are sealed as they are, once.
func TestAdopted(t *testing.T) {
	l := newLog(t)
	l.write(5)
	l.exec(`UPDATE events SET mac = x''`)
	l.seal()
	l.intact(l.verify(auditchain.Head{}), 5, 1)
	l.fill(1, 5)
	l.exec(`UPDATE events SET mac = x'' WHERE place = 7`)
	l.finds(l.verify(auditchain.Head{}), "changed", "place 7 of seal 2")
	l.write(1)
	l.exec(`UPDATE events SET mac = x'' WHERE place = 11`)
	l.finds(l.verify(auditchain.Head{}), "inserted", "place 11")
}

// S109: an event whose action is not in the table is refused, and whatever was
// to be written with it.
func TestAttestRefuses(t *testing.T) {
	l := newLog(t)
	odd := store.Event{ID: "x", At: noon, Action: "token.polish"}
	if err := l.store.AppendEvents(context.Background(), []store.Event{odd}); err == nil {
		t.Error("AppendEvents() of an unknown action = nil, want an error")
	}
	if err := l.store.Update(context.Background(), func(tx store.Tx) error { return tx.AppendEvent(odd) }); err == nil {
		t.Error("AppendEvent() of an unknown action = nil, want an error")
	}
	l.intact(l.verify(auditchain.Head{}), 0, 0)
}

// S111: whatever is done to the rows at random, the log is not intact, and no
// edit that changes nothing makes it so.
func TestRandomEdits(t *testing.T) {
	columns := []string{"at", "id", "action", "outcome", "reason", "actor_id", "actor_name", "token_id", "target", "addr", "agent",
		"request_id", "correlation_id", "detail", "count", "place"}
	sealColumns := []string{"at", "members", "count", "first_at", "last_at", "key_id", "number"}
	seeds := uint64(25)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			l := newLog(t)
			n := 0
			for range 2 + r.IntN(4) {
				each := 1 + r.IntN(6)
				l.fill(1, each)
				n += each
			}
			before := l.dump()
			var did []string
			for range 1 + r.IntN(3) {
				place, other := 1+r.IntN(n), 1+r.IntN(n)
				column := columns[r.IntN(len(columns))]
				var query string
				switch r.IntN(6) {
				case 0, 1:
					value := fmt.Sprintf("'x%d'", r.IntN(3))
					if slices.Contains([]string{"at", "count", "place"}, column) {
						value = fmt.Sprint(1000 + r.IntN(1000))
					} else if column == "detail" {
						value = `'{"x":"y"}'`
					}
					query = fmt.Sprintf(`UPDATE OR IGNORE events SET %s = %s WHERE place = %d`, column, value, place)
				case 2:
					query = fmt.Sprintf(`DELETE FROM events WHERE place = %d`, place)
				case 3:
					query = fmt.Sprintf(`UPDATE OR IGNORE events SET %[1]s = (SELECT o.%[1]s FROM events AS o WHERE o.place = %[2]d) WHERE place = %[3]d AND EXISTS (SELECT 1 FROM events WHERE place = %[2]d)`,
						columns[2+r.IntN(12)], other, place)
				case 4:
					query = fmt.Sprintf(`UPDATE OR IGNORE event_seals SET %s = 3 WHERE number = %d`, sealColumns[r.IntN(len(sealColumns))], 1+r.IntN(4))
				case 5:
					query = fmt.Sprintf(`DELETE FROM event_seals WHERE number = %d`, 1+r.IntN(4))
				}
				did = append(did, query)
				l.exec(query)
			}
			changed := l.dump() != before
			report := l.verify(auditchain.Head{})
			if report.Intact == changed {
				t.Errorf("after %s: intact = %v, and changed = %v: %+v", strings.Join(did, "; "), report.Intact, changed, report)
			}
		})
	}
}

// dump returns all that the log consists of, as text.
func (l *log) dump() string {
	l.Helper()
	var b strings.Builder
	for _, query := range []string{
		`SELECT quote(place)||quote(at)||quote(id)||quote(action)||quote(outcome)||quote(reason)||quote(actor_id)||quote(actor_name)||quote(token_id)||quote(target)||
			quote(addr)||quote(agent)||quote(request_id)||quote(correlation_id)||quote(detail)||quote(count)||quote(mac) FROM events ORDER BY place`,
		`SELECT quote(number)||quote(at)||quote(members)||quote(count)||quote(first_at)||quote(last_at)||quote(key_id)||quote(signature) FROM event_seals ORDER BY number`,
	} {
		rows, err := l.db.Query(query)
		if err != nil {
			l.Fatal(err)
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				l.Fatal(err)
			}
			b.WriteString(line + "\n")
		}
		rows.Close()
	}
	return b.String()
}

// Two servers that seal at once make one chain.
func TestSealTogether(t *testing.T) {
	l := newLog(t)
	l.headFile = ""
	nodes := []*auditchain.Chain{l.node(), l.node(), l.node()}
	done := make(chan error, len(nodes))
	writing := make(chan struct{})
	for _, n := range nodes {
		go func() {
			for {
				if err := n.Seal(context.Background()); err != nil {
					done <- err
					return
				}
				select {
				case <-writing:
					done <- n.Seal(context.Background())
					return
				default:
				}
			}
		}()
	}
	l.write(60)
	close(writing)
	for range nodes {
		if err := <-done; err != nil {
			t.Errorf("Seal() = %v", err)
		}
	}
	l.chain = nodes[0]
	report := l.verify(auditchain.Head{})
	l.intact(report, 60, report.Seals)
	if report.Unsealed != 0 {
		t.Errorf("Verify() = %+v, want nothing left", report)
	}
}
