//go:build e2e && linux

package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// tinyRegistry has one image, prod/app:1, for those who bring a token of the
// realm that it names. It believes what tokens say: the real registries verify
// them elsewhere.
type tinyRegistry struct {
	host  string // with its port
	realm string

	mu   sync.Mutex
	seen map[string]bool // by the jti of tokens
}

const (
	emptyConfig = `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}`
	manifestOf  = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%d},"layers":[]}`
)

func newTinyRegistry(t *testing.T) *tinyRegistry {
	t.Helper()
	r := &tinyRegistry{seen: map[string]bool{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.host = strings.TrimPrefix(server.URL, "http://")
	return r
}

func digestOf(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }

// ServeHTTP answers as the distribution specification has it.
func (r *tinyRegistry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	need := ""
	if strings.HasPrefix(q.URL.Path, "/v2/prod/app/") {
		need = "repository:prod/app:pull"
	}
	if !r.admits(q.Header.Get("Authorization"), need != "") {
		challenge := fmt.Sprintf(`Bearer realm="%s",service="%s"`, r.realm, r.host)
		if need != "" {
			challenge += fmt.Sprintf(`,scope="%s"`, need)
		}
		w.Header().Set("Www-Authenticate", challenge)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	manifest := fmt.Sprintf(manifestOf, digestOf(emptyConfig), len(emptyConfig))
	switch q.URL.Path {
	case "/v2/":
	case "/v2/prod/app/tags/list":
		io.WriteString(w, `{"name":"prod/app","tags":["1"]}`)
	case "/v2/prod/app/manifests/1", "/v2/prod/app/manifests/" + digestOf(manifest):
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Docker-Content-Digest", digestOf(manifest))
		io.WriteString(w, manifest)
	case "/v2/prod/app/blobs/" + digestOf(emptyConfig):
		io.WriteString(w, emptyConfig)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// admits reads a token of the realm; with pull it must be for the image.
func (r *tinyRegistry) admits(header string, pull bool) bool {
	parts := strings.Split(strings.TrimPrefix(header, "Bearer "), ".")
	if len(parts) != 3 {
		return false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var claims struct {
		Aud    string
		JTI    string
		Access []struct {
			Type, Name string
			Actions    []string
		}
	}
	if json.Unmarshal(text, &claims) != nil || claims.Aud != r.host {
		return false
	}
	r.mu.Lock()
	r.seen[claims.JTI] = true
	r.mu.Unlock()
	if !pull {
		return true
	}
	for _, a := range claims.Access {
		if a.Type == "repository" && a.Name == "prod/app" && strings.Contains(strings.Join(a.Actions, " "), "pull") {
			return true
		}
	}
	return false
}

// puller is somebody with podman and skopeo, and a home of their own.
type puller struct {
	t        *testing.T
	home     string
	auth     string // the file of logins
	registry *tinyRegistry
}

func newPuller(t *testing.T, r *tinyRegistry) *puller {
	t.Helper()
	p := &puller{t: t, home: t.TempDir(), registry: r}
	p.auth = filepath.Join(p.home, "auth.json")
	bin := filepath.Join(p.home, "bin")
	must(t, os.Mkdir(bin, 0o700))
	must(t, os.Symlink(program(t), filepath.Join(bin, "latchkey")))
	must(t, os.Symlink("latchkey", filepath.Join(bin, "docker-credential-latchkey")))
	return p
}

// run runs a program with the image in place of IMAGE and the registry in place
// of REGISTRY, and returns what it printed, or, if it failed, all that it said.
func (p *puller) run(stdin string, name string, args ...string) (string, error) {
	p.t.Helper()
	for i := range args {
		args[i] = strings.NewReplacer("IMAGE", "docker://"+p.registry.host+"/prod/app:1", "REGISTRY", p.registry.host, "AUTH", p.auth).Replace(args[i])
	}
	if name == "latchkey" {
		name = program(p.t)
	}
	cmd := exec.CommandContext(p.t.Context(), name, args...)
	cmd.Dir = p.home
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = []string{
		"HOME=" + p.home, "XDG_RUNTIME_DIR=" + p.home, "XDG_CONFIG_HOME=" + filepath.Join(p.home, ".config"),
		"PATH=" + filepath.Join(p.home, "bin") + ":" + os.Getenv("PATH"),
	}
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String() + stderr.String(), err
	}
	return stdout.String(), nil
}

func (p *puller) mustRun(stdin string, name string, args ...string) string {
	p.t.Helper()
	out, err := p.run(stdin, name, args...)
	if err != nil {
		p.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

// pulls has skopeo fetch the image, with what the file of logins says.
func (p *puller) pulls() (string, error) {
	p.t.Helper()
	return p.run("", "skopeo", "copy", "--src-tls-verify=false", "--authfile", "AUTH", "IMAGE", "dir:"+p.t.TempDir())
}

// withRegistry starts a server that makes tokens for a tiny registry.
func withRegistry(t *testing.T) (*latchkey, *tinyRegistry) {
	t.Helper()
	need(t, "skopeo", "podman")
	r := newTinyRegistry(t)
	s := serve(t, serveOptions{config: "registry: {services: [{name: \"" + r.host + "\"}]}\n"})
	r.realm = s.url + "/token/"
	return s, r
}

// TestCredentialHelper has podman and skopeo use a registry without a secret of
// their own: they ask docker-credential-latchkey.
func TestCredentialHelper(t *testing.T) {
	s, r := withRegistry(t)
	_, err := s.admin().Accounts.Create(t.Context(), api.CreateAccount{Name: "alice", Password: alicesPassword, Grants: []string{"repository:prod/*:pull"}})
	must(t, err)
	p := newPuller(t, r)
	helpers := p.mustRun("", "latchkey", "credential-helper", "use", r.host, "--server", s.url)
	must(t, os.WriteFile(p.auth, []byte(helpers), 0o600))

	if out, err := p.pulls(); err == nil {
		t.Fatalf("a pull without a login: got %s, want a refusal", out)
	}
	// podman logs in to Latchkey, by way of the helper.
	if out, err := p.run("a wrong password", "podman", "login", "--authfile", "AUTH", "--tls-verify=false", "--username", "alice", "--password-stdin", "REGISTRY"); err == nil {
		t.Errorf("podman login with a wrong password: got %s, want a refusal", out)
	}
	p.mustRun(alicesPassword, "podman", "login", "--authfile", "AUTH", "--tls-verify=false", "--username", "alice", "--password-stdin", "REGISTRY")
	if out := p.mustRun("", "podman", "login", "--authfile", "AUTH", "--get-login", "REGISTRY"); strings.TrimSpace(out) != "alice" {
		t.Errorf("podman login --get-login: got %q, want alice", out)
	}
	for range 2 {
		if out, err := p.pulls(); err != nil {
			t.Fatalf("a pull with the helper: %v\n%s", err, out)
		}
	}
	// No file of podman's has a secret in it, and one short token was enough.
	if text := readFile(t, p.auth); strings.Contains(text, "\"auth\"") || strings.Contains(text, "lkp_") {
		t.Errorf("the file of logins has more than the helper's name: %s", text)
	}
	tokens, err := s.user("alice", alicesPassword).Tokens.List(t.Context(), client.TokenQuery{Label: "registry=" + r.host})
	if err != nil || len(tokens.Items) != 1 {
		t.Errorf("the short tokens: got %+v, %v, want one", tokens.Items, err)
	}
	// podman logs out.
	p.mustRun("", "podman", "logout", "--authfile", "AUTH", "REGISTRY")
	if out, err := p.pulls(); err == nil {
		t.Errorf("a pull after the logout: got %s, want a refusal", out)
	}
	if out, err := p.run("", "latchkey", "whoami", "--server", s.url); err == nil {
		t.Errorf("latchkey whoami after podman logout: got %s, want a refusal", out)
	}
}

// TestRobotLogin pulls with what 'robot create' prints.
func TestRobotLogin(t *testing.T) {
	s, r := withRegistry(t)
	p := newPuller(t, r)
	p.mustRun(adminPassword, "latchkey", "login", s.url, "--user", "admin", "--password-stdin")
	config := p.mustRun("", "latchkey", "robot", "create", "ci", "--grant", "repository:prod/*:pull", "--expires", "30d", "-o", "docker", "--registry", r.host, "-q")
	must(t, os.WriteFile(p.auth, []byte(config), 0o600))
	if out, err := p.pulls(); err != nil {
		t.Errorf("a pull with the robot's config.json: %v\n%s", err, out)
	}
	if out := p.mustRun("", "podman", "login", "--authfile", "AUTH", "--get-login", "REGISTRY"); strings.TrimSpace(out) != "ci" {
		t.Errorf("podman login --get-login: got %q, want ci", out)
	}
	manifest := p.mustRun("", "latchkey", "robot", "create", "app", "--grant", "repository:prod/*:pull", "-o", "kubernetes", "--registry", r.host, "-q")
	_, data, _ := strings.Cut(manifest, ".dockerconfigjson: ")
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(data))
	must(t, err)
	must(t, os.WriteFile(p.auth, text, 0o600))
	if out, err := p.pulls(); err != nil {
		t.Errorf("a pull with the robot's pull secret: %v\n%s", err, out)
	}
	// A robot that was ended pulls no more.
	p.mustRun("", "latchkey", "robot", "revoke-tokens", "app", "--yes")
	if out, err := p.pulls(); err == nil {
		t.Errorf("a pull with a revoked token: got %s, want a refusal", out)
	}
	token := p.mustRun("", "latchkey", "robot", "create", "idle", "--with-token", "-q")
	p.mustRun(strings.TrimSpace(token), "podman", "login", "--authfile", "AUTH", "--tls-verify=false", "--username", "idle", "--password-stdin", "REGISTRY")
	if out, err := p.pulls(); err == nil {
		t.Errorf("a pull without a grant: got %s, want a refusal", out)
	}
}

// An old user's bcrypt hash, of "an old sentence", as an htpasswd file has it.
const oldHash = "$2y$04$EF8n7OnTv/Ae2kekcYMbEeFmvj5iMpJ.TSO79LtWtFcMzNB07KSOq"

// registryToolsRecipe is how docs/registry-tools.md is followed.
var registryToolsRecipe = recipe{
	name: "registry-tools", page: "docs/registry-tools.md", first: signedIn,
	prepare: func(t *testing.T, f *follower) {
		for name, text := range map[string]string{
			"auth_config.yml": "users: {bob: {password: \"" + oldHash + "\"}}\nacl: [{match: {account: bob}, actions: [pull]}]\n",
			"htpasswd":        "carol:" + oldHash + "\n",
		} {
			must(t, os.WriteFile(filepath.Join(f.home, name), []byte(text), 0o600))
		}
	},
	keys: []typed{{"Password of admin:", adminPassword}, {"User name at", "admin"}, {"Password of admin:", adminPassword}},
	last: `grep -q 'BEGIN CERTIFICATE' etc/docker/registry/latchkey.pem
grep -q rootcertbundle etc/docker/registry/latchkey-auth.yml
jq -e '.auths["registry.example.com"].auth' config.json
grep -q 'kubernetes.io/dockerconfigjson' app-pull.yaml
test "$(echo registry.example.com | latchkey credential-helper get | jq -r .Username)" = admin
test -L usr/local/bin/docker-credential-latchkey
test "$(LATCHKEY_USER=bob LATCHKEY_PASSWORD='an old sentence' latchkey whoami -q)" = bob`,
}
