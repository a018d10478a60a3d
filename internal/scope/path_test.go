package scope

import (
	"math/rand/v2"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCleanPath(t *testing.T) {
	for raw, want := range map[string]string{ // "": not clean
		"/":                    "/",
		"/a/b":                 "/a/b",
		"/a/b/":                "/a/b/",
		"/a%20b":               "/a b",
		"/%61/%62":             "/a/b",
		"/a%C3%A9":             "/aé",
		"/é":                   "/é",
		"/a%3fb%23c":           "/a?b#c",
		"/a+b":                 "/a+b",
		"/a%2Ab":               "/a*b",
		"/...":                 "/...",
		"/a..b/.c/d.":          "/a..b/.c/d.",
		"/100%25":              "/100%",
		"/%25zz":               "/%zz",
		"":                     "",
		"a":                    "",
		"*":                    "",
		"http://h/a":           "",
		"//":                   "",
		"//a":                  "",
		"/a//b":                "",
		"/a/b//":               "",
		"/.":                   "",
		"/./a":                 "",
		"/..":                  "",
		"/a/..":                "",
		"/a/../b":              "",
		"/a/%2e%2E/b":          "",
		"/a/.%2e":              "",
		"/a/..;x/b":            "",
		"/a/.;/b":              "",
		"/a/;x/b":              "",
		"/a;x/b;y=1":           "",
		"/a%3bx":               "",
		"/a/%2e%2e%3bx/b":      "",
		"/a%2fb":               "",
		"/a%2Fb":               "",
		"/a\\b":                "",
		"/a%5cb":               "",
		"/a%00":                "",
		"/a\x00":               "",
		"/a%0d%0ab":            "",
		"/a%7f":                "",
		"/a%c2%85b":            "",
		"/a%ff":                "",
		"/a\xff":               "",
		"/a%c0%af":             "", // an overlong slash
		"/a%c0%ae%c0%ae/b":     "",
		"/%252e%252e/a":        "",
		"/a%252fb":             "",
		"/%25%32%65":           "",
		"/a%":                  "",
		"/a%2":                 "",
		"/a%g0":                "",
		"/a%u002e":             "",
		"/%2e%2e%2f%2e%2e%2fa": "",
	} {
		got, clean := CleanPath(raw)
		if clean != (want != "") || clean && got != want {
			t.Errorf("CleanPath(%q) = %q, %v, want %q", raw, got, clean, want)
		}
		if !clean && got != raw {
			t.Errorf("CleanPath(%q) = %q, want what is not clean unchanged", raw, got)
		}
	}
}

var (
	encodedSlash = regexp.MustCompile(`(?i)%2f`)
	encodedByte  = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	slashes      = regexp.MustCompile(`/+`)
	parameters   = regexp.MustCompile(`;[^/]*`)
)

// cleanReference is CleanPath in other words: with the standard library's
// decoder and cleaner.
func cleanReference(raw string) (string, bool) {
	name, err := url.PathUnescape(raw)
	switch {
	case err != nil, !strings.HasPrefix(raw, "/"), encodedSlash.MatchString(raw):
		return "", false
	case !utf8.ValidString(name), strings.ContainsAny(name, `\;`), strings.ContainsFunc(name, func(r rune) bool { return unicode.Is(unicode.Cc, r) }):
		return "", false
	case encodedByte.MatchString(name):
		return "", false
	case strings.HasSuffix(name, "//"), name != "/" && path.Clean(name) != strings.TrimSuffix(name, "/"):
		return "", false
	}
	return name, true
}

// tricks are pieces of paths that servers read in different ways.
var tricks = []string{
	"/", "/", "/", "//", "..", ".", "%2e", "%2E%2e", "%2f", "%2F", "%5c", `\`, "%00", "\x00", ";", ";x", "%3b", "pub", "pub", "PUB", "p%75b", "secret", "s", "x", "a",
	"%25", "%252e", "%252f", "2e", "2f", "%", "%c3%a9", "é", "%ff", "\xff", "%c0%ae", "\u2025", "\uff0e", "\uff0f", "\u2215", "*", "%2a", "?", "%3f", "#", "%23", " ", "%20", "%0a", "+",
}

func trickyPath(d *rand.Rand) string {
	var b strings.Builder
	b.WriteString([]string{"/", "/pub/", "/pub", "", "/pub/x/"}[d.IntN(5)])
	for range d.IntN(8) {
		b.WriteString(tricks[d.IntN(len(tricks))])
	}
	return b.String()
}

func TestCleanPathAgainstReference(t *testing.T) {
	d := rand.New(rand.NewPCG(3, 4))
	clean := 0
	for range rounds(100_000) {
		raw := trickyPath(d)
		got, ok := CleanPath(raw)
		want, wantOK := cleanReference(raw)
		if ok != wantOK || ok && got != want {
			t.Fatalf("CleanPath(%q) = %q, %v, want %q, %v", raw, got, ok, want, wantOK)
		}
		if ok {
			clean++
		}
	}
	if clean < rounds(3_000) {
		t.Errorf("%d paths were clean, too few to show anything", clean)
	}
}

// otherReadings are what servers behind a door may make of a path that the
// door has let through.
var otherReadings = []func(string) string{
	func(s string) string { // decoded, if it can be
		if d, err := url.PathUnescape(s); err == nil {
			return d
		}
		return s
	},
	func(s string) string { return parameters.ReplaceAllString(s, "") },
	func(s string) string { return strings.ReplaceAll(s, `\`, "/") },
	func(s string) string { return slashes.ReplaceAllString(s, "/") },
	func(s string) string { // without dots
		if strings.HasSuffix(s, "/") && s != "/" {
			return strings.TrimSuffix(path.Clean(s), "/") + "/"
		}
		return path.Clean(s)
	},
	func(s string) string { before, _, _ := strings.Cut(s, "\x00"); return before },
}

// S81: when a rule lets a path through, it lets through whatever a server may
// take that path for: decoded once or thrice, cleaned, with slashes merged or
// turned, without parameters, cut at NUL.
func TestNoReadingWidens(t *testing.T) {
	d := rand.New(rand.NewPCG(5, 6))
	type known struct {
		pattern string
		rule    Rule
		re      *regexp.Regexp
	}
	var rules []known
	for _, p := range []string{"/pub/*", "/pub*", "/pub/*/x", "/pub/x", "/*/x", "/p*b/*", "/pub/*.x", "/pub/x/*"} {
		rules = append(rules, known{p, mustParse(t, "path:"+p+":read"), reference(p)})
	}
	allowed := 0
	for range rounds(100_000) {
		raw := trickyPath(d)
		q := PathRequest("GET", raw)
		for _, k := range rules {
			if !k.rule.Allows(q) {
				continue
			}
			allowed++
			name, err := url.PathUnescape(raw)
			if err != nil {
				t.Fatalf("the rule for %s lets %q through, which cannot be decoded", k.pattern, raw)
			}
			for range 6 {
				name = otherReadings[d.IntN(len(otherReadings))](name)
				if !k.re.MatchString(name) {
					t.Fatalf("the rule for %s lets %q through, which can be read as %q", k.pattern, raw, name)
				}
			}
		}
	}
	if allowed < rounds(5_000) {
		t.Errorf("%d paths were let through, too few to show anything", allowed)
	}
}

// S81: case and lookalikes are other names.
func TestLookalikesAreOtherNames(t *testing.T) {
	r := mustParse(t, "path:/pub/*:read")
	for _, raw := range []string{"/PUB/a", "/Pub/a", "/ｐub/a", "/\uff50\uff55\uff42/a", "\uff0fpub\uff0fa", "/pub\uff0fa", "/pub\u2215a", "/pub\u2044a", "/рub/a", "/pub\u200b/a", "/pub%e2%80%8b/a", "/ pub/a", "/pub /a"} {
		if r.Allows(PathRequest("GET", raw)) {
			t.Errorf("the rule for /pub/* lets %q through", raw)
		}
	}
}

// FuzzCleanPath compares any path with the reference, and asks whether rules
// hold.
func FuzzCleanPath(f *testing.F) {
	for _, seed := range []string{"/", "/a/b/", "/a/../b", "/a%2e%2e/", "/a%252e", "/%c0%ae", "//", "/;/x", "/a\x00", "*", "/é%c3%a9"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, ok := CleanPath(raw)
		want, wantOK := cleanReference(raw)
		if ok != wantOK || ok && got != want {
			t.Fatalf("CleanPath(%q) = %q, %v, want %q, %v", raw, got, ok, want, wantOK)
		}
		q := PathRequest("GET", raw)
		if everything := mustParse(t, "path:/*:read"); !everything.Allows(q) {
			t.Errorf("the rule for all paths does not allow %q", raw)
		}
		if most := mustParse(t, "path:/*a*:read"); most.Allows(q) && (!ok || !strings.Contains(got, "a")) {
			t.Errorf("the rule /*a* allows %q", raw)
		}
		if r, err := Parse("path:" + raw + ":read"); err == nil && ok && !strings.Contains(raw, "*") && !r.Allows(q) {
			t.Errorf("the rule for %q does not allow it", raw)
		}
	})
}
