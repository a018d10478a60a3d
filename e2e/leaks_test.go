//go:build e2e && linux

package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// native plants what looks like a token in every respect, but was never made.
func (m *mine) native(what string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	text := []byte("lkp_")
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	for _, b := range random {
		text = append(text, digits[int(b)%len(digits)])
	}
	sum := crc32.ChecksumIEEE(text)
	check := make([]byte, 6)
	for i := len(check) - 1; i >= 0; i-- {
		check[i] = digits[sum%62]
		sum /= 62
	}
	return m.plant("a token for "+what, string(text)+string(check))
}

// hex40 is native for a token as Django's.
func (m *mine) hex40(what string) string {
	var random [20]byte
	_, _ = rand.Read(random[:]) // never fails
	return m.plant("forty digits for "+what, hex.EncodeToString(random[:]))
}

// ask sends a request and looks at the answer, in which no secret may be. The
// correlation id is the client's own; and so is a word in the request that
// nobody can know for a secret: an error may name it to the one who sent it.
func (m *mine) ask(t *testing.T, method, path, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, m.url+path, strings.NewReader(body))
	must(t, err)
	req.Header.Set("User-Agent", canary)
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := m.gateway.Transport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %.20s: %v", method, path, err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	must(t, err)
	res.Header.Del("Correlation-Id")
	res.Header.Del("Latchkey-Assertion") // for the proxy
	answer := fmt.Sprintf("%d %v\n%s\n", res.StatusCode, res.Header, got)
	sent := m.found([]byte(path + "\n" + body))
	for what, where := range m.found([]byte(answer)) {
		if _, own := sent[what]; !own || strings.HasPrefix(what, "a token") {
			t.Errorf("the answer to %s %.30s has %s, behind %q", method, path, what, where)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers.WriteString(answer)
	return res.StatusCode, string(got)
}

// expect is ask for an answer that is known.
func (m *mine) expect(t *testing.T, status int, method, path, body string, header ...string) {
	t.Helper()
	if got, text := m.ask(t, method, path, body, header...); got != status {
		t.Errorf("%s %.30s = %d %.300s, want %d", method, path, got, text, status)
	}
}

const apiPath = "/latchkey/api/v1"

// exercise does all that can be done with secrets.
func (m *mine) exercise(t *testing.T, round string) {
	t.Helper()
	admin := m.as(t, client.Options{User: "admin", Password: adminPassword})
	made := m.issue(t, admin, client.Options{}, api.CreateToken{Name: canary + " admin " + round, Labels: map[string]string{"place": canary}})
	admin = m.as(t, client.Options{Token: made.Secret})
	ann := m.people(t, admin, round)
	token := m.issue(t, ann, client.Options{}, api.CreateToken{Name: "personal " + round})
	_, err := admin.Accounts.Create(t.Context(), api.CreateAccount{Kind: "robot", Name: "ci-" + round, Note: canary})
	must(t, err)
	robot := m.issue(t, admin, client.Options{}, api.CreateToken{Name: "robot " + round, Owner: "ci-" + round})
	drf := m.django(t, "ann-"+round)
	m.pairs(t, ann, "ann-"+round)
	for _, secret := range []string{made.Secret, token.Secret, robot.Secret, drf, m.native("every place"), m.hex40("every place")} {
		m.everywhere(t, secret)
	}
	m.overGRPC(t, token.Secret)
	m.mistakes(t, "Bearer "+made.Secret)
	m.later(t, admin, token.Secret, made.ID)
	m.ends(t, admin, robot, token)
}

// issue makes a token and plants it.
func (m *mine) issue(t *testing.T, c *client.Client, _ client.Options, r api.CreateToken) api.NewToken {
	t.Helper()
	made, err := c.Tokens.Create(t.Context(), r)
	must(t, err)
	m.plant("a token that was made", made.Secret)
	return made
}

// people makes a user, whose password is wrong at first, and then changed by
// the user and by the administrator.
func (m *mine) people(t *testing.T, admin *client.Client, round string) *client.Client {
	t.Helper()
	name := "ann-" + round
	first, second, third := m.plant("the first password", "first-sentence-of-"+name), m.plant("the second password", "second-sentence-of-"+name), m.plant("the third password", "third-sentence-of-"+name)
	_, err := admin.Accounts.Create(t.Context(), api.CreateAccount{Name: name, Password: first, Email: canary + "@example.org"})
	must(t, err)
	wrong := m.plant("a wrong password", "mistyped-sentence-of-"+name)
	m.expect(t, 401, "GET", apiPath+"/whoami", "", "Authorization", basic(name, wrong))
	m.expect(t, 401, "GET", "/files/x", "", "Authorization", basic("nobody-"+round, wrong))
	m.expect(t, 401, "GET", "/files/x", "", "Authorization", basic(canary, wrong))
	must(t, m.as(t, client.Options{User: name, Password: first}).SetPassword(t.Context(), api.SetPassword{Current: first, New: second}))
	must(t, admin.Accounts.SetPassword(t.Context(), name, api.SetPassword{New: third}))
	m.expect(t, 400, "POST", apiPath+"/accounts", `{"name": "bob", "password": "`+m.plant("a password of the wrong kind", "wrong-kind-planted")+`", "kind": "robot"}`,
		"Authorization", basic("admin", adminPassword), "Content-Type", "application/json")
	return m.as(t, client.Options{User: name, Password: third})
}

// django gets a token by the dialect, by a form and by JSON, and makes the
// mistakes that can be made there.
func (m *mine) django(t *testing.T, name string) (token string) {
	t.Helper()
	password := "third-sentence-of-" + name
	for _, body := range [][2]string{
		{"application/x-www-form-urlencoded", url.Values{"username": {name}, "password": {password}}.Encode()},
		{"application/json", fmt.Sprintf(`{"username": %q, "password": %q}`, name, password)},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.url+"/api-token-auth/", strings.NewReader(body[1]))
		must(t, err)
		req.Header.Set("Content-Type", body[0])
		res, err := m.gateway.Do(req)
		must(t, err)
		var got struct{ Token string }
		err = json.NewDecoder(res.Body).Decode(&got)
		_ = res.Body.Close()
		if err != nil || len(got.Token) != 40 || token != "" && got.Token != token {
			t.Fatalf("POST /api-token-auth/ = %d, %v, want the same forty digits each time", res.StatusCode, err)
		}
		token = m.plant("the token of the dialect", got.Token)
	}
	wrong := m.plant("a password at the dialect", "dialect-password-planted")
	m.expect(t, 400, "POST", "/api-token-auth/", `{"username": "`+canary+`", "password": "`+wrong+`"}`, "Content-Type", "application/json")
	m.expect(t, 400, "POST", "/api-token-auth/", `{"username": "ann", "password": "`+wrong, "Content-Type", "application/json")
	m.expect(t, 400, "POST", "/api-token-auth/", `{"username": ["ann"], "password": {"`+wrong+`": 1}}`, "Content-Type", "application/json")
	m.expect(t, 415, "POST", "/api-token-auth/", wrong, "Content-Type", "text/plain")
	m.ask(t, "POST", "/api-token-auth/", "username=ann&pass%zzword="+wrong, "Content-Type", "application/x-www-form-urlencoded")
	m.ask(t, "POST", "/api-token-auth/", "--x\r\n"+wrong, "Content-Type", "multipart/form-data; boundary=x")
	m.expect(t, 413, "POST", "/api-token-auth/", `{"password": "`+strings.Repeat(wrong, 100_000)+`"}`, "Content-Type", "application/json")
	return token
}

// everywhere sends a token wherever clients put one, on purpose or by mistake.
func (m *mine) everywhere(t *testing.T, token string) {
	t.Helper()
	for _, path := range []string{"/files/" + canary, "/optional/x", "/gone/x", "/nowhere/x", "/latchkey/verify?scope=path:/x:read", "/latchkey/envoy/x", apiPath + "/whoami", "/api-token-auth/"} {
		for _, header := range [][2]string{
			{"Authorization", "Bearer " + token}, {"Authorization", "Token " + token}, {"Authorization", "bearer  " + token},
			{"Authorization", basic("x", token)}, {"Authorization", token}, {"Authorization", "Bearer " + token + ", " + token},
			{"Authorization", "Digest username=" + token}, {"Authorization", "Basic " + token},
			{"Cookie", "sessionid=" + token + "; token=" + token}, {"X-Auth-Token", token}, {"X-Api-Key", token}, {"Private-Token", token},
			{"Proxy-Authorization", "Bearer " + token}, {"Referer", "https://example.org/?token=" + token},
			{"Traceparent", token}, {"Tracestate", "k=" + token}, {"Latchkeyuser", token}, {"Content-Type", token}, {"Accept", token + "/" + token},
		} {
			m.ask(t, "GET", path, "", header[0], header[1])
		}
	}
	for _, query := range []string{"token=", "access_token=", "scope=", "limit=", "cursor=", "since=", ""} {
		for _, path := range []string{"/files/x?", "/latchkey/verify?", apiPath + "/tokens?", "/nowhere?", "/api-token-auth/?"} {
			m.ask(t, "GET", path+query+token, "")
		}
	}
	m.ask(t, "GET", "/latchkey/verify", "", "X-Original-Method", "GET", "X-Original-URI", "/files/x?token="+token)
	m.ask(t, "GET", "/latchkey/verify", "", "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/files/x?token="+token, "X-Forwarded-Host", "files.example.org", "X-Forwarded-Proto", "https")
	if !strings.HasPrefix(token, "lk") {
		return // that other words are tokens cannot be seen where they are names
	}
	for _, path := range []string{
		"/files/" + token, "/optional/" + token + "/x", "/gone/" + token, "/nowhere/" + token, "/latchkey/" + token, "/latchkey/envoy/" + token, "/api-token-auth/" + token,
		apiPath + "/tokens/" + token, apiPath + "/accounts/" + token, apiPath + "/groups/" + token, apiPath + "/" + token, "/" + strings.Replace(token, "_", "%5F", 1),
	} {
		for _, method := range []string{"GET", "DELETE", "TRACE", "POST"} {
			m.ask(t, method, path, "", "Authorization", "Bearer "+token)
			m.ask(t, method, path, "")
		}
	}
	for _, header := range []string{"User-Agent", "Correlation-Id", "X-Forwarded-For", "X-Forwarded-Host"} {
		m.ask(t, "GET", "/files/x", "", header, token, "Authorization", "Bearer "+token)
		m.ask(t, "GET", apiPath+"/whoami", "", header, token, "Authorization", "Bearer "+token)
	}
	m.ask(t, "GET", "/files/x", "", "Authorization", basic(token, ""))
	m.ask(t, "GET", "/files/x", "", "Authorization", basic(token, "x-oauth-basic"))
	m.ask(t, token, "/files/x", "")
	for _, described := range []string{"X-Original-URI", "X-Forwarded-Uri"} {
		method := strings.TrimSuffix(strings.TrimSuffix(described, "URI"), "Uri") + "Method"
		m.ask(t, "GET", "/latchkey/verify", "", method, "GET", described, "/a/"+token, "Authorization", "Bearer "+token)
		m.ask(t, "GET", "/latchkey/verify", "", method, token, described, token)
	}
	m.ask(t, "GET", "/latchkey/verify?scope=path:/"+token+":read", "", "Authorization", "Bearer "+token)
}

// overGRPC asks as Envoy does.
func (m *mine) overGRPC(t *testing.T, token string) {
	t.Helper()
	conn, err := grpc.NewClient(m.envoy, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	defer conn.Close()
	for _, authorization := range []string{"Bearer " + token, "Bearer " + m.native("Envoy"), basic("ann", m.plant("a password for Envoy", "envoy-password-planted"))} {
		answer, err := auth.NewAuthorizationClient(conn).Check(t.Context(), &auth.CheckRequest{Attributes: &auth.AttributeContext{
			Source: &auth.AttributeContext_Peer{Address: &core.Address{Address: &core.Address_SocketAddress{
				SocketAddress: &core.SocketAddress{Address: "192.0.2.7", PortSpecifier: &core.SocketAddress_PortValue{PortValue: 4711}},
			}}},
			Request: &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{
				Method: "GET", Path: "/" + canary + "/" + token + "?token=" + token, Host: "files.example.org", Scheme: "https", Protocol: "HTTP/1.1",
				Headers: map[string]string{"authorization": authorization, "user-agent": token, "cookie": token},
			}},
		}})
		must(t, err)
		if proof := assertion(answer); proof != "" {
			m.plant("a proof for Envoy", proof)
			m.plant("the signature of a proof", proof[strings.LastIndexByte(proof, '.')+1:])
			continue
		}
		m.mu.Lock()
		m.answers.WriteString(answer.String())
		m.mu.Unlock()
	}
}

// assertion returns the proof in a yes.
func assertion(answer *auth.CheckResponse) string {
	for _, h := range answer.GetOkResponse().GetHeaders() {
		if strings.EqualFold(h.GetHeader().GetKey(), "Latchkey-Assertion") {
			return h.GetHeader().GetValue() + string(h.GetHeader().GetRawValue())
		}
	}
	return ""
}

// mistakes sends bodies with secrets where there is a mistake too.
func (m *mine) mistakes(t *testing.T, authorization string) {
	t.Helper()
	token, password := m.native("bodies with mistakes"), m.plant("a password in a body with a mistake", "mistaken-body-planted")
	for _, path := range []string{"/tokens", "/tokens/revoke", "/revoke", "/accounts", "/check", "/explain", "/password", "/groups", "/grants", "/accounts/admin/password"} {
		for _, secret := range []string{token, password} {
			for _, body := range []string{
				`{"token": "` + secret, `{"` + secret + `": 1}`, `{"name": ["` + secret + `"]}`, `{"new": {"` + secret + `": 1}}`, `["` + secret + `"]`, `"` + secret + `"`,
				secret, `{"token": "` + secret + `"} ` + secret, `{"token": "` + secret + `", "token": "` + secret + `"}`, `{"expires_at": "` + secret + `"}`,
				`{"name": "x", "scope": "` + secret + `"}`, `{"token": "\x` + secret + `"}`, `{"token": "` + strings.Repeat(secret, 60_000) + `"}`,
			} {
				m.ask(t, "POST", apiPath+path, body, "Authorization", authorization, "Content-Type", "application/json")
			}
			m.ask(t, "POST", apiPath+path, "token="+secret+"&password="+secret, "Authorization", authorization, "Content-Type", "application/x-www-form-urlencoded")
		}
	}
	for _, body := range []string{
		`{"name": "` + token + `"}`, `{"name": "x", "labels": {"a": "` + token + `"}}`, `{"name": "x", "labels": {"` + token + `": "a"}}`,
		`{"name": "x", "scope": ["` + token + `"]}`, `{"name": "x", "cidrs": ["` + token + `"]}`, `{"name": "x", "expires_at": "` + token + `"}`,
	} {
		m.expect(t, 400, "POST", apiPath+"/tokens", body, "Authorization", authorization, "Content-Type", "application/json")
	}
	m.ask(t, "POST", apiPath+"/tokens", `{"name": "x", "owner": "`+token+`"}`, "Authorization", authorization, "Content-Type", "application/json")
	m.ask(t, "POST", apiPath+"/groups", `{"name": "`+token+`", "note": "`+token+`"}`, "Authorization", authorization, "Content-Type", "application/json")
	m.ask(t, "POST", apiPath+"/grants", `{"account": "admin", "scope": "path:/`+token+`:read"}`, "Authorization", authorization, "Content-Type", "application/json")
	m.ask(t, "POST", apiPath+"/tokens/revoke", `{"query": {"prefix": "`+token+`", "name": "`+token+`"}, "reason": "`+token+`"}`, "Authorization", authorization, "Content-Type", "application/json")
	for _, query := range []string{"/tokens?cursor=", "/tokens?owner=", "/tokens?prefix=", "/audit?actor=", "/audit?since=", "/audit/verify?head=", "/accounts?name=", "/changes?after="} {
		m.ask(t, "GET", apiPath+query+token, "", "Authorization", authorization)
	}
}

// later asks for everything about what was made before (S74).
func (m *mine) later(t *testing.T, admin *client.Client, token, own string) {
	t.Helper()
	made, err := admin.Tokens.Get(t.Context(), own)
	must(t, err)
	authorization := basic("admin", adminPassword)
	for _, path := range []string{
		"/tokens?owner=*&limit=500", "/tokens/" + made.ID, "/accounts", "/accounts/admin", "/groups", "/grants", "/keys", "/whoami", "/audit?limit=500", "/audit/head", "/audit/export", "/openapi.json",
	} {
		m.expect(t, 200, "GET", apiPath+path, "", "Authorization", authorization)
	}
	m.expect(t, 200, "GET", "/latchkey/.well-known/jwks.json", "")
	m.expect(t, 200, "PATCH", apiPath+"/tokens/"+made.ID, `{"labels": {"place": "`+canary+`"}}`, "Authorization", authorization, "Content-Type", "application/json")
	for _, asked := range []string{token, m.native("an explanation"), m.hex40("an explanation")} {
		body := fmt.Sprintf(`{"token": %q, "method": "GET", "path": "/files/%s?token=%s"}`, asked, canary, asked)
		m.ask(t, "POST", apiPath+"/explain", body, "Authorization", authorization, "Content-Type", "application/json")
		body = fmt.Sprintf(`{"token": %q, "addr": "192.0.2.1", "agent": %q, "scope": ["path:/x:read"]}`, asked, token)
		m.ask(t, "POST", apiPath+"/check", body, "Authorization", authorization, "Content-Type", "application/json")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if strings.Count(m.asserted, ".") != 2 {
		t.Errorf("the service got the proof %.20q, want a JSON Web Token", m.asserted)
		return
	}
	m.plant("a proof", m.asserted)
	m.plant("the signature of a proof", m.asserted[strings.LastIndexByte(m.asserted, '.')+1:])
}

// ends rotates and revokes in every way, and asks with what has ended.
func (m *mine) ends(t *testing.T, admin *client.Client, robot, token api.NewToken) {
	t.Helper()
	for _, how := range []api.RotateToken{{}, {Overlap: 600}, {UntilUsed: true}} {
		rotated, err := admin.Tokens.Rotate(t.Context(), robot.ID, how)
		must(t, err)
		m.plant("a token after a rotation", rotated.Secret)
		m.ask(t, "GET", "/files/x", "", "Authorization", "Bearer "+robot.Secret)
		m.expect(t, 200, "GET", "/files/x", "", "Authorization", "Bearer "+rotated.Secret)
	}
	m.expect(t, 400, "DELETE", apiPath+"/tokens/"+robot.ID, `{"reason": "`+token.Secret+`"}`, "Authorization", basic("admin", adminPassword), "Content-Type", "application/json")
	_, err := admin.Tokens.RevokeMatching(t.Context(), api.RevokeTokens{Query: api.TokenFilter{Owner: "*", Prefix: robot.Prefix}, DryRun: true})
	must(t, err)
	for _, secret := range []string{token.Secret, m.native("revoking"), m.hex40("revoking")} {
		m.ask(t, "POST", apiPath+"/revoke", `{"token": "`+secret+`"}`, "Content-Type", "application/json")
		m.expect(t, 401, "GET", "/files/x", "", "Authorization", "Bearer "+secret)
	}
	must(t, admin.Tokens.Revoke(t.Context(), robot.ID, canary))
}

// commands runs the command line with secrets in standard input, variables,
// arguments and files, right and wrong ones.
func (m *mine) commands(t *testing.T) {
	t.Helper()
	admin := m.as(t, client.Options{User: "admin", Password: adminPassword})
	made := m.issue(t, admin, client.Options{}, api.CreateToken{Name: "for commands"})
	token, junk := made.Secret, m.native("a command")
	value := m.plant("a value in a file with a mistake", "value-in-a-file-planted")
	password := m.plant("a password for a command", "command-password-planted")
	backup := filepath.Join(t.TempDir(), "all.backup")
	for _, args := range [][]string{
		{"whoami"}, {"token", "list", "--owner", "*"}, {"token", "show", made.ID, "-o", "json"}, {"token", "show", junk}, {"token", "revoke", junk},
		{"token", "revoke", "--secret-stdin"}, {"token", "rotate", junk}, {"token", "create", junk}, {"token", "list", "--prefix", token[:12]},
		{"explain", token, "GET", "/files/x"}, {"explain", "-", "GET", "/files/" + token}, {"whoami", "--token", junk}, {"user", "show", junk},
		{"login", m.url, "--user", "ann-first", "--password-stdin"}, {"user", "password", "--password-stdin", "--user", "ann-first"},
		{"audit", "list", "--limit", "0", "-o", "json"}, {"audit", "export"}, {"audit", "verify"}, {"keys", "list"}, {"keys", "export"}, {"keys", "export", "--format", "jwks"},
		{"--tokn=" + junk}, {junk}, {"token", "list", "--state", junk}, {"token", "create", "x", "--expires", junk}, {"whoami", "--server", "https://user:" + password + "@127.0.0.1:1"},
	} {
		m.run(t, junk+"\n"+password+"\n", []string{"LATCHKEY_TOKEN=" + token, "LATCHKEY_SERVER=" + m.url, "LATCHKEY_CA_FILE=" + m.cert}, args...)
	}
	beside := []string{"--config", m.config, "--data", m.data}
	for _, args := range [][]string{{"config", "show"}, {"config", "show", "--origin"}, {"config", "show", "--format", "json"}, {"backup", backup}, {"doctor"}, {"doctor", "-o", "json"}} {
		m.run(t, "", nil, append(args, beside...)...)
	}
	m.run(t, "", nil, "config", "check", m.config)
	m.clean(t, "the backup", canary, files(t, filepath.Dir(backup)))
	for i, text := range []string{
		"secret: " + value + " extra: [", "secret: [" + value + "]", "secrt: " + value, "traces: {authorization: " + value + ", percent: 900}", value,
		"database: postgres://user:" + value + "@host:port/x", "database: mysql://user:" + value + "@host/x", "secret: \"" + value, "secret: a " + value, "sources: {django: {dsn: 'host=x password=" + value + " port=y'}}",
	} {
		file := filepath.Join(t.TempDir(), fmt.Sprint(canary, i))
		must(t, os.WriteFile(file, []byte(text+"\n"), 0o600))
		m.run(t, "", nil, "config", "check", file)
		m.run(t, "", nil, "config", "show", "--config", file)
		m.run(t, "", nil, "serve", "--config", file, "--listen", "127.0.0.1:bad")
	}
	for _, variable := range []string{"LATCHKEY_SECRET=", "LATCHKEY_DATABASE=postgres://u:p@h:bad/", "LATCHKEY_DATABASE=", "LATCHKEY_TRACES_AUTHORIZATION=\n", "LATCHKEY_ROUTES=", "LATCHKEY_LOG_LEVEL="} {
		m.run(t, "", []string{variable + value}, "config", "check")
		m.run(t, "", []string{variable + value}, "config", "show")
	}
	m.run(t, "", nil, "backup", "--database", "postgres://user:"+value+"@127.0.0.1:1/x?connect_timeout=1", "--data", m.data, filepath.Join(t.TempDir(), "x"))
	m.run(t, "", nil, "serve", "--database", "postgres://user:"+value+"@127.0.0.1:1/x?connect_timeout=1", "--data", m.data, "--listen", "127.0.0.1:0")
}

// run runs one command and keeps what it says, whether it succeeds or not. The
// name of a variable that does not exist is no secret; its value is.
func (m *mine) run(t *testing.T, stdin string, env []string, args ...string) {
	t.Helper()
	out, text, err := proctest.Run(t.Context(), proctest.Spec{
		Name: "latchkey", Path: program(t), Args: args, Dir: m.home, Stdin: strings.NewReader(stdin),
		Env: append([]string{"HOME=" + m.home, "PATH=" + os.Getenv("PATH")}, env...),
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	shown := args
	if len(args) > 2 {
		shown = args[:2]
	}
	said := fmt.Sprintf("%s\n%s\n", out, text)
	if found := m.found([]byte(said)); len(found) > 0 {
		t.Errorf("latchkey %q (%v) says %q", shown, err != nil, found)
	}
	m.said.WriteString(said)
}
