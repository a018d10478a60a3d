//go:build e2e

package pulptest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pulptest"
)

// contentOrigin is where clients would find Pulp if there were a gateway in front of it.
const contentOrigin = "http://127.0.0.1:8080"

// One Pulp serves all these tests, because each takes seconds to start.
func TestPulp(t *testing.T) {
	p := pulptest.Start(t, pulptest.Options{
		ContentOrigin: contentOrigin,
		OAuthTokenURL: contentOrigin + "/oauth/token",
		APIWorkers:    2,
	})
	for name, test := range map[string]func(*testing.T, *pulptest.Pulp){
		"status":          testStatus,
		"login":           testLogin,
		"header on API":   testHeaderOnAPI,
		"header on files": testHeaderOnContent,
		"roles":           testRoles,
		"client":          testClient,
		"schema":          testSchema,
		"manager":         testManager,
		"access log":      testAccessLog,
		"registry":        testRegistryChallenge,
	} {
		t.Run(name, func(t *testing.T) { test(t, p) })
	}
}

// request is one HTTP request to Pulp, without a gateway.
type request struct {
	url                string
	username, password string
	header             http.Header
}

func (r request) send(t *testing.T) (status int, body string, header http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.username != "" {
		req.SetBasicAuth(r.username, r.password)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("GET %s: %v", r.url, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

func (r request) check(t *testing.T, wantStatus int, wantInBody string) {
	t.Helper()
	status, body, _ := r.send(t)
	if status != wantStatus || !strings.Contains(body, wantInBody) {
		t.Errorf("GET %s as %q with %v = %d %q, want %d and %q", r.url, r.username, r.header, status, body, wantStatus, wantInBody)
	}
}

func named(users ...string) http.Header {
	return http.Header{pulptest.RemoteUserHeader: users}
}

func testStatus(t *testing.T, p *pulptest.Pulp) {
	request{url: p.APIURL + "/pulp/api/v3/status/"}.check(t, 200, `"content_origin":"`+contentOrigin+`"`)
}

func testLogin(t *testing.T, p *pulptest.Pulp) {
	url := p.APIURL + "/pulp/api/v3/login/"
	request{url: url, username: "admin", password: p.AdminPassword}.check(t, 200, `"username":"admin"`)
	request{url: url, username: "admin", password: "wrong"}.check(t, 401, "Invalid username/password.")
	request{url: url}.check(t, 401, "Authentication credentials were not provided.")
	_, _, header := request{url: url}.send(t)
	if got, want := header.Get("WWW-Authenticate"), `Basic realm="api"`; got != want {
		t.Errorf("WWW-Authenticate = %q, want %q", got, want)
	}
}

func testHeaderOnAPI(t *testing.T, p *pulptest.Pulp) {
	url := p.APIURL + "/pulp/api/v3/login/"
	const anonymous = "Authentication credentials were not provided."
	request{url: url, header: named("admin")}.check(t, 200, `"username":"admin"`)
	request{url: url, header: http.Header{"lATCHKEYUSER": {"admin"}}}.check(t, 200, `"username":"admin"`)
	request{url: url, header: named("nobody-of-this-name")}.check(t, 401, anonymous)
	request{url: url, header: http.Header{"Latchkey-User": {"admin"}, "Latchkey_user": {"admin"}}}.check(t, 401, anonymous)
	// The API sees a header that comes twice as one name, which nobody has.
	request{url: url, header: named("admin", "admin")}.check(t, 401, anonymous)
	// Basic comes first, so a wrong password is not made good by the header.
	request{url: url, username: "admin", password: "wrong", header: named("admin")}.check(t, 401, "Invalid username/password.")
}

func testHeaderOnContent(t *testing.T, p *pulptest.Pulp) {
	p.CreateUser(t, "reader", "Latchkey-1-reader")
	p.CreateUser(t, "stranger", "")
	path := p.Publish(t, pulptest.File{
		BasePath: "guarded", Name: "hello.txt", Content: "hello\n", Guarded: true, Readers: []string{"reader"},
	})
	url := p.ContentURL + path
	const anonymous, forbidden = "Authentication credentials were not provided.", "You do not have permission"
	request{url: url}.check(t, 403, anonymous)
	request{url: url, header: named("reader")}.check(t, 200, "hello\n")
	request{url: url, header: named("admin")}.check(t, 200, "hello\n")
	request{url: url, username: "reader", password: "Latchkey-1-reader"}.check(t, 200, "hello\n")
	request{url: url, header: named("stranger")}.check(t, 403, forbidden)
	request{url: url, header: named("nobody-of-this-name")}.check(t, 403, anonymous)
	// A wrong password makes the request anonymous, in spite of the header.
	request{url: url, username: "reader", password: "wrong", header: named("reader")}.check(t, 403, anonymous)
	// Unlike the API, the content app takes the first of two headers: a gateway that adds its own behind that of a
	// client would let the client choose.
	request{url: url, header: named("reader", "stranger")}.check(t, 200, "hello\n")
	request{url: url, header: named("stranger", "reader")}.check(t, 403, forbidden)

	open := p.Publish(t, pulptest.File{BasePath: "open", Name: "hello.txt", Content: "hello all\n"})
	request{url: p.ContentURL + open}.check(t, 200, "hello all\n")
}

func testRoles(t *testing.T, p *pulptest.Pulp) {
	p.CreateUser(t, "creator", "Latchkey-1-creator", "file.filerepository_creator", "core.task_viewer")
	for user, want := range map[string]int{"creator": 200, "nobody-of-this-name": 401} {
		request{url: p.APIURL + "/pulp/api/v3/repositories/file/file/", header: named(user)}.check(t, want, "")
	}
	var roles struct {
		Results []struct {
			Role string `json:"role"`
		} `json:"results"`
	}
	var users struct{ Results []pulptest.User }
	if err := p.Admin(t.Context(), http.MethodGet, "users/?username=creator", nil, &users); err != nil || len(users.Results) != 1 {
		t.Fatalf("looking for the user: %+v, %v", users, err)
	}
	if err := p.Admin(t.Context(), http.MethodGet, users.Results[0].Href+"roles/", nil, &roles); err != nil {
		t.Fatal(err)
	}
	if len(roles.Results) != 2 {
		t.Errorf("roles of the user = %+v, want two", roles.Results)
	}
}

func testClient(t *testing.T, p *pulptest.Pulp) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stdout, stderr, err := p.CLI(ctx, "status")
	if err != nil || !json.Valid([]byte(stdout)) {
		t.Errorf("pulp status = %q, %q, %v; want JSON", stdout, stderr, err)
	}
	if stdout, _, err = p.CLI(ctx, "user", "list"); err != nil || !strings.Contains(stdout, `"admin"`) {
		t.Errorf("pulp user list = %q, %v; want admin in it", stdout, err)
	}
	c := p.NewClient(t, "[cli]\nbase_url = \""+p.APIURL+"\"\nusername = \"admin\"\npassword = \"wrong\"\n")
	if stdout, _, err = c.Run(ctx, "user", "list"); err == nil {
		t.Errorf("pulp user list with a wrong password = %q, want an error", stdout)
	}
	c = p.NewClient(t, "[cli]\nbase_url = \""+p.APIURL+"\"\n")
	basic := base64.StdEncoding.EncodeToString([]byte("admin:" + p.AdminPassword))
	if stdout, _, err = c.Run(ctx, "--header", "Authorization:Basic "+basic, "user", "list"); err != nil {
		t.Errorf("pulp user list with its own Authorization header = %q, %v", stdout, err)
	}
	// Only a header of that name takes the place of the client's own authentication.
	_, stderr, err = c.Run(ctx, "--header", pulptest.RemoteUserHeader+":admin", "user", "list")
	if err == nil || !strings.Contains(stderr, "No suitable auth scheme found.") {
		t.Errorf("pulp user list with another header = %q, %v; want it to miss an auth scheme", stderr, err)
	}
	if schemas, _ := filepath.Glob(filepath.Join(c.Home, ".cache", "squeezer", "*")); len(schemas) != 1 {
		t.Errorf("cached schemas = %q, want one in the client's own home", schemas)
	}
}

func testSchema(t *testing.T, p *pulptest.Pulp) {
	status, body, _ := request{url: p.APIURL + "/pulp/api/v3/docs/api.json"}.send(t)
	var schema struct {
		Components struct {
			SecuritySchemes map[string]struct {
				Type  string
				Flows struct{ ClientCredentials struct{ TokenURL string } }
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &schema); err != nil {
		t.Fatalf("GET docs/api.json = %d: %v", status, err)
	}
	got := schema.Components.SecuritySchemes["remoteUserAuthentication"]
	if got.Type != "oauth2" || got.Flows.ClientCredentials.TokenURL != contentOrigin+"/oauth/token" {
		t.Errorf("security scheme of the schema = %+v, want oauth2 with the token URL of the options", got)
	}
}

func testManager(t *testing.T, p *pulptest.Pulp) {
	stdout, _, err := p.Manager(t.Context(), "migrate", "--check")
	if err != nil {
		t.Errorf("pulpcore-manager migrate --check = %q, %v; want no migration left to do", stdout, err)
	}
}

func testAccessLog(t *testing.T, p *pulptest.Pulp) {
	url := p.APIURL + "/pulp/api/v3/livez/?mark=of-this-test"
	request{url: url}.check(t, 200, "")
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(p.AccessLog(pulptest.API), "mark=of-this-test") {
		if time.Now().After(deadline) {
			t.Fatalf("AccessLog(API) = %q, want the request in it", p.AccessLog(pulptest.API))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func testRegistryChallenge(t *testing.T, p *pulptest.Pulp) {
	status, _, header := request{url: p.APIURL + "/v2/"}.send(t)
	want := `Bearer realm="` + contentOrigin + `/token/",service="` + strings.TrimPrefix(p.APIURL, "http://") + `"`
	if got := header.Get("WWW-Authenticate"); status != 401 || got != want {
		t.Errorf("GET /v2/ = %d with challenge %q, want 401 with %q", status, got, want)
	}
}

func TestStopLeavesNothing(t *testing.T) {
	temp, err := os.MkdirTemp("", "pulptest-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	if err := os.Chmod(temp, 0o711); err != nil { // the database server may have to run as another user
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temp)
	var p *pulptest.Pulp
	t.Run("start", func(t *testing.T) { p = pulptest.Start(t, pulptest.Options{}) })
	if p == nil {
		t.SkipNow() // the subtest has said why
	}
	if left, err := filepath.Glob(filepath.Join(temp, "*")); err != nil || len(left) != 0 {
		t.Errorf("left in the temporary folder: %q, %v; want nothing", left, err)
	}
	commands, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(commands) == 0 {
		t.Skip("no /proc here")
	}
	for _, command := range commands {
		if b, err := os.ReadFile(command); err == nil && strings.Contains(string(b), "PULP_SETTINGS="+p.Dir) {
			t.Errorf("a process of the stopped Pulp is still there: %s", command)
		}
	}
	for _, url := range []string{p.APIURL, p.ContentURL} {
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
			t.Errorf("GET %s after the stop = %s, want no answer", url, resp.Status)
		}
	}
}
