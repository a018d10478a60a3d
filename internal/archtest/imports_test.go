// Package archtest holds the rules of who may import whom, as a test.
package archtest

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/latchkey-auth/latchkey/"

// rule says what packages below From (one, or all below it when it ends in
// "/...") may not import, and why.
type rule struct {
	from   string
	except []string // packages below From to which the rule does not apply
	never  []string // packages, or all below one that ends in "/..."
	only   []string // of our own packages nothing but these, if not nil
	why    string
}

var rules = []rule{
	{from: "internal/tokens", never: []string{"net/http", "database/sql", "os", "flag", "internal/web", "internal/accounts", "internal/store/sqlite", "internal/store/postgres"},
		why: "the core knows neither HTTP nor a database, and no accounts beyond what a store says of them"},
	{from: "internal/accounts", never: []string{"net/http", "database/sql", "os", "flag", "internal/web", "internal/store/sqlite", "internal/store/postgres"},
		why: "the same goes for accounts"},
	{from: "internal/keyring", never: []string{"net/http", "database/sql", "os", "flag", "internal/web", "internal/tokens", "internal/accounts", "internal/store/sqlite", "internal/store/postgres"},
		why: "the same goes for the signing keys, which others build on"},
	{from: "internal/assertion", only: []string{"internal/identity", "internal/keyring"},
		why: "it says who was checked and decides nothing"},
	{from: "internal/jose", only: []string{}, never: []string{"net/http", "net/url", "os", "database/sql"},
		why: "tokens are verified without fetching, finding or opening what they name (S51, S56)"},
	{from: "internal/scope", only: []string{}, why: "the grammar leans on nothing"},
	{from: "internal/secret", only: []string{}, why: "anybody may hold a secret"},
	{from: "internal/store", only: []string{}, why: "the contract leans on nothing"},
	{from: "internal/store/watched", only: []string{"internal/store"}, why: "who watches a store knows its contract"},
	{from: "internal/counter", only: []string{}, why: "counting leans on nothing, so that the core may count"},
	{from: "internal/traces", only: []string{"internal/secret"}, why: "traces are told what to say, and find nothing out by themselves"},
	{from: "internal/certificate", only: []string{}, why: "a certificate leans on nothing of ours"},
	{from: "internal/metrics", never: []string{"internal/server", "internal/gateway", "internal/restapi", "internal/config"},
		why: "metrics read counts, and nothing of how requests are answered"},
	{from: "internal/store/portable", only: []string{}, why: "the form that all stores share leans on none"},
	{from: "internal/backup", only: []string{"internal/serverkey", "internal/store", "internal/store/portable", "internal/store/sqlite"},
		why: "a backup knows what the stores give, and SQLite as the place to work in"},
	{from: "internal/store/sqlite", only: []string{"internal/store", "internal/store/schema", "internal/store/portable"}, why: "a store knows its contract and its driver"},
	{from: "internal/store/postgres", only: []string{"internal/store", "internal/store/schema", "internal/store/portable"}, why: "a store knows its contract and its driver"},
	{from: "internal/explain", only: []string{"internal/identity", "internal/scope"}, why: "it is a form; those who decide fill it in"},
	{from: "internal/identity", only: []string{"internal/scope"}, why: "everybody imports it"},
	{from: "internal/dialect/...", never: []string{"internal/store", "internal/store/...", "internal/gateway", "internal/restapi", "internal/server", "internal/config"},
		why: "a dialect never sees a store, and dialects are independent of the doors"},
	{from: "internal/dialect/simplejwt", never: []string{"internal/keyring", "internal/serverkey", "internal/accounts", "internal/dialect/drf"},
		why: "its tokens are signed, verified and found by the core; it only says by which names they carry what"},
	{from: "internal/dialect/registry", never: []string{"internal/jose", "internal/serverkey", "internal/accounts", "internal/dialect/drf", "internal/dialect/simplejwt"},
		why: "what its tokens say and may do is the core's"},
	{from: "internal/gateway", never: []string{"internal/store", "internal/store/...", "internal/dialect/...", "internal/restapi", "internal/server", "internal/config", "internal/accounts"},
		why: "a door never sees a store"},
	{from: "internal/extauthz", only: []string{"internal/audit", "internal/gateway", "internal/web"}, why: "it only words questions and answers"},
	{from: "internal/oauth", only: []string{"internal/credential", "internal/fault", "internal/identity", "internal/jose", "internal/scope", "internal/secret", "internal/tokens", "internal/web"},
		why: "it words what the core decides about tokens"},
	{from: "internal/restapi", never: []string{"internal/store/sqlite", "internal/store/postgres", "internal/dialect/...", "internal/gateway", "internal/server", "internal/config"},
		why: "the native API speaks to the core and the accounts"},
	{from: "internal/auditchain", never: []string{"net/http", "database/sql", "internal/web", "internal/tokens", "internal/accounts", "internal/store/sqlite", "internal/store/postgres", "internal/server", "internal/config"},
		why: "proof of the audit log leans on the contract of stores, the events and the server's secrets"},
	{from: "internal/config", only: []string{"internal/secret"}, why: "the configuration is plain data"},
	{from: "internal/server", never: []string{"internal/config", "internal/store/sqlite", "internal/store/postgres", "flag"},
		why: "only cmd reads the configuration and names a store"},
	{from: "internal/password", only: []string{}, why: "hashing leans on nothing of ours"},
	{from: "internal/throttle", only: []string{}, why: "throttling leans on nothing of ours"},
	{from: "internal/clock", only: []string{}, why: "the time leans on nothing"},
	{from: "internal/securitydoc", only: []string{}, why: "it reads the tests, not the code"},
	{from: "internal/historytest", only: []string{}, why: "the judge knows nothing of whom it judges"},
	{from: "internal/proxyconfig", only: []string{}, why: "what it writes depends on what it is told alone"},
	{from: "internal/doctor", only: []string{"internal/config", "internal/keyring", "internal/pulpsettings", "internal/serverkey", "internal/store"},
		why: "it looks at a server from outside, as its operator does, and is given what it may know of the database"},
	{from: "internal/registryconfig", only: []string{}, never: []string{"net/http", "os"}, why: "what it writes depends on what it is told alone"},
	{from: "internal/dockerauth", only: []string{"internal/scope"}, never: []string{"net/http", "os"}, why: "it says what a file comes to, and makes nothing"},
	{from: "internal/htpasswd", only: []string{}, never: []string{"net/http", "os"}, why: "the same goes for password files"},
	{from: "internal/pulpaccounts", only: []string{"internal/accounts", "internal/audit", "internal/fault", "internal/identity", "internal/store"},
		why: "it says whose name is told, and not what they may do"},
	{from: "internal/pulpsettings", only: []string{}, why: "the same goes for Pulp's settings"},
	{from: "api", only: []string{}, why: "anybody may import it, without the server"},
	{from: "client", only: []string{"api"}, why: "anybody may import it, without the server"},
	{from: "internal/authheader", only: []string{"internal/secret"}, why: "it is in other people's programs, by way of guard"},
	{from: "guard", only: []string{"api", "client", "internal/scope", "internal/authheader", "internal/jose"},
		why: "it is in other people's programs, without the server; what it reads, scopes, headers and signed tokens, it must read as the server does"},
}

// imported is what `go list` tells of a package.
type imported struct {
	ImportPath string
	Imports    []string
}

func TestImports(t *testing.T) {
	packages := list(t)
	for _, r := range rules {
		applied := 0
		for _, p := range packages {
			name := strings.TrimPrefix(p.ImportPath, module)
			if !below(name, r.from) || slices.Contains(r.except, name) {
				continue
			}
			applied++
			for _, path := range p.Imports {
				if r.forbids(path) {
					t.Errorf("%s imports %s: %s", name, strings.TrimPrefix(path, module), r.why)
				}
			}
		}
		if applied == 0 {
			t.Errorf("the rule about %s applies to no package", r.from)
		}
	}
}

func (r rule) forbids(path string) bool {
	ours := strings.HasPrefix(path, module)
	name := strings.TrimPrefix(path, module)
	if ours && r.only != nil && !slices.ContainsFunc(r.only, func(o string) bool { return below(name, o) }) {
		return true
	}
	return slices.ContainsFunc(r.never, func(n string) bool { return below(name, n) })
}

// below reports whether a package is the named one, or for a name that ends in
// "/..." lies below it or is it.
func below(name, pattern string) bool {
	base, all := strings.CutSuffix(pattern, "/...")
	return name == base || all && strings.HasPrefix(name, base+"/")
}

// TestNoEncryption checks that no code for encrypted tokens is in the binary,
// whose holes were in what nobody used (S60): our own package has none, and no
// library of JOSE is linked.
func TestNoEncryption(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", module+"cmd/latchkey").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"internal/jose") {
		t.Fatal("internal/jose is not in the binary: does the test look at the right thing?")
	}
	for _, path := range deps {
		if path == module+"internal/jose" || path == module+"internal/dialect/simplejwt" { // ours; the latter only has the name
			continue
		}
		for part := range strings.SplitSeq(path, "/") {
			part = strings.ToLower(part)
			if strings.Contains(part, "jose") || strings.Contains(part, "jwt") || strings.Contains(part, "jwx") || strings.Contains(part, "jwe") {
				t.Errorf("the binary has %s in it, which may decrypt tokens", path)
			}
		}
	}
	for _, p := range list(t) {
		if p.ImportPath != module+"internal/jose" {
			continue
		}
		for _, path := range p.Imports {
			if path == "crypto/cipher" || path == "crypto/aes" || path == "compress/flate" {
				t.Errorf("internal/jose imports %s: it signs and verifies, and decrypts nothing", path)
			}
		}
	}
}

// TestProductionImportsNoTests keeps packages that only serve tests out of
// what is built.
func TestProductionImportsNoTests(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasSuffix(name, "test") || name == "bench" { // which measures, on databases of its own
			continue
		}
		for _, path := range p.Imports {
			if path == "testing" || strings.HasPrefix(path, module) && strings.HasSuffix(path, "test") {
				t.Errorf("%s imports %s, which is for tests", name, path)
			}
		}
	}
}

func list(t *testing.T) []imported {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []imported
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p imported
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 10 {
		t.Fatalf("go list found %d packages, want all of the module", len(packages))
	}
	return packages
}
