//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/pulptest"
)

// containerRoles let a Pulp user make repositories by pushing to them.
var containerRoles = []string{"container.containernamespace_creator", "container.containerdistribution_creator"}

// pulpRegistry starts a Pulp with Latchkey in front, as the realm of its
// container registry.
func pulpRegistry(t *testing.T, config string) (*behind, string) {
	t.Helper()
	gateway := reserve(t)
	p := pulptest.Start(t, pulptest.Options{ContentOrigin: "http://" + gateway.address})
	config = strings.NewReplacer("<host>", gateway.address).Replace(config)
	return &behind{pulp: p, latchkey: serve(t, serveOptions{
		on: gateway, args: []string{"--pulp", p.APIURL, "--pulp-content", p.ContentURL},
		config: "public_url: http://" + gateway.address + "\n" + config,
	})}, gateway.address
}

// TestPulpRegistryRelayed has Pulp's own roles decide what the clients of its
// registry may do, and Latchkey narrow that by its tokens.
func TestPulpRegistryRelayed(t *testing.T) {
	b, host := pulpRegistry(t, "")
	alice := b.person(t, "alice", containerRoles...)
	b.person(t, "bob")
	all, reading := b.secret(t, alice), b.token(t, alice, api.CreateToken{Scope: []string{"repository:*:pull"}}).Secret
	ref := host + "/lab/app:1"
	for name, c := range newClients(t) {
		t.Run(name, func(t *testing.T) {
			workWith(t, c, host, "alice", all, fmt.Sprintf("%s/lab/%s:1", host, name))
		})
	}
	c := newSkopeo(t)
	mustLogin(t, c, host, "alice", all)
	im := newImage(t, "in Pulp", "first")
	if err := c.push(im, ref); err != nil {
		t.Fatal(err)
	}
	if n := b.containerRepositories(t, "lab/app"); n != 1 {
		t.Errorf("Pulp has %d repositories lab/app after the push, want 1", n)
	}
	if out, err := c.with("", "list-tags", "--tls-verify=false", "docker://"+host+"/lab/app"); err != nil || !strings.Contains(out, `"1"`) {
		t.Errorf("the tags are %s, %v, want 1 among them", out, err)
	}
	if err := c.copyWithin(ref, host+"/lab/copy:1"); err != nil {
		t.Errorf("copying within Pulp: %v", err)
	}
	mustLogin(t, c, host, "alice", reading)
	if err := c.pull(ref); err != nil {
		t.Errorf("pulling with a token that is for pulling: %v", err)
	}
	if err := c.push(newImage(t, "in Pulp", "second"), ref); err == nil {
		t.Error("pushing with a token that is for pulling succeeds")
	}
	mustLogin(t, c, host, "bob", passwordOf("bob"))
	if err := c.push(im, ref); err == nil {
		t.Error("Pulp's roles do not count: bob pushes to what is alice's")
	}
}

func mustLogin(t *testing.T, c registryClient, host, user, password string) {
	t.Helper()
	if err := c.login(host, user, password); err != nil {
		t.Fatalf("logging in as %s: %v", user, err)
	}
}

func (b *behind) containerRepositories(t *testing.T, name string) int {
	t.Helper()
	var list struct{ Count int }
	b.ask(t, http.MethodGet, "distributions/container/container/?base_path="+name, nil, &list)
	return list.Count
}

// TestPulpRegistry has Latchkey decide what the clients of Pulp's registry may
// do (mode B of the two).
func TestPulpRegistry(t *testing.T) {
	b, host := pulpRegistry(t, `
registry:
  services:
    - name: <host>
      mode: latchkey
`)
	r := realm{latchkey: b.latchkey, host: host}
	r.export(t, "pem", filepath.Join(b.pulp.Dir, "token_public_key.pem"))
	oneKey(t, filepath.Join(b.pulp.Dir, "token_public_key.pem"))
	if _, err := b.person(t, "alice", containerRoles...).WhoAmI(t.Context()); err != nil { // so that there is an account
		t.Fatal(err)
	}
	r.grant(t, "alice", teamGrants...)
	ref := host + "/team/app:1"
	for name, c := range newClients(t) {
		t.Run(name, func(t *testing.T) {
			workWith(t, c, host, "alice", passwordOf("alice"), fmt.Sprintf("%s/team/%s:1", host, name))
		})
	}
	c := newSkopeo(t)
	mustLogin(t, c, host, "alice", passwordOf("alice"))
	if err := c.push(newImage(t, "in Pulp", "first"), ref); err != nil {
		t.Fatal(err)
	}
	if n := b.containerRepositories(t, "team/app"); n != 1 {
		t.Errorf("Pulp has %d repositories team/app after the push, want 1", n)
	}
	if err := c.copyWithin(ref, host+"/team/copy:1"); err != nil {
		t.Errorf("copying within Pulp: %v", err)
	}
	if err := c.push(newImage(t, "in Pulp", "second"), host+"/other/app:1"); err == nil {
		t.Error("pushing to where nothing is granted succeeds, though Pulp's roles would let it")
	}
	list, err := newCraneAs(t, host, "alice", passwordOf("alice")).catalog(host)
	if err != nil || !slices.Contains(strings.Fields(list), "team/app") {
		t.Errorf("the catalog is %q, %v, want team/app in it", list, err)
	}
}

// newCraneAs is crane, logged in.
func newCraneAs(t *testing.T, host, user, password string) crane {
	t.Helper()
	c := newCrane(t)
	mustLogin(t, c, host, user, password)
	return c
}

// oneKey leaves the first key in a file: Pulp reads one.
func oneKey(t *testing.T, file string) {
	t.Helper()
	const end = "-----END PUBLIC KEY-----\n"
	first, _, found := strings.Cut(readFile(t, file), end)
	if !found {
		t.Fatalf("there is no key in %s", file)
	}
	if err := os.WriteFile(file, []byte(first+end), 0o600); err != nil {
		t.Fatal(err)
	}
}
