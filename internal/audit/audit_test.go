package audit

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/store"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// S109: an event has who, what, when in UTC, from where, and the token's id.
func TestEvent(t *testing.T) {
	ctx := NewContext(context.Background(), Request{
		Addr: netip.MustParseAddr("2001:db8::7"), Agent: "tester/1\n", RequestID: "7f", CorrelationID: "c\x1b",
	})
	actor := &identity.Identity{AccountID: "a1", Name: "alice", TokenID: "t1"}
	got := Event(ctx, noon.In(time.FixedZone("", 3600)), actor, "token.issue", Refused)
	want := store.Event{
		ID: got.ID, At: noon, Action: "token.issue", Outcome: Refused, Count: 1,
		ActorID: "a1", ActorName: "alice", TokenID: "t1",
		Addr: "2001:db8::7", Agent: "tester/1?", RequestID: "7f", CorrelationID: "c?",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Event(), -want +got:\n%s", diff)
	}
	if got.At.Location() != time.UTC {
		t.Errorf("At = %v, want UTC", got.At)
	}
}

func TestEventOfNobody(t *testing.T) {
	got := Event(context.Background(), noon, nil, "login", Failed)
	if diff := cmp.Diff(store.Event{ID: got.ID, At: noon, Action: "login", Outcome: Failed, Count: 1}, got); diff != "" {
		t.Errorf("Event(), -want +got:\n%s", diff)
	}
}

// S110
func TestClip(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", ""},
		{"curl/8.5 (é, 世界)", "curl/8.5 (é, 世界)"},
		{"a\r\nb\tc\x00d\x1be\x7f", "a??b?c?d?e?"},
		{"a\u0085b\u009bc\u2028d\u2029e", "a?b?c?d?e"},
		{"a\xffb\xc3", "a?b?"},
		{"a\ufffdb", "a?b"},
		{strings.Repeat("x", 256), strings.Repeat("x", 256)},
		{strings.Repeat("x", 257), strings.Repeat("x", 256)},
		{strings.Repeat("x", 255) + "é", strings.Repeat("x", 255) + "?"}, // cut within
		{strings.Repeat("x", 1<<20), strings.Repeat("x", 256)},
	}
	for _, tt := range tests {
		if got := Clip(tt.text); got != tt.want {
			t.Errorf("Clip(%.300q) = %.300q, want %.300q", tt.text, got, tt.want)
		}
	}
}

// S69: nothing that could still be guessed is left of a token, however the text
// is cut.
func TestClipHidesTokens(t *testing.T) {
	token := "lkp_abc123" + strings.Repeat("Z", 32)
	if got, want := Clip("agent "+token+" x"), "agent lkp_abc123[hidden] x"; got != want {
		t.Errorf("Clip() = %q, want %q", got, want)
	}
	for before := range maxText + 10 {
		if got := Clip(strings.Repeat(".", before) + token + token); strings.Contains(got, strings.Repeat("Z", 8)) || len(got) > maxText {
			t.Errorf("Clip() of a token behind %d other bytes = %q, want no token and at most %d bytes", before, got, maxText)
		}
	}
	ctx := NewContext(t.Context(), Request{Agent: token, CorrelationID: token, Method: "GET", Path: "/a/" + token})
	e := Event(ctx, noon, nil, "login", Failed)
	e.Detail = Asked(ctx, "path:/a/"+token+":read")
	if got := fmt.Sprintf("%+v", e); strings.Contains(got, "ZZ") || strings.Count(got, "lkp_abc123[hidden]") != 4 {
		t.Errorf("the event %s, want the token hidden in four places", got)
	}
}

// S110
func TestPrintable(t *testing.T) {
	tests := []struct {
		text string
		want bool
	}{
		{"", true},
		{"Alice (é, 世界, 😀) \"'<>&", true},
		{"a b\u00a0c", true},
		{"a\nb", false},
		{"a\rb", false},
		{"a\tb", false},
		{"\x00", false},
		{"\x1b[31m", false},
		{"\x7f", false},
		{"\u0085", false},
		{"\u009b", false},
		{"\u2028", false},
		{"\u2029", false},
		{"\xff", false},
		{"a\xc3", false},
		{"\xed\xa0\x80", false},
		{"\ufffd", false},
		{"a lkp_" + strings.Repeat("Z", 38), false}, // S69
		{"bulky_goods", true},
	}
	for _, tt := range tests {
		if got := Printable(tt.text); got != tt.want {
			t.Errorf("Printable(%q) = %v, want %v", tt.text, got, tt.want)
		}
	}
}

// FuzzClip checks that what is kept can be shown, is short, and is what came
// when nothing was wrong with that (S110).
func FuzzClip(f *testing.F) {
	for _, seed := range []string{"", "plain", "a\nb", "\xff\xfe", strings.Repeat("é", 200), "\u2028", "\u202e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := Clip(text)
		if !Printable(got) || !utf8.ValidString(got) || len(got) > maxText {
			t.Errorf("Clip(%q) = %q, want at most %d bytes of printable text", text, got, maxText)
		}
		if Printable(text) && len(text) <= maxText && got != text {
			t.Errorf("Clip(%q) = %q, want it as it is", text, got)
		}
	})
}

// Ids sort by time, whatever is random in them.
func TestNewID(t *testing.T) {
	var made []string
	for _, at := range []time.Time{
		time.UnixMilli(0), time.UnixMilli(1), noon.Add(-time.Hour), noon, noon.Add(time.Millisecond), noon.Add(2 * time.Millisecond),
		noon.Add(time.Hour), noon.AddDate(1, 0, 0), noon.AddDate(500, 0, 0),
	} {
		for range 2 {
			made = append(made, NewID(at))
		}
	}
	for i := range made {
		if len(made[i]) != 26 || strings.Trim(made[i], "0123456789abcdefghjkmnpqrstvwxyz") != "" {
			t.Errorf("NewID() = %q, want 26 characters of base32", made[i])
		}
		for j := range made[:i] {
			if made[j] == made[i] || (j/2 < i/2 && made[j] > made[i]) {
				t.Errorf("NewID() = %q and then %q, want ids that sort by time", made[j], made[i])
			}
		}
	}
	same := make([]string, 1000)
	for i := range same {
		same[i] = NewID(noon)
	}
	slices.Sort(same)
	if n := len(slices.Compact(same)); n != 1000 {
		t.Errorf("1000 ids of one millisecond: %d different ones, want all", n)
	}
}
