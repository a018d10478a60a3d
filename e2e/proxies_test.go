//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/pgtest"
)

// TestProxies puts real proxies, as `latchkey proxy` sets them up, in front of a
// service (S80, S84-S90).
func TestProxies(t *testing.T) {
	grpc := reserve(t)
	grpc.release()
	s := serve(t, serveOptions{config: "trusted_proxies: [127.0.0.1]\nenvoy: {listen: '" + grpc.address + "'}\n"})
	password := passwordOf("mallory")
	if _, err := s.admin().Accounts.Create(t.Context(), api.CreateAccount{Name: "mallory", Password: password}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.admin().Grants.Create(t.Context(), api.CreateGrant{Group: "anonymous", Scope: "path:/public/*:read"}); err != nil {
		t.Fatal(err)
	}
	mallory := s.user("mallory", password)
	d := &doorTest{
		latchkey: s,
		all:      s.token(t, mallory, api.CreateToken{}).Secret,
		reader:   s.token(t, mallory, reading("path:/api/*:read")).Secret,
		near:     s.token(t, mallory, api.CreateToken{CIDRs: []string{"127.0.0.0/8"}}).Secret,
		far:      s.token(t, mallory, api.CreateToken{CIDRs: []string{"192.0.2.0/24"}}).Secret,
	}
	for _, kind := range frontKinds {
		t.Run(kind, func(t *testing.T) {
			f := startFront(t, kind, s.url, grpc.address)
			within(t, 5*time.Second, "the grant of anonymous to be known", func(context.Context) error {
				if a := f.get(t, "/public/x", ""); a.status != http.StatusOK {
					return fmt.Errorf("GET /public/x = %d", a.status)
				}
				return nil
			})
			f.service.take()
			t.Run("allowed", func(t *testing.T) { d.allowed(t, f) })
			t.Run("bodies", func(t *testing.T) { d.bodies(t, f) })
			t.Run("refused", func(t *testing.T) { d.refused(t, f) })
			t.Run("out of scope", func(t *testing.T) { d.outOfScope(t, f) })
			t.Run("anonymous", func(t *testing.T) { d.anonymous(t, f) })
			t.Run("forged identity", func(t *testing.T) { d.forged(t, f) })
			t.Run("forged description", func(t *testing.T) { d.described(t, f) })
			t.Run("targets", func(t *testing.T) { d.targets(t, f) })
			t.Run("networks", func(t *testing.T) { d.networks(t, f) })
		})
	}
}

// doorTest is a Latchkey with tokens for its user mallory.
type doorTest struct {
	latchkey               *latchkey
	all, reader, near, far string
}

func (d *doorTest) allowed(t *testing.T, f *front) {
	for _, way := range [][]string{
		{"Authorization: Bearer " + d.all}, {"Authorization: Token " + d.all}, {"authorization: bearer " + d.all},
	} {
		lines := with(way, "X-Own: kept", "Correlation-ID: abc-1")
		if a := f.send(t, "GET", "/any/x?y=z&y=%2F", lines, ""); a.status != http.StatusOK || !strings.HasPrefix(a.body, "GET 0 bytes") {
			t.Errorf("GET with %.20q = %d %.200q, want 200", way, a.status, a.body)
		}
		got := f.only(t, "GET")
		if got.target != "/any/x?y=z&y=%2F" || got.host != f.address {
			t.Errorf("the service got %s of %s, want it as it was sent", got.target, got.host)
		}
		for name, want := range map[string]string{
			"Latchkeyuser": "mallory", "Authorization": "", "X-Own": "kept", "Correlation-Id": "abc-1",
			"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": f.address, "X-Forwarded-Proto": "http",
		} {
			if value := strings.Join(got.header.Values(name), ", "); value != want {
				t.Errorf("the service got %s: %q, want %q", name, value, want)
			}
		}
		if scope := got.header.Get("Latchkeyscope"); !strings.Contains(scope, "path:/*:*") {
			t.Errorf("the service got Latchkeyscope: %q, want what mallory may do", scope)
		}
		if id := got.header.Get("Latchkeytoken"); !strings.HasPrefix(id, "tok_") {
			t.Errorf("the service got Latchkeytoken: %q, want the token's id", id)
		}
	}
	// With a password there is no token to name.
	a := f.send(t, "GET", "/x", []string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("mallory:"+passwordOf("mallory")))}, "")
	got := f.only(t, "a password")
	if _, named := got.header["Latchkeytoken"]; a.status != http.StatusOK || named || got.header.Get("Latchkeyuser") != "mallory" {
		t.Errorf("a password = %d, and the service got %v, want mallory without a token", a.status, got.header)
	}
}

func (d *doorTest) bodies(t *testing.T, f *front) {
	const large = 3 << 20
	own := authorization(d.all)
	tests := []struct {
		method string
		lines  []string
		body   string
		size   int
	}{
		{"HEAD", nil, "", 0},
		{"OPTIONS", nil, "", 0},
		{"POST", []string{"Content-Length: 3"}, "abc", 3},
		{"PUT", []string{"Content-Length: 0"}, "", 0},
		{"PATCH", []string{"Transfer-Encoding: chunked"}, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 5},
		{"DELETE", nil, "", 0},
		{"POST", []string{fmt.Sprintf("Content-Length: %d", large)}, strings.Repeat("x", large), large},
	}
	for _, tt := range tests {
		a := f.send(t, tt.method, "/x", with(own, tt.lines...), tt.body)
		got := f.only(t, tt.method)
		if a.status != http.StatusOK || got.method != tt.method || got.body != tt.size || got.header.Get("Latchkeyuser") != "mallory" {
			t.Errorf("%s of %d bytes = %d, and the service got %s of %d bytes", tt.method, tt.size, a.status, got.method, got.body)
		}
	}
	for _, tt := range tests {
		f.wantRefused(t, tt.method+" without a token", f.send(t, tt.method, "/x", tt.lines, tt.body), http.StatusUnauthorized)
	}
}

func (d *doorTest) refused(t *testing.T, f *front) {
	none := f.get(t, "/api/x", "")
	none.wantChallenge(t, "no credential")
	f.wantRefused(t, "no credential", none, http.StatusUnauthorized)
	if id := none.header.Get("Latchkey-Request-Id"); id == "" || !strings.Contains(none.body, id) {
		t.Errorf("the refusal %v %q has no id of the request", none.header, none.body)
	}
	f.wantRefused(t, "junk", f.get(t, "/api/x", "junk"), http.StatusUnauthorized)
	f.wantRefused(t, "an altered token", f.get(t, "/api/x", d.all[:len(d.all)-1]+"!"), http.StatusUnauthorized)
	f.wantRefused(t, "nothing behind the scheme", f.send(t, "GET", "/x", []string{"Authorization: Bearer"}, ""))
	f.wantRefused(t, "two tokens", f.send(t, "GET", "/x", with(authorization("junk"), authorization(d.all)...), ""))
	f.wantRefused(t, "a name with an underscore", f.send(t, "GET", "/x", []string{"Author_ization: Bearer " + d.all}, ""))
	f.wantRefused(t, "TRACE", f.send(t, "TRACE", "/x", authorization(d.all), ""))

	made := d.latchkey.token(t, d.latchkey.user("mallory", passwordOf("mallory")), api.CreateToken{})
	if a := f.get(t, "/x", made.Secret); a.status != http.StatusOK {
		t.Errorf("a new token = %d, want 200", a.status)
	}
	f.service.take()
	must(t, d.latchkey.admin().Tokens.Revoke(t.Context(), made.ID, ""))
	a := f.get(t, "/x", made.Secret)
	f.wantRefused(t, "a revoked token", a, http.StatusUnauthorized)
	a.wantChallenge(t, "a revoked token")
}

// outOfScope checks that the client learns what was missing, and the
// administrator who, what and when by the id that the client got (S63, S80,
// S109).
func (d *doorTest) outOfScope(t *testing.T, f *front) {
	if a := f.get(t, "/api/x?y", d.reader); a.status != http.StatusOK {
		t.Errorf("GET in scope = %d %s, want 200", a.status, a.body)
	}
	f.service.take()
	// A token of its own: the audit log counts what one token is refused in masses.
	mallory := d.latchkey.user("mallory", passwordOf("mallory"))
	fresh := d.latchkey.token(t, mallory, reading("path:/api/*:read")).Secret
	a := f.send(t, "POST", "/api/x?y", with(authorization(fresh), "Content-Length: 3"), "abc")
	f.wantRefused(t, "POST", a, http.StatusForbidden)
	if got := a.header.Get("WWW-Authenticate"); !strings.Contains(got, `scope="path:/api/x:write"`) {
		t.Errorf("the challenge is %q, want the scope that is missing", got)
	}
	id := a.header.Get("Latchkey-Request-Id")
	within(t, 5*time.Second, "the event", func(context.Context) error {
		for _, e := range d.latchkey.events(t, id) {
			if e.Target == "POST /api/x" && e.Actor == "mallory" && e.Outcome == "refused" && e.Detail["missing"] == "path:/api/x:write" {
				return nil
			}
		}
		return fmt.Errorf("no event of the request %s says what was missing", id)
	})
	f.wantRefused(t, "DELETE", f.send(t, "DELETE", "/api/x", authorization(d.reader), ""), http.StatusForbidden)
	f.wantRefused(t, "another path", f.get(t, "/other", d.reader), http.StatusForbidden)
	f.wantRefused(t, "an upload", f.send(t, "PUT", "/api/x", with(authorization(d.reader), "Transfer-Encoding: chunked"), "3\r\nabc\r\n0\r\n\r\n"), http.StatusForbidden)
}

// anonymous checks what the group of that name may do, and that it names nobody
// (S86, S87).
func (d *doorTest) anonymous(t *testing.T, f *front) {
	for name, lines := range forgeries() {
		if a := f.send(t, "GET", "/public/x?y", lines, ""); a.status != http.StatusOK && a.status != http.StatusBadRequest {
			t.Errorf("GET /public/x with %s = %d %s, want 200", name, a.status, a.body)
		}
		for _, got := range f.service.take() {
			wantNamed(t, name, got, "")
		}
	}
	f.wantRefused(t, "a bad token", f.get(t, "/public/x", "junk"), http.StatusUnauthorized)
	f.wantRefused(t, "a write", f.send(t, "POST", "/public/x", []string{"Content-Length: 0"}, ""), http.StatusUnauthorized)
	for _, target := range []string{"/other?/public/x", "/other?x=/public/x", "/public/../other", "/public/%2e%2e/other", "/public/..%2fother", "/public//other", "/other;/public/x"} {
		if f.kind == "traefik" && target == "/public//other" {
			continue // it makes /public/other of it, for Latchkey and for the service
		}
		f.wantRefused(t, target, f.send(t, "GET", target, nil, ""))
	}
}

// wantNamed checks that nobody but one is named to the service, however a
// server may read the header (S86). The empty name is nobody.
func wantNamed(t *testing.T, what string, got served, name string) {
	t.Helper()
	for field, values := range got.header {
		if strings.Contains(field, "_") {
			t.Errorf("%s: the service got %s: %q", what, field, values)
		}
	}
	values, named := got.header["Latchkeyuser"]
	if named != (name != "") || (named && (len(values) != 1 || values[0] != name)) {
		t.Errorf("%s: the service got Latchkeyuser: %q, want %q", what, values, name)
	}
}

func (d *doorTest) forged(t *testing.T, f *front) {
	for name, lines := range forgeries() {
		f.wantRefused(t, name+" without a token", f.send(t, "GET", "/x", lines, ""), http.StatusUnauthorized, http.StatusBadRequest)
		a := f.send(t, "GET", "/x", with(authorization(d.all), lines...), "")
		got := f.service.take()
		if (a.status != http.StatusOK || len(got) != 1) && a.status != http.StatusBadRequest {
			t.Errorf("%s = %d %.200q, want 200 or 400", name, a.status, a.body)
			continue
		}
		for _, g := range got {
			wantNamed(t, name, g, "mallory")
			for _, override := range []string{"X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override"} {
				if g.header.Get(override) != "" {
					t.Errorf("%s: the service got %s", name, override)
				}
			}
		}
	}
}

// described sends what describes a request that would be let in (S85, S88).
func (d *doorTest) described(t *testing.T, f *front) {
	descriptions := [][]string{
		{"X-Original-Method: GET", "X-Original-URI: /public/x"},
		{"x-original-uri: /public/x"},
		{"X-Original-URI: /public/x", "X-Original-URI: /public/x"},
		{"X_Original_URI: /public/x", "X_Original_Method: GET"},
		{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /public/x"},
		{"X-FORWARDED-URI: /public/x"},
		{"X-Forwarded-Uri: /public/x", "X-Forwarded-Uri: /public/x"},
		{"X-Original-Method: GET", "X-Original-URI: /public/x", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /public/x"},
		{"X-Original-URL: /public/x", "X-Rewrite-URL: /public/x", "X-Forwarded-Path: /public/x"},
		{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: localhost", "X-Forwarded-Proto: https", "Forwarded: for=127.0.0.1"},
		{"Connection: X-Original-URI, X-Original-Method, X-Forwarded-Uri, X-Forwarded-Method, Authorization"},
		{"X-HTTP-Method-Override: GET", "X-HTTP-Method: GET", "X-Method-Override: GET"},
	}
	for _, lines := range descriptions {
		what := strings.Join(lines, "; ")
		f.wantRefused(t, "without a token, "+what, f.send(t, "GET", "/other", lines, ""), http.StatusUnauthorized, http.StatusBadRequest)
		f.wantRefused(t, "out of scope, "+what, f.get(t, "/other", d.reader, lines...), http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest)
		f.wantRefused(t, "a write, "+what, f.send(t, "POST", "/api/x", with(authorization(d.reader), append(lines, "Content-Length: 0")...), ""),
			http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest)
		f.get(t, "/api/x", d.reader, lines...)
		for _, got := range f.service.take() {
			if got.method != "GET" || got.target != "/api/x" || got.header.Get("X-Forwarded-For") != "127.0.0.1" || got.header.Get("X-Forwarded-Proto") == "https" {
				t.Errorf("in scope, %s: the service got %+v", what, got)
			}
			for name := range got.header {
				if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-original") || strings.Contains(lower, "override") || lower == "x-http-method" ||
					lower == "x-rewrite-url" || lower == "x-forwarded-uri" || lower == "x-forwarded-method" || lower == "forwarded" {
					t.Errorf("in scope, %s: the service got %s", what, name)
				}
			}
		}
	}
}

// targets sends targets that servers read in different ways, with a token for
// what is under /api/. Whatever the service gets lies there in every reading
// (S81, S88).
func (d *doorTest) targets(t *testing.T, f *front) {
	arrived := 0
	for _, target := range []string{
		"/api/x", "/api/x?../../other", "/api/x?a=/../..", "/api/a%20b", "/api/a|b", "/api/caf%C3%A9", "/api/~a", "/api/%7Ea", "/api/a+b:c@d",
		"/other", "/other?/api/x", "/other#/api/x", "/other%3F/api/x", "/other%23/api/x", "/other;/api/x", "/other%00/api/x",
		"/api/../other", "/api/..", "/api/./x", "/api/%2e%2e/other", "/api/%2E%2E/other", "/api/.%2e/other", "/api/%2e", "/api/..%2fother",
		"/api/..%5cother", `/api/..\other`, "/api/%252e%252e/other", "/api/..;/other", "/api/%2e%2e;/other", "/api/..%00/other",
		"/api/x/../../other", "/api/..%252fother", "/api/%c0%ae%c0%ae/other", "/api/..%c0%afother",
		"//other", "//api/x", "//other/api/x", "/api//x", "/api//../other", "///api/x", "/other//api/x", "/%2fother", "/api%2fx", "/api%2f..%2fother", "/%61pi/x",
		"/api/%", "/api/%zz", "/api/%2", "/api/\xff", "/api/x\x01", "/API/x", "/ap\xc4\xb1/x",
		"http://files.example.com/api/x", "http://files.example.com/other", "http://files.example.com", "http://files.example.com?/api/x",
		"http://files.example.com/other?http://x/api/x", "http://files.example.com/api/../other", "https://files.example.com/other",
		"*", "api/x", "?/api/x", "/api/x HTTP/1.1\r\nX: /other", "/other /api/x", "/other\t/api/x", "/api/" + strings.Repeat("x", 7000),
	} {
		a := f.get(t, target, d.reader)
		got := f.service.take()
		arrived += len(got)
		if len(got) == 0 && a.status >= 200 && a.status < 400 {
			t.Errorf("GET %.60q = %d %.100q, but the service did not say so", target, a.status, a.body)
		}
		for _, g := range got {
			if !underAPI(g.target) {
				t.Errorf("GET %.60q with a token for /api/ reaches the service as %q", target, g.target)
			}
		}
	}
	if arrived < 8 {
		t.Errorf("only %d targets reached the service: the test tests nothing", arrived)
	}
}

// underAPI reports whether a target lies under /api/ however it is read.
func underAPI(target string) bool {
	if !strings.HasPrefix(target, "/") {
		u, err := url.Parse(target)
		if err != nil {
			return false
		}
		target = u.EscapedPath()
	}
	raw, _, _ := strings.Cut(target, "?")
	for range 3 {
		decoded, err := url.PathUnescape(raw)
		if err != nil {
			return false
		}
		for _, text := range []string{decoded, strings.ReplaceAll(decoded, `\`, "/"), strings.ReplaceAll(decoded, ";", "/")} {
			if !strings.HasPrefix(path.Clean(text), "/api/") || strings.HasPrefix(text, "//") {
				return false
			}
		}
		raw = decoded
	}
	return true
}

// networks checks that a token counts only from where it may be used, whatever
// the client says of that (S84).
func (d *doorTest) networks(t *testing.T, f *front) {
	for _, lines := range [][]string{nil, {"X-Forwarded-For: 192.0.2.7"}, {"X-Forwarded-For: 192.0.2.7", "X-Real-IP: 192.0.2.7", "Forwarded: for=192.0.2.7"}} {
		want := http.StatusOK
		if f.kind == "envoy-http" { // the client has the proxy's address, which could be the proxy's own
			want = http.StatusUnauthorized
		}
		if a := f.get(t, "/x", d.near, lines...); a.status != want {
			t.Errorf("a token for this address with %q = %d, want %d", lines, a.status, want)
		}
		f.service.take()
		f.wantRefused(t, fmt.Sprintf("a token for another network with %q", lines), f.get(t, "/x", d.far, lines...), http.StatusUnauthorized)
	}
}

// TestProxiesFailClosed has something else answer where Latchkey should (S89).
func TestProxiesFailClosed(t *testing.T) {
	const id = "Latchkey-Request-Id: 0123456789abcdef0123456789abcdef\r\n"
	answers := map[string]string{
		"closes at once":           "",
		"garbage":                  "\x16\x03\x01 no HTTP at all\r\n\r\n",
		"words":                    "200 OK, go on\n",
		"half a status line":       "HTTP/1.1 200",
		"half a head":              "HTTP/1.1 200 OK\r\n" + id + "Latchkeyuser: admin\r\nConten",
		"a head without its end":   "HTTP/1.1 200 OK\r\n" + id + "Latchkeyuser: admin\r\n",
		"another server's yes":     "HTTP/1.1 200 OK\r\nLatchkeyuser: admin\r\nContent-Length: 0\r\n\r\n",
		"another server's page":    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n",
		"another server's 204":     "HTTP/1.1 204 No Content\r\n\r\n",
		"a redirect":               "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
		"a redirect with an id":    "HTTP/1.1 302 Found\r\n" + id + "Location: /\r\nContent-Length: 0\r\n\r\n",
		"another protocol":         "HTTP/1.1 101 Switching Protocols\r\n" + id + "Connection: upgrade\r\nUpgrade: x\r\n\r\n",
		"a status of its own":      "HTTP/1.1 999 What\r\n" + id + "Content-Length: 0\r\n\r\n",
		"no status":                "HTTP/1.1 000 OK\r\n" + id + "Content-Length: 0\r\n\r\n",
		"unavailable":              "HTTP/1.1 503 Service Unavailable\r\n" + id + "Content-Length: 0\r\n\r\n",
		"an error":                 "HTTP/1.1 500 Internal Server Error\r\n" + id + "Content-Length: 0\r\n\r\n",
		"a header without an end":  "HTTP/1.1 200 OK\r\n" + id + "X: " + strings.Repeat("x", 1<<20),
		"only an announcement":     "HTTP/1.1 100 Continue\r\n" + id + "\r\n",
		"hints, and then no more":  "HTTP/1.1 103 Early Hints\r\n" + id + "\r\n",
		"a line break in a header": "HTTP/1.1 200 OK\r\nLatchkey-Request-Id\r\n: 0123456789abcdef0123456789abcdef\r\n\r\n",
	}
	for _, kind := range frontKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			on := reserve(t)
			f := startFront(t, kind, "http://"+on.address, on.address)
			on.release()
			f.wantRefused(t, "nobody listens", f.get(t, "/x", "token"))
			door := listenFalse(t, on.address)
			overGRPC := kind == "envoy" // for which none of these is a yes; TestProxies shows what is
			// What is right is a yes, so that the others are not refused for another reason.
			door.say(yes(id))
			if a := f.get(t, "/x", "token"); !overGRPC && (a.status != http.StatusOK || f.only(t, "a yes").header.Get("Latchkeyuser") != "alice") {
				t.Fatalf("a yes = %d %s, want 200", a.status, a.body)
			}
			for name, text := range answers {
				if (kind == "traefik" || kind == "envoy-http") && strings.HasPrefix(name, "another server's ") {
					continue // they take any 2xx for a yes, or any 200, as docs/proxies.md says
				}
				if (kind == "traefik" || kind == "envoy-http") && (strings.HasPrefix(name, "a redirect") || name == "another protocol") {
					if f.get(t, "/x", "token"); len(f.service.take()) > 0 { // the answer is handed to the client as it is
						t.Errorf("%s let the request in", name)
					}
					continue
				}
				door.say(text)
				f.wantRefused(t, name, f.get(t, "/x", "token"))
				f.wantRefused(t, name+", an upload", f.send(t, "POST", "/x", []string{"Content-Length: 3"}, "abc"))
			}
			door.hang()
			began := time.Now()
			f.wantRefused(t, "no answer", f.get(t, "/x", "token"))
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("a refusal because of no answer took %v", took)
			}
			door.say(yes(id))
			if a := f.get(t, "/x", "token"); !overGRPC && a.status != http.StatusOK {
				t.Errorf("a yes after all that = %d %s, want 200", a.status, a.body)
			}
		})
	}
}

// yes is what Latchkey says when a request may go on.
func yes(id string) string {
	return "HTTP/1.1 200 OK\r\n" + id + "Latchkeyuser: alice\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
}

// falseDoor listens where Latchkey should, and answers each connection with the
// same bytes.
type falseDoor struct{ text atomic.Pointer[string] }

func (d *falseDoor) say(text string) { d.text.Store(&text) }
func (d *falseDoor) hang()           { d.text.Store(nil) }

func listenFalse(t *testing.T, address string) *falseDoor {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	d := &falseDoor{}
	var open sync.WaitGroup
	t.Cleanup(func() { l.Close(); open.Wait() })
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(15 * time.Second)) // longer than anybody should wait
				head := make([]byte, 64<<10)
				if _, err := conn.Read(head); err != nil {
					return
				}
				text := d.text.Load()
				if text == nil {
					_, _ = io.Copy(io.Discard, conn) // until the proxy has had enough
					return
				}
				_, _ = io.WriteString(conn, *text)
			})
		}
	})
	return d
}

// TestProxiesStoreDown takes the database away from Latchkey, behind a proxy
// (S89).
func TestProxiesStoreDown(t *testing.T) {
	cluster, err := pgtest.Start(pgtest.Options{})
	if err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	dsn, err := cluster.CreateDatabase(t.Context(), "latchkey")
	if err != nil {
		t.Fatal(err)
	}
	wire, dsn := between(t, dsn)
	grpc := reserve(t)
	grpc.release()
	s := serve(t, serveOptions{config: fmt.Sprintf("database: %q\ntrusted_proxies: [127.0.0.1]\nenvoy: {listen: %q}\n", dsn, grpc.address)})
	token := s.token(t, s.admin(), api.CreateToken{}).Secret
	var fronts []*front
	for _, kind := range frontKinds {
		t.Run(kind, func(t *testing.T) { frontProgram(t, kind) })
		fronts = append(fronts, startFront(t, kind, s.url, grpc.address))
	}
	for _, f := range fronts {
		if a := f.get(t, "/x", token); a.status != http.StatusOK {
			t.Errorf("%s = %d %s, want 200", f.kind, a.status, a.body)
		}
		f.service.take()
	}
	wire.cut()
	for _, f := range fronts {
		within(t, 20*time.Second, f.kind+" to refuse while the database is away", func(context.Context) error {
			a := f.get(t, "/x", token)
			f.service.take()
			if a.status == http.StatusOK {
				return errors.New("the token is still good")
			}
			return nil
		})
		// What was never a token is refused without asking the database.
		f.wantRefused(t, f.kind+" with a token", f.get(t, "/x", token), http.StatusServiceUnavailable)
		f.wantRefused(t, f.kind+" with junk", f.get(t, "/x", "junk"), http.StatusUnauthorized, http.StatusServiceUnavailable)
		f.wantRefused(t, f.kind+" without a token", f.get(t, "/x", ""), http.StatusUnauthorized, http.StatusServiceUnavailable)
	}
	wire.mend(t)
	for _, f := range fronts {
		within(t, 30*time.Second, f.kind+" to let in again", func(context.Context) error {
			if a := f.get(t, "/x", token); a.status != http.StatusOK {
				return fmt.Errorf("it answers %d", a.status)
			}
			return nil
		})
	}
}

// wire passes on connections to a database until it is cut.
type wire struct {
	address, to string
	mu          sync.Mutex
	listener    net.Listener
	conns       map[net.Conn]bool
}

// between puts a wire before a database.
func between(t *testing.T, dsn string) (w *wire, through string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	on := reserve(t)
	w = &wire{address: on.address, to: u.Host, conns: map[net.Conn]bool{}}
	on.release()
	w.mend(t)
	t.Cleanup(w.cut)
	u.Host = w.address
	return w, u.String()
}

// mend lets connections through.
func (w *wire) mend(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.listener = l
	w.mu.Unlock()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go w.pass(conn)
		}
	}()
}

func (w *wire) pass(conn net.Conn) {
	defer conn.Close()
	to, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer to.Close()
	w.mu.Lock()
	w.conns[conn] = true
	w.mu.Unlock()
	go func() { _, _ = io.Copy(to, conn); to.Close() }()
	_, _ = io.Copy(conn, to)
}

// cut ends all connections and takes no new ones.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listener.Close()
	for conn := range w.conns {
		conn.Close()
	}
	clear(w.conns)
}
