package accounts

import (
	"regexp"
	"strings"
	"testing"
)

// Names given here are those that Django's rule for user names takes, as a
// regular expression says it.
func TestIsLocalName(t *testing.T) {
	rule := regexp.MustCompile(`^[\p{L}\p{N}@.+_-]{1,150}$`)
	names := []string{
		"", "a", "alice", "a.b+c_d-e@f", "Ünï", "名前", "٣", "Ⅷ", "x²", strings.Repeat("é", 150), strings.Repeat("é", 151), strings.Repeat("a", 150), strings.Repeat("a", 151),
		"a b", "a\n", "\na", "a/b", "a:b", "a,b", "a\x00", "\xff", "a\xffb", "\uFFFD", "a\u0301", "a\u200b", "a%", "*", "'", "😀",
	}
	for r := rune(0); r < 0x3000; r++ {
		names = append(names, "a"+string(r))
	}
	for _, name := range names {
		if got, want := isLocalName(name), rule.MatchString(name); got != want {
			t.Errorf("isLocalName(%q) = %v, want %v", name, got, want)
		}
	}
}
