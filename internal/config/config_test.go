package config

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

// same compares configurations by what they say, secrets included, and not by
// where it came from.
func same() cmp.Options {
	return cmp.Options{
		cmpopts.IgnoreUnexported(Config{}),
		cmp.Comparer(func(a, b secret.Text) bool { return a.Reveal() == b.Reveal() }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmpopts.EquateEmpty(),
	}
}

// write makes a file that only its owner has access to, and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "latchkey.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func getenv(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

// flags parses a command line.
func flags(t *testing.T, args ...string) *Flags {
	t.Helper()
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f := RegisterFlags(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

func show(t *testing.T, c Config, o ShowOptions) string {
	t.Helper()
	var out bytes.Buffer
	if err := c.Show(&out, o); err != nil {
		t.Fatalf("Show(%+v) = %v", o, err)
	}
	return out.String()
}

func TestDefaultIsValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Errorf("Default().Validate() = %v, want no error", err)
	}
	got, err := Load(Options{})
	if err != nil {
		t.Fatalf("Load of nothing = %v", err)
	}
	if diff := cmp.Diff(Default(), got, same()); diff != "" {
		t.Errorf("Load of nothing differs from the default (-want +got):\n%s", diff)
	}
}

// S73: nothing that protects the server has a value that others know.
func TestNoDefaultSecrets(t *testing.T) {
	for _, e := range schema().leaves() {
		if !e.isSecret() {
			continue
		}
		if v := e.in(reflect.ValueOf(Default())).Interface().(secret.Text); !v.Empty() {
			t.Errorf("the default of %s is %q, want none", e.path, v.Reveal())
		}
	}
}

// S85: the list of believed proxies is empty unless somebody fills it.
func TestDefaultTrustsNoProxy(t *testing.T) {
	if got := Default().TrustedProxies; len(got) != 0 {
		t.Errorf("Default().TrustedProxies = %v, want none", got)
	}
}

// sample is a value for a key, in the form of the environment, that is not the
// default.
func sample(e *entry) string {
	switch e.kind {
	case boolean:
		return fmt.Sprint(!e.in(reflect.ValueOf(Default())).Bool())
	case number:
		if n := min(max(e.min, 1)+4000, e.max); n != e.in(reflect.ValueOf(Default())).Int() {
			return fmt.Sprint(n)
		}
		return fmt.Sprint(e.min + 1)
	case duration:
		return FormatDuration(max(time.Duration(e.min), time.Second) + time.Millisecond)
	case prefixList:
		return "192.0.2.7, 10.0.0.0/8"
	case textList:
		if len(e.choices) == 0 {
			return "sample-of-" + e.name
		}
		return strings.Join(e.choices, " ")
	case sections:
		if e.path == "registry.services" {
			return `[{name: registry.example.com}]`
		}
		return `[{name: app, prefix: /app/, upstream: "http://127.0.0.1:9000"}]`
	}
	if len(e.choices) > 0 {
		return e.choices[len(e.choices)-1]
	}
	return "sample-of-" + e.name
}

// inFile is a document that sets the key to its sample.
func inFile(e *entry) string {
	value := sample(e)
	if e.isList() && e.kind != sections {
		value = "[" + strings.Join(strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == ',' }), ", ") + "]"
	}
	var doc strings.Builder
	names := strings.Split(e.path, ".")
	for i, name := range names {
		doc.WriteString(strings.Repeat("  ", i) + name + ":")
		if i < len(names)-1 {
			doc.WriteString("\n")
		}
	}
	return doc.String() + " " + value + "\n"
}

// changed checks that the key has another value than the default, which came
// from the layer.
func changed(t *testing.T, c Config, e *entry, from Layer) {
	t.Helper()
	was, is := e.in(reflect.ValueOf(Default())).Interface(), e.in(reflect.ValueOf(c)).Interface()
	if cmp.Equal(was, is, same()) {
		t.Errorf("%s is still the default, %v", e.path, is)
	}
	if got := c.Origin(e.path).Layer; got != from {
		t.Errorf("Origin(%s).Layer = %v, want %v", e.path, got, from)
	}
}

func TestEveryKeyCanBeSetByFile(t *testing.T) {
	for _, e := range schema().leaves() {
		if e.envOnly || e.fills != "" {
			continue // see TestContents
		}
		// What one key alone is worth may be a problem, which is no matter here.
		c, _ := Load(Options{File: write(t, inFile(e))})
		changed(t, c, e, FromFile)
	}
}

func TestEveryKeyCanBeSetByEnvironment(t *testing.T) {
	for _, e := range schema().leaves() {
		if e.fills != "" {
			continue
		}
		c, _ := Load(Options{Getenv: getenv(map[string]string{e.env(): sample(e)})})
		changed(t, c, e, FromEnv)
	}
}

func TestEveryKeyOfRoutes(t *testing.T) {
	const doc = `
routes:
  - name: app
    prefix: /app/*/
    upstream: https://app.example.org:8443
    auth: writes
    open: [/app/public/**, "/app/*/index"]
    passwords: pass
    challenge_401: true
    identity_header: Remoteuser
    assertion_audience: https://app.example.org
    assertion_header: X-Proof
    keep_authorization: true
    audit: all
    dial_timeout: 1s
    response_timeout: 1h
`
	want := Route{
		Name: "app", Prefix: "/app/*/", Upstream: "https://app.example.org:8443", Auth: "writes",
		Open: []string{"/app/public/**", "/app/*/index"}, Passwords: "pass", Challenge401: true,
		IdentityHeader: "Remoteuser", AssertionAudience: "https://app.example.org", AssertionHeader: "X-Proof",
		KeepAuthorization: true, Audit: "all", DialTimeout: time.Second, ResponseTimeout: time.Hour,
	}
	for _, e := range schema().child("routes").children {
		if reflect.DeepEqual(e.in(reflect.ValueOf(want)).Interface(), e.in(reflect.ValueOf(DefaultRoute())).Interface()) {
			t.Errorf("this test does not set %s of a route", e.name)
		}
	}
	c, err := Load(Options{File: write(t, doc)})
	if err != nil {
		t.Fatalf("Load = %v", err)
	}
	if diff := cmp.Diff([]Route{want}, c.Routes); diff != "" {
		t.Errorf("routes differ (-want +got):\n%s", diff)
	}
	if got := c.Origin("routes[0].auth").Line; got != 6 {
		t.Errorf("Origin(routes[0].auth).Line = %d, want 6", got)
	}
}

func TestPrecedence(t *testing.T) {
	file := write(t, "listen: 127.0.0.1:1\nlog:\n  level: debug\n  format: json\ndata: /from/file\n")
	vars := map[string]string{"LATCHKEY_LISTEN": "127.0.0.1:2", "LATCHKEY_LOG_LEVEL": "warn"}
	c, err := Load(Options{File: file, Getenv: getenv(vars), Flags: flags(t, "--listen", "127.0.0.1:3")})
	if err != nil {
		t.Fatalf("Load = %v", err)
	}
	for _, w := range []struct{ key, got, want, origin string }{
		{"listen", c.Listen, "127.0.0.1:3", "flag --listen"},
		{"log.level", c.Log.Level, "warn", "env LATCHKEY_LOG_LEVEL"},
		{"log.format", c.Log.Format, "json", "file " + file + ":4"},
		{"public_url", c.PublicURL, "", "default"},
	} {
		if w.got != w.want {
			t.Errorf("%s = %q, want %q", w.key, w.got, w.want)
		}
		if got := c.Origin(w.key).String(); got != w.origin {
			t.Errorf("Origin(%s) = %q, want %q", w.key, got, w.origin)
		}
	}
}

func TestRoutesOfAHigherLayerReplaceAll(t *testing.T) {
	file := write(t, "routes:\n  - {name: a, prefix: /a/, upstream: http://127.0.0.1:1, auth: optional}\n  - {name: b, prefix: /b/, upstream: http://127.0.0.1:2}\n")
	vars := map[string]string{"LATCHKEY_ROUTES": `[{"name": "c", "prefix": "/c/", "upstream": "http://127.0.0.1:3"}]`}
	c, err := Load(Options{File: file, Getenv: getenv(vars)})
	if err != nil {
		t.Fatalf("Load = %v", err)
	}
	if len(c.Routes) != 1 || c.Routes[0].Name != "c" || c.Routes[0].Auth != "required" {
		t.Errorf("routes = %+v, want c alone, with the defaults", c.Routes)
	}
	if out := show(t, c, ShowOptions{Origin: true}); strings.Contains(out, file) {
		t.Errorf("what is shown names the file, of which nothing is in force:\n%s", out)
	}
}

func TestFlags(t *testing.T) {
	c, err := Load(Options{Flags: flags(t,
		"--listen", "localhost:9000", "--data", "/srv/keys", "--database", "sqlite:/srv/db", "--public-url", "http://localhost:9000",
		"--pulp", "http://127.0.0.1:24817", "--pulp-content", "http://127.0.0.1:24816", "--log-format", "json", "--log-level", "error")})
	if err != nil {
		t.Fatalf("Load = %v", err)
	}
	want := Default()
	want.Listen, want.Data, want.PublicURL = "localhost:9000", "/srv/keys", "http://localhost:9000"
	want.Database = secret.New("sqlite:/srv/db")
	want.Pulp.API, want.Pulp.Content = "http://127.0.0.1:24817", "http://127.0.0.1:24816"
	want.Log = Log{Format: "json", Level: "error"}
	want.Passwords.Sources = []string{"local", "pulp"}
	want.Sources.Pulp.URL = "http://127.0.0.1:24817"
	if diff := cmp.Diff(want, c, same()); diff != "" {
		t.Errorf("the configuration differs (-want +got):\n%s", diff)
	}
	for _, f := range keyFlags() {
		if got, want := c.Origin(f.key).String(), "flag --"+f.name; got != want {
			t.Errorf("Origin(%s) = %q, want %q", f.key, got, want)
		}
	}
}

func TestWhichFile(t *testing.T) {
	option, flag, env := write(t, "data: /option"), write(t, "data: /flag"), write(t, "data: /env")
	vars := getenv(map[string]string{FileVariable: env})
	for _, c := range []struct {
		opts Options
		want string
	}{
		{Options{}, "./latchkey-data"},
		{Options{Getenv: vars}, "/env"},
		{Options{Getenv: vars, Flags: flags(t, "--config", flag)}, "/flag"},
		{Options{Getenv: vars, Flags: flags(t, "--config", flag), File: option}, "/option"},
	} {
		got, err := Load(c.opts)
		if err != nil || got.Data != c.want {
			t.Errorf("Load = data %q, %v; want %q", got.Data, err, c.want)
		}
	}
}

func TestPulpDefaults(t *testing.T) {
	c, err := Load(Options{File: write(t, "pulp: {api: http://127.0.0.1:24817, content: http://127.0.0.1:24816, api_root: /p/}\n")})
	if err != nil {
		t.Fatalf("Load = %v", err)
	}
	if diff := cmp.Diff([]string{"local", "pulp"}, c.Passwords.Sources); diff != "" {
		t.Errorf("passwords.sources differ (-want +got):\n%s", diff)
	}
	if got := c.Sources.Pulp; got.URL != "http://127.0.0.1:24817" || got.APIRoot != "/p/" {
		t.Errorf("sources.pulp = %+v, want what pulp has", got)
	}
	if got, want := c.Origin("passwords.sources").String(), "default, from pulp.api"; got != want {
		t.Errorf("Origin(passwords.sources) = %q, want %q", got, want)
	}

	c, err = Load(Options{File: write(t, "pulp: {api: http://127.0.0.1:24817, content: http://127.0.0.1:24816}\npasswords: {sources: [local]}\n")})
	if err != nil {
		t.Fatalf("Load = %v", err)
	}
	if diff := cmp.Diff([]string{"local"}, c.Passwords.Sources); diff != "" {
		t.Errorf("passwords.sources that were set differ (-want +got):\n%s", diff)
	}
}

func TestVariablesAreUnique(t *testing.T) {
	taken := map[string]string{FileVariable: "the file"}
	// These belong to the commands that speak to a server.
	for _, name := range []string{"SERVER", "TOKEN", "USER", "PASSWORD", "CA_FILE"} {
		taken["LATCHKEY_"+name] = "the client"
	}
	for _, e := range schema().leaves() {
		if other, ok := taken[e.env()]; ok {
			t.Errorf("%s sets both %s and %s", e.env(), other, e.path)
		}
		taken[e.env()] = e.path
		if e.doc == "" || !strings.HasSuffix(e.doc, ".") {
			t.Errorf("%s has no doc in sentences: %q", e.path, e.doc)
		}
	}
}
