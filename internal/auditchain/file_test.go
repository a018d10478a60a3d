package auditchain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/auditchain"
)

func (l *log) export(since, until time.Time) string {
	l.Helper()
	var b bytes.Buffer
	if err := l.chain.Export(context.Background(), &b, since, until); err != nil {
		l.Fatalf("Export() = %v", err)
	}
	return b.String()
}

func (l *log) verifyFile(text string, given auditchain.Head) api.AuditReport {
	l.Helper()
	report, err := auditchain.VerifyFile(strings.NewReader(text), l.keys.Public(), given)
	if err != nil {
		l.Fatalf("VerifyFile() = %v", err)
	}
	return report
}

// S111: an export can be verified without the server, whole or in part.
func TestExport(t *testing.T) {
	l := newLog(t)
	l.fill(4, 5)
	whole := l.export(time.Time{}, time.Time{})
	report := l.verifyFile(whole, l.chain.Head())
	l.intact(report, 20, 4)
	if report.Head != l.chain.Head().String() || report.OwnKeys || len(report.Anchors) != 1 || !report.Anchors[0].Fits {
		t.Errorf("VerifyFile() = %+v, want the head of the log, as given", report)
	}
	own, err := auditchain.VerifyFile(strings.NewReader(whole), nil, auditchain.Head{})
	if err != nil || !own.Intact || !own.OwnKeys {
		t.Errorf("VerifyFile() with the keys in the file = %+v, %v, want intact, and that said", own, err)
	}
	other := newLog(t)
	other.finds(other.verifyFile(whole, auditchain.Head{}), "unknown_key", "seals 1 to 4")

	part := l.export(noon.Add(7*time.Second), noon.Add(13*time.Second)) // seals 2 and 3
	report = l.verifyFile(part, l.chain.Head())
	l.finds(report, "cut", "seal 4") // with a head of later
	report = l.verifyFile(part, auditchain.Head{})
	l.intact(report, 6, 2)
	if report.Omitted != 4 || report.FirstSeal != 2 || report.LastSeal != 3 {
		t.Errorf("VerifyFile() = %+v, want 4 events left out of seals 2 and 3", report)
	}
	var events []api.AuditExportEvent
	for line := range strings.Lines(part) {
		var e api.AuditExportEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Type == api.AuditEvent {
			events = append(events, e)
		}
	}
	if len(events) != 6 || events[0].Target != "tok_7" || events[5].Target != "tok_12" || events[0].Actor != "älice" {
		t.Errorf("events = %+v, want those of the time", events)
	}
	none := l.export(noon.AddDate(1, 0, 0), time.Time{})
	l.intact(l.verifyFile(none, auditchain.Head{}), 0, 0)
}

// S111: an export of a log that was tampered with shows it, and so does one
// that was edited since.
func TestEditedExport(t *testing.T) {
	l := newLog(t)
	l.fill(3, 5)
	whole := l.export(time.Time{}, time.Time{})
	lines := strings.SplitAfter(strings.TrimSuffix(whole, "\n"), "\n")
	lines[len(lines)-1] += "\n"
	without := func(from, to int) string { return strings.Join(lines[:from], "") + strings.Join(lines[to:], "") }
	swapped := func(a, b int) string {
		edited := append([]string{}, lines...)
		edited[a], edited[b] = edited[b], edited[a]
		return strings.Join(edited, "")
	}
	last := len(lines) - 1
	tests := []struct {
		name, text, kind, words string
	}{
		{"an event edited", strings.Replace(whole, `"tok_8"`, `"tok_9"`, 1), "changed", "place 8 of seal 2"},
		{"an event gone", without(1, 2), "missing", "place 1 of seal 1"},
		{"the first seal gone", without(6, 7), "inserted", "place 1"},
		{"a seal gone", without(12, 13), "seal_missing", "seal 2"},
		{"the first seal and its events gone", without(1, 7), "cut", "counts 15 events"},
		{"a seal with its events gone", without(7, 13), "seal_missing", "seal 2"},
		{"the end gone", without(last, last+1), "cut", "without a last line"},
		{"the last seal gone", without(last-6, last), "cut", "counts 15 events"},
		{"half of the last line gone", whole[:len(whole)-20], "cut", "without a last line"},
		{"events of two seals swapped", swapped(2, 8), "inserted", "is not one that the seal vouches for"},
		{"an event twice", without(1, 1)[:0] + strings.Join(lines[:2], "") + lines[1] + strings.Join(lines[2:], ""), "inserted", "place 1"},
		{"another event put in", strings.Join(lines[:2], "") + strings.Replace(lines[1], `"place":1`, `"place":9`, 1) + strings.Join(lines[2:], ""), "inserted", "place 9"},
		{"a field that nothing vouches for", strings.Replace(whole, `"action":`, `"note":"x","action":`, 1), "form", "line 2"},
		{"a field twice, for other readers", strings.Replace(whole, `"action":`, `"ACTION":"login","action":`, 1), "form", "line 2"},
		{"another kind of line", strings.Join(lines[:2], "") + "{\"type\":\"note\"}\n" + strings.Join(lines[2:], ""), "form", "line 3"},
		{"a line that is no JSON", strings.Join(lines[:2], "") + "x\n" + strings.Join(lines[2:], ""), "form", "line 3"},
		{"something behind the end", whole + lines[1], "form", "behind the end"},
		{"a broken export", strings.Join(lines[:7], "") + `{"type":"end","events":5,"seals":1,"error":"the database does not answer"}` + "\n", "cut", "broken off"},
		{"events behind the last seal", strings.Join(lines[:last], "") + lines[1] + lines[last], "inserted", "in no seal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.text == whole {
				t.Fatal("nothing was edited")
			}
			l.finds(l.verifyFile(tt.text, auditchain.Head{}), tt.kind, tt.words)
		})
	}
	l.exec(`UPDATE events SET agent = 'x' WHERE place = 3`)
	l.exec(`DELETE FROM events WHERE place = 12`)
	report := l.verifyFile(l.export(time.Time{}, time.Time{}), auditchain.Head{})
	l.finds(report, "changed", "place 3 of seal 1")
	l.finds(report, "missing", "place 12 of seal 3")
}

func TestVerifyFileRefuses(t *testing.T) {
	l := newLog(t)
	l.fill(1, 1)
	whole := l.export(time.Time{}, time.Time{})
	for _, text := range []string{"", "\n", "x", "{}\n", whole[10:], strings.Replace(whole, `"version":1`, `"version":2`, 1)} {
		if _, err := auditchain.VerifyFile(strings.NewReader(text), nil, auditchain.Head{}); !errors.Is(err, auditchain.ErrNoExport) {
			t.Errorf("VerifyFile(%.30q) = %v, want %v", text, err, auditchain.ErrNoExport)
		}
	}
	long := strings.SplitAfter(whole, "\n")[0] + strings.Repeat("x", 3<<20)
	if _, err := auditchain.VerifyFile(strings.NewReader(long), nil, auditchain.Head{}); err == nil {
		t.Error("VerifyFile() of an endless line = nil, want an error")
	}
}

// S111: no edit of a byte behind the first line leaves an export intact.
func TestRandomFileEdits(t *testing.T) {
	l := newLog(t)
	l.fill(2, 3)
	whole := l.export(time.Time{}, time.Time{})
	body := strings.Index(whole, "\n") + 1
	seeds := uint64(1000)
	if testing.Short() {
		seeds = 100
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 2))
		text := []byte(whole)
		at := body + r.IntN(len(text)-body)
		switch r.IntN(3) {
		case 0:
			text[at] ^= byte(1 + r.IntN(255))
		case 1:
			text = append(text[:at], text[at+1:]...)
		case 2:
			text = append(text[:at:at], append([]byte{byte(r.IntN(256))}, text[at:]...)...)
		}
		if string(text) == whole || string(text)+"\n" == whole {
			continue
		}
		if report, err := auditchain.VerifyFile(bytes.NewReader(text), l.keys.Public(), auditchain.Head{}); err == nil && report.Intact {
			t.Errorf("seed %d, byte %d: VerifyFile() = intact after an edit", seed, at)
		}
	}
}

// FuzzVerifyFile checks that nothing makes it panic, and that nothing but what
// the server signed is intact.
func FuzzVerifyFile(f *testing.F) {
	for _, seed := range []string{
		"", "{}\n", `{"type":"start","version":1,"keys":{}}` + "\n",
		`{"type":"start","version":1,"keys":{}}` + "\n" + `{"type":"end","events":0,"seals":0}` + "\n",
		`{"type":"start","version":1,"keys":{}}` + "\n" + `{"type":"omitted","place":1,"hash":"00"}` + "\n",
		`{"type":"start","version":1,"keys":{"a":"00"}}` + "\n" + `{"type":"seal","number":1,"members":"1-9999999999"}` + "\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		report, err := auditchain.VerifyFile(strings.NewReader(text), keysOf(t, newKey(t)).Public(), auditchain.Head{})
		if err == nil && report.Intact && (report.Events > 0 || report.Seals > 0) {
			t.Errorf("VerifyFile(%q) = %+v, want nothing that a key nobody has could have signed", text, report)
		}
	})
}

func TestParseHead(t *testing.T) {
	l := newLog(t)
	l.fill(1, 1)
	head := l.chain.Head()
	if got, err := auditchain.ParseHead(" " + head.String() + "\n"); err != nil || got.String() != head.String() {
		t.Errorf("ParseHead(%q) = %v, %v, want the same", head, got, err)
	}
	for _, text := range []string{"", ":", "1:", "0:" + strings.Repeat("00", 32), "-1:" + strings.Repeat("00", 32), "1:" + strings.Repeat("00", 31), "1:" + strings.Repeat("zz", 32), "x"} {
		if got, err := auditchain.ParseHead(text); !errors.Is(err, auditchain.ErrHead) {
			t.Errorf("ParseHead(%q) = %v, %v, want %v", text, got, err, auditchain.ErrHead)
		}
	}
	if got := (auditchain.Head{}).String(); got != "" {
		t.Errorf("String() of no head = %q, want nothing", got)
	}
	if _, err := auditchain.ParseKeys(map[string]string{"a": "x"}); !errors.Is(err, auditchain.ErrKey) {
		t.Errorf("ParseKeys() = %v, want %v", err, auditchain.ErrKey)
	}
}
