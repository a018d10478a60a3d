package scope

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// reference is a pattern as a regular expression.
func reference(pattern string) *regexp.Regexp {
	parts := strings.Split(pattern, "*")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile(`(?s)\A` + strings.Join(parts, ".*") + `\z`)
}

// words returns all texts over an alphabet up to a length.
func words(alphabet string, most int) []string {
	all, last := []string{""}, []string{""}
	for range most {
		var next []string
		for _, w := range last {
			for _, c := range alphabet {
				next = append(next, w+string(c))
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

// S81: matching is anchored and what a regular expression says, for all short
// patterns and names.
func TestMatchIsWhatARegexpSays(t *testing.T) {
	names := words("abc", 5)
	for _, p := range words("ab*", 5)[1:] {
		r := mustParse(t, "repository:"+p+":pull")
		re := reference(p)
		for _, name := range names {
			if got, want := r.name.match(name), re.MatchString(name); got != want {
				t.Fatalf("the pattern %q matches %q: %v, want %v", p, name, got, want)
			}
		}
	}
}

// Covers is exact for one pattern and another: c stands for all that neither
// mentions.
func TestCoversIsExact(t *testing.T) {
	names := words("abc", 4)
	type known struct {
		text    string
		pattern pattern
		matches []bool
	}
	var all []known
	for _, p := range words("ab*", 4)[1:] {
		k := known{text: p, pattern: mustParse(t, "repository:"+p+":pull").name}
		for _, name := range names {
			k.matches = append(k.matches, k.pattern.match(name))
		}
		all = append(all, k)
	}
	for _, a := range all {
		for _, b := range all {
			want := true
			for i := range names {
				want = want && (a.matches[i] || !b.matches[i])
			}
			if got := a.pattern.covers(b.pattern); got != want {
				t.Fatalf("%q covers %q: %v, want %v", a.text, b.text, got, want)
			}
		}
	}
}

// dice makes random sets and requests that have to do with each other.
type dice struct{ *rand.Rand }

func (d dice) of(from ...string) string { return from[d.IntN(len(from))] }

func (d dice) set(t testing.TB) Set {
	var rules []string
	for range d.IntN(4) {
		name := ""
		for range 1 + d.IntN(4) {
			name += d.of("a", "b", "/", "*", "/a", "*/", "ab")
		}
		actions := d.of("read", "write", "delete", "read,write", "*")
		switch d.IntN(8) {
		case 0:
			rules = append(rules, "*:*:*")
		case 1:
			rules = append(rules, d.of("path:/*:", "path:*:", "path:/**:", "latchkey:*:")+actions)
		case 2:
			rules = append(rules, "repository:"+name+":"+d.of("pull", "push", "pull,push", "*"))
		default:
			rules = append(rules, "path:/"+name+":"+actions)
		}
	}
	set, _ := ParseGrants(rules) // some random paths are no paths
	return set
}

func (d dice) request() Request {
	name := ""
	for range d.IntN(5) {
		name += d.of("a", "b", "/", "ab", "c")
	}
	switch d.IntN(4) {
	case 0:
		return Request{Type: "repository", Name: name, Action: d.of("pull", "push", "*")}
	case 1:
		return Request{Type: "latchkey", Name: name, Action: d.of("read", "write")}
	}
	raw := "/" + name + d.of("", "", "/../a", "//")
	return PathRequest(d.of("GET", "POST", "DELETE", "LINK"), raw)
}

// Whatever Covers says yes to, it is so; and Intersect never allows more than
// both, nor less than what one allows where the other covers it.
func TestCoversAndIntersectAreSound(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(1, 2))}
	covered, met := 0, 0
	for range rounds(20_000) {
		a, b := d.set(t), d.set(t)
		both := Intersect(a, b)
		covers := a.Covers(b)
		if len(b) > 0 && covers {
			covered++
		}
		for range 20 {
			q := d.request()
			inA, inB := a.Allows(q), b.Allows(q)
			if covers && inB && !inA {
				t.Fatalf("%q covers %q, but only the second allows %+v", a, b, q)
			}
			if both.Allows(q) && !(inA && inB) {
				t.Fatalf("Intersect(%q, %q) = %q allows %+v, the sets %v and %v", a, b, both, q, inA, inB)
			}
			if covers && inB && !both.Allows(q) {
				t.Fatalf("Intersect(%q, %q) = %q leaves out %+v though the first covers the second", a, b, both, q)
			}
			if both.Allows(q) {
				met++
			}
		}
	}
	if covered < rounds(100) || met < rounds(1000) {
		t.Errorf("%d sets were covered and %d requests allowed by both, too few to show anything", covered, met)
	}
}

func TestCovers(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"*:*:*", "path:/a:read", true},
		{"*:*:*", "*:*:*", true},
		{"path:/*:*", "*:*:*", false},
		{"path:/*:*", "path:*:*", true},
		{"path:*:*", "path:/*:*", true},
		{"path:/**:*", "path:/*:*", true},
		{"path:/a*:*", "path:/*:*", false},
		{"path:/a/*:read,write", "path:/a/b/*:read", true},
		{"path:/a/*:read path:/a/*:write", "path:/a/b:read,write", true},
		{"path:/a/*:read", "path:/a/b:read,write", false},
		{"path:/a/*:read,write,delete", "path:/a/b:*", false},
		{"path:/a/*:*", "path:/a/b:*", true},
		{"path:/a/*:read", "path:/a:read", false},
		{"path:/a*:read path:/b*:read", "path:/*:read", false},
		{"repository:a*:pull", "path:/a:read", false},
		{"path:/%61:read", "path:/a:read", true},
		{"path:/a:read", "path:/%61:read", true},
		{"path:/%2a:read", "path:/*:read", false},
		{"path:/*:read", "path:/%2a:read", true},
		{"", "", true},
		{"path:/a:read", "", true},
		{"", "path:/a:read", false},
	} {
		if got := mustSet(t, strings.Fields(tt.a)...).Covers(mustSet(t, strings.Fields(tt.b)...)); got != tt.want {
			t.Errorf("%q covers %q: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

// A rule that speaks of all names allows odd ones too, and no other does.
func TestOddNames(t *testing.T) {
	odd := PathRequest("GET", "/a/../b")
	for rule, want := range map[string]bool{"*:*:*": true, "path:/**:read": true, "path:*:read": true, "path:/*:*": true, "path:/%2a:read": false, "path:/a*:read": false} {
		if got := mustParse(t, rule).Allows(odd); got != want {
			t.Errorf("%q allows an odd path: %v, want %v", rule, got, want)
		}
	}
}

func TestSetsOfRules(t *testing.T) {
	many := strings.Fields(strings.Repeat("path:/a:read ", MaxRules+1))
	if set, err := ParseSet(many[1:]); err != nil || len(set) != MaxRules {
		t.Errorf("ParseSet() of %d rules = %d, %v", MaxRules, len(set), err)
	}
	if set, err := ParseSet(many); !errors.Is(err, ErrSyntax) || set != nil {
		t.Errorf("ParseSet() of %d rules = %d, %v, want ErrSyntax", len(many), len(set), err)
	}
	if set, err := ParseSet([]string{"path:/a:read", "junk"}); !errors.Is(err, ErrSyntax) || set != nil {
		t.Errorf("ParseSet() with junk = %v, %v, want nothing and ErrSyntax", set, err)
	}
	set, err := ParseGrants(append([]string{"junk", "worse"}, many...))
	if !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), "junk") || len(set) != len(many) {
		t.Errorf("ParseGrants() with junk = %d rules, %v, want %d and the first error", len(set), err, len(many))
	}
}

// Matching allocates nothing: it is done at every request.
func TestAllowsDoesNotAllocate(t *testing.T) {
	set := mustSet(t, "path:/pulp/content/*/x/*:read", "repository:a*b*c:pull", "path:/pulp/*:read")
	if n := testing.AllocsPerRun(100, func() {
		if !set.Allows(PathRequest("GET", "/pulp/api/v3/status/")) {
			t.Error("Allows() = false")
		}
	}); n != 0 {
		t.Errorf("Allows() allocates %v times, want 0", n)
	}
}

func TestIntersect(t *testing.T) {
	for _, tt := range []struct{ a, b, want string }{
		{"path:/a/*:read,write", "path:/*:read", "path:/a/*:read"},
		{"path:/*:read", "path:/a/*:read,write", "path:/a/*:read"},
		{"*:*:*", "path:/a:read repository:*:pull", "path:/a:read repository:*:pull"},
		{"path:/a:read", "path:/a:write", ""},
		{"path:/a:read", "repository:a:pull", ""},
		{"path:/a*:read", "path:/*a:read", ""}, // overlap without covering
		{"path:/a:* path:/a:read", "path:/*:*", "path:/a:*"},
		{"path:*:*", "path:/*:read", "path:/*:read"},
		{"path:/a:read path:/a:read", "path:/a:read", "path:/a:read"},
		{"", "path:/a:read", ""},
		{"*:*:*", "*:*:*", "*:*:*"},
	} {
		got := Intersect(mustSet(t, strings.Fields(tt.a)...), mustSet(t, strings.Fields(tt.b)...)).String()
		if got != tt.want {
			t.Errorf("Intersect(%q, %q) = %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}

// FuzzMatch compares any pattern and name with the reference.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{{"a", "a"}, {"*", ""}, {"a*b*c", "a.b.c"}, {"**", "x"}, {"library/*", "library/a/b"}, {"é*", "é\n"}, {"*a*a*", "aaa"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, p, name string) {
		r, err := Parse("repository:" + p + ":pull")
		if err != nil || strings.Contains(name, star) {
			return
		}
		if got, want := r.Allows(Request{Type: "repository", Name: name, Action: "pull"}), reference(p).MatchString(name); got != want {
			t.Errorf("the pattern %q matches %q: %v, want %v", p, name, got, want)
		}
		if !r.name.covers(r.name) || !(Set{r}).Covers(Set{r}) {
			t.Errorf("%q does not cover itself", p)
		}
	})
}

// FuzzParse reads back what was read, in one canonical form, with the same
// meaning.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "*:*:*", "path:/a/*:read,write", "path:/%61%20*:read", "repository(plugin):localhost:5000/a:pull,push,pull",
		"registry:catalog:*", "path:/a/../b:read", "path:/a%2fb:read", "latchkey:tokens:read", "a:b:c:d:e", "path:/a:b:*,read",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			if r.String() != "" || r.Allows(Request{Type: r.typ}) {
				t.Errorf("Parse(%q) = %v with an error", text, r)
			}
			return
		}
		again, err := Parse(r.String())
		if err != nil || again.String() != r.String() {
			t.Fatalf("Parse(%q) = %q, which reads back as %q, %v", text, r, again, err)
		}
		if !(Set{r}).Covers(Set{again}) || !(Set{again}).Covers(Set{r}) {
			t.Errorf("%q and %q do not cover each other", text, again)
		}
		if !slices.IsSorted(r.actions) || len(slices.Compact(slices.Clone(r.actions))) != len(r.actions) {
			t.Errorf("Parse(%q) has the actions %q, want them sorted and once each", text, r.actions)
		}
		if strings.ContainsAny(fmt.Sprint(r), " \"\\\n\r\t") {
			t.Errorf("Parse(%q) = %q, which cannot stand in a header", text, r)
		}
	})
}

// rounds returns n, or a tenth of it in a short run.
func rounds(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}
