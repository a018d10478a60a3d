package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/web"
)

// forgeries are spellings of identity headers, and of headers that lead around
// a rule.
var forgeries = []string{
	"Latchkeyuser", "latchkeyuser", "LATCHKEYUSER", "LatchkeyUser", "Latchkey-User", "latchkey_user", "Latchkey_User",
	"LATCHKEY_USER", "-Latchkeyuser", "Latchkeyuser-", "_latchkeyuser", "Latchkey.user", "Latchkeyuser~", "l-a-t-c-h-k-e-y-u-s-e-r",
	"Latchkeytoken", "Latchkey_token", "Latchkeyscope", "LATCHKEY-SCOPE", "Latchkey-Stale", "Latchkey-Anything",
	"Whois", "who-is", "WHO_IS", // another route's
	"SCRIPT_NAME", "PATH_INFO", "Script_Name", "REMOTE_USER",
	"X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "X-Original-URL", "X-Rewrite-URL",
}

func forgeryTable(m *mirror, t *testing.T) []Route {
	return []Route{
		{Name: "required", Prefix: "/required", Upstream: m.url(t)},
		{Name: "optional", Prefix: "/optional", Upstream: m.url(t), Auth: Optional},
		{Name: "open", Prefix: "/open", Upstream: m.url(t), Open: []string{"/open/**"}},
		{Name: "off", Prefix: "/off", Upstream: m.url(t), Auth: Off},
		{Name: "other", Prefix: "/other", Upstream: m.url(t), UserHeader: "Whois"},
	}
}

// folded lists the header names of a request in the form in which servers could
// confuse them, with the values.
func folded(h http.Header) map[string][]string {
	all := map[string][]string{}
	for name, values := range h {
		key := strings.ToLower(strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
				return r
			}
			return -1
		}, name))
		all[key] = append(all[key], values...)
	}
	return all
}

// S86: whatever a client sends, the upstream sees our name or none.
func TestForgedIdentityHeaders(t *testing.T) {
	for _, path := range []string{"/required/x", "/optional/x", "/open/x", "/off/x"} {
		for _, forged := range forgeries {
			t.Run(path+" "+forged, func(t *testing.T) {
				m := newMirror(t)
				h := open(t, Options{Routes: forgeryTable(m, t)})
				credential := ""
				if path == "/required/x" {
					credential = "Authorization: Bearer " + aliceToken + "\r\n"
				}
				exchangeRaw(t, h.addr(), fmt.Sprintf(
					"GET %s HTTP/1.1\r\nHost: h\r\n%s%s: mallory\r\n%s: mallory2\r\nConnection: close\r\n\r\n", path, credential, forged, forged))
				got := folded(m.only(t).Header)
				for name, values := range got {
					if strings.Contains(strings.Join(values, ""), "mallory") && (path != "/off/x" || !overrides(name)) {
						t.Errorf("the upstream got %s: %q", name, values)
					}
				}
				want := []string{"alice"}
				if credential == "" {
					want = nil
				}
				if diff := cmp.Diff(want, got["latchkeyuser"]); diff != "" {
					t.Errorf("Latchkeyuser (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// S90: naming our header in Connection does not remove it.
func TestConnectionCannotRemoveOurHeaders(t *testing.T) {
	m := newMirror(t)
	h := open(t, Options{Routes: one(m.url(t), nil)})
	answer := exchangeRaw(t, h.addr(), "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+aliceToken+"\r\n"+
		"Correlation-ID: 0123456789abcdef0123456789abcdef\r\nX-Gone: 1\r\n"+
		"Connection: close, Latchkeyuser, X-Forwarded-For, X-Forwarded-Proto, Correlation-Id, X-Gone\r\nLatchkeyuser: mallory\r\n\r\n")
	got := m.only(t).Header
	want := http.Header{
		"Latchkeyuser": {"alice"}, "X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"h"},
		"Correlation-Id": {"0123456789abcdef0123456789abcdef"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("header at the upstream (-want +got):\n%s", diff)
	}
	if n := strings.Count(strings.ToLower(answer), "correlation-id:"); n != 1 {
		t.Errorf("the answer has %d correlation ids, want 1:\n%s", n, answer)
	}
}

func TestAuthorizationEndsAtTheGateway(t *testing.T) {
	token, password := bearer(aliceToken), basic("alice", alicePassword)
	tests := []struct {
		name   string
		change func(r *Route)
		path   string
		header http.Header
		want   []string // Authorization at the upstream
		user   []string
	}{
		{"token", nil, "/", token, nil, []string{"alice"}},
		{"token as password", nil, "/", basic("x", aliceToken), nil, []string{"alice"}},
		{"robot", nil, "/", bearer(robotToken), nil, []string{"ci-robot"}},
		{"password", nil, "/", password, nil, []string{"alice"}},
		{"kept", func(r *Route) { r.KeepAuthorization = true }, "/", token, token["Authorization"], []string{"alice"}},
		{"password passed", func(r *Route) { r.Passwords = PassPasswords }, "/", password, password["Authorization"], nil},
		{"token where passwords pass", func(r *Route) { r.Passwords = PassPasswords }, "/", basic("x", aliceToken), nil, []string{"alice"}},
		{"open path", func(r *Route) { r.Open = []string{"/"} }, "/", token, nil, nil},
		{"off", func(r *Route) { r.Auth = Off }, "/", token, token["Authorization"], nil},
		{"other scheme", func(r *Route) { r.Auth = Optional }, "/", http.Header{"Authorization": {"Negotiate abc"}}, []string{"Negotiate abc"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMirror(t)
			h := open(t, Options{Routes: one(m.url(t), tt.change)})
			if res, body := h.send(t, "GET", tt.path, tt.header, nil); res.StatusCode != http.StatusOK {
				t.Fatalf("GET %s = %d %s, want 200", tt.path, res.StatusCode, body)
			}
			got := m.only(t).Header
			if diff := cmp.Diff(tt.want, got["Authorization"]); diff != "" {
				t.Errorf("Authorization (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.user, got["Latchkeyuser"]); diff != "" {
				t.Errorf("Latchkeyuser (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOtherIdentityHeaders(t *testing.T) {
	m := newMirror(t)
	h := open(t, Options{Routes: one(m.url(t), func(r *Route) {
		r.UserHeader, r.TokenHeader, r.ScopeHeader = "remoteuser", "Tokenid", "Tokenscope"
	})})
	h.send(t, "GET", "/", bearer(aliceToken), nil)
	got := m.only(t).Header
	for name, want := range map[string]string{"Remoteuser": "alice", "Tokenid": "tok_alice", "Tokenscope": "path:*:*", "Latchkeyuser": ""} {
		if got.Get(name) != want {
			t.Errorf("%s = %q, want %q", name, got.Get(name), want)
		}
	}
}

// S110
func TestNamesThatNoHeaderCarriesAreRefused(t *testing.T) {
	m := newMirror(t)
	h := open(t, Options{Routes: one(m.url(t), nil)})
	if res, _ := h.send(t, "GET", "/", bearer(oddNameToken), nil); res.StatusCode != http.StatusForbidden {
		t.Errorf("GET as zoë = %d, want 403", res.StatusCode)
	}
	if got := m.all(); len(got) != 0 {
		t.Errorf("the upstream got %v", got)
	}
	for name, want := range map[string]bool{
		"alice": true, "a.b@c+d-e_f": true, "first last": true, "": false, " a": false, "a ": false, "a\tb": false,
		"a\r\nb": false, "a\x00": false, "a\x7f": false, "\xe9": false, strings.Repeat("a", 257): false,
	} {
		if got := headerSafe(name); got != want {
			t.Errorf("headerSafe(%q) = %t, want %t", name, got, want)
		}
	}
}

func TestIdentityHeaderNames(t *testing.T) {
	for name, want := range map[string]bool{
		"Latchkeyuser": true, "Remoteuser": true, "X1": true,
		"Latchkey-User": false, "Latchkey_user": false, "Host": false, "Authorization": false, "Cookie": false,
		"Connection": false, "Forwarded": false, "a b": false, "ä": false,
	} {
		if got := identityName(name); got != want {
			t.Errorf("identityName(%q) = %t, want %t", name, got, want)
		}
	}
}

// S85
func TestForwardedHeaders(t *testing.T) {
	sent := http.Header{
		"X-Forwarded-For": {"10.1.1.1, 203.0.113.9", "192.0.2.7"}, "X-Forwarded-Proto": {"https"},
		"X-Forwarded-Host": {"pulp.example.com"}, "X-Forwarded-Port": {"443"}, "X-Real-Ip": {"10.1.1.1"},
		"Forwarded": {"for=10.1.1.1"}, "X-Client-Cert": {"PEM"}, "X_Forwarded_For": {"10.1.1.1"},
	}
	tests := []struct {
		name  string
		peers web.Peers
		want  http.Header
	}{
		{"from a stranger", nil, http.Header{
			"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"},
		}},
		{"from a trusted proxy", loopback(), http.Header{
			"X-Forwarded-For":   {"10.1.1.1, 203.0.113.9, 192.0.2.7, 127.0.0.1"},
			"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"pulp.example.com"}, "X-Forwarded-Port": {"443"},
			"X-Real-Ip": {"10.1.1.1"}, "X-Client-Cert": {"PEM"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMirror(t)
			h := open(t, Options{Routes: one(m.url(t), func(r *Route) { r.Auth = Off }), Peers: tt.peers})
			h.send(t, "GET", "/", sent, nil)
			got := http.Header{}
			for name, values := range m.only(t).Header {
				if proxyClaim(foldName(name)) || strings.Contains(name, "_") {
					got[name] = values
				}
			}
			if tt.peers == nil {
				tt.want["X-Forwarded-Host"] = []string{h.addr()}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("forwarded headers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHostIsKept(t *testing.T) {
	m := newMirror(t)
	h := open(t, Options{Routes: one(m.url(t), func(r *Route) { r.Auth = Off })})
	for _, host := range []string{"Pulp.Example.com:8443", "pulp.example.com", "[2001:db8::1]:80"} {
		exchangeRaw(t, h.addr(), "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		got := m.all()
		if last := got[len(got)-1]; last.Host != host {
			t.Errorf("Host %q arrives as %q", host, last.Host)
		}
	}
}

func TestTrailersPass(t *testing.T) {
	m := newMirror(t)
	m.next = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "body")
		w.Header().Set("X-Sum", "42")
		w.Header().Set(http.TrailerPrefix+"X-Late", "43")
	}
	h := open(t, Options{Routes: one(m.url(t), nil)})
	answer := exchangeRaw(t, h.addr(), "POST / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+aliceToken+"\r\n"+
		"Transfer-Encoding: chunked\r\nTrailer: X-Digest, Latchkeyuser, Authorization, X-Forwarded-For, latchkey_user\r\n\r\n"+
		"3\r\nabc\r\n0\r\nX-Digest: 1\r\nLatchkeyuser: mallory\r\nLatchkey_user: mallory\r\n"+
		"Authorization: Basic bWFsbG9yeTo=\r\nX-Forwarded-For: 10.0.0.1\r\nX-Unannounced: 1\r\n\r\n")
	got := m.only(t)
	if got.Body != "abc" {
		t.Errorf("body = %q, want abc", got.Body)
	}
	if diff := cmp.Diff(http.Header{"X-Digest": {"1"}}, got.Trailer); diff != "" { // S86
		t.Errorf("trailer at the upstream (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"alice"}, got.Header["Latchkeyuser"]); diff != "" {
		t.Errorf("Latchkeyuser (-want +got):\n%s", diff)
	}
	for _, want := range []string{"X-Sum: 42\r\n", "X-Late: 43\r\n"} {
		if !strings.Contains(answer, want) {
			t.Errorf("the answer lacks the trailer %q:\n%s", want, answer)
		}
	}
}

func TestCookies(t *testing.T) {
	tests := []struct {
		name       string
		drop       bool
		sent, want []string
		set        []string
	}{
		{"own cookies end here", false, []string{"a=1; __Host-latchkey=secret; b=\"2;3\"", "__Host-latchkey=x"}, []string{`a=1; b="2;3"`}, []string{"session=1"}},
		{"none left", false, []string{"__Host-latchkey=x"}, nil, []string{"session=1"}},
		{"others as they are", false, []string{"a=1;b=2;  c"}, []string{"a=1;b=2;  c"}, []string{"session=1"}},
		{"none at all", true, []string{"a=1"}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMirror(t)
			m.next = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Set-Cookie", "session=1") }
			h := open(t, Options{
				Routes:  one(m.url(t), func(r *Route) { r.DropCookies, r.Auth = tt.drop, Optional }),
				Cookies: []string{"__Host-latchkey"},
			})
			res, _ := h.send(t, "GET", "/", http.Header{"Cookie": tt.sent}, nil)
			if diff := cmp.Diff(tt.want, m.only(t).Header["Cookie"]); diff != "" {
				t.Errorf("Cookie (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.set, res.Header["Set-Cookie"]); diff != "" {
				t.Errorf("Set-Cookie (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswerHeaders(t *testing.T) {
	m := newMirror(t)
	m.next = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Correlation-Id", r.Header.Get("Correlation-Id"))
		w.Header().Set("Latchkey-Request-Id", "theirs")
		w.Header().Set("Latchkey-Stale", "theirs")
		w.Header().Set("X-Other", "kept")
	}
	h := open(t, Options{Routes: one(m.url(t), nil)})
	for token, stale := range map[string][]string{aliceToken: nil, staleToken: {"true"}} {
		res, _ := h.send(t, "GET", "/", bearer(token), nil)
		ids := res.Header["Correlation-Id"]
		if all := m.all(); len(ids) != 1 || ids[0] != all[len(all)-1].Header.Get("Correlation-Id") {
			t.Errorf("Correlation-Id = %q, want the one that the upstream got, once", ids)
		}
		if got := res.Header["Latchkey-Request-Id"]; len(got) != 1 || got[0] == "theirs" {
			t.Errorf("Latchkey-Request-Id = %q, want ours", got)
		}
		if diff := cmp.Diff(stale, res.Header["Latchkey-Stale"]); diff != "" {
			t.Errorf("Latchkey-Stale (-want +got):\n%s", diff)
		}
		if got := res.Header.Get("X-Other"); got != "kept" {
			t.Errorf("X-Other = %q, want kept", got)
		}
	}
}
