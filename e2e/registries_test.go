//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// What the team may do, which alice and robots of hers get.
var teamGrants = []string{"repository:team/*:pull,push,delete", "registry:catalog:*"}

// TestRegistries has real clients push to and pull from real registries of both
// generations, with tokens of ours (S94 to S98).
func TestRegistries(t *testing.T) {
	for _, generation := range []string{distribution2, distribution3} {
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			r := newRealm(t, generation, "")
			alice := r.person(t, "alice", alicesPassword, teamGrants...)
			t.Run("credentials", func(t *testing.T) { testCredentials(t, r, alice) })
			t.Run("mount", func(t *testing.T) { testMount(t, r) })
			t.Run("catalog", func(t *testing.T) { testCatalog(t, r) })
			t.Run("reader", func(t *testing.T) { testReader(t, r) })
			t.Run("revoked", func(t *testing.T) { testRevokedRobot(t, r) })
			t.Run("identity token", func(t *testing.T) { testIdentityToken(t, r) })
			t.Run("anonymous", func(t *testing.T) { testAnonymousPull(t, r) })
			t.Run("a port in the name", func(t *testing.T) { testPortInName(t, r) })
			t.Run("daemons", func(t *testing.T) { testDaemons(t, r) })
		})
	}
}

// testCredentials takes each client through all that it can do with each kind
// of credential.
func testCredentials(t *testing.T, r realm, alice *client.Client) {
	pair, err := alice.Tokens.CreatePair(t.Context(), api.CreateTokenPair{Name: "registry"})
	if err != nil {
		t.Fatal(err)
	}
	r.hide(pair.AccessToken, pair.RefreshToken)
	for kind, password := range map[string]string{
		"password": alicesPassword,
		"opaque":   r.token(t, alice, api.CreateToken{}).Secret,
		"jwt":      pair.AccessToken,
	} {
		for name, c := range newClients(t) {
			t.Run(kind+" "+name, func(t *testing.T) {
				ref := fmt.Sprintf("%s/team/%s-%s:1", r.host, name, kind)
				workWith(t, c, r.host, "alice", password, ref)
			})
		}
	}
}

// workWith logs in, pushes, pulls, removes and logs out.
func workWith(t *testing.T, c registryClient, host, user, password, ref string) {
	t.Helper()
	im := newImage(t, "content of "+ref, "first")
	if err := c.login(host, user, "not-"+password); err == nil {
		if err = c.pull(ref); err == nil { // some only keep what is typed
			t.Fatal("a login with a wrong password is good for a pull")
		}
	}
	if err := c.login(host, user, password); err != nil {
		t.Fatalf("logging in: %v", err)
	}
	if err := c.push(im, ref); err != nil {
		t.Fatalf("pushing: %v", err)
	}
	if err := c.pull(ref); err != nil {
		t.Fatalf("pulling: %v", err)
	}
	if err := c.remove(ref); err != errNotOffered {
		if err != nil {
			t.Fatalf("removing: %v", err)
		}
		within(t, time.Minute, "what was removed to be gone", func(context.Context) error { // Pulp removes in a task
			if err := c.pull(ref); err == nil {
				return errors.New("it can be pulled")
			}
			return nil
		})
	}
	if err := c.logout(host); err != nil {
		t.Fatalf("logging out: %v", err)
	}
	if err := c.push(newImage(t, "other content of "+ref, "second"), ref); err == nil {
		t.Error("a push after the logout succeeds")
	}
}

// testMount copies between repositories, for which the client asks for rights
// in both.
func testMount(t *testing.T, r realm) {
	c := newSkopeo(t)
	if err := c.login(r.host, "alice", alicesPassword); err != nil {
		t.Fatal(err)
	}
	from, to := r.host+"/team/from:1", r.host+"/team/to:1"
	if err := c.push(newImage(t, "mounted", "mounted"), from); err != nil {
		t.Fatal(err)
	}
	if err := c.copyWithin(from, to); err != nil {
		t.Fatalf("copying within the registry: %v", err)
	}
	if err := c.pull(to); err != nil {
		t.Fatal(err)
	}
	if err := c.copyWithin(from, r.host+"/elsewhere/to:1"); err == nil || !strings.Contains(err.Error(), "denied") {
		t.Errorf("copying to where nothing is granted = %v, want it denied", err)
	}
}

// testCatalog lists the repositories for who may, and for nobody else.
func testCatalog(t *testing.T, r realm) {
	c := newCrane(t)
	if err := c.login(r.host, "alice", alicesPassword); err != nil {
		t.Fatal(err)
	}
	if err := c.push(newImage(t, "listed", "listed"), r.host+"/team/listed:1"); err != nil {
		t.Fatal(err)
	}
	list, err := c.catalog(r.host)
	if err != nil || !slices.Contains(strings.Fields(list), "team/listed") {
		t.Errorf("the catalog is %q, %v, want team/listed in it", list, err)
	}
	robot := r.robotToken(t, "no-catalog", "repository:team/*:pull")
	if err := c.login(r.host, "no-catalog", robot.Secret); err != nil {
		t.Fatal(err)
	}
	if list, err := c.catalog(r.host); err == nil {
		t.Errorf("without the right the catalog is %q, want it refused", list)
	}
}

// testReader has a robot that may only pull try to push.
func testReader(t *testing.T, r realm) {
	ref := r.host + "/team/read:1"
	pushAs(t, r, ref)
	robot := r.robotToken(t, "reader", "repository:team/*:pull")
	for name, c := range newClients(t) {
		t.Run(name, func(t *testing.T) {
			if err := c.login(r.host, "reader", robot.Secret); err != nil {
				t.Fatal(err)
			}
			if err := c.pull(ref); err != nil {
				t.Errorf("pulling with the right to: %v", err)
			}
			err := c.push(newImage(t, "not to be taken", name), ref)
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), "denied") && !strings.Contains(strings.ToLower(err.Error()), "unauthorized") {
				t.Errorf("pushing without the right to = %v, want it denied", err)
			}
			if err := c.pull(r.host + "/other/thing:1"); err == nil {
				t.Error("pulling from where nothing is granted succeeds")
			}
		})
	}
}

// pushAs has alice push something small.
func pushAs(t *testing.T, r realm, ref string) {
	t.Helper()
	c := newSkopeo(t)
	mustLogin(t, c, r.host, "alice", alicesPassword)
	if err := c.push(newImage(t, "content of "+ref, "first"), ref); err != nil {
		t.Fatal(err)
	}
}

// testRevokedRobot takes a robot's token back, which ends the giving of
// registry tokens at once (S98).
func testRevokedRobot(t *testing.T, r realm) {
	ref := r.host + "/team/revoked:1"
	pushAs(t, r, ref)
	robot := r.robotToken(t, "to-be-revoked", "repository:team/*:pull")
	clients := newClients(t)
	for name, c := range clients {
		if err := c.login(r.host, "to-be-revoked", robot.Secret); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := c.pull(ref); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := r.admin().Tokens.Revoke(t.Context(), robot.ID, "a test"); err != nil {
		t.Fatal(err)
	}
	for name, c := range clients {
		if err := c.pull(ref); err == nil {
			t.Errorf("%s pulls with a revoked token", name)
		} else if text := strings.ToLower(err.Error()); !strings.Contains(text, "unauthorized") && !strings.Contains(text, "401") {
			t.Errorf("%s with a revoked token says %v, want it to say that it is unauthorized", name, err)
		}
	}
}

// testIdentityToken asks for a refresh token as docker does at a login, and has
// skopeo use it: it is listed, and ends when it is revoked.
func testIdentityToken(t *testing.T, r realm) {
	ref := r.host + "/team/identity:1"
	pushAs(t, r, ref)
	a := curl(t, "--user", "alice:"+alicesPassword, r.url+"/token/?service="+registryService+"&offline_token=true&client_id=laptop-of-alice")
	var got struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK || got.RefreshToken == "" {
		t.Fatalf("asking for a refresh token = %d %v, want one", a.status, err)
	}
	r.hide(got.RefreshToken)
	c := newSkopeo(t)
	auth := map[string]any{"auths": map[string]any{r.host: map[string]string{
		"auth": base64.StdEncoding.EncodeToString([]byte("alice:")), "identitytoken": got.RefreshToken,
	}}}
	b, err := json.Marshal(auth)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.home, "auth.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.pull(ref); err != nil {
		t.Fatalf("pulling with an identity token: %v", err)
	}
	if err := c.push(newImage(t, "by identity", "x"), ref); err != nil {
		t.Errorf("pushing with an identity token: %v", err)
	}
	var found string
	for token, err := range r.admin().Tokens.All(t.Context(), client.TokenQuery{Owner: "alice"}) {
		if err != nil {
			t.Fatal(err)
		}
		if token.Name == "laptop-of-alice" {
			found = token.ID
		}
	}
	if found == "" {
		t.Fatal("the refresh token is not listed under its client's name")
	}
	if err := r.admin().Tokens.Revoke(t.Context(), found, "a test"); err != nil {
		t.Fatal(err)
	}
	if err := c.pull(ref); err == nil {
		t.Error("a revoked identity token is good for a pull")
	}
}

// testAnonymousPull pulls without a login what is granted to everybody.
func testAnonymousPull(t *testing.T, r realm) {
	r.grant(t, "alice", "repository:public/*:pull,push")
	ref := r.host + "/public/thing:1"
	pushAs(t, r, ref)
	clients := newClients(t)
	for name, c := range clients {
		if err := c.pull(ref); err == nil {
			t.Errorf("%s pulls what is not public yet", name)
		}
	}
	if _, err := r.admin().Grants.Create(t.Context(), api.CreateGrant{Group: "anonymous", Scope: "repository:public/*:pull"}); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, "the grant to be in force", func(context.Context) error { return newSkopeo(t).pull(ref) })
	for name, c := range clients {
		if err := c.pull(ref); err != nil {
			t.Errorf("%s pulls what is public: %v", name, err)
		}
		if err := c.push(newImage(t, "defaced", name), ref); err == nil {
			t.Errorf("%s pushes without a login", name)
		}
	}
}

// testPortInName asks for a repository whose name begins with a host and its
// port, as proxies of registries call theirs.
func testPortInName(t *testing.T, r realm) {
	const asked = "repository:mirror.test:5000/library/app:pull"
	robot := r.robotToken(t, "mirror", "repository:mirror.test:5000/library/*:pull")
	a := curl(t, "--user", "mirror:"+robot.Secret, "--get", "--data-urlencode", "scope="+asked, r.url+"/token/?service="+registryService)
	var got struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK {
		t.Fatalf("asking for %s = %d %v", asked, a.status, err)
	}
	r.hide(got.Token)
	parts := strings.Split(got.Token, ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts, want 3", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || !strings.Contains(string(payload), `"access":[{"type":"repository","name":"mirror.test:5000/library/app","actions":["pull"]}]`) {
		t.Errorf("the claims are %s, %v, want the right to pull the repository in them", payload, err)
	}
}

// testDaemons has the two engines that containers run on work with the
// registry: containerd, which asks for tokens by POST, and Docker's, which keeps
// a refresh token.
func testDaemons(t *testing.T, r realm) {
	for name, make := range map[string]func(*testing.T) registryClient{
		"containerd": func(t *testing.T) registryClient { return newContainerd(t) },
		"docker":     func(t *testing.T) registryClient { return newDocker(t) },
	} {
		t.Run(name, func(t *testing.T) {
			c := make(t)
			workWith(t, c, r.host, "alice", alicesPassword, r.host+"/team/"+name+":1")
			robot := r.robotToken(t, "robot-of-"+name, "repository:team/*:pull,push")
			workWith(t, c, r.host, "robot-of-"+name, robot.Secret, r.host+"/team/"+name+"-robot:1")
		})
	}
}
