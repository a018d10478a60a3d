//go:build e2e && linux

package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// Blocks of code in the documentation are named by what is done with them, and
// these tests hold them to it:
//
//	bash    is run, in one shell for the whole page, on a machine with nothing
//	        on it but what recipes prepares
//	text    right behind one is what it prints, with … for anything
//	yaml    is Latchkey's configuration, which `latchkey config check` takes
//
// Any other block is named in notFollowed, with the reason or the test that has
// it. docs/pulp.md takes a Pulp, and is followed by testPage.

// recipe is how a page is followed.
type recipe struct {
	name, page string
	sections   []string          // nil: all; also the order
	places     []string          // pairs: what the page has, and what stands for it here
	first      string            // what the reader has done before
	before     map[string]string // what they do before the block that begins like this
	last       string            // what is looked at in the end
	keys       []typed           // what they type when they are asked
	prepare    func(*testing.T, *follower)
	look       func(*testing.T, *follower)
}

// notFollowed says of each block that is not run here why: by page, and by the
// first line.
var notFollowed = map[string]map[string]string{
	"README.md": {
		"go run ./cmd/latchkey serve": "TestNewcomer does it in a fresh clone",
		"make test":                   "it runs this test",
		"latchkey serve --pulp http://127.0.0.1:24817 --pulp-content http://127.0.0.1:24816": "testPage runs it with a Pulp",
	},
	"CONTRIBUTING.md": {
		"make build     # bin/latchkey": "it runs this test",
		"request -> web (ids, peer) -> dialect or door: the credential out of the request": "a picture",
	},
	"docs/api.md": {
		`{"type":"about:blank","title":"Forbidden","status":403,"code":"forbidden",`:                                                              "TestAPIPage compares it",
		`{"token":"tok_…","method":"POST","path":"/pulp/api/v3/repositories/"}`:                                                                   "TestAPIPage asks them",
		`{"allowed":false,"verdict":"no rule of the token's own allows path:/pulp/api/v3/repositories/:write; it has path:/pulp/content/*:read",`: "TestAPIPage compares it",
		"id: 4712": "package restapi has it: a stream has no end",
	},
	"docs/assertion.md": {
		`# nginx, beside the other lines of "latchkey proxy nginx"`: "a part of a configuration",
		"import jwt": "TestAssertionInPython runs it",
		`keys := oidc.NewRemoteKeySet(ctx, "http://127.0.0.1:8080/latchkey/.well-known/jwks.json")`: "it takes a module that nothing else here needs; TestGoPage parses it",
	},
	"docs/django.md": {
		"CREATE ROLE latchkey LOGIN PASSWORD '…';": "that of docs/pulp.md, which testDjangoSource runs",
	},
	"docs/go.md": {
		"go get github.com/latchkey-auth/latchkey": "it takes the network; TestGoPage has the packages",
		`g, err := guard.New(guard.Options{Server: "https://latchkey.example", Token: os.Getenv("LATCHKEY_TOKEN")})`: "TestGoPage runs it",
		"id := guard.FromContext(r.Context()) // id.Account, id.Kind, id.TokenID, id.Scope(), …":                     "TestGoPage runs it",
		"func TestReports(t *testing.T) {": "TestGoPage runs it",
	},
	"docs/jwt.md": {
		"import jwt": "TestJWTInPython runs it",
	},
	"docs/operations.md": {
		"make deb":                  "TestDeb does it: it takes root and apt",
		"systemctl status latchkey": "it takes an init system; TestUnit and TestDeb look at what it would run",
		"make image":                "TestImage does it",
		"podman exec latchkey latchkey backup - > latchkey.backup": "it takes a container that runs; TestImage looks at what is in it",
		"make build": "it builds what is tested here",
		"useradd --system --home-dir /var/lib/latchkey --shell /usr/sbin/nologin latchkey": "it takes root and an init system; TestUnit looks at the unit",
		`level=INFO msg="the configuration was reloaded" changed="log.level routes"`:       "TestReloadTakesEffectOrNot has them",
		"# prometheus.yml": "it is Prometheus's",
	},
	"docs/pairs.md": {
		`curl -u alice https://latchkey.example/latchkey/api/v1/token-pairs \`: "package restapi asks the like",
		`curl https://latchkey.example/latchkey/api/v1/token-pairs/refresh \`:  "package restapi asks the like",
	},
	"docs/performance.md": {
		"make bench                                       # some minutes, on a machine that does nothing else": "it takes minutes, and a machine that does nothing else",
		"go run ./bench -only signed": "it wants a machine that does nothing else",
	},
	"docs/proxies.md": {
		"forward_auth 127.0.0.1:8080 {": "a part of a configuration that the page advises against",
	},
	"docs/registry-tools.md": {
		"17 4 * * 1  latchkey registry config distribution2 --out /etc/docker/registry -q && systemctl restart docker-registry": "it takes cron and an init system; the command is run above",
	},
	"docs/registry.md": {
		"# /etc/docker/registry/config.yml": "it is docker-registry's",
		"# Pulp's settings":                 "they are Pulp's",
	},
	"docs/simplejwt.md": {
		"# latchkey.pem is the first key of the output of: latchkey keys export": "TestSimpleJWTService has a service with such settings",
	},
	"docs/tokens.md": {
		"Authorization: Bearer lkp_…":              "what clients send: testClients",
		`type ":" name ":" action *( "," action )`: "a grammar",
	},
	"docs/pulp.md": {
		"pulpcore-api --bind 127.0.0.1:24817":                                            "package pulptest starts Pulp's servers so",
		"latchkey pulp settings --origin http://127.0.0.1:8080 >> /etc/pulp/settings.py": "printedSettings runs it",
		"AUTHENTICATION_BACKENDS = [":                                                    "package pulpsettings compares it with what is printed",
		"[prod]":                                                                         "testPackages installs with such a file",
		"machine https://pulp.example.com/pulp/content/prod login anything password lkp_…": "testPackages installs with such a file",
		"machine pulp.example.com login __token__ password lkp_…":                          "testPackages installs with such a file",
		"curl -m 5 http://pulp.example.com:24817/pulp/api/v3/status/":                      "it takes another machine",
		"CREATE ROLE latchkey LOGIN PASSWORD 'a password for this role';":                  "testDjangoSource runs it",
		"server {": "a part of a configuration; TestProxies has a whole one",
		"apt-get install -y python3-venv git openssl postgresql curl":                                                      "package pulptest installs Pulp without touching the machine",
		"export PATH=/opt/pulp/bin:$PATH PULP_SETTINGS=/etc/pulp/settings.py DJANGO_SETTINGS_MODULE=pulpcore.app.settings": "package pulptest starts Pulp's servers so",
	},
}

// TestPages follows the pages.
func TestPages(t *testing.T) {
	for _, r := range recipes {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			f := newFollower(t)
			f.means(r.places...)
			if r.prepare != nil {
				r.prepare(t, f)
			}
			f.add(r.first)
			f.collect(r.blocks(t), r.before)
			f.add(r.last)
			f.run(r.keys)
			f.check()
			if r.look != nil {
				r.look(t, f)
			}
		})
	}
}

// blocks are those that the recipe is for.
func (r recipe) blocks(t *testing.T) []block {
	t.Helper()
	all := blocks(t, r.page, "")
	if r.sections == nil {
		return all
	}
	var found []block
	for _, section := range r.sections {
		before := len(found)
		for _, b := range all {
			if b.section == section {
				found = append(found, b)
			}
		}
		if len(found) == before {
			t.Fatalf("%s has nothing to run in the section %q", r.page, section)
		}
	}
	return found
}

// pages lists all pages for people that are written by hand.
func pages(t *testing.T) []string {
	t.Helper()
	found := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md"}
	all, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	must(t, err)
	for _, path := range all {
		found = append(found, "docs/"+filepath.Base(path))
	}
	return found
}

// TestEveryBlockIsFollowed finds blocks that no test does anything with, and
// reasons for blocks that are not there any more.
func TestEveryBlockIsFollowed(t *testing.T) {
	left := map[string]map[string]string{}
	for page, reasons := range notFollowed {
		left[page] = maps.Clone(reasons)
	}
	for _, page := range pages(t) {
		wantFences(t, page)
		all := blocks(t, page, "")
		for i, b := range all {
			_, excused := notFollowed[page][b.title()]
			delete(left[page], b.title())
			done := b.kind == "yaml" && !excused || b.kind == "bash" && isRun(page, b) ||
				b.kind == "text" && b.follows && all[i-1].kind == "bash"
			switch {
			case done && excused:
				t.Errorf("%s: the block of %s that begins with %q has a reason not to be run, but is", page, b.kind, b.title())
			case !done && !excused:
				t.Errorf("%s: nothing is done with the block of %q that begins with %q; see the top of pages_test.go", page, b.kind, b.title())
			}
		}
	}
	for page, reasons := range left {
		for title := range reasons {
			t.Errorf("%s has no block that begins with %q any more", page, title)
		}
	}
}

func isRun(page string, b block) bool {
	return page == pulpPage || slices.ContainsFunc(recipes, func(r recipe) bool {
		return r.page == page && (r.sections == nil || slices.Contains(r.sections, b.section))
	})
}

// wantFences finds code that is only indented, of which no kind is said.
func wantFences(t *testing.T, page string) {
	t.Helper()
	inside, empty := false, true
	for line := range strings.Lines(readFile(t, filepath.Join(root, page))) {
		if strings.HasPrefix(line, "```") {
			inside = !inside
		}
		if !inside && empty && strings.HasPrefix(line, "    ") {
			t.Errorf("%s: the code %q has no fence that says of which kind it is", page, strings.TrimSpace(line))
		}
		empty = strings.TrimSpace(line) == ""
	}
}

// TestPagesConfiguration has the program check each configuration on a page.
func TestPagesConfiguration(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{
		"admin-password": "a password for the administrator\n",
		"pulp-dsn":       "postgres://latchkey:secret@127.0.0.1/pulp\n",
		"django-dsn":     "postgres://latchkey:secret@127.0.0.1/pulp\n",
	} {
		must(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o640))
	}
	file := filepath.Join(folder, "latchkey.yaml")
	for _, page := range pages(t) {
		for _, b := range blocks(t, page, "yaml") {
			if _, excused := notFollowed[page][b.title()]; excused {
				continue
			}
			must(t, os.WriteFile(file, []byte(strings.ReplaceAll(b.text, "/etc/latchkey/", folder+"/")), 0o640))
			_, _, err := proctest.Run(t.Context(), proctest.Spec{
				Name: "latchkey config check", Path: program(t), Args: []string{"config", "check", file},
			})
			if err != nil {
				t.Errorf("%s: the configuration that begins with %q: %v", page, b.title(), err)
			}
		}
	}
}
