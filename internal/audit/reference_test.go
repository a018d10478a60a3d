package audit_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/audit"
)

var update = flag.Bool("update", false, "write what is made from the code instead of comparing it")

// S109: the table of actions and reasons in the documentation is that of the
// code, without which no event can be written.
func TestReference(t *testing.T) {
	const file = "../../docs/reference/audit.md"
	if *update {
		if err := os.WriteFile(file, []byte(reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(reference(), string(got)); diff != "" {
		t.Errorf("%s is not what the code says; run the test with -update (-want +got):\n%s", file, diff)
	}
}

func reference() string {
	var b strings.Builder
	b.WriteString("# Events of the audit log\n\nMade from the code; [../audit.md](../audit.md) explains them.\n\n## Actions\n\n")
	b.WriteString("| action | what happened | target | outcomes | reasons of its own |\n|---|---|---|---|---|\n")
	for _, a := range audit.Actions() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", a.Name, a.Meaning, a.Target, strings.Join(a.Outcomes, ", "), strings.Join(a.Reasons, ", "))
	}
	b.WriteString("\n## Reasons\n\n| reason | why |\n|---|---|\n")
	for _, r := range audit.Reasons() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.Name, r.Meaning)
	}
	return b.String()
}

func TestActions(t *testing.T) {
	known := map[string]bool{}
	for _, r := range audit.Reasons() {
		if known[r.Name] || r.Meaning == "" {
			t.Errorf("reason %q is there twice or means nothing", r.Name)
		}
		known[r.Name] = true
	}
	seen := map[string]bool{}
	for _, a := range audit.Actions() {
		if seen[a.Name] || a.Meaning == "" || len(a.Outcomes) == 0 {
			t.Errorf("action %q is there twice, means nothing or has no outcomes", a.Name)
		}
		seen[a.Name] = true
		if i := slices.IndexFunc(a.Reasons, func(r string) bool { return !known[r] }); i >= 0 {
			t.Errorf("action %q has the reason %q, which is not explained", a.Name, a.Reasons[i])
		}
		if err := audit.Check(a.Name); err != nil {
			t.Errorf("Check(%q) = %v, want no error", a.Name, err)
		}
	}
	if audit.Check("token.polish") == nil || audit.Check("") == nil {
		t.Error("Check() of no action = nil, want an error")
	}
}
