package scope

import (
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// slowMatch is what a pattern means, by trying every way to spread a name over
// its stars. The pieces are those between the stars, decoded.
func slowMatch(pieces []string, name string) bool {
	if len(pieces) == 1 {
		return name == pieces[0]
	}
	if !strings.HasPrefix(name, pieces[0]) {
		return false
	}
	rest := name[len(pieces[0]):]
	for skip := 0; skip <= len(rest); skip++ {
		if slowMatch(pieces[1:], rest[skip:]) {
			return true
		}
	}
	return false
}

var everyPath = regexp.MustCompile(`\A/?\*+\z`)

// pathAllowed is whether a rule for a path lets a request through, said in
// other words than the code's: from the pattern's text, with the standard
// library's decoder and cleaner.
func pathAllowed(pattern, raw string) bool {
	name, clean := cleanReference(raw)
	if everyPath.MatchString(pattern) {
		return true
	}
	pieces := strings.Split(pattern, "*")
	for i, p := range pieces {
		decoded, err := url.PathUnescape(p)
		if err != nil {
			return false
		}
		pieces[i] = decoded
	}
	return clean && slowMatch(pieces, name)
}

// TestTrickyPatternsAgainstReference compares rules and paths made of what
// servers read in different ways: dots, encoded and doubled slashes, NUL, case,
// lookalikes. A rule lets through exactly what the slow reference does.
// S81
func TestTrickyPatternsAgainstReference(t *testing.T) {
	d := rand.New(rand.NewPCG(81, 1))
	letThrough, rules := 0, 0
	for range rounds(8_000) {
		pattern := trickyPattern(d)
		rule, err := Parse("path:" + pattern + ":read")
		if err != nil {
			continue // what cannot be read is no rule
		}
		rules++
		for range 20 {
			raw := trickyPath(d)
			if d.IntN(3) == 0 { // near the pattern, so that some match
				raw = strings.ReplaceAll(pattern, "*", tricks[d.IntN(len(tricks))])
			}
			got, want := rule.Allows(PathRequest("GET", raw)), pathAllowed(pattern, raw)
			if got != want {
				t.Fatalf("the rule for %q lets %q through: %v, want %v", pattern, raw, got, want)
			}
			if got {
				letThrough++
			}
			if rule.Allows(PathRequest("POST", raw)) {
				t.Fatalf("the rule to read %q lets a write of %q through", pattern, raw)
			}
		}
	}
	if rules < rounds(800) || letThrough < rounds(800) {
		t.Errorf("%d rules let %d paths through, too few to show anything", rules, letThrough)
	}
}

// trickyPattern makes a pattern of the same pieces as trickyPath.
func trickyPattern(d *rand.Rand) string {
	var b strings.Builder
	b.WriteString([]string{"/", "/pub/", "/pub", "", "/*"}[d.IntN(5)])
	for range d.IntN(5) {
		if d.IntN(3) == 0 {
			b.WriteString("*")
			continue
		}
		b.WriteString([]string{"/", "pub", "PUB", "x", "a", "..", ".", "%2f", "//", "p%75b", "é", "%c3%a9", "%2a", "\uff0f", "%00", "secret"}[d.IntN(16)])
	}
	return b.String()
}

// The reference is right about what can be said in one line.
func TestSlowMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, raw string
		want         bool
	}{
		{"/pub/*", "/pub/x", true}, {"/pub/*", "/pub/", true}, {"/pub/*", "/pub", false}, {"/pub/*", "/secret", false},
		{"/pub/*", "/pub/../secret", false}, {"/pub/*", "/pub%2fx", false}, {"/pub/*", "/PUB/x", false}, {"/pub/*", "//pub/x", false},
		{"/*x*y", "/axbxy", true}, {"/*x*y", "/ayx", false}, {"/%61*", "/ab", true}, {"/%2a", "/*", true}, {"/%2a", "/b", false}, {"/*", "/a/../b", true},
	} {
		if got := pathAllowed(tt.pattern, tt.raw); got != tt.want {
			t.Errorf("pathAllowed(%q, %q) = %v, want %v", tt.pattern, tt.raw, got, tt.want)
		}
	}
}
