package proxyconfig

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write testdata anew")

var files = []File{Nginx, Caddy, HAProxy, HAProxyLua, Traefik, TraefikStatic, Envoy, EnvoyHTTP}

func write(t *testing.T, file File, o Options) string {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, file, o); err != nil {
		t.Fatalf("Write(%s, %+v) = %v", file, o, err)
	}
	return b.String()
}

// What is written is a promise to those who use it: a change must show here. The
// tests in e2e show that the programs take it and what it does.
func TestWrite(t *testing.T) {
	full := Options{
		Upstream: "http://[fd00::9]:9000/", Latchkey: "http://latchkey.internal:8080", Listen: ":443", ServerName: "files.example.com",
		Certificate: "/etc/ssl/files.pem", Key: "/etc/ssl/private/files.key", UserHeader: "X-Webauth-User", Timeout: 3 * time.Second,
	}
	for _, file := range files {
		for name, o := range map[string]Options{"least": {Upstream: "http://127.0.0.1:9000"}, "full": full} {
			if isYAML(file) {
				o.UserHeader = ""
			}
			golden := filepath.Join("testdata", name+"."+string(file))
			got := write(t, file, o)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got; go test -update writes it anew):\n%s", golden, diff)
			}
		}
	}
}

// isYAML reports whether a file is one of those that cannot rename the header of
// the user.
func isYAML(file File) bool { return strings.HasSuffix(string(file), ".yaml") }

// S86: every file that passes requests on removes what could name somebody, or
// another method or path.
func TestHeadersThatClientsMustNotSend(t *testing.T) {
	for _, file := range []File{Nginx, Caddy, HAProxy, Traefik, Envoy, EnvoyHTTP} {
		text := write(t, file, Options{Upstream: "http://127.0.0.1:9000"})
		for _, name := range append(append([]string{"Authorization"}, overriding...), claiming...) {
			forms := []string{"proxy_set_header " + name + ` "";`, "request_header -" + name, "del-header " + name, "          " + name + `: ""`,
				"- remove: " + strings.ToLower(name) + "\n", "request_headers_to_remove: [" + strings.ToLower(name) + "]"}
			found := false
			for _, form := range forms {
				found = found || strings.Contains(text, form)
			}
			if !found {
				t.Errorf("%s does not remove %s", file, name)
			}
		}
	}
}

func TestFilesAreYAML(t *testing.T) {
	for _, file := range []File{Traefik, TraefikStatic, Envoy, EnvoyHTTP} {
		var into map[string]any
		text := write(t, file, Options{Upstream: "http://127.0.0.1:9000", Certificate: "/a", Key: "/b", ServerName: "x.example.com"})
		if err := yaml.Unmarshal([]byte(text), &into); err != nil || len(into) == 0 {
			t.Errorf("%s is no YAML: %v", file, err)
		}
	}
}

// Nothing of what is given is quoted in what is written, so nothing may stand
// in it that ends a value.
func TestWriteRefuses(t *testing.T) {
	good := Options{Upstream: "http://127.0.0.1:9000"}
	change := func(set func(o *Options)) Options { o := good; set(&o); return o }
	tests := map[string]Options{
		"no upstream":            {},
		"an upstream with TLS":   {Upstream: "https://127.0.0.1:9000"},
		"an upstream with path":  {Upstream: "http://127.0.0.1:9000/x"},
		"an upstream with query": {Upstream: "http://127.0.0.1:9000?x"},
		"an upstream with user":  {Upstream: "http://a:b@127.0.0.1:9000"},
		"a socket":               {Upstream: "unix:/run/x.sock"},
		"an odd host":            {Upstream: "http://a;b:9000"},
		"an odd port":            {Upstream: "http://a:0"},
		"no host":                {Upstream: "http://:9000"},
		"Latchkey's path":        change(func(o *Options) { o.Latchkey = "http://127.0.0.1:8080/latchkey" }),
		"a listener alone":       change(func(o *Options) { o.Listen = "8081" }),
		"a listener of a name":   change(func(o *Options) { o.Listen = "a b:8081" }),
		"a server name":          change(func(o *Options) { o.ServerName = "x; return 200" }),
		"a server name in lines": change(func(o *Options) { o.ServerName = "x\ny" }),
		"dots":                   change(func(o *Options) { o.ServerName = "a..b" }),
		"a certificate alone":    change(func(o *Options) { o.Certificate = "/a" }),
		"a key alone":            change(func(o *Options) { o.Key = "/a" }),
		"a relative path":        change(func(o *Options) { o.Certificate, o.Key = "a", "/b" }),
		"a path with a blank":    change(func(o *Options) { o.Certificate, o.Key = "/a b", "/b" }),
		"a header":               change(func(o *Options) { o.UserHeader = "X_User" }),
		"a header of lines":      change(func(o *Options) { o.UserHeader = "X\nY" }),
		"a header with meaning":  change(func(o *Options) { o.UserHeader = "authorization" }),
		"a header that is taken": change(func(o *Options) { o.UserHeader = "x-original-uri" }),
		"a short time":           change(func(o *Options) { o.Timeout = time.Millisecond }),
		"a long time":            change(func(o *Options) { o.Timeout = time.Hour }),
		"part of a second":       change(func(o *Options) { o.Timeout = 1500 * time.Millisecond }),
		"a listener for gRPC":    change(func(o *Options) { o.GRPC = ":9191" }),
		"a script's path":        change(func(o *Options) { o.LuaFile = "x.lua" }),
	}
	for name, o := range tests {
		for _, file := range files {
			var b strings.Builder
			if err := Write(&b, file, o); err == nil || b.Len() > 0 {
				t.Errorf("Write(%s) with %s = %v and %d bytes, want an error and nothing", file, name, err, b.Len())
			}
		}
	}
	for _, file := range []File{Traefik, Envoy, EnvoyHTTP} {
		if err := Write(&strings.Builder{}, file, change(func(o *Options) { o.UserHeader = "Remoteuser" })); err == nil {
			t.Errorf("Write(%s) with another header for the user = nil, want an error", file)
		}
	}
	if err := Write(&strings.Builder{}, "squid.conf", good); err == nil {
		t.Errorf("Write() of a file that there is not = nil, want an error")
	}
}

func FuzzWrite(f *testing.F) {
	f.Add("http://127.0.0.1:9000", ":8081", "files.example.com", "Latchkeyuser", "/etc/x.pem")
	f.Add("http://[::1]:1", "[::]:80", "", "X-User", "")
	f.Add("http://a\n:1", ":1\n", "a}", "X:", "/a;b")
	f.Fuzz(func(t *testing.T, upstream, listen, name, header, path string) {
		o := Options{Upstream: upstream, Listen: listen, ServerName: name, UserHeader: header, Certificate: path, Key: path}
		for _, file := range files {
			var b strings.Builder
			if err := Write(&b, file, o); err != nil {
				continue
			}
			plain := Options{Upstream: "http://a:1", Certificate: o.Certificate, Key: o.Key, ServerName: name, UserHeader: header, Listen: listen}
			if got, want := strings.Count(b.String(), "\n"), strings.Count(write(t, file, plain), "\n"); got != want {
				t.Errorf("%s of %q has %d lines, want %d", file, upstream, got, want)
			}
			for _, value := range []string{upstream, listen, name, header, path} {
				if strings.ContainsAny(value, " \t\r\n;{}\"'`$#\\") {
					t.Errorf("%s is written with %q", file, value)
				}
			}
		}
	})
}
