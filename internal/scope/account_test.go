package scope

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFor(t *testing.T) {
	set := mustSet(t, "path:/a:read", "repository:${account}/*:pull,push", "repository:mirror/${account}-${account}:pull", "repository:b:pull")
	for _, tt := range []struct {
		account string
		want    []string
	}{
		{"alice", []string{"path:/a:read", "repository:alice/*:pull,push", "repository:mirror/alice-alice:pull", "repository:b:pull"}},
		{"ci.bot_2--x", []string{"path:/a:read", "repository:ci.bot_2--x/*:pull,push", "repository:mirror/ci.bot_2--x-ci.bot_2--x:pull", "repository:b:pull"}},
	} {
		if diff := cmp.Diff(tt.want, set.For(tt.account).Strings()); diff != "" {
			t.Errorf("For(%q), -want +got:\n%s", tt.account, diff)
		}
	}
	// Names that would be a pattern, several parts, or somebody else's place.
	for _, account := range []string{"", "*", "a*", "a/b", "..", ".", "Alice", "alice@example.org", "a:b", "-a", "a b", "${account}", "a___b"} {
		if diff := cmp.Diff([]string{"path:/a:read", "repository:b:pull"}, set.For(account).Strings()); diff != "" {
			t.Errorf("For(%q), -want +got:\n%s", account, diff)
		}
	}
	plain := mustSet(t, "path:/a:read")
	if got := plain.For(""); &got[0] != &plain[0] {
		t.Error("For() of rules without the variable copies them")
	}
}

// As long as it has no name, the variable matches nothing, and only a rule for
// whatever name there will be covers it.
func TestVariableIsAnyName(t *testing.T) {
	r := mustParse(t, "repository:${account}/*:pull")
	for _, name := range []string{"alice/app", "${account}/app", "account/app"} {
		resource, err := ParseResource("repository:" + name + ":pull")
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Allows(Request{Type: "repository", Name: name, Action: "pull", Odd: resource.Odd}); got {
			t.Errorf("%s allows pulling %s", r, name)
		}
	}
	for rule, want := range map[string]bool{
		"*:*:*": true, "repository:*:pull": true, "repository:*/*:pull": true, "repository:${account}/*:pull": true,
		"repository:*a*/*:pull": false, "repository:a*:pull": false, "repository:alice/*:pull": false, "repository:*:push": false,
		"repository:${account}*:pull": false, "repository:*account*:pull": false,
	} {
		if got := (Set{mustParse(t, rule)}).Covers(Set{r}); got != want {
			t.Errorf("%s covers %s: %v, want %v", rule, r, got, want)
		}
	}
	if !(Set{r}).Touches(mustParse(t, "repository:alice/app:pull")) {
		t.Errorf("%s does not touch what it may be about", r)
	}
	for _, text := range []string{"repository:${acount}/*:pull", "repository:$account/*:pull", "repository:{account}:pull", "repository:${account:pull", "repository:$${account}:pull"} {
		if _, err := Parse(text); !errors.Is(err, ErrSyntax) {
			t.Errorf("Parse(%q) = %v, want ErrSyntax", text, err)
		}
	}
}
