package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"
)

// result is what a command line led to.
type result struct {
	code           int
	stdout, stderr string
}

// runWith runs a command line in this process, with an empty folder for logins
// and nothing in the environment but what is given.
func runWith(t *testing.T, environ map[string]string, stdin string, args ...string) result {
	t.Helper()
	if environ["XDG_CONFIG_HOME"] == "" {
		environ["XDG_CONFIG_HOME"] = t.TempDir()
	}
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr, func(name string) string { return environ[name] })
	return result{code, stdout.String(), stderr.String()}
}

// answering starts a server that always says the same.
func answering(t *testing.T, status int, contentType, body string) map[string]string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return map[string]string{"LATCHKEY_SERVER": server.URL, "LATCHKEY_TOKEN": "lkp_0123456789"}
}

func TestExitCodesAndAdvice(t *testing.T) {
	const problem, html = "application/problem+json", "text/html"
	for _, tt := range []struct {
		status      int
		contentType string
		body        string
		code        int
		stderr      []string
	}{
		{400, problem, `{"code":"invalid","detail":"name is too long","field":"name"}`, exitUsage, []string{"latchkey: name is too long\n"}},
		{400, problem, `{"code":"invalid","detail":"is too long","field":"name"}`, exitUsage, []string{"latchkey: name: is too long\n"}},
		{401, problem, `{"code":"unauthenticated","detail":"the token is not valid"}`, exitCredential, []string{"the token is not valid", "LATCHKEY_TOKEN gave is wrong"}},
		{403, problem, `{"code":"forbidden","detail":"you may not","scope":"latchkey:tokens:read"}`, exitForbidden, []string{"you may not", "latchkey:tokens:read", "latchkey grant add"}},
		{403, problem, `{"code":"forbidden","detail":"a token cannot ask for a longer one"}`, exitForbidden, []string{"a longer one", "add --user NAME"}},
		{404, problem, `{"code":"not_found","detail":"there is no such token"}`, exitNotFound, []string{"latchkey: there is no such token\n"}},
		{409, problem, `{"code":"conflict","detail":"it has ended"}`, exitConflict, []string{"it has ended"}},
		{409, problem, `{"code":"limit","detail":"as many as may be"}`, exitConflict, []string{"as many as may be", "latchkey token list"}},
		{429, problem, `{"code":"throttled","detail":"too often"}`, exitUnreachable, []string{"too often", "try again in 1m"}},
		{503, problem, `{"code":"unavailable","detail":"the database is away","request_id":"req7"}`, exitUnreachable, []string{"the database is away", "try again in 1m", "req7"}},
		{500, problem, `{"code":"internal","detail":"something went wrong","request_id":"req8"}`, exitOther, []string{"something went wrong", "req8"}},
		{502, html, `<h1>nginx</h1>`, exitUnreachable, []string{"502 Bad Gateway", "A proxy, or another program"}},
		{404, html, `<h1>Not here</h1>`, exitOther, []string{"404 Not Found", "the URL of a Latchkey server?"}},
		{200, html, `<h1>Log in to the WiFi</h1>`, exitOther, []string{"text/html", "the URL of a Latchkey server?"}},
		{302, html, ``, exitOther, []string{"302"}},
	} {
		got := runWith(t, answering(t, tt.status, tt.contentType, tt.body), "", "token", "show", "tok1")
		if got.code != tt.code || got.stdout != "" {
			t.Errorf("%d %s: got exit code %d and stdout %q, want %d and nothing", tt.status, tt.body, got.code, got.stdout, tt.code)
		}
		for _, part := range tt.stderr {
			if !strings.Contains(got.stderr, part) {
				t.Errorf("%d %s: got stderr %q, want %q in it", tt.status, tt.body, got.stderr, part)
			}
		}
		if strings.Contains(got.stderr, "lkp_0123456789") {
			t.Errorf("%d %s: stderr has the token in it: %q", tt.status, tt.body, got.stderr)
		}
	}
}

// requestOf runs a command line and returns the body of the one request that it
// makes.
func requestOf[T any](t *testing.T, args ...string) T {
	t.Helper()
	var got T
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"name":"x"}`)
	}))
	t.Cleanup(server.Close)
	ended := runWith(t, map[string]string{"LATCHKEY_SERVER": server.URL, "LATCHKEY_TOKEN": "lkp_x"}, "", args...)
	if ended.code != exitOK {
		t.Errorf("%q: got exit code %d and %q", args, ended.code, ended.stderr)
	}
	return got
}

func TestUserOfAnotherSource(t *testing.T) {
	got := requestOf[api.CreateAccount](t, "user", "create", "carol", "--source", "pulp", "--subject", "7", "--group", "ops", "--grant", "repository:a,b/*:pull")
	want := api.CreateAccount{Kind: "user", Name: "carol", Source: "pulp", Subject: "7", Groups: []string{"ops"}, Grants: []string{"repository:a,b/*:pull"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("user create (-want +got):\n%s", diff)
	}
}

func TestLifeOfAToken(t *testing.T) {
	never, week := int64(0), int64(7*86400)
	date := time.Date(2099, 1, 31, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		flags []string
		want  api.CreateToken
	}{
		{nil, api.CreateToken{Name: "x"}},
		{[]string{"--expires", "never", "--idle-timeout", "never"}, api.CreateToken{Name: "x", ExpiresIn: &never, IdleTimeout: &never}},
		{[]string{"--expires", "7d", "--idle-timeout", "1w"}, api.CreateToken{Name: "x", ExpiresIn: &week, IdleTimeout: &week}},
		{[]string{"--expires", "2099-01-31"}, api.CreateToken{Name: "x", ExpiresAt: &date}},
	} {
		got := requestOf[api.CreateToken](t, append([]string{"token", "create", "x"}, tt.flags...)...)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("token create %q (-want +got):\n%s", tt.flags, diff)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	environ := map[string]string{"LATCHKEY_SERVER": server.URL, "LATCHKEY_TOKEN": "lkp_x"}
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"whoami"}, strings.NewReader(""), &stdout, &stderr, func(name string) string { return environ[name] })
	if code != exitOther || stderr.String() != "latchkey: interrupted\n" {
		t.Errorf("whoami, interrupted: got %d and %q, want %d and a word about it", code, stderr.String(), exitOther)
	}
}

// TestServerCannotWriteToTheTerminal has a server put control characters into
// all texts (S110).
func TestServerCannotWriteToTheTerminal(t *testing.T) {
	const evil = `\u001b]0;owned\u0007\u009b31m\u202e`
	token := fmt.Sprintf(`{"id":"tok1","name":%[1]q,"owner":%[1]q,"state":%[1]q,"last_used":{"at":"2026-01-01T00:00:00Z","addr":%[1]q,"agent":%[1]q},"labels":{%[1]q:%[1]q},"scope":[%[1]q]}`, "EVIL")
	token = strings.ReplaceAll(token, "EVIL", evil)
	for name, got := range map[string]result{
		"table": runWith(t, answering(t, 200, "application/json", `{"items":[`+token+`]}`), "", "token", "list"),
		"lines": runWith(t, answering(t, 200, "application/json", token), "", "token", "show", "tok1"),
		"json":  runWith(t, answering(t, 200, "application/json", token), "", "token", "show", "tok1", "-o", "json"),
		"made":  runWith(t, answering(t, 201, "application/json", token), "", "token", "create", "x"),
		"error": runWith(t, answering(t, 404, "application/problem+json", `{"code":"not_found","detail":"`+evil+`"}`), "", "token", "show", "tok1"),
	} {
		all := got.stdout + got.stderr
		if !strings.Contains(all, "owned") {
			t.Errorf("%s: got %q, want the text to be shown", name, all)
		}
		if strings.ContainsAny(all, "\x1b\x07\u009b") {
			t.Errorf("%s: got control characters in %q", name, all)
		}
	}
}

func TestSecretAtATerminalComesWithANote(t *testing.T) {
	server := serverFor(t)
	var stdout, stderr bytes.Buffer
	environ := map[string]string{"LATCHKEY_USER": "admin", "LATCHKEY_PASSWORD": adminPassword, "XDG_CONFIG_HOME": t.TempDir()}
	env := &environment{
		stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
		getenv: func(name string) string { return environ[name] }, now: time.Now, shown: true,
	}
	root := newRootCommand(env)
	root.SetArgs([]string{"token", "create", "ci", "--server", server})
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Token:", "Name:", "Expires:", "in 89d"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("stdout: got %q, want %q in it", stdout.String(), want)
		}
	}
	if !strings.Contains(stderr.String(), "will not be shown again") {
		t.Errorf("stderr: got %q, want a note", stderr.String())
	}
}

// brokenWriter is a full disk.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestLostSecretIsTold(t *testing.T) {
	server := serverFor(t)
	for _, format := range []string{"table", "json"} {
		environ := map[string]string{"LATCHKEY_SERVER": server, "LATCHKEY_USER": "admin", "LATCHKEY_PASSWORD": adminPassword, "XDG_CONFIG_HOME": t.TempDir()}
		var stderr bytes.Buffer
		code := run(t.Context(), []string{"token", "create", "ci", "-o", format}, strings.NewReader(""), brokenWriter{}, &stderr, func(name string) string { return environ[name] })
		if code != exitOther || !strings.Contains(stderr.String(), "latchkey token revoke tok") {
			t.Errorf("token create -o %s to a full disk: got %d and %q, want %d and how to end the token", format, code, stderr.String(), exitOther)
		}
	}
}
