package scope

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustParse(t testing.TB, text string) Rule {
	t.Helper()
	r, err := Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q) = %v", text, err)
	}
	return r
}

func mustSet(t testing.TB, rules ...string) Set {
	t.Helper()
	var s Set
	for _, text := range rules {
		s = append(s, mustParse(t, text))
	}
	return s
}

// req splits "type:name:action" for a request.
func req(text string) Request {
	first, last := strings.IndexByte(text, ':'), strings.LastIndexByte(text, ':')
	return Request{Type: text[:first], Name: text[first+1 : last], Action: text[last+1:]}
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
		got, err := Parse(text)
		if err != nil || got.String() != want {
			t.Errorf("Parse(%q) = %q, %v, want %q", text, got.String(), err, want)
		}
		if again, err := Parse(got.String()); err != nil || again.String() != got.String() {
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
		"path:/" + strings.Repeat("a", MaxRuleLength) + ":read",
	} {
		if r, err := Parse(text); !errors.Is(err, ErrSyntax) {
			t.Errorf("Parse(%.60q) = %q, %v, want ErrSyntax", text, r.String(), err)
		}
	}
	if _, err := ParseSet(make([]string, MaxRules+1)); !errors.Is(err, ErrSyntax) {
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
		if got := mustParse(t, c.rule).Allows(req(c.request)); got != c.want {
			t.Errorf("%q allows %q = %v, want %v", c.rule, c.request, got, c.want)
		}
	}
	if (Rule{}).Allows(Request{}) {
		t.Error("the zero rule allows something")
	}
}

func TestMethodAction(t *testing.T) {
	for method, want := range map[string]string{
		"GET": "read", "HEAD": "read", "OPTIONS": "read", "POST": "write", "PUT": "write", "PATCH": "write", "DELETE": "delete",
		"PROPFIND": "other", "get": "other", "": "other",
	} {
		if got := MethodAction(method); got != want {
			t.Errorf("MethodAction(%q) = %q, want %q", method, got, want)
		}
	}
}

func TestMinimal(t *testing.T) {
	got := mustSet(t, "path:/a/*:read", "*:*:*", "path:/*:*", "latchkey:self:*").Minimal().Strings()
	if diff := cmp.Diff([]string{"*:*:*"}, got); diff != "" {
		t.Errorf("Minimal() (-want +got):\n%s", diff)
	}
	twice := mustSet(t, "path:/*:*", "path:*:*").Minimal().Strings()
	if diff := cmp.Diff([]string{"path:/*:*"}, twice); diff != "" {
		t.Errorf("Minimal() of two equal ones (-want +got):\n%s", diff)
	}
}

func TestGrantsThatCannotBeRead(t *testing.T) {
	got, err := ParseGrants([]string{"nonsense", "path:/a:read"})
	if !errors.Is(err, ErrSyntax) || len(got) != 1 {
		t.Errorf("ParseGrants() = %q, %v, want the good rule and ErrSyntax", got.Strings(), err)
	}
}

func BenchmarkAllows(b *testing.B) {
	s := mustSet(b, "latchkey:tokens:*", "repository:library/*:pull", "path:/pulp/api/v3/*:read", "path:/pulp/content/prod/*:read")
	b.ReportAllocs()
	for b.Loop() {
		if !s.Allows(PathRequest("GET", "/pulp/content/prod/repo/repodata/repomd.xml")) {
			b.Fatal("refused")
		}
	}
}
