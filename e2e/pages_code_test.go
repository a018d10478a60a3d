//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
)

// What stands around the code of docs/go.md.
const (
	moduleAround = `module example.org/reports

go 1.26

require github.com/latchkey-auth/latchkey v0.0.0

replace github.com/latchkey-auth/latchkey => %s
`
	serviceAround = `package main

import (
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/latchkey-auth/latchkey/guard"
)

func main() {
	reports := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		%s
		fmt.Fprintln(w, id.Account, id.Kind, id.TokenID, id.Scope())
	})
	%s
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
`
	testAround = `package main

import (
	"testing"

	"github.com/latchkey-auth/latchkey/guard"
	"github.com/latchkey-auth/latchkey/latchkeytest"
)

%s`
)

// TestGoPage builds a service of the code in docs/go.md, asks it, and runs the
// page's test. The code of docs/assertion.md takes another module, and is only
// read.
func TestGoPage(t *testing.T) {
	code := blocks(t, "docs/go.md", "go")
	if len(code) != 3 {
		t.Fatalf("docs/go.md has %d blocks of Go, want those of the service, its handler and its test", len(code))
	}
	s := serve(t, serveOptions{})
	folder := t.TempDir()
	repository, err := filepath.Abs(root)
	must(t, err)
	for name, text := range map[string]string{
		"main.go":      fmt.Sprintf(serviceAround, code[1].text, strings.ReplaceAll(code[0].text, "https://latchkey.example", s.url)),
		"main_test.go": fmt.Sprintf(testAround, code[2].text),
		"go.mod":       fmt.Sprintf(moduleAround, repository),
		"go.sum":       readFile(t, filepath.Join(root, "go.sum")),
	} {
		must(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	goCommand(t, folder, "build", "-o", "service", ".")
	goCommand(t, folder, "test", ".")

	checker := s.robot(t, "reports", "latchkey:check:read")
	mine := s.token(t, s.admin(), api.CreateToken{Scope: []string{"path:/reports/*:read"}})
	other := s.token(t, s.admin(), api.CreateToken{Scope: []string{"path:/other/*:read"}})
	on := reserve(t)
	on.release()
	start(t, command{path: filepath.Join(folder, "service"), args: []string{on.address}, env: []string{"LATCHKEY_TOKEN=" + checker}})
	url := "http://" + on.address + "/reports/7"
	within(t, 20*time.Second, "the service to listen", func(ctx context.Context) error {
		if a := curl(t, url); a.status == 0 {
			return fmt.Errorf("it does not: %s", a.said)
		}
		return nil
	})
	curl(t, url).want(t, "no token", http.StatusUnauthorized, "")
	curl(t, with(bearer(other.Secret), url)...).want(t, "a token for something else", http.StatusForbidden, "")
	curl(t, with(bearer(mine.Secret), url)...).want(t, "a good token", http.StatusOK, "admin user "+mine.ID)

	for _, b := range blocks(t, "docs/assertion.md", "go") {
		setup, function, _ := strings.Cut(b.text, "\nfunc ")
		text := "package p\nfunc setup() {\n" + setup + "\n}\nfunc " + function
		if _, err := parser.ParseFile(token.NewFileSet(), "docs/assertion.md", text, parser.AllErrors); err != nil {
			t.Errorf("the Go of docs/assertion.md: %v", err)
		}
	}
}

// goCommand runs the go command in the folder of a module that uses this one.
func goCommand(t *testing.T, folder string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// robot makes a robot with a grant and returns a token of it.
func (s *latchkey) robot(t *testing.T, name, grant string) string {
	t.Helper()
	if _, err := s.admin().Accounts.Create(t.Context(), api.CreateAccount{Name: name, Kind: "robot", Grants: []string{grant}}); err != nil {
		t.Fatal(err)
	}
	return s.token(t, s.admin(), api.CreateToken{Owner: name}).Secret
}

// TestAPIPage sends what docs/api.md says that can be sent, and compares the
// fields of what it says comes back.
func TestAPIPage(t *testing.T) {
	shown := blocks(t, "docs/api.md", "json")
	if len(shown) != 3 {
		t.Fatalf("docs/api.md has %d blocks of JSON, want an error, questions and an explanation", len(shown))
	}
	s := serve(t, serveOptions{})
	made := s.token(t, s.admin(), reading("path:/pulp/content/*:read"))
	if _, err := s.admin().Accounts.Create(t.Context(), api.CreateAccount{Name: "alice", Password: alicesPassword}); err != nil {
		t.Fatal(err)
	}
	refused := curl(t, with(bearer(made.Secret), s.url+"/latchkey/api/v1/tokens?owner=*")...)
	refused.want(t, "a list of what is others'", http.StatusForbidden, "")
	wantFields(t, shown[0].text, refused.body)

	here := strings.NewReplacer("tok_…", made.ID, "6f0c…", refused.header.Get("Latchkey-Request-Id"))
	for i, line := range strings.Split(strings.TrimSpace(shown[1].text), "\n") {
		question, _, _ := strings.Cut(here.Replace(line), "}")
		a := curl(t, "--user", "admin:"+adminPassword, "--json", question+"}", s.url+"/latchkey/api/v1/explain")
		a.want(t, line, http.StatusOK, `"verdict":`)
		if i == 0 {
			wantFields(t, shown[2].text, a.body)
		}
	}
}

// wantFields checks that an answer has the fields that a page shows, in all
// depths that it shows.
func wantFields(t *testing.T, page, answer string) {
	t.Helper()
	var want, got map[string]any
	for text, into := range map[string]*map[string]any{
		strings.NewReplacer("{…}", "{}", ",…", "").Replace(page): &want, answer: &got,
	} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
	for name, value := range want {
		if _, there := got[name]; !there {
			t.Errorf("the answer %s has no %q, which the page shows", answer, name)
		}
		if _, exact := value.(bool); exact && got[name] != value {
			t.Errorf("the answer has %q: %v, and the page %v", name, got[name], value)
		}
	}
}
