//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// The generations of the registry of the distribution project.
const (
	distribution2 = "distribution2" // docker-registry of Debian
	distribution3 = "distribution3"
)

// registryService is what the registries under test call themselves.
const registryService = "registry.test"

// realm is a server that gives tokens to the clients of a registry.
type realm struct {
	*latchkey
	host string // of the registry, with its port
}

// newRealm starts a server and a registry that trusts it, as `latchkey registry
// config` prints it.
func newRealm(t *testing.T, generation string, config string) realm {
	t.Helper()
	on := reserve(t)
	// By its name: crane sends no credential to a realm whose host is a private address.
	public := strings.Replace("http://"+on.address, "127.0.0.1", "localhost", 1)
	s := serve(t, serveOptions{on: on, config: fmt.Sprintf(`
public_url: %s
registry:
  services:
    - name: %s
%s`, public, registryService, config)})
	r := realm{latchkey: s}
	at := reserve(t)
	r.host = at.address
	folder := t.TempDir()
	bundle, set := filepath.Join(folder, "bundle.pem"), filepath.Join(folder, "jwks.json")
	r.export(t, "certificate", bundle)
	r.export(t, "jwks", set)
	trust := map[string]string{distribution2: "rootcertbundle: " + bundle, distribution3: "jwks: " + set}[generation]
	file := filepath.Join(folder, "registry.yml")
	text := fmt.Sprintf(`version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: %[1]s}
  delete: {enabled: true}
http: {addr: %[2]q}
auth:
  token:
    realm: %[3]s
    issuer: %[3]s
    service: %[4]s
    %[5]s
`, filepath.Join(folder, "storage"), at.address, public+"/token/", registryService, trust)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	path := registryProgram(t, "distribution")
	if generation == distribution2 {
		path = newTool(t, "docker-registry").path
	}
	at.release()
	p := start(t, command{path: path, args: []string{"serve", file}, dir: folder, env: []string{"OTEL_TRACES_EXPORTER=none"}})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the registry's log:\n%s", tail(p.stdout(t)+p.stderr(t), 3000))
		}
	})
	within(t, time.Minute, "the registry to answer", func(ctx context.Context) error {
		if p.ended() {
			t.Fatalf("the registry has ended: %v\n%s%s", p.err, p.stdout(t), p.stderr(t))
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.host+"/v2/", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") == "" {
			t.Fatalf("the registry answers %s and %q without a token, want a challenge", resp.Status, resp.Header.Get("WWW-Authenticate"))
		}
		return nil
	})
	return r
}

// export writes the server's public keys to a file.
func (r realm) export(t *testing.T, form, file string) {
	t.Helper()
	p := start(t, command{path: program(t), args: []string{"keys", "export", "--format", form}, dir: r.home, env: []string{
		"HOME=" + r.home, "LATCHKEY_SERVER=" + r.url, "LATCHKEY_USER=admin", "LATCHKEY_PASSWORD=" + adminPassword,
	}})
	<-p.done
	if p.err != nil {
		t.Fatalf("latchkey keys export --format %s: %v\n%s", form, p.err, p.stderr(t))
	}
	if err := os.WriteFile(file, []byte(p.stdout(t)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// person makes an account with a password and rights.
func (r realm) person(t *testing.T, name, password string, grants ...string) *client.Client {
	t.Helper()
	admin := r.admin()
	r.hide(password)
	if _, err := admin.Accounts.Create(t.Context(), api.CreateAccount{Name: name, Password: password}); err != nil {
		t.Fatalf("making %s: %v", name, err)
	}
	r.grant(t, name, grants...)
	return r.user(name, password)
}

func (r realm) grant(t *testing.T, account string, grants ...string) {
	t.Helper()
	for _, g := range grants {
		if _, err := r.admin().Grants.Create(t.Context(), api.CreateGrant{Account: account, Scope: g}); err != nil {
			t.Fatalf("granting %s to %s: %v", g, account, err)
		}
	}
}

// robotToken makes a robot with rights, and a token of it.
func (r realm) robotToken(t *testing.T, name string, grants ...string) api.NewToken {
	t.Helper()
	admin := r.admin()
	if _, err := admin.Accounts.Create(t.Context(), api.CreateAccount{Name: name, Kind: "robot"}); err != nil {
		t.Fatalf("making the robot %s: %v", name, err)
	}
	r.grant(t, name, grants...)
	return r.token(t, admin, api.CreateToken{Owner: name})
}
