package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the reference anew")

// full sets about all that can be written in several ways.
const full = `
listen: unix:/run/latchkey.sock
trusted_proxies: [192.0.2.1, "2001:db8::/32"]
database: sqlite:/srv/a b.db
tokens: {personal: {default: 1h30m, max: 0, idle: 1d500ms}}
sources: {django: {table: "yes", name: "0123", columns: {email: "-", id: "a: b", username: "#u", is_active: 'say "hi"'}}}
routes:
  - {name: "null", prefix: /a/, upstream: "http://[::1]:9000", open: [/a/x, "/a/**"], challenge_401: true}
  - {prefix: /b/, upstream: unix:/run/b.sock, auth: none}
`

func TestShownYAMLLoadsAgain(t *testing.T) {
	for _, doc := range []string{"", full, aPulp} {
		want, err := Load(Options{File: write(t, doc)})
		if err != nil {
			t.Fatalf("Load(%q) = %v", doc, err)
		}
		for _, origin := range []bool{false, true} {
			out := show(t, want, ShowOptions{Format: YAML, Origin: origin})
			got, err := Load(Options{File: write(t, out)})
			if err != nil {
				t.Errorf("Load of what was shown = %v\n%s", err, out)
				continue
			}
			if diff := cmp.Diff(want, got, same()); diff != "" {
				t.Errorf("what was shown says something else (-want +got):\n%s\n%s", diff, out)
			}
		}
	}
}

func TestShow(t *testing.T) {
	path := write(t, "listen: 127.0.0.1:9000\nroutes: [{prefix: /a/, upstream: http://h}]\n")
	c, err := Load(Options{File: path})
	if err != nil {
		t.Fatal(err)
	}
	out := show(t, c, ShowOptions{Origin: true})
	for _, want := range []string{
		"# Where the server listens: host:port, or unix:/path for a socket. Anything but a loopback address\n# needs tls.cert",
		"listen: 127.0.0.1:9000  # file " + path + ":1\n",
		"trusted_proxies: []  # default\n",
		"\n    # The life of a token for which nothing else was asked. 0: no end; only when max is 0 too.\n    default: 90d  # default\n",
		"# It cannot be set here, only as LATCHKEY_ADMIN_PASSWORD.\n# admin_password: \"\"",
		"routes:\n  -\n",
		"    prefix: /a/  # file " + path + ":2\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("Show does not say %q:\n%s", want, out)
		}
	}
	if got := show(t, c, ShowOptions{}); strings.Contains(got, path) {
		t.Errorf("Show without origins names the file:\n%s", got)
	}
	if err := c.Show(&bytes.Buffer{}, ShowOptions{Format: "toml"}); err == nil {
		t.Error("Show(toml) = nil, want an error")
	}
}

func TestShowJSON(t *testing.T) {
	path := write(t, full)
	c, err := Load(Options{File: path})
	if err != nil {
		t.Fatal(err)
	}
	var plain struct {
		Listen  string
		Proxies []string `json:"trusted_proxies"`
		HTTP    struct {
			Bytes int `json:"max_header_bytes"`
		}
		Tokens struct{ Personal struct{ Default, Max string } }
		Routes []struct {
			Prefix    string
			Open      []string
			Challenge bool `json:"challenge_401"`
		}
	}
	if err := json.Unmarshal([]byte(show(t, c, ShowOptions{Format: JSON})), &plain); err != nil {
		t.Fatalf("Show(JSON) is no JSON: %v", err)
	}
	got := fmt.Sprint(plain)
	want := "{unix:/run/latchkey.sock [192.0.2.1 2001:db8::/32] {65536} {{1h30m 0}} [{/a/ [/a/x /a/**] true} {/b/ [] false}]}"
	if got != want {
		t.Errorf("Show(JSON) has %s, want %s", got, want)
	}
	var explained struct {
		Listen struct{ Value, Origin, Doc string }
	}
	if err := json.Unmarshal([]byte(show(t, c, ShowOptions{Format: JSON, Origin: true})), &explained); err != nil {
		t.Fatalf("Show(JSON, Origin) is no JSON: %v", err)
	}
	if l := explained.Listen; l.Value != "unix:/run/latchkey.sock" || l.Origin != "file "+path+":2" || l.Doc == "" {
		t.Errorf("Show(JSON, Origin) has listen %+v", l)
	}
}

// S69, S76: no way of printing a configuration shows a secret.
func TestSecretsAreHidden(t *testing.T) {
	const planted = "plantedNotARealSecret"
	vars := map[string]string{}
	secrets := 0
	for _, e := range schema().leaves() {
		if e.isSecret() {
			vars[e.env()] = fmt.Sprintf("postgres://u:%s%d@h/db", planted, secrets)
			secrets++
		}
	}
	vars["LATCHKEY_PASSWORDS_SOURCES"] = "local,django"
	vars["LATCHKEY_TRACES_ENDPOINT"] = "https://traces.example.org"
	held := map[string]string{}
	for name, value := range vars {
		held[name] = value
	}
	delete(held, "LATCHKEY_DATABASE")
	held["LATCHKEY_DATABASE_FILE"] = write(t, vars["LATCHKEY_DATABASE"])
	if secrets < 4 {
		t.Fatalf("there are %d secrets, want at least 4", secrets)
	}
	for _, env := range []map[string]string{vars, held} {
		c, err := Load(Options{Getenv: getenv(env)})
		if err != nil {
			t.Fatalf("Load = %v", err)
		}
		var out strings.Builder
		for _, o := range []ShowOptions{{}, {Origin: true}, {Format: JSON}, {Format: JSON, Origin: true}} {
			text := show(t, c, o)
			if n := strings.Count(text, hidden); n != secrets {
				t.Errorf("Show(%+v) hides %d values, want %d:\n%s", o, n, secrets, text)
			}
			out.WriteString(text)
		}
		fmt.Fprintf(&out, "%v %+v %#v %s", c, c, c, c.Warnings())
		c.Listen = "nonsense"
		fmt.Fprint(&out, c.Validate())
		if strings.Contains(out.String(), planted) {
			t.Errorf("a secret is shown:\n%s", out.String())
		}
	}
}

func TestReference(t *testing.T) {
	const path = "../../docs/reference/config.md"
	var want bytes.Buffer
	if err := Reference(&want); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll("../../docs/reference", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run this test with -update", err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("%s is not what the code says; run this test with -update (-want +got):\n%s", path, diff)
	}
	for _, e := range schema().leaves() {
		if !strings.Contains(want.String(), "`"+e.env()+"`") {
			t.Errorf("the reference does not have %s", e.env())
		}
	}
}

func TestEnvironment(t *testing.T) {
	var out bytes.Buffer
	if err := Environment(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if want := len(schema().leaves()) + 2; len(lines) != want {
		t.Errorf("Environment has %d lines, want %d", len(lines), want)
	}
	for _, line := range lines {
		if len(strings.Fields(line)) < 4 {
			t.Errorf("Environment has the line %q, want variable, key, default and meaning", line)
		}
	}
	if !strings.Contains(out.String(), "check.bound") || !strings.Contains(out.String(), " 2s ") {
		t.Errorf("Environment has no check.bound with its default:\n%s", out.String())
	}
}
