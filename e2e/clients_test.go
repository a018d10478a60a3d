//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pulptest"
)

// testClients does a publisher's day with each client and each way to send a
// token.
func testClients(t *testing.T, b *behind) {
	token := b.secret(t, b.person(t, "publisher", publisherRoles...))
	for i, way := range ways(token) {
		t.Run("curl/"+way.name, func(t *testing.T) {
			curlPublishes(t, b, way.args, fmt.Sprintf("curl%d", i))
		})
	}
	t.Run("pulp/header", func(t *testing.T) {
		pulpPublishes(t, b, "pulpheader", "", "--header", "Authorization:Bearer "+token)
	})
	t.Run("pulp/password", func(t *testing.T) {
		pulpPublishes(t, b, "pulppassword", "", "--username", "x", "--password", token)
	})
	t.Run("pulp/configured", func(t *testing.T) {
		pulpPublishes(t, b, "pulpconfigured", fmt.Sprintf("headers = [\"Authorization:Bearer %s\"]\n", token))
	})
}

// curlPublishes makes a file, and all that it needs, by Pulp's REST API.
func curlPublishes(t *testing.T, b *behind, args []string, name string) {
	call := func(what string, more ...string) answer {
		t.Helper()
		return curl(t, with(args, more...)...)
	}
	post := func(path string, body map[string]any) object {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		return call(path, "--json", string(text), b.url+apiRoot+path).object(t, "POST "+path)
	}
	call("login/", b.url+apiRoot+"login/").want(t, "GET login/", http.StatusOK, `"username":"publisher"`)
	repository := post("repositories/file/file/", map[string]any{"name": name})
	call("list", b.url+apiRoot+"repositories/file/file/?name="+name).want(t, "the list of repositories", http.StatusOK, repository.Href)
	file := filepath.Join(t.TempDir(), "hello.txt")
	if err := os.WriteFile(file, []byte("hello from "+name+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	upload := call("upload", "--form", "file=@"+file, "--form", "relative_path=hello.txt", "--form", "repository="+repository.Href,
		b.url+apiRoot+"content/file/files/").object(t, "the upload")
	b.await(t, args, upload.Task)
	b.await(t, args, post("publications/file/file/", map[string]any{"repository": repository.Href}).Task)
	b.await(t, args, post("distributions/file/file/", map[string]any{
		"name": name, "base_path": name, "repository": repository.Href,
	}).Task)
	b.get(t, "/pulp/content/"+name+"/hello.txt", args...).want(t, "the file", http.StatusOK, "hello from "+name)
}

// await waits for a task of Pulp's, through the gateway.
func (b *behind) await(t *testing.T, args []string, task string) {
	t.Helper()
	var now struct {
		State string
		Error any
	}
	within(t, time.Minute, "task "+task, func(context.Context) error {
		a := b.get(t, task, args...)
		if err := json.Unmarshal([]byte(a.body), &now); err != nil || a.status != http.StatusOK {
			t.Fatalf("GET %s = %d %s", task, a.status, a.body)
		}
		if now.State == "waiting" || now.State == "running" {
			return fmt.Errorf("the task is %s", now.State)
		}
		return nil
	})
	if now.State != "completed" {
		t.Fatalf("the task %s %s: %v", task, now.State, now.Error)
	}
}

// pulpPublishes does the same with Pulp's own client, which gets its credential
// by its configuration or its arguments.
func pulpPublishes(t *testing.T, b *behind, name, config string, args ...string) {
	c := b.pulpClient(t, config)
	pulp := func(more ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		stdout, _, err := c.Run(ctx, with(args, more...)...)
		if err != nil {
			t.Fatalf("pulp %v: %v", more, err)
		}
		return stdout
	}
	if out := pulp("status"); !strings.Contains(out, `"online_workers"`) {
		t.Errorf("pulp status = %s, want the status of Pulp", out)
	}
	if cached, _ := filepath.Glob(filepath.Join(c.Home, ".cache", "squeezer", "*")); len(cached) != 1 {
		t.Errorf("the client has the schemas %q in its cache, want that of this Pulp", cached)
	}
	pulp("file", "repository", "create", "--name", name)
	if out := pulp("file", "repository", "list"); !strings.Contains(out, `"`+name+`"`) {
		t.Errorf("pulp file repository list = %s, want %s in it", out, name)
	}
	file := filepath.Join(c.Home, "hello.txt")
	if err := os.WriteFile(file, []byte("hello from "+name+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pulp("file", "content", "upload", "--repository", name, "--file", file, "--relative-path", "hello.txt")
	pulp("file", "publication", "create", "--repository", name)
	var distribution struct {
		BaseURL string `json:"base_url"`
	}
	out := pulp("file", "distribution", "create", "--name", name, "--base-path", name, "--repository", name)
	if err := json.Unmarshal([]byte(out), &distribution); err != nil || !strings.HasPrefix(distribution.BaseURL, b.url+"/") {
		t.Fatalf("pulp file distribution create = %s (%v), want a base_url at the gateway, %s", out, err, b.url)
	}
	curl(t, distribution.BaseURL+"hello.txt").want(t, "the file", http.StatusOK, "hello from "+name)
}

// pulpClient makes a client of Pulp's that knows nothing but the gateway.
func (b *behind) pulpClient(t *testing.T, config string) *pulptest.Client {
	t.Helper()
	return b.pulp.NewClient(t, fmt.Sprintf("[cli]\nbase_url = %q\n%s", b.url, config))
}

// A token that may only read does not get a write to Pulp, whoever its owner is.
func testReadingOnly(t *testing.T, b *behind) {
	token := b.token(t, b.user("admin", b.pulp.AdminPassword), reading("path:/pulp/*:read")).Secret
	b.get(t, apiRoot+"login/", bearer(token)...).want(t, "GET login/", http.StatusOK, `"username":"admin"`)
	b.get(t, apiRoot+"users/", bearer(token)...).want(t, "GET users/", http.StatusOK, `"count"`)

	for _, test := range []struct{ method, path, scope string }{
		{"POST", "repositories/file/file/", "path:/pulp/api/v3/repositories/file/file/:write"},
		{"PUT", "repositories/file/file/", "path:/pulp/api/v3/repositories/file/file/:write"},
		{"PATCH", "users/1/", "path:/pulp/api/v3/users/1/:write"},
		{"DELETE", "users/1/", "path:/pulp/api/v3/users/1/:delete"},
	} {
		what := test.method + " " + test.path
		a := b.get(t, apiRoot+test.path+"?mark=reading-only",
			with(bearer(token), "--request", test.method, "--json", `{"name":"not-to-be"}`)...)
		a.want(t, what, http.StatusForbidden, `"scope":"`+test.scope+`"`)
		want := `Bearer realm="latchkey", error="insufficient_scope", scope="` + test.scope + `"`
		if got := a.header.Get("WWW-Authenticate"); got != want {
			t.Errorf("%s: WWW-Authenticate = %q, want %q", what, got, want)
		}
	}
	c := b.pulpClient(t, "")
	if out, _, err := c.Run(t.Context(), "--header", "Authorization:Bearer "+token, "file", "repository", "create", "--name", "not-to-be"); err == nil {
		t.Errorf("pulp file repository create = %s, want it to fail", out)
	}
	if n := b.repositories(t, "not-to-be"); n != 0 {
		t.Errorf("Pulp has %d repositories that a reading token made, want none", n)
	}
	if log := b.pulp.AccessLog(pulptest.API); strings.Contains(log, "mark=reading-only") {
		t.Errorf("a refused write reached Pulp:\n%s", log)
	}
}
