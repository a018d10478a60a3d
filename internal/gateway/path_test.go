package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
)

// testTable is a route table without upstreams.
func testTable(t testing.TB, prefixes ...string) *table {
	t.Helper()
	var routes []*route
	for _, text := range prefixes {
		p, err := parsePrefix(text)
		if err != nil {
			t.Fatalf("parsePrefix(%q) = %v", text, err)
		}
		routes = append(routes, &route{Route: Route{Name: text, Prefix: text}, prefix: p})
	}
	tab, err := newTable(routes)
	if err != nil {
		t.Fatalf("newTable(%q) = %v", prefixes, err)
	}
	return tab
}

func nameOf(r *route) string {
	if r == nil {
		return ""
	}
	return r.Name
}

// S81, S87
func TestPick(t *testing.T) {
	tab := testTable(t, "/", "/admin", "/pulp/api", "/pulp/*/api", "/pulp/content", "/pulp/content/private/")
	tests := []struct {
		path, want string
		err        error
	}{
		{"/", "/", nil},
		{"/x", "/", nil},
		{"/admin", "/admin", nil},
		{"/admin/", "/admin", nil},
		{"/administrator", "/", nil},
		{"/pulp/api/v3/status/", "/pulp/api", nil},
		{"/pulp/team/api/v3/", "/pulp/*/api", nil},
		{"/pulp/content/api/x", "/pulp/content", nil},
		{"/pulp/content/private", "/pulp/content/private/", nil},
		{"/pulp/content/privatex", "/pulp/content", nil},
		{"/pulp/content/a%2Fb", "/pulp/content", nil},
		{"/pulp/content/a;b=1/c", "/pulp/content", nil},
		{"/pulp/content/a//b", "/pulp/content", nil},
		{"/pulp/content/%7Euser", "/pulp/content", nil},
		{"/pulp/content/caf\xc3\xa9", "/pulp/content", nil},
		{"/pulp/content/...", "/pulp/content", nil},
		{"/pulp/content/.hidden", "/pulp/content", nil},

		{"", "", errTarget},
		{"*", "", errTarget},
		{"//admin", "", errTarget},
		{"/a#b", "", errTarget},
		{"/a%00", "", errTarget},
		{"/a%zz", "", errTarget},
		{"/" + strings.Repeat("a", maxPath), "", errLongPath},

		{"/..", "", errDots},
		{"/x/../admin", "", errDots},
		{"/x/./admin", "", errDots},
		{"/x/%2e%2e/admin", "", errDots},
		{"/x/.%2E/admin", "", errDots},
		{"/x/%252e%252e/admin", "", errDots},
		{"/x/..;/admin", "", errDots},
		{"/x/..%3Ba/admin", "", errDots},
		{`/x/..\admin`, "", errDots},
		{"/x/..%5cadmin", "", errDots},
		{"/x%2f..%2fadmin", "", errDots},

		{"/%61dmin", "", errAmbiguous},
		{"/%2561dmin", "", errAmbiguous},
		{"/%2Fadmin", "", errAmbiguous},
		{"/admin;x", "", errAmbiguous},
		{"/admin%3bx/y", "", errAmbiguous},
		{`/\admin`, "", errAmbiguous},
		{`/admin\x`, "", errAmbiguous},
		{"/admin%2fx", "", errAmbiguous},
		{"/pulp//api", "", errAmbiguous},
		{"/pulp/content%2fprivate/x", "", errAmbiguous},
		{"/pulp/content//private/x", "", errAmbiguous},
		{"/pulp/%63ontent/api/x", "", errAmbiguous},
		{"/;x/admin", "", errAmbiguous},
	}
	for _, tt := range tests {
		got, err := tab.pick(tt.path)
		if !errors.Is(err, tt.err) || nameOf(got) != tt.want {
			t.Errorf("pick(%q) = %q, %v, want %q, %v", tt.path, nameOf(got), err, tt.want, tt.err)
		}
	}
}

func TestPickOfNothing(t *testing.T) {
	tab := testTable(t, "/a")
	if got, err := tab.pick("/b"); got != nil || err != nil {
		t.Errorf(`pick("/b") = %q, %v, want none`, nameOf(got), err)
	}
}

func TestParsePattern(t *testing.T) {
	for _, text := range []string{
		"", "x", "//", "/a//b", "/a/../b", "/./", "/a*", "/**/a", "/%61", "/a?b", "/a;b", "/a#b", `/a\b`, "/a b", "/é",
	} {
		if _, err := parsePattern(text); !errors.Is(err, errPattern) {
			t.Errorf("parsePattern(%q) = %v, want %v", text, err, errPattern)
		}
		if text == "//" {
			continue
		}
		if _, err := parsePrefix(text); !errors.Is(err, errPattern) {
			t.Errorf("parsePrefix(%q) = %v, want %v", text, err, errPattern)
		}
	}
}

func TestPatternMatch(t *testing.T) {
	tests := []struct {
		pattern, path string
		want          bool
	}{
		{"/status/", "/status/", true},
		{"/status/", "/status", false},
		{"/status/", "/status/x", false},
		{"/status", "/status/", false},
		{"/*/status/", "/a/status/", true},
		{"/*/status/", "//status/", false},
		{"/docs/**", "/docs/a/b", true},
		{"/docs/**", "/docs", true},
		{"/docs/**", "/docsx", false},
		{"/**", "/", true},
		{"/", "/", true},
		{"/", "/x", false},
	}
	for _, tt := range tests {
		p, err := parsePattern(tt.pattern)
		if err != nil {
			t.Fatalf("parsePattern(%q) = %v", tt.pattern, err)
		}
		if got := p.match(tt.path); got != tt.want {
			t.Errorf("pattern %q matches %q = %t, want %t", tt.pattern, tt.path, got, tt.want)
		}
	}
}

func TestTwoRoutesWithOnePrefix(t *testing.T) {
	u := mustURL(t, "http://127.0.0.1:1")
	_, err := New(Options{Check: newFakeChecker(t), Routes: []Route{
		{Prefix: "/a", Upstream: u}, {Prefix: "/a/", Upstream: u},
	}})
	if err == nil {
		t.Errorf("New() with two routes of one prefix = nil, want an error")
	}
}

// lineRecorder is an upstream that keeps request lines as bytes.
func lineRecorder(t testing.TB) (*url.URL, <-chan string) {
	lines := make(chan string, 64)
	return rawUpstream(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for {
			head, err := readHead(r)
			if err != nil {
				return
			}
			line, _, _ := strings.Cut(head, "\r\n")
			lines <- line
			io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		}
	}), lines
}

func rawGet(target, more string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: pulp.example.com\r\nAuthorization: Bearer %s\r\n%sConnection: close\r\n\r\n", target, aliceToken, more)
}

func TestTargetsArriveByteForByte(t *testing.T) {
	upstream, lines := lineRecorder(t)
	h := open(t, Options{Routes: one(upstream, nil)})
	for _, target := range []string{
		"/", "/a/", "/a", "/?", "/a?", "/a??b", "/a?x=1&x=2;y=3&&", "/a?b#c",
		"/a%2Fb", "/a%2fb", "/%7Ea", "/~a", "/a//b", "/a;v=1/b", "/a+b", "/a%20b", "/a:b@c", "/a%25b", "/a%E9",
		"/caf\xc3\xa9", "/\xff\xfe", "/a|b^c{d}\"<e>`", "/a?\xc3\xa9=\"<>", "/a?u=http://x/../y",
		"/pulp/content/f.rpm?expires=1700000000&validate_token=0a%3A0b:0c",
		"/index?a=%zz&b=%", "/a?../..",
	} {
		if status := statusOf(exchangeRaw(t, h.addr(), rawGet(target, ""))); status != http.StatusNoContent {
			t.Errorf("GET %q = %d, want %d", target, status, http.StatusNoContent)
			continue
		}
		if got, want := <-lines, "GET "+target+" HTTP/1.1"; got != want {
			t.Errorf("GET %q arrives as %q, want %q", target, got, want)
		}
	}
}

func TestAbsoluteFormBecomesOriginForm(t *testing.T) {
	upstream, lines := lineRecorder(t)
	h := open(t, Options{Routes: one(upstream, nil)})
	for target, want := range map[string]string{
		"http://pulp.example.com/a%2Fb?c": "/a%2Fb?c",
		"http://pulp.example.com":         "/",
		"http://pulp.example.com?c=/d":    "/?c=/d",
	} {
		exchangeRaw(t, h.addr(), rawGet(target, ""))
		if got, want := <-lines, "GET "+want+" HTTP/1.1"; got != want {
			t.Errorf("GET %q arrives as %q, want %q", target, got, want)
		}
	}
}

// randomTarget makes a target of bytes that may stand in one.
func randomTarget(rnd *rand.Rand) string {
	const letters = "abcXYZ019-._~!$&'()*+,;=:@/|{}^\"<>[]`"
	var b strings.Builder
	b.WriteByte('/')
	for range rnd.IntN(40) {
		switch rnd.IntN(6) {
		case 0:
			fmt.Fprintf(&b, "%%%02X", 1+rnd.IntN(255))
		case 1:
			b.WriteByte(byte(0x80 + rnd.IntN(0x80)))
		case 2:
			b.WriteByte("/?"[rnd.IntN(2)])
		default:
			b.WriteByte(letters[rnd.IntN(len(letters))])
		}
	}
	return b.String()
}

// Every target either arrives as it was sent or is refused as a whole.
func TestRandomTargetsArriveOrAreRefused(t *testing.T) {
	upstream, lines := lineRecorder(t)
	h := open(t, Options{Routes: one(upstream, nil)})
	rnd := rand.New(rand.NewPCG(1, 2))
	arrived := 0
	for range 400 {
		target := randomTarget(rnd)
		switch status := statusOf(exchangeRaw(t, h.addr(), rawGet(target, ""))); status {
		case http.StatusNoContent:
			arrived++
			if got, want := <-lines, "GET "+target+" HTTP/1.1"; got != want {
				t.Fatalf("GET %q arrives as %q", target, got)
			}
		case http.StatusBadRequest:
		default:
			t.Fatalf("GET %q = %d, want 204 or 400", target, status)
		}
	}
	if arrived < 100 {
		t.Errorf("only %d of 400 random targets arrived: the test tests nothing", arrived)
	}
	if len(lines) > 0 {
		t.Errorf("the upstream got %q besides", <-lines)
	}
}

func TestRefusedTargetsReachNobody(t *testing.T) {
	upstream, lines := lineRecorder(t)
	h := open(t, Options{Routes: one(upstream, nil)})
	for request, want := range map[string]int{
		rawGet("/a/../b", ""):                        http.StatusBadRequest,
		rawGet("/a/%2e%2E/b", ""):                    http.StatusBadRequest,
		rawGet("//evil.example.com/a", ""):           http.StatusBadRequest,
		rawGet("http://x//a", ""):                    http.StatusBadRequest,
		rawGet("/a#/../b", ""):                       http.StatusBadRequest,
		rawGet("/%", ""):                             http.StatusBadRequest,
		rawGet("a", ""):                              http.StatusBadRequest,
		"OPTIONS" + rawGet("*", "")[3:]:              http.StatusOK,               // answered by net/http
		"TRACE" + rawGet("/", "")[3:]:                http.StatusMethodNotAllowed, // S112
		"CONNECT" + rawGet("example.com:80", "")[3:]: http.StatusMethodNotAllowed,
		"CONNECT" + rawGet("/a", "")[3:]:             http.StatusMethodNotAllowed,
		rawGet("/"+strings.Repeat("a", maxPath), ""): http.StatusRequestURITooLong,
	} {
		if got := statusOf(exchangeRaw(t, h.addr(), request)); got != want {
			t.Errorf("%.60q = %d, want %d", request, got, want)
		}
	}
	if len(lines) > 0 {
		t.Errorf("the upstream got %q", <-lines)
	}
}

// FuzzPick checks that a path never gets to a route other than the one that its
// decoded, cleaned reading belongs to, by an oracle of its own.
func FuzzPick(f *testing.F) {
	prefixes := []string{"/", "/admin", "/admin/open", "/pulp/api", "/pulp/content", "/v2"}
	tab := testTable(f, prefixes...)
	for _, seed := range []string{
		"/", "/admin", "/%61dmin/x", "/x/%2e%2e/admin", "/admin%2fopen", "/pulp//api", "/a;b/../admin", `/\admin`,
		"/%252e%252e/admin", "//admin", "/admin/open%00", "/pulp/content/a%2Fb", "/.%2e/", "/v2/%c0%af", "/admin;/open",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := tab.pick(raw)
		if err != nil {
			return
		}
		readings := []string{raw}
		for text := raw; ; {
			decoded, err := url.PathUnescape(text)
			if err != nil || decoded == text || len(readings) > 2 {
				break
			}
			readings = append(readings, decoded)
			text = decoded
		}
		for _, text := range readings {
			for _, cleaned := range []string{
				text, path.Clean(text), path.Clean(strings.ReplaceAll(text, `\`, "/")), path.Clean(cutParameters(text)),
			} {
				if want := longestPrefix(prefixes, cleaned); want != nameOf(got) {
					t.Fatalf("pick(%q) = %q, but read as %q it belongs to %q", raw, nameOf(got), cleaned, want)
				}
			}
		}
	})
}

func cutParameters(text string) string {
	var out []string
	for segment := range strings.SplitSeq(text, "/") {
		bare, _, _ := strings.Cut(segment, ";")
		out = append(out, bare)
	}
	return strings.Join(out, "/")
}

func longestPrefix(prefixes []string, text string) string {
	best := ""
	for _, p := range prefixes {
		under := p == "/" || text == p || strings.HasPrefix(text, p+"/")
		if under && len(p) > len(best) {
			best = p
		}
	}
	return best
}
