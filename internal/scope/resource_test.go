package scope

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The grammar of the specification
// (https://distribution.github.io/distribution/spec/auth/scope/), as regular
// expressions. Splitting is greedy in the middle: the name has as many colons as
// are left.
var (
	referenceScope     = regexp.MustCompile(`\A([a-z0-9]+)(?:\([a-z0-9]+\))?:(?s:(.*)):([^:]*)\z`)
	referenceAction    = regexp.MustCompile(`\A(?:[a-z]*|\*)\z`)
	referenceComponent = `[a-z0-9]+(?:(?:[._]|__|-*)[a-z0-9]+)*`
	referenceHost      = `(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])`
	referenceName      = regexp.MustCompile(`\A(?:` + referenceHost + `(?:\.` + referenceHost + `)*(?::[0-9]+)?/)?` +
		referenceComponent + `(?:/` + referenceComponent + `)*\z`)
)

// referenceResources is ParseResources in other words.
func referenceResources(values []string) ([]Resource, bool) {
	type key struct{ typ, name string }
	var order []key
	found := map[key]*Resource{}
	for _, text := range strings.Split(strings.Join(values, " "), " ") {
		if text == "" {
			continue
		}
		m := referenceScope.FindStringSubmatch(text)
		if m == nil || len(text) > MaxRuleLength {
			return nil, false
		}
		k := key{m[1], m[2]}
		if found[k] == nil {
			found[k] = &Resource{Type: m[1], Name: m[2], Odd: !referenceName.MatchString(m[2])}
			order = append(order, k)
		}
		for _, action := range strings.Split(m[3], ",") {
			if !referenceAction.MatchString(action) {
				return nil, false
			}
			if action != "" && !slices.Contains(found[k].Actions, action) {
				found[k].Actions = append(found[k].Actions, action)
			}
		}
	}
	var list []Resource
	for _, k := range order {
		list = append(list, *found[k])
	}
	return list, len(list) <= MaxResources
}

// S95: names with hosts and ports, several resources in one value and in many,
// and the class.
func TestParseResources(t *testing.T) {
	repository := func(name string, actions ...string) Resource {
		return Resource{Type: "repository", Name: name, Actions: actions}
	}
	odd := func(r Resource) Resource { r.Odd = true; return r }
	for _, tt := range []struct {
		values []string
		want   []Resource
	}{
		{nil, nil},
		{[]string{"", "  "}, nil},
		{[]string{"repository:team/app:pull,push"}, []Resource{repository("team/app", "pull", "push")}},
		{[]string{"repository:localhost:5000/team/app:pull"}, []Resource{repository("localhost:5000/team/app", "pull")}},
		{[]string{"repository:Registry.Example.com:443/a:pull"}, []Resource{repository("Registry.Example.com:443/a", "pull")}},
		{[]string{"repository(plugin):a/b:pull"}, []Resource{repository("a/b", "pull")}},
		{[]string{"registry:catalog:*"}, []Resource{{Type: "registry", Name: "catalog", Actions: []string{"*"}}}},
		{[]string{"repository:a:pull repository:b:push"}, []Resource{repository("a", "pull"), repository("b", "push")}},
		{[]string{"repository:a:pull", "repository:b:push"}, []Resource{repository("a", "pull"), repository("b", "push")}},
		{[]string{"repository:a:pull  registry:catalog:*", "repository:a:push,pull"}, []Resource{repository("a", "pull", "push"), {Type: "registry", Name: "catalog", Actions: []string{"*"}}}},
		{[]string{"repository(plugin):a:pull repository:a:push"}, []Resource{repository("a", "pull", "push")}},
		{[]string{"repository:a:"}, []Resource{repository("a")}},
		{[]string{"repository:a:,pull,"}, []Resource{repository("a", "pull")}},
		{[]string{"thing:x:dance"}, []Resource{{Type: "thing", Name: "x", Actions: []string{"dance"}}}},
		{[]string{"repository:Team/App:pull"}, []Resource{odd(repository("Team/App", "pull"))}},
		{[]string{"repository:*:pull"}, []Resource{odd(repository("*", "pull"))}},
		{[]string{"repository:${account}/a:pull"}, []Resource{odd(repository("${account}/a", "pull"))}},
		{[]string{"repository:a/../b:pull"}, []Resource{odd(repository("a/../b", "pull"))}},
		{[]string{"repository:localhost:5000:pull"}, []Resource{odd(repository("localhost:5000", "pull"))}},
		{[]string{"repository::pull"}, []Resource{odd(repository("", "pull"))}},
	} {
		got, err := ParseResources(tt.values)
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("ParseResources(%q) = %v, -want +got:\n%s", tt.values, err, diff)
		}
	}
}

// S95: what is not of the form is refused as a whole.
func TestParseResourcesRefuses(t *testing.T) {
	for _, values := range [][]string{
		{"repository"}, {"repository:pull"}, {":a:pull"}, {"*:a:pull"}, {"Repository:a:pull"}, {"repository():a:pull"}, {"repository(x:a:pull"},
		{"repository:a:PULL"}, {"repository:a:pull;push"}, {"repository:a:pull2"}, {"repository:a:pull,**"}, {"repository:a:pull", "junk"},
		{"repository:" + strings.Repeat("a", MaxRuleLength) + ":pull"},
	} {
		if got, err := ParseResources(values); !errors.Is(err, ErrSyntax) || got != nil {
			t.Errorf("ParseResources(%q) = %v, %v, want ErrSyntax", values, got, err)
		}
	}
	var many strings.Builder
	for i := range MaxResources + 1 {
		many.WriteString("repository:a" + strings.Repeat("b", i) + ":pull ")
	}
	if _, err := ParseResources([]string{many.String()}); !errors.Is(err, ErrSyntax) {
		t.Errorf("ParseResources() of more than %d = %v, want ErrSyntax", MaxResources, err)
	}
}

// S95: what is granted for a resource is for its very name: whatever a rule
// allows, a name that no repository can have is marked.
func TestRepositoryNames(t *testing.T) {
	for _, name := range words("a-._/:0A", 5) {
		if got, want := isRepositoryName(name), referenceName.MatchString(name); got != want {
			t.Fatalf("isRepositoryName(%q) = %v, want %v", name, got, want)
		}
	}
}

// FuzzParseResources compares any two values with the reference (S95).
func FuzzParseResources(f *testing.F) {
	for _, seed := range [][2]string{
		{"repository:team/app:pull,push", ""}, {"repository:localhost:5000/a:pull registry:catalog:*", "repository(plugin):a:pull"},
		{"repository:a:pull", "repository:a:push"}, {"a:b:c:d:e", ":::"}, {"repository:a__b/c--d.e:*", "repository:a___b:,"},
		{"repository:A.b-c:0/a:pull", "repository:-a/b:pull"}, {"repository:${account}/*:pull", "*:*:*"}, {"repository:a\nb:pull", "x(y)(z):a:b"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		got, err := ParseResources([]string{a, b})
		want, ok := referenceResources([]string{a, b})
		if (err == nil) != ok {
			t.Fatalf("ParseResources(%q, %q) = %v, %v, want %v, %v", a, b, got, err, want, ok)
		}
		if !ok {
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("ParseResources(%q, %q), -want +got:\n%s", a, b, diff)
		}
		var texts []string
		for _, r := range got {
			texts = append(texts, r.String())
		}
		again, err := ParseResources(texts)
		if diff := cmp.Diff(got, again); diff != "" || err != nil {
			t.Fatalf("read back: %v, -want +got:\n%s", err, diff)
		}
	})
}
