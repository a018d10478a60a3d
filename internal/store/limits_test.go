package store

import (
	"errors"
	"net/netip"
	"sort"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPrefixEnd(t *testing.T) {
	tests := []struct {
		prefix, end string
		ok          bool
	}{
		{"", "", false},
		{"a", "b", true},
		{"ab", "ac", true},
		{"a\x7f", "a\u0080", true},
		{"é", "ê", true},
		{"\uD7FF", "\uE000", true},
		{"a\U0010FFFF", "b", true},
		{"\U0010FFFF", "", false},
	}
	for _, tt := range tests {
		end, ok := PrefixEnd(tt.prefix)
		if end != tt.end || ok != tt.ok {
			t.Errorf("PrefixEnd(%q) = %q, %v, want %q, %v", tt.prefix, end, ok, tt.end, tt.ok)
		}
	}
}

func FuzzPrefixEnd(f *testing.F) {
	f.Add("a", "z")
	f.Add("caf\u00e9", "\U0010FFFF")
	f.Add("\uD7FF", "\uE000")
	f.Fuzz(func(t *testing.T, prefix, rest string) {
		if !Storable(prefix, rest) {
			t.Skip()
		}
		end, ok := PrefixEnd(prefix)
		if !ok {
			return
		}
		if !utf8.ValidString(end) {
			t.Errorf("PrefixEnd(%q) = %q, want valid UTF-8", prefix, end)
		}
		if got := []string{prefix, prefix + rest, end}; !sort.StringsAreSorted(got) || prefix+rest == end {
			t.Errorf("PrefixEnd(%q) = %q, want more than %q", prefix, end, prefix+rest)
		}
		if strings.HasPrefix(end, prefix) {
			t.Errorf("PrefixEnd(%q) = %q, want a text without the prefix", prefix, end)
		}
	})
}

func FuzzClean(f *testing.F) {
	f.Add("curl/8", "key", "value")
	f.Add("\x00\xff", "\x00", "\xc3")
	f.Add(strings.Repeat("ü", MaxKey), "", strings.Repeat("€", maxDetail))
	f.Fuzz(func(t *testing.T, agent, key, value string) {
		e := Event{Agent: agent, Target: value, Detail: map[string]string{key: value}}.Clean()
		if !Storable(e.Agent, e.Target) {
			t.Errorf("Event.Clean of agent %q, target %q is not storable: %q, %q", agent, value, e.Agent, e.Target)
		}
		if e.Count != 1 || !cleanMap(e.Detail) || tooLong(e.Detail) {
			t.Errorf("Event.Clean of detail %q: %q is %q with count %d", key, value, e.Detail, e.Count)
		}
		if u := (Use{Agent: agent}).Clean(); !Storable(u.Agent) {
			t.Errorf("Use.Clean of agent %q is not storable: %q", agent, u.Agent)
		}
		if Storable(agent) && e.Agent != agent {
			t.Errorf("Event.Clean changed the good agent %q to %q", agent, e.Agent)
		}
	})
}

func TestCheck(t *testing.T) {
	long := strings.Repeat("x", MaxKey+1)
	tests := []struct {
		name string
		err  error
		ok   bool
	}{
		{"good token", Token{ID: "t", AccountID: "a", Name: "ключ 🔑"}.Check(), true},
		{"token without id", Token{}.Check(), false},
		{"token with a zero byte", Token{ID: "t", Name: "a\x00b"}.Check(), false},
		{"token with bad label", Token{ID: "t", Labels: map[string]string{"k": "\xff"}}.Check(), false},
		{"token with bad scope", Token{ID: "t", Scope: []string{"\xff"}}.Check(), false},
		{"token with bad range", Token{ID: "t", CIDRs: []netip.Prefix{{}}}.Check(), false},
		{"token with a long name", Token{ID: "t", Name: long}.Check(), true},
		{"token with a long slot", Token{ID: "t", Slot: long}.Check(), false},
		{"good secret", Secret{TokenID: "t", Digest: make([]byte, 32)}.Check(), true},
		{"secret without digest", Secret{TokenID: "t"}.Check(), false},
		{"secret without token", Secret{Digest: make([]byte, 32)}.Check(), false},
		{"good account", Account{ID: "a", Name: "älice"}.Check(), true},
		{"account with bad name", Account{ID: "a", Name: "\xc3"}.Check(), false},
		{"account with bad note", Account{ID: "a", Note: "\x00"}.Check(), false},
		{"good group", Group{Name: "g"}.Check(), true},
		{"group without name", Group{}.Check(), false},
		{"good grant", Grant{ID: "r", Group: "g", Scope: "path:/:read"}.Check(), true},
		{"grant for nobody", Grant{ID: "r"}.Check(), false},
		{"grant for two", Grant{ID: "r", Group: "g", AccountID: "a"}.Check(), false},
		{"grant with a long rule", Grant{ID: "r", Group: "g", Scope: long}.Check(), false},
		{"no limit", CheckLimit(0), false},
		{"a limit", CheckLimit(1), true},
	}
	for _, tt := range tests {
		if (tt.err == nil) != tt.ok || (!tt.ok && !errors.Is(tt.err, ErrInvalid)) {
			t.Errorf("%s: Check() = %v, want ok %v or ErrInvalid", tt.name, tt.err, tt.ok)
		}
	}
}
