package scope_test

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/scope"
)

func rule(t testing.TB, text string) scope.Rule {
	t.Helper()
	r, err := scope.Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q) = %v", text, err)
	}
	return r
}

func set(t testing.TB, rules ...string) scope.Set {
	t.Helper()
	var s scope.Set
	for _, text := range rules {
		s = append(s, rule(t, text))
	}
	return s
}

// req splits "type:name:action" for a request.
func req(text string) scope.Request {
	first, last := strings.IndexByte(text, ':'), strings.LastIndexByte(text, ':')
	return scope.Request{Type: text[:first], Name: text[first+1 : last], Action: text[last+1:]}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"path:/pulp/content/*:read":           "",
		"path:/a:write,read":                  "path:/a:read,write",
		"path:/a:read,read":                   "path:/a:read",
		"path:/a:read,*":                      "path:/a:*",
		"path:*:*":                            "",
		"path:/a%20b/*:read":                  "",
		"repository:library/*:pull,push":      "",
		"repository:host:5000/team/app:pull":  "",
		"repository(plugin):library/app:pull": "repository:library/app:pull",
		"registry:catalog:*":                  "",
		"latchkey:tokens:read":                "",
		"*:*:*":                               "",
		"path:/ünï/*:read":                    "",
	} {
		if want == "" {
			want = text
		}
		got, err := scope.Parse(text)
		if err != nil || got.String() != want {
			t.Errorf("Parse(%q) = %q, %v, want %q", text, got.String(), err, want)
		}
		if again, err := scope.Parse(got.String()); err != nil || again.String() != got.String() {
			t.Errorf("Parse(%q) does not read its own form: %v", text, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", ":", "::", "a", "a:b", "path:/a:", "path::read", ":x:read", "path:/a:read,", "path:/a:,read", "Path:/a:read", "pa-th:/a:read",
		"path:a:read", "path:a/*:read", "path:/a:fly", "path:/a:READ", "latchkey:tokens:pull", "latchkey:tokens:rea*",
		"path:/a b:read", "path:/a\n:read", "path:/a\x00:read", "path:/a\xff:read", "path:/a\u2028:read", `path:/"a":read`, `path:/a\b:read`,
		"path:/a/../b:read", "path:/a/./b:read", "path:/a//b:read", "path:/..:read", "path:/a%2fb:read", "path:/a%2Fb:read", "path:/a%00:read", "path:/a%:read", "path:/a%zz:read", "path:/a/..;x/b:read",
		"repository(:a:pull", "repository():a:pull", "repository(A):a:pull", "*:a:*", "*:*:read", "*:a*:*",
		"path:/" + strings.Repeat("a", scope.MaxRuleLength) + ":read",
	} {
		if r, err := scope.Parse(text); !errors.Is(err, scope.ErrSyntax) {
			t.Errorf("Parse(%.60q) = %q, %v, want ErrSyntax", text, r.String(), err)
		}
	}
	if _, err := scope.ParseSet(make([]string, scope.MaxRules+1)); !errors.Is(err, scope.ErrSyntax) {
		t.Errorf("ParseSet() of too many rules = %v, want ErrSyntax", err)
	}
}

func TestAllows(t *testing.T) {
	for _, c := range []struct {
		rule, request string
		want          bool
	}{
		{"path:/a/*:read", "path:/a/b:read", true},
		{"path:/a/*:read", "path:/a/b/c:read", true},
		{"path:/a/*:read", "path:/a/:read", true},
		{"path:/a/*:read", "path:/a:read", false},
		{"path:/a/*:read", "path:/ab/c:read", false},
		{"path:/a/*:read", "path:/A/b:read", false},
		{"path:/a/*:read", "path:/x/a/b:read", false},
		{"path:/a/*:read", "path:/a/b:write", false},
		{"path:/a/*:*", "path:/a/b:other", true},
		{"path:/a/*:read,write,delete", "path:/a/b:other", false},
		{"path:/a:read", "path:/a:read", true},
		{"path:/a:read", "path:/a/:read", false},
		{"path:/*.rpm:read", "path:/x/y.rpm:read", true},
		{"path:/*.rpm:read", "path:/x/y.rpm/z:read", false},
		{"path:/a*b*c:read", "path:/aXbYc:read", true},
		{"path:/a*b*c:read", "path:/abc:read", true},
		{"path:/a*b*c:read", "path:/ac:read", false},
		{"path:/a*a:read", "path:/a:read", false}, // head and tail do not overlap
		{"path:/*:read", "path:/:read", true},
		{"path:/a%20b:read", "path:/a b:read", true},
		{"path:/a%2Ab:read", "path:/a*b:read", true},
		{"path:/a%2Ab:read", "path:/aXb:read", false}, // an encoded star is a star and nothing else
		{"*:*:*", "repository:x:pull", true},
		{"path:*:*", "latchkey:tokens:read", false},
		{"latchkey:tokens:*", "latchkey:all-tokens:read", false},
		{"repository:team/*:pull", "repository:team/a:push", false},
		{"registry:catalog:*", "registry:catalog:*", true},
	} {
		if got := rule(t, c.rule).Allows(req(c.request)); got != c.want {
			t.Errorf("%q allows %q = %v, want %v", c.rule, c.request, got, c.want)
		}
	}
	if (scope.Rule{}).Allows(scope.Request{}) {
		t.Error("the zero rule allows something")
	}
}

// S81: what several servers read differently is only within a rule for every
// path; nothing else is widened by it.
func TestOddPaths(t *testing.T) {
	narrow, wide := set(t, "path:/a/*:read"), set(t, "path:/*:read")
	for _, path := range []string{
		"/a/../b", "/a/..", "/a/./b", "/a/%2e%2e/b", "/a/%2E./b", "/a/..;x/b", "/a/.;/b", "/a//b", "//a/b", "/a/%2fb", "/a/%2F..%2fb", "/a/%5cb", `/a/\b`,
		"/a/%00", "/a/b%00c", "/a/%252e%252e/b", "/a/%", "/a/%4", "/a/%zz", "/a/%ff", "/a/\xff", "/a/%0a", "/a/%c2%85", "a/b", "", "*",
	} {
		q := scope.PathRequest("GET", path)
		if narrow.Allows(q) {
			t.Errorf("%q allows the odd path %q", narrow.String(), path)
		}
		if !wide.Allows(q) {
			t.Errorf("%q refuses the odd path %q", wide.String(), path)
		}
	}
	for _, path := range []string{"/a/b", "/a/b%20c", "/a/%7Eb", "/a/b+c", "/a/b;c", "/a/...", "/a/.b", "/a/b..", "/a/%C3%A9", "/a/b:c@d", "/a/"} {
		if !narrow.Allows(scope.PathRequest("GET", path)) {
			t.Errorf("%q refuses the plain path %q", narrow.String(), path)
		}
	}
	for _, path := range []string{"/\u0430/b", "/\uff41/b", "/A/b", "/%41/b", "/a\u200b/b"} { // lookalikes of /a/
		if narrow.Allows(scope.PathRequest("GET", path)) {
			t.Errorf("%q allows the lookalike %q", narrow.String(), path)
		}
	}
}

func TestMethodAction(t *testing.T) {
	for method, want := range map[string]string{
		"GET": "read", "HEAD": "read", "OPTIONS": "read", "POST": "write", "PUT": "write", "PATCH": "write", "DELETE": "delete",
		"PROPFIND": "other", "get": "other", "": "other",
	} {
		if got := scope.MethodAction(method); got != want {
			t.Errorf("MethodAction(%q) = %q, want %q", method, got, want)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		outer, inner []string
		want         bool
	}{
		{[]string{"path:/a/*:read"}, []string{"path:/a/b/*:read"}, true},
		{[]string{"path:/a/*:read"}, []string{"path:/a/*:read"}, true},
		{[]string{"path:/a/*:read"}, []string{"path:/a*:read"}, false},
		{[]string{"path:/a/*:read"}, []string{"path:/*:read"}, false},
		{[]string{"path:/a/*:read"}, []string{"path:/a/b:read,write"}, false},
		{[]string{"path:/a/*:read", "path:/a/*:write"}, []string{"path:/a/b:read,write"}, true},
		{[]string{"path:/a/*:*"}, []string{"path:/a/b:read"}, true},
		{[]string{"path:/a/*:read,write,delete"}, []string{"path:/a/b:*"}, false},
		{[]string{"*:*:*"}, []string{"path:/a:*", "repository:x:pull", "*:*:*"}, true},
		{[]string{"path:*:*"}, []string{"*:*:*"}, false},
		{[]string{"path:/*:*"}, []string{"path:*:*"}, true}, // every path begins with a slash
		{[]string{"path:*:*"}, []string{"path:/*:*"}, true},
		{[]string{"repository:a/*b:pull"}, []string{"repository:a/*/b:pull"}, true},
		{nil, []string{"path:/a:read"}, false},
		{nil, nil, true},
	} {
		if got := set(t, c.outer...).Covers(set(t, c.inner...)); got != c.want {
			t.Errorf("%q covers %q = %v, want %v", c.outer, c.inner, got, c.want)
		}
	}
}

func TestIntersect(t *testing.T) {
	for _, c := range []struct{ a, b, want []string }{
		{[]string{"path:/a/*:read,write"}, []string{"path:/a/b/*:*"}, []string{"path:/a/b/*:read,write"}},
		{[]string{"path:/a/*:read"}, []string{"*:*:*", "path:/*:*"}, []string{"path:/a/*:read"}},
		{[]string{"path:/a*:read"}, []string{"path:/*b:read"}, []string{}}, // an overlap is not said
		{[]string{"path:/a/*:read"}, []string{"path:/b/*:read"}, []string{}},
		{[]string{"path:/a/*:read"}, []string{"path:/a/*:write"}, []string{}},
		{nil, []string{"*:*:*"}, []string{}},
	} {
		if diff := cmp.Diff(c.want, scope.Intersect(set(t, c.a...), set(t, c.b...)).Strings()); diff != "" {
			t.Errorf("Intersect(%q, %q) (-want +got):\n%s", c.a, c.b, diff)
		}
	}
}

func TestMinimal(t *testing.T) {
	got := set(t, "path:/a/*:read", "*:*:*", "path:/*:*", "latchkey:self:*").Minimal().Strings()
	if diff := cmp.Diff([]string{"*:*:*"}, got); diff != "" {
		t.Errorf("Minimal() (-want +got):\n%s", diff)
	}
	twice := set(t, "path:/*:*", "path:*:*").Minimal().Strings()
	if diff := cmp.Diff([]string{"path:/*:*"}, twice); diff != "" {
		t.Errorf("Minimal() of two equal ones (-want +got):\n%s", diff)
	}
}

func TestGrantsThatCannotBeRead(t *testing.T) {
	got, err := scope.ParseGrants([]string{"nonsense", "path:/a:read"})
	if !errors.Is(err, scope.ErrSyntax) || len(got) != 1 {
		t.Errorf("ParseGrants() = %q, %v, want the good rule and ErrSyntax", got.Strings(), err)
	}
}

// words are names over a small alphabet, so that patterns and names meet often.
func word(r *rand.Rand, letters string, most int) string {
	var b strings.Builder
	for range r.IntN(most + 1) {
		b.WriteByte(letters[r.IntN(len(letters))])
	}
	return b.String()
}

// The matcher agrees with a regular expression made from the pattern.
func TestMatchAgreesWithReference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	hits := 0
	for range 200_000 {
		pattern, name := word(r, "ab*/", 7), word(r, "ab/", 9)
		got, err := scope.Parse("repository:" + pattern + ":pull")
		if err != nil {
			continue
		}
		reference := regexp.MustCompile(`(?s)\A` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `\z`)
		want := reference.MatchString(name)
		if want {
			hits++
		}
		if allows := got.Allows(scope.Request{Type: "repository", Name: name, Action: "pull"}); allows != want {
			t.Fatalf("%q allows %q = %v, want %v", got.String(), name, allows, want)
		}
	}
	if hits < 1000 {
		t.Errorf("only %d names matched: the test proves little", hits)
	}
}

// S78: Covers never says yes wrongly, and Intersect never allows what one of
// both does not.
func TestSetsAreSound(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	random := func() scope.Set {
		var s scope.Set
		for range 1 + r.IntN(3) {
			name := word(r, "ab*", 5)
			actions := []string{"pull", "push", "pull,push", "*"}[r.IntN(4)]
			if rule, err := scope.Parse("repository:" + name + ":" + actions); err == nil {
				s = append(s, rule)
			}
		}
		return s
	}
	covered, allowed := 0, 0
	for range 20_000 {
		a, b := random(), random()
		covers, both := a.Covers(b), scope.Intersect(a, b)
		if covers {
			covered++
		}
		for range 20 {
			q := scope.Request{Type: "repository", Name: word(r, "abc", 6), Action: []string{"pull", "push", "delete"}[r.IntN(3)]}
			if covers && b.Allows(q) && !a.Allows(q) {
				t.Fatalf("%q covers %q, but only the second allows %q", a.String(), b.String(), q)
			}
			if both.Allows(q) {
				allowed++
				if !a.Allows(q) || !b.Allows(q) {
					t.Fatalf("the intersection of %q and %q is %q, which allows %q", a.String(), b.String(), both.String(), q)
				}
			}
			if m := a.Minimal(); m.Allows(q) != a.Allows(q) {
				t.Fatalf("Minimal() of %q is %q: they differ about %q", a.String(), m.String(), q)
			}
		}
	}
	if covered < 100 || allowed < 100 {
		t.Errorf("%d sets covered, %d requests allowed: the test proves little", covered, allowed)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"path:/a/*:read", "*:*:*", "repository(plugin):h:5000/a:pull,push", "path:/a%2Ab:read", "::", "path:/..:read", "latchkey:tokens:*", "path:/a**b:read"} {
		f.Add(seed, "/a/b")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		r, err := scope.Parse(text)
		if err != nil {
			if !errors.Is(err, scope.ErrSyntax) {
				t.Fatalf("Parse(%q) = %v, want ErrSyntax", text, err)
			}
			return
		}
		again, err := scope.Parse(r.String())
		if err != nil || again.String() != r.String() {
			t.Fatalf("Parse(%q) gives %q, which gives %q, %v", text, r.String(), again.String(), err)
		}
		q := scope.PathRequest("GET", name)
		if r.Allows(q) != again.Allows(q) {
			t.Fatalf("%q and %q differ about %q", text, r.String(), name)
		}
		if !(scope.Set{r}).Covers(scope.Set{again}) {
			t.Fatalf("%q does not cover itself", r.String())
		}
	})
}

// FuzzCleanPath compares the reading of paths with one that is written
// differently: what is clean has no dot segment, no empty one and no separator
// in disguise, however often it is decoded.
func FuzzCleanPath(f *testing.F) {
	for _, seed := range []string{"/a/b", "/a/%2e%2e/b", "/a%2fb", "/%252e", "/a//b", "/a/..;/b", "/a/%c3%a9", "/%", "/a\\b", "/a/b/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		name, ok := scope.CleanPath(raw)
		if !ok {
			return
		}
		if strings.Count(name, "/") != strings.Count(raw, "/") || !strings.HasPrefix(name, "/") {
			t.Fatalf("CleanPath(%q) = %q: other segments", raw, name)
		}
		segments := strings.Split(name, "/")[1:]
		for i, s := range segments {
			bare, _, _ := strings.Cut(s, ";")
			if bare == "." || bare == ".." || s == "" && i < len(segments)-1 || strings.ContainsAny(s, "\x00\\\n\r") {
				t.Fatalf("CleanPath(%q) = %q is called clean", raw, name)
			}
		}
		if again, ok := scope.CleanPath(name); ok && again != name {
			t.Fatalf("CleanPath(%q) = %q, and that once more is %q", raw, name, again)
		}
	})
}

func BenchmarkAllows(b *testing.B) {
	s := set(b, "latchkey:tokens:*", "repository:library/*:pull", "path:/pulp/api/v3/*:read", "path:/pulp/content/prod/*:read")
	b.ReportAllocs()
	for b.Loop() {
		if !s.Allows(scope.PathRequest("GET", "/pulp/content/prod/repo/repodata/repomd.xml")) {
			b.Fatal("refused")
		}
	}
}
