package scope

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whether two patterns overlap is exact: c stands for all that neither
// mentions, and the names are long enough for what lies between the stars.
func TestTouchesIsExact(t *testing.T) {
	names := words("abc", 7)
	texts := words("ab*", 3)[1:]
	matches := map[string]map[string]bool{}
	for _, p := range texts {
		re := reference(p)
		matches[p] = map[string]bool{}
		for _, name := range names {
			if name != "" && re.MatchString(name) {
				matches[p][name] = true
			}
		}
	}
	for _, p := range texts {
		for _, q := range texts {
			want := false
			for name := range matches[p] {
				if want = matches[q][name]; want {
					break
				}
			}
			got := mustSet(t, "repository:"+p+":pull").Touches(mustParse(t, "repository:"+q+":pull"))
			if got != want {
				t.Fatalf("%q touches %q: %v, want %v", p, q, got, want)
			}
		}
	}
}

func TestTouches(t *testing.T) {
	for _, c := range []struct {
		set, rule string
		want      bool
	}{
		{"path:/a/*:read", "path:/a/b/*:read,write", true},
		{"path:/a/*:read", "path:/a/*:write", false},
		{"path:/a/*:read", "path:/*/b:*", true},
		{"path:/a/*:read", "path:/b/*:read", false},
		{"path:/a:read", "path:/*:read", true},
		{"*:*:*", "repository:x:pull", true},
		{"repository:x:pull", "*:*:*", true},
		{"path:*:*", "latchkey:tokens:read", false},
		{"latchkey:tokens:*", "latchkey:*:delete", true},
	} {
		if got := mustSet(t, c.set).Touches(mustParse(t, c.rule)); got != c.want {
			t.Errorf("%q touches %q = %v, want %v", c.set, c.rule, got, c.want)
		}
	}
	if (Set{}).Touches(mustParse(t, "*:*:*")) || (Set{Rule{}}).Touches(mustParse(t, "*:*:*")) {
		t.Error("nothing touches something")
	}
}

// S80: what names the rule says the same as what decides, for any set and
// request.
func TestFindSaysWhatDecides(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(7, 8))}
	for range rounds(20_000) {
		s, q := d.set(t), d.request()
		rule, ok := s.Find(q)
		if ok != s.Allows(q) || ok && !rule.Allows(q) {
			t.Fatalf("Find(%v) in %q = %q, %v; Allows() = %v", q, s, rule, ok, s.Allows(q))
		}
		for _, r := range d.set(t) {
			by, missing, ok := s.FindCover(r)
			if ok != s.Covers(Set{r}) || ok != (missing.String() == "" || len(missing.actions) == 0) || ok && !by.Covers(Set{r}) {
				t.Fatalf("FindCover(%q) in %q = %q, missing %q, %v; Covers() = %v", r, s, by, missing, ok, s.Covers(Set{r}))
			}
		}
	}
}

func TestFindCover(t *testing.T) {
	s := mustSet(t, "path:/a/*:read", "path:/*:write")
	by, missing, ok := s.FindCover(mustParse(t, "path:/a/b:delete,read,write"))
	if diff := cmp.Diff([]string{"path:/a/*:read", "path:/*:write"}, by.Strings()); diff != "" || ok || missing.String() != "path:/a/b:delete" {
		t.Errorf("FindCover() = missing %q, %v, want path:/a/b:delete; by (-want +got):\n%s", missing, ok, diff)
	}
}
