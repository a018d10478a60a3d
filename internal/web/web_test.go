package web

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-auth/latchkey/internal/audit"
)

func peersOf(texts ...string) Peers {
	var p Peers
	for _, text := range texts {
		p = append(p, netip.MustParsePrefix(text))
	}
	return p
}

// S84, S85
func TestClientAddr(t *testing.T) {
	one := peersOf("192.0.2.1/32")
	several := peersOf("192.0.2.0/24", "10.0.0.0/8", "2001:db8::/32", "fe80::/10")
	tests := []struct {
		name   string
		peers  Peers
		remote string
		header []string
		want   string // "": none
	}{
		{"no proxies are listed", nil, "192.0.2.1:99", []string{"198.51.100.7"}, "192.0.2.1"},
		{"the peer is not listed", one, "203.0.113.5:99", []string{"198.51.100.7"}, "203.0.113.5"},
		{"the peer is a neighbour of one", one, "192.0.2.2:99", []string{"198.51.100.7"}, "192.0.2.2"},
		{"a listed proxy", one, "192.0.2.1:99", []string{"198.51.100.7"}, "198.51.100.7"},
		{"without a header", one, "192.0.2.1:99", nil, "192.0.2.1"},
		{"with an empty header", one, "192.0.2.1:99", []string{""}, "192.0.2.1"},
		{"what the client claimed before does not count", one, "192.0.2.1:99", []string{"127.0.0.1, 10.0.0.1, 198.51.100.7"}, "198.51.100.7"},
		{"not even when it claims to be the proxy", one, "192.0.2.1:99", []string{"127.0.0.1, 192.0.2.1, 198.51.100.7"}, "198.51.100.7"},
		{"several proxies", several, "192.0.2.1:99", []string{"127.0.0.1, 198.51.100.7, 10.1.2.3, 192.0.2.9"}, "198.51.100.7"},
		{"nothing but proxies", several, "192.0.2.1:99", []string{"10.1.2.3, 192.0.2.9"}, "10.1.2.3"},
		{"several headers are one list", several, "192.0.2.1:99", []string{"127.0.0.1", "198.51.100.7", "10.1.2.3"}, "198.51.100.7"},
		{"an empty last header", several, "192.0.2.1:99", []string{"198.51.100.7", ""}, ""},

		{"rubbish alone", one, "192.0.2.1:99", []string{"unknown"}, ""},
		{"rubbish before the client", several, "192.0.2.1:99", []string{"_x, 198.51.100.7, 10.1.2.3"}, "198.51.100.7"},
		{"rubbish after the client", several, "192.0.2.1:99", []string{"198.51.100.7, _x, 10.1.2.3"}, ""},
		{"rubbish at the end", several, "192.0.2.1:99", []string{"198.51.100.7, 10.1.2.3, "}, ""},
		{"a name", one, "192.0.2.1:99", []string{"localhost"}, ""},
		{"a network", one, "192.0.2.1:99", []string{"198.51.100.0/24"}, ""},
		{"leading zeros", one, "192.0.2.1:99", []string{"198.51.100.007"}, ""},
		{"a number", one, "192.0.2.1:99", []string{"3325256711"}, ""},
		{"spaces for commas", one, "192.0.2.1:99", []string{"127.0.0.1 198.51.100.7"}, ""},
		{"spaces and tabs around", one, "192.0.2.1:99", []string{"127.0.0.1,\t 198.51.100.7 \t"}, "198.51.100.7"},

		{"IPv4 in IPv6, the peer", one, "[::ffff:192.0.2.1]:99", []string{"198.51.100.7"}, "198.51.100.7"},
		{"IPv4 in IPv6, the client", one, "192.0.2.1:99", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"IPv4 in IPv6, a proxy", several, "192.0.2.1:99", []string{"198.51.100.7, ::ffff:10.1.2.3"}, "198.51.100.7"},
		{"IPv4 in IPv6, in hexadecimal", several, "192.0.2.1:99", []string{"198.51.100.7, ::ffff:a01:203"}, "198.51.100.7"},
		{"IPv4 in IPv6, nobody listed", nil, "[::ffff:192.0.2.1]:99", nil, "192.0.2.1"},
		{"IPv6", several, "[2001:db8::1]:99", []string{"2001:db9::7"}, "2001:db9::7"},
		{"a zone, the peer", several, "[fe80::1%eth0]:99", []string{"198.51.100.7"}, "198.51.100.7"},
		{"a zone, the client", one, "192.0.2.1:99", []string{"fe80::7%eth0"}, "fe80::7"},
		{"ports", several, "192.0.2.1:99", []string{"198.51.100.7:1234, 10.1.2.3:80"}, "198.51.100.7"},
		{"IPv6 with a port", one, "192.0.2.1:99", []string{"[2001:db8::7]:1234"}, "2001:db8::7"},
		{"IPv6 in brackets", one, "192.0.2.1:99", []string{"[2001:db8::7]"}, "2001:db8::7"},

		{"a Unix socket", several, "@", []string{"198.51.100.7"}, ""},
		{"no peer", several, "", []string{"198.51.100.7"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: tt.remote, Header: http.Header{}}
			if tt.header != nil {
				r.Header["X-Forwarded-For"] = tt.header
			}
			r.Header.Set("X-Real-Ip", "127.0.0.9") // these never count
			r.Header.Set("Forwarded", "for=127.0.0.9")
			var want netip.Addr
			if tt.want != "" {
				want = netip.MustParseAddr(tt.want)
			}
			if got := tt.peers.ClientAddr(r); got != want {
				t.Errorf("ClientAddr(%s, %q) = %v, want %v", tt.remote, tt.header, got, want)
			}
		})
	}
}

// FuzzClientAddr checks that what a client sends through a proxy changes
// nothing: what the proxy adds at the end decides (S84).
func FuzzClientAddr(f *testing.F) {
	for _, seed := range []string{"", ",", "127.0.0.1", "10.0.0.1, ", "unknown,,", "[::1]:80", "\"", "192.0.2.1", "::ffff:192.0.2.1%x"} {
		f.Add(seed)
	}
	peers := peersOf("192.0.2.0/24")
	f.Fuzz(func(t *testing.T, claimed string) {
		for _, header := range [][]string{{claimed + ", 198.51.100.7"}, {claimed, "198.51.100.7"}} {
			r := &http.Request{RemoteAddr: "192.0.2.1:99", Header: http.Header{"X-Forwarded-For": header}}
			if got := peers.ClientAddr(r); got != netip.MustParseAddr("198.51.100.7") {
				t.Errorf("ClientAddr(%q) = %v, want 198.51.100.7", header, got)
			}
		}
		r := &http.Request{RemoteAddr: "192.0.2.1:99", Header: http.Header{"X-Forwarded-For": {claimed}}}
		if got := peers.ClientAddr(r); got.Zone() != "" || got.Is4In6() {
			t.Errorf("ClientAddr(%q) = %v, want a plain address or none", claimed, got)
		}
	})
}

var idForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

// identify sends a request through Identify, and returns what the handler and
// the client see.
func identify(correlation []string) (audit.Request, http.Header, http.Header) {
	var from audit.Request
	var inside http.Header
	h := Identify(peersOf("192.0.2.1/32"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, inside = audit.FromContext(r.Context()), r.Header
	}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("User-Agent", "tester/1")
	r.Header.Set("X-Forwarded-For", "198.51.100.7")
	if correlation != nil {
		r.Header[CorrelationIDHeader] = correlation
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return from, inside, w.Header()
}

func TestIdentify(t *testing.T) {
	from, inside, sent := identify(nil)
	want := audit.Request{Addr: netip.MustParseAddr("198.51.100.7"), Peer: netip.MustParseAddr("192.0.2.1"), Agent: "tester/1", RequestID: from.RequestID, CorrelationID: from.RequestID, Method: "GET", Path: "/"}
	if diff := cmp.Diff(want, from, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("FromContext(), -want +got:\n%s", diff)
	}
	if !idForm.MatchString(from.RequestID) {
		t.Errorf("request id = %q, want 32 hexadecimal digits", from.RequestID)
	}
	if got := sent.Get(RequestIDHeader); got != from.RequestID {
		t.Errorf("%s = %q, want %q", RequestIDHeader, got, from.RequestID)
	}
	if got := sent.Get(CorrelationIDHeader); got != from.CorrelationID {
		t.Errorf("%s = %q, want %q", CorrelationIDHeader, got, from.CorrelationID)
	}
	if got, ok := inside[CorrelationIDHeader]; ok {
		t.Errorf("the request has the header %s: %q, want it as it was sent", CorrelationIDHeader, got)
	}
	again, _, _ := identify(nil)
	if again.RequestID == from.RequestID {
		t.Errorf("two requests have the id %s", from.RequestID)
	}
}

// S110: a correlation id that could break a line of a log or a header is
// replaced in the logs, in the answer and in what goes on to others.
func TestIdentifyCorrelation(t *testing.T) {
	long := strings.Repeat("a", 128)
	tests := []struct {
		sent []string
		kept bool
	}{
		{[]string{"0123456789abcdef0123456789abcdef"}, true},
		{[]string{"9b2f5f0e-7c1d-4e43-9d37-1e1f3f1b6f55"}, true},
		{[]string{"A.b_c:d/e+f=@"}, true},
		{[]string{long}, true},
		{[]string{long + "a"}, false},
		{[]string{""}, false},
		{[]string{}, false},
		{[]string{"a b"}, false},
		{[]string{"a\tb"}, false},
		{[]string{"a\nlevel=ERROR msg=forged"}, false},
		{[]string{"a\r\nSet-Cookie: x=y"}, false},
		{[]string{"a\x00"}, false},
		{[]string{"a\x1b[31m"}, false},
		{[]string{"a\"b"}, false},
		{[]string{"a<script>"}, false},
		{[]string{"é"}, false},
		{[]string{"\xff"}, false},
		{[]string{"a\u2028b"}, false},
		{[]string{"first", "second\n"}, true},
		{[]string{"first\n", "second"}, false},
	}
	for _, tt := range tests {
		from, inside, sent := identify(tt.sent)
		want := from.RequestID
		if tt.kept {
			want = tt.sent[0]
		}
		if from.CorrelationID != want {
			t.Errorf("correlation id for %q = %q, want %q", tt.sent, from.CorrelationID, want)
		}
		for _, h := range []http.Header{inside, sent} {
			if diff := cmp.Diff([]string{want}, h.Values(CorrelationIDHeader)); diff != "" {
				t.Errorf("%s for %q, -want +got:\n%s", CorrelationIDHeader, tt.sent, diff)
			}
		}
	}
}

// S110: what a client sends never begins a line of the log.
func TestLogInjection(t *testing.T) {
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler {
			return slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
		"json": func(b *bytes.Buffer) slog.Handler {
			return slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			log := slog.New(handler(&out))
			h := Identify(nil, Recover(log, func(http.ResponseWriter, *http.Request) {}, LogRequests(log, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				panic("oh\nlevel=ERROR msg=forged")
			}))))
			r := httptest.NewRequest(http.MethodGet, "/a%0alevel=ERROR%1b%5b31m", nil)
			r.Header[CorrelationIDHeader] = []string{"a\nlevel=ERROR msg=forged"}
			h.ServeHTTP(httptest.NewRecorder(), r)
			if got := strings.Count(out.String(), "\n"); got != 2 {
				t.Errorf("the log has %d lines, want 2:\n%s", got, &out)
			}
			if strings.Contains(out.String(), "\x1b") {
				t.Errorf("the log has an escape character: %q", &out)
			}
		})
	}
}

func TestRequestIDWithoutIdentify(t *testing.T) {
	if got := RequestID(httptest.NewRecorder()); got != "" {
		t.Errorf("RequestID() = %q, want none", got)
	}
	if got := audit.FromContext(context.Background()); got != (audit.Request{}) {
		t.Errorf("FromContext() = %+v, want nothing", got)
	}
}
