//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/pulptest"
)

// apiRoot is where Pulp's REST API begins.
const apiRoot = "/pulp/api/v3/"

// publisherRoles let a Pulp user do what the tests of the clients do.
var publisherRoles = []string{
	"file.filerepository_creator", "file.filepublication_creator", "file.filedistribution_creator",
}

// behind is a real Pulp with Latchkey in front.
type behind struct {
	*latchkey
	pulp *pulptest.Pulp
}

// One Pulp serves all these tests, because each takes seconds to start.
func TestPulp(t *testing.T) {
	gateway := reserve(t)
	p := pulptest.Start(t, pulptest.Options{ContentOrigin: "http://" + gateway.address, Settings: settingsOfPage(t, "http://"+gateway.address)})
	b := &behind{pulp: p, latchkey: serve(t, serveOptions{
		on: gateway, args: []string{"--pulp", p.APIURL, "--pulp-content", p.ContentURL},
	})}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *behind)
	}{
		{"clients", testClients},
		{"reading only", testReadingOnly},
		{"forged", testForged},
		{"refused at once", testRefusedAtOnce},
		{"correlation", testCorrelation},
		{"open paths", testOpenPaths},
		{"guarded", testGuarded},
		{"packages", testPackages},
		{"pulp source", testPulpSource},
		{"strangers", testStrangers},
		{"django source", testDjangoSource},
		{"page", testPage},
		{"doctor", testDoctor},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, b) })
	}
}

// person makes a Pulp user and returns a client for who logs in to Latchkey
// with the password that they have in Pulp.
func (b *behind) person(t *testing.T, name string, roles ...string) *client.Client {
	t.Helper()
	password := passwordOf(name)
	b.pulp.CreateUser(t, name, password, roles...)
	return b.user(name, password)
}

// passwordOf is the password in Pulp of a user of the tests.
func passwordOf(name string) string { return "correct horse of " + name }

// secret makes a token without limits of its own.
func (b *behind) secret(t *testing.T, c *client.Client) string {
	t.Helper()
	return b.token(t, c, api.CreateToken{}).Secret
}

// get asks for a path at the gateway.
func (b *behind) get(t *testing.T, path string, args ...string) answer {
	t.Helper()
	return curl(t, with(args, b.url+path)...)
}

// object is what every object of Pulp's API has.
type object struct {
	Href string `json:"pulp_href"`
	Task string `json:"task"`
}

// object decodes the body of an answer.
func (a answer) object(t *testing.T, what string) object {
	t.Helper()
	var o object
	if a.status/100 != 2 {
		t.Fatalf("%s = %d %s (curl: %s)", what, a.status, a.body, a.said)
	}
	if err := json.Unmarshal([]byte(a.body), &o); err != nil {
		t.Fatalf("%s = %q: %v", what, a.body, err)
	}
	return o
}

// admin asks Pulp directly, as its administrator.
func (b *behind) ask(t *testing.T, method, path string, in, out any) {
	t.Helper()
	if err := b.pulp.Admin(t.Context(), method, path, in, out); err != nil {
		t.Fatal(err)
	}
}

// repositories counts the file repositories of a name that Pulp has.
func (b *behind) repositories(t *testing.T, name string) int {
	t.Helper()
	var list struct{ Count int }
	b.ask(t, http.MethodGet, "repositories/file/file/?name="+name, nil, &list)
	return list.Count
}
