package restapi_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/restapi"
)

var update = flag.Bool("update", false, "write what is made from the code instead of comparing it")

// TestReference keeps the table of routes in the documentation in step with
// the one that is served.
func TestReference(t *testing.T) {
	const file = "../../docs/reference/api.md"
	var b strings.Builder
	b.WriteString("# Routes of the native API\n\nMade from the code; [../api.md](../api.md) explains them. All paths are below `" + api.Prefix + "`. Of several scopes one is enough.\n\n")
	b.WriteString("| method | path | needs | query |\n|---|---|---|---|\n")
	for _, r := range restapi.Routes() {
		needs := "`" + strings.Join(r.Needs.Scopes(), "`, `") + "`"
		if r.Needs.Public() {
			needs = "no credential"
		}
		query := ""
		if len(r.Query) > 0 {
			query = "`" + strings.Join(r.Query, "` `") + "`"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", r.Method, r.Path, needs, query)
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(got)); diff != "" {
		t.Errorf("%s is not what the code says; run the test with -update (-want +got):\n%s", file, diff)
	}
}
