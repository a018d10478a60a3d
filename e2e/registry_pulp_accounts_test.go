//go:build e2e && linux

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pulptest"
)

// TestPulpRegistryAccounts has robots that Pulp does not know use its registry,
// and shows what else Pulp wants of the tokens. One Pulp serves all of it.
func TestPulpRegistryAccounts(t *testing.T) {
	b, host := pulpRegistry(t, registryOfPulp("<host>", "latchkey", "make"))
	p := &pulpAccounts{behind: b, realm: realm{latchkey: b.latchkey, host: host}}
	key := filepath.Join(b.pulp.Dir, "token_public_key.pem")
	pulps := readFile(t, key)
	p.realm.export(t, "pem", key)
	oneKey(t, key)
	t.Run("make", p.testMake)
	t.Run("blob redirects", p.testBlobRedirects)
	t.Run("map", p.testMap)
	if err := os.WriteFile(key, []byte(pulps), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("relayed", p.testRelayedMake)
	t.Run("tokens", func(t *testing.T) { testPulpTokens(t, b.url, host, key) })
}

// pulpAccounts is a Pulp whose registry gets its tokens from Latchkey.
type pulpAccounts struct {
	*behind
	realm   realm
	reloads int
}

func registryOfPulp(host, mode, robots string) string {
	return fmt.Sprintf("registry: {services: [{name: %q, mode: %s}]}\npulp: {accounts: {robots: %s}}\n", host, mode, robots)
}

// reconfigure has the server read another configuration.
func (p *pulpAccounts) reconfigure(t *testing.T, mode, robots string) {
	t.Helper()
	text := "public_url: http://" + p.realm.host + "\n" + registryOfPulp(p.realm.host, mode, robots)
	if err := os.WriteFile(filepath.Join(p.home, "latchkey.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.process.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.reloads++
	within(t, time.Minute, "the reload", func(context.Context) error {
		if n := strings.Count(p.process.stderr(t), "the configuration was reloaded"); n < p.reloads {
			return fmt.Errorf("%d reloads, want %d", n, p.reloads)
		}
		return nil
	})
}

// robotOf makes a robot that may do all that matters here.
func (p *pulpAccounts) robotOf(t *testing.T, name string) string {
	t.Helper()
	return p.realm.robotToken(t, name, "repository:team/*:pull,push", "path:/token/:read", "path:/pulp/api/v3/*:read").Secret
}

// pulpUsers returns the users of a name that Pulp has.
func (p *pulpAccounts) pulpUsers(t *testing.T, name string) []pulptest.User {
	t.Helper()
	var list struct{ Results []pulptest.User }
	p.ask(t, http.MethodGet, "users/?username="+name, nil, &list)
	return list.Results
}

// registryToken asks the realm for a token, and returns it with whom it is for.
func (p *pulpAccounts) registryToken(t *testing.T, user, secret, scope string) (token, subject string) {
	t.Helper()
	a := curl(t, "--user", user+":"+secret, "--get", "--data-urlencode", "service="+p.realm.host, "--data-urlencode", "scope="+scope, p.url+"/token/")
	var got struct{ Token string }
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK || strings.Count(got.Token, ".") != 2 {
		t.Fatalf("asking for %s = %d %v", scope, a.status, err)
	}
	p.hide(got.Token)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(got.Token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return got.Token, claims.Subject
}

// pushAndPull does both as a robot.
func (p *pulpAccounts) pushAndPull(t *testing.T, robot, secret, ref string) {
	t.Helper()
	c := newSkopeo(t)
	mustLogin(t, c, p.realm.host, robot, secret)
	if err := c.push(newImage(t, "content of "+ref, "first"), ref); err != nil {
		t.Fatalf("pushing as the robot %s: %v", robot, err)
	}
	if err := c.pull(ref); err != nil {
		t.Fatalf("pulling as the robot %s: %v", robot, err)
	}
}

// testMake: a robot that only Latchkey knows is made in Pulp, without roles, and
// can do what it is granted.
func (p *pulpAccounts) testMake(t *testing.T) {
	secret := p.robotOf(t, "maker")
	if n := len(p.pulpUsers(t, "maker")); n != 0 {
		t.Fatalf("Pulp has %d users maker before the first token", n)
	}
	p.pushAndPull(t, "maker", secret, p.realm.host+"/team/made:1")
	if n := len(p.pulpUsers(t, "maker")); n != 1 {
		t.Errorf("Pulp has %d users maker, want one", n)
	}
	p.get(t, "/pulp/api/v3/login/", bearer(secret)...).want(t, "whom Pulp takes the robot for", http.StatusOK, `"username":"maker"`)
}

// testBlobRedirects: a blob comes from Pulp's content server, by way of the
// gateway, for whoever has the signed URL.
func (p *pulpAccounts) testBlobRedirects(t *testing.T) {
	secret := p.robotOf(t, "puller")
	im := newImage(t, "redirected", "x")
	c := newSkopeo(t)
	mustLogin(t, c, p.realm.host, "puller", secret)
	if err := c.push(im, p.realm.host+"/team/redirected:1"); err != nil {
		t.Fatal(err)
	}
	token, _ := p.registryToken(t, "puller", secret, "repository:team/redirected:pull")
	a := p.get(t, "/v2/team/redirected/blobs/"+im.layer, bearer(token)...)
	to := a.header.Get("Location")
	if a.status/100 != 3 || !strings.HasPrefix(to, p.url+"/pulp/container/team/redirected/blobs/") || !strings.Contains(to, "validate_token=") {
		t.Fatalf("a blob = %d to %q, want a redirect to a signed URL at the gateway", a.status, to)
	}
	p.hide(to)
	if blob := curl(t, to); blob.status != http.StatusOK || sha256Of([]byte(blob.body)) != im.layer {
		t.Errorf("the signed URL = %d with %s, want the blob %s", blob.status, sha256Of([]byte(blob.body)), im.layer)
	}
	unsigned, _, _ := strings.Cut(to, "?")
	if blob := curl(t, unsigned); blob.status/100 == 2 {
		t.Errorf("without the signature = %d, want it refused", blob.status)
	}
}

// testMap: robots pass for one user in Pulp, and nobody is made there.
func (p *pulpAccounts) testMap(t *testing.T) {
	p.reconfigure(t, "latchkey", "map")
	secret := p.robotOf(t, "mapped")
	c := newSkopeo(t)
	if err := c.login(p.realm.host, "mapped", secret); err == nil {
		t.Error("a robot that passes for nobody whom Pulp knows can log in")
	}
	p.pulp.CreateUser(t, "latchkey-robot", "")
	p.pushAndPull(t, "mapped", secret, p.realm.host+"/team/mapped:1")
	if n := len(p.pulpUsers(t, "mapped")); n != 0 {
		t.Errorf("Pulp has %d users mapped, want none", n)
	}
	if _, subject := p.registryToken(t, "mapped", secret, "repository:team/mapped:pull"); subject != "latchkey-robot" {
		t.Errorf("the sub = %q, want latchkey-robot", subject)
	}
	p.get(t, "/pulp/api/v3/login/", bearer(secret)...).want(t, "whom Pulp takes the robot for", http.StatusOK, `"username":"latchkey-robot"`)
}

// testRelayedMake: where Pulp decides, the robot is made too, and may do what
// its roles say.
func (p *pulpAccounts) testRelayedMake(t *testing.T) {
	p.reconfigure(t, "relay", "make")
	secret := p.robotOf(t, "relayed")
	c := newSkopeo(t)
	mustLogin(t, c, p.realm.host, "relayed", secret)
	ref := p.realm.host + "/lab/relayed:1" // below its own name anybody may push
	if err := c.push(newImage(t, "relayed", "x"), ref); err == nil {
		t.Error("a robot without roles pushes")
	}
	users := p.pulpUsers(t, "relayed")
	if len(users) != 1 {
		t.Fatalf("Pulp has %d users relayed, want one", len(users))
	}
	for _, role := range containerRoles {
		p.ask(t, http.MethodPost, users[0].Href+"roles/", map[string]any{"role": role, "content_object": nil}, nil)
	}
	p.pushAndPull(t, "relayed", secret, ref)
	p.pushAndPull(t, "relayed", secret, p.realm.host+"/relayed/own:1")
}

// testPulpTokens shows what Pulp wants of a token, by tokens that are like ours
// but for one thing.
func testPulpTokens(t *testing.T, url, host, file string) {
	key := putKey(t, file)
	now := time.Now().Unix()
	for _, tt := range []struct {
		name   string
		change func(claims map[string]any)
		want   int // 0: anything but a yes
	}{
		{"as ours", func(map[string]any) {}, http.StatusOK},
		{"a clock 20 s ahead", func(c map[string]any) { // S97
			c["iat"], c["nbf"], c["exp"] = now+20-30, now+20-30, now+20+300
		}, http.StatusOK},
		{"a clock a minute ahead, not dated back", func(c map[string]any) { c["iat"], c["nbf"] = now+60, now+60 }, http.StatusUnauthorized},
		{"an issuer without its slash", func(c map[string]any) { c["iss"] = url + "/token" }, http.StatusUnauthorized},
		{"an audience without its port", func(c map[string]any) { c["aud"] = strings.Split(host, ":")[0] }, http.StatusUnauthorized},
		{"nobody whom Pulp knows", func(c map[string]any) { c["sub"] = "stranger" }, http.StatusUnauthorized},
		{"access where none is asked for", func(c map[string]any) {
			c["access"] = []any{map[string]any{"type": "repository", "name": "team/made", "actions": []string{"pull"}}}
		}, http.StatusUnauthorized},
		{"no access at all", func(c map[string]any) { delete(c, "access") }, 0},
	} {
		claims := map[string]any{
			"iss": url + "/token/", "sub": "maker", "aud": host, "exp": now + 300, "nbf": now - 30, "iat": now - 30,
			"jti": "0123456789abcdef", "access": []any{},
		}
		tt.change(claims)
		a := curl(t, with(bearer(signed(t, key, claims)), url+"/v2/")...)
		if a.status != tt.want && (tt.want != 0 || a.status/100 == 2 || a.status == 0) {
			t.Errorf("/v2/ with %s = %d %.300q, want %d", tt.name, a.status, a.body, tt.want)
		}
	}
}

// putKey puts a new key where Pulp reads the one that tokens are signed by.
func putKey(t *testing.T, file string) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600); err != nil {
		t.Fatal(err)
	}
	return key
}

// signed makes a token of any claims, by ES256.
func signed(t *testing.T, key *ecdsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"ES256","typ":"JWT","kid":"a test"}`)) + "." + encode(payload)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	var raw [64]byte
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return text + "." + encode(raw[:])
}
