package securitydoc_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/securitydoc"
)

var update = flag.Bool("update", false, "write the page")

// TestReference keeps the page in step with the tests.
func TestReference(t *testing.T) {
	const root, page = "../..", "../../docs/security.md"
	named, err := securitydoc.Tests(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	if len(named) < 50 {
		t.Fatalf("%d statements are named by tests, which cannot be all", len(named))
	}
	for _, p := range securitydoc.Problems(named) {
		t.Error(p)
	}
	want := securitydoc.Page(named)
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not what the tests say; run make docs (-want +got):\n%s", page, diff)
	}
}

// The statements are all there, once each and in order.
func TestStatements(t *testing.T) {
	next := 1
	for _, c := range securitydoc.Chapters() {
		if c.Title == "" || len(c.Statements) == 0 {
			t.Errorf("the chapter %q has %d statements", c.Title, len(c.Statements))
		}
		for _, s := range c.Statements {
			if want := fmt.Sprintf("S%02d", next); s.ID != want {
				t.Errorf("the statement after S%02d is %s, want %s", next-1, s.ID, want)
			}
			next++
			if s.Text == "" || strings.ContainsAny(s.Text+s.Absent+s.Note, "|\n") {
				t.Errorf("%s says %q, %q, %q: want text that fits into a table", s.ID, s.Text, s.Absent, s.Note)
			}
		}
	}
	if next != 117 {
		t.Errorf("the last statement is S%02d, want S116", next-1)
	}
}

// The reader finds a number wherever a test may name it, and follows helpers.
func TestTests(t *testing.T) {
	src := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte("package p\n" + text)} }
	named, err := securitydoc.Tests(fstest.MapFS{
		"a/x_test.go": src(`
// S01: in the comment.
func TestComment() {}

func TestBody() {
	// S02
	_ = "S03: in a text"
	helper()
}

func helper() { deeper() } // S99 is outside of all
// deeper shows S06.
func deeper() { _ = table }

// S07
var table = 1

func unused() {} 
// TestMain is none. S08
func TestMain() {}
func FuzzIt() { helper(); TestComment() }
`),
		"a/production.go":      src("// S50\nfunc f() {}"),
		"a/testdata/y_test.go": src("// S51\nfunc TestNothing() {}"),
		".git/z_test.go":       src("// S52\nfunc TestNothing() {}"),
		"b/x_test.go":          src("// S01, S06\nfunc TestOther() {}\nfunc TestNone() { deeper() }"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]securitydoc.Test{
		"S01": {{"a", "TestComment"}, {"b", "TestOther"}},
		"S02": {{"a", "TestBody"}},
		"S03": {{"a", "TestBody"}},
		"S06": {{"a", "FuzzIt"}, {"a", "TestBody"}, {"b", "TestOther"}},
		"S07": {{"a", "FuzzIt"}, {"a", "TestBody"}},
	}
	if diff := cmp.Diff(want, named); diff != "" {
		t.Errorf("Tests() (-want +got):\n%s", diff)
	}
	if _, err := securitydoc.Tests(fstest.MapFS{"a/x_test.go": src("func {")}); err == nil {
		t.Error("Tests() of what is no Go = no error")
	}
}

// What is wrong is said.
func TestProblems(t *testing.T) {
	named := map[string][]securitydoc.Test{"S199": {{"p", "TestIt"}}}
	for _, c := range securitydoc.Chapters() {
		for _, s := range c.Statements {
			named[s.ID] = []securitydoc.Test{{"p", "TestIt"}}
		}
	}
	delete(named, "S68")
	got := strings.Join(securitydoc.Problems(named), "\n")
	for _, want := range []string{"S68 is named by no test", "S199, which does not exist", "S03 is shown by TestIt now"} {
		if !strings.Contains(got, want) {
			t.Errorf("Problems() = %s\nwant %q among them", got, want)
		}
	}
	if page := securitydoc.Page(named); !strings.Contains(page, "| S99 |") || !strings.Contains(page, "`p`: TestIt") {
		t.Errorf("Page() = %s", page)
	}
}
