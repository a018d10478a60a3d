package gateway

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// original describes a request as nginx is set up to.
func original(method, target string) http.Header {
	return http.Header{"X-Original-Method": {method}, "X-Original-Uri": {target}, "X-Forwarded-For": {"192.0.2.7"}}
}

// forwarded describes a request as Caddy and Traefik do.
func forwarded(method, target string) http.Header {
	return http.Header{"X-Forwarded-Method": {method}, "X-Forwarded-Uri": {target}, "X-Forwarded-For": {"192.0.2.7"}}
}

func with(headers ...http.Header) http.Header {
	all := http.Header{}
	for _, h := range headers {
		maps.Copy(all, h)
	}
	return all
}

// S63, S80, S81, S88
func TestDescribedRequests(t *testing.T) {
	const none = ""
	tests := []struct {
		method, target string
		want           int
		missing        string
	}{
		{"GET", "/api/x", 200, none},
		{"HEAD", "/api/x", 200, none},
		{"OPTIONS", "/api/x", 200, none},
		{"GET", "/api/x?../../etc", 200, none},
		{"GET", "/api/x?scope=*:*:*", 200, none},
		{"GET", "/api/a%20b", 200, none},
		{"GET", "/api/caf%C3%A9", 200, none},
		{"GET", "/api/x%3Fy", 200, none},

		{"POST", "/api/x", 403, "path:/api/x:write"},
		{"PUT", "/api/x", 403, "path:/api/x:write"},
		{"PATCH", "/api/x", 403, "path:/api/x:write"},
		{"DELETE", "/api/x", 403, "path:/api/x:delete"},
		{"PROPFIND", "/api/x", 403, "path:/api/x:other"},
		{"get", "/api/x", 403, "path:/api/x:other"},
		{"GET", "/", 403, "path:/:read"},
		{"GET", "/api", 403, "path:/api:read"},
		{"GET", "/apix/x", 403, "path:/apix/x:read"},
		{"GET", "/other?/api/x", 403, "path:/other:read"},
		{"GET", "/API/x", 403, "path:/API/x:read"},
		{"GET", "/other%3F/api/x", 403, "path:/other?/api/x:read"},

		// What has several readings is let in by a rule for everything alone.
		{"GET", "/api//x", 403, "path:/api//x:read"},
		{"GET", "/api/a%2Fb", 403, "path:/api/a%2Fb:read"},
		{"GET", "/api/a%2fb", 403, "path:/api/a%2fb:read"},
		{"GET", `/api/a\b`, 403, "path:/api/a%5Cb:read"},
		{"GET", "/api/a;b", 403, "path:/api/a;b:read"},
		{"GET", "/api/a%253Fb", 403, "path:/api/a%253Fb:read"},
		{"GET", "/api/\xff", 403, "path:/api/%FF:read"},
		{"GET", "/api/a%01b", 403, "path:/api/a%01b:read"},

		{"GET", "/api/../x", 400, none},
		{"GET", "/api/..", 400, none},
		{"GET", "/api/./x", 400, none},
		{"GET", "/api/%2e%2e/x", 400, none},
		{"GET", "/api/%2E./x", 400, none},
		{"GET", "/api/..%2fx", 400, none},
		{"GET", "/api/%252e%252e/x", 400, none},
		{"GET", `/api/..\x`, 400, none},
		{"GET", "/api/..;/x", 400, none},
		{"GET", "/api/%00", 400, none},
		{"GET", "/api/%", 400, none},
		{"GET", "/api/%zz", 400, none},
		{"GET", "//evil.example.com/api/x", 400, none},
		{"GET", "/api/x#/y", 400, none},
		{"GET", "", 400, none},
		{"GET", "*", 400, none},
		{"GET", "api/x", 400, none},
		{"GET", "?/api/x", 400, none},
		{"GET", "http://example.com/api/x", 400, none},
		{"GET", "/api/x /api/y", 400, none},
		{"GET", "/api/x, /api/y", 400, none},
		{"GET", "/api/x\t", 400, none},
		{"GET", "/api/x\x00", 400, none},
		{"GET", "/api/x\x7f", 400, none},
		{"GET", "/api/" + strings.Repeat("x", maxPath), 414, none},
		{"", "/api/x", 400, none},
		{"GET, GET", "/api/x", 400, none},
		{"GET ", "/api/x", 400, none},
		{"G\xc3\xa9T", "/api/x", 400, none},
		{strings.Repeat("G", maxMethod+1), "/api/x", 400, none},
		{"TRACE", "/api/x", 405, none},
		{"CONNECT", "/api/x", 405, none},
	}
	v := newTestVerifier(t, newFakeChecker(t))
	for _, tt := range tests {
		for _, describe := range []func(method, target string) http.Header{original, forwarded} {
			header := with(bearer(readerToken), describe(tt.method, tt.target))
			res := ask(v, "GET", "", header)
			var challenge []string
			if tt.missing != none {
				challenge = []string{`Bearer realm="Latchkey", error="insufficient_scope", scope="` + tt.missing + `"`}
			}
			if diff := cmp.Diff(challenge, res.Header["Www-Authenticate"]); res.StatusCode != tt.want || diff != "" {
				t.Errorf("%s %.50q = %d, want %d; WWW-Authenticate (-want +got):\n%s", tt.method, tt.target, res.StatusCode, tt.want, diff)
			}
			if got := res.Header.Get("Latchkeyuser"); (got != "") != (tt.want == 200) {
				t.Errorf("%s %.50q = %d with Latchkeyuser %q", tt.method, tt.target, res.StatusCode, got)
			}
		}
	}
}

// S88
func TestDescriptionsThatCannotBeBelieved(t *testing.T) {
	good, goodToo := original("GET", "/api/x"), forwarded("GET", "/api/x")
	without := func(h http.Header, name string) http.Header { h = with(h); delete(h, name); return h }
	set := func(h http.Header, name string, values ...string) http.Header {
		return with(h, http.Header{name: values})
	}
	tests := map[string]struct {
		header http.Header
		want   int
	}{
		"one kind":              {good, 200},
		"the other kind":        {goodToo, 200},
		"both, the same":        {with(good, goodToo), 200},
		"no method":             {without(good, "X-Original-Method"), 400},
		"no URI":                {without(good, "X-Original-Uri"), 400},
		"no forwarded method":   {without(goodToo, "X-Forwarded-Method"), 400},
		"no forwarded URI":      {without(goodToo, "X-Forwarded-Uri"), 400},
		"neither":               {without(without(good, "X-Original-Uri"), "X-Original-Method"), 400},
		"two methods":           {set(good, "X-Original-Method", "GET", "GET"), 400},
		"two URIs":              {set(good, "X-Original-Uri", "/api/x", "/api/x"), 400},
		"two forwarded methods": {set(goodToo, "X-Forwarded-Method", "GET", "POST"), 400},
		"two forwarded URIs":    {set(goodToo, "X-Forwarded-Uri", "/api/x", "/y"), 400},
		"an empty method":       {set(good, "X-Original-Method", ""), 400},
		"an empty URI":          {set(good, "X-Original-Uri", ""), 400},
		"empty forwarded ones":  {set(set(good, "X-Forwarded-Uri", ""), "X-Forwarded-Method", ""), 400},
		"another method":        {with(good, forwarded("POST", "/api/x")), 400},
		"another URI":           {with(good, forwarded("GET", "/api/y")), 400},
		"another query":         {with(good, forwarded("GET", "/api/x?y")), 400},
		"half of another":       {set(good, "X-Forwarded-Uri", "/api/x"), 400},
		"half of another too":   {set(goodToo, "X-Original-Method", "GET"), 400},
	}
	v := newTestVerifier(t, newFakeChecker(t))
	for name, tt := range tests {
		for _, token := range []string{readerToken, aliceToken} {
			if got := ask(v, "GET", "", with(bearer(token), tt.header)).StatusCode; got != tt.want {
				t.Errorf("%s = %d, want %d", name, got, tt.want)
			}
		}
	}
}

// Both the description and the query have to be covered, and neither stands in
// for the other.
func TestDescriptionAndScope(t *testing.T) {
	v := newTestVerifier(t, newFakeChecker(t))
	for _, tt := range []struct {
		query, target string
		want          int
	}{
		{"scope=path:/api/y:read", "/api/x", 200},
		{"scope=path:/api/y:read", "/x", 403},
		{"scope=path:/y:read", "/api/x", 403},
		{"scope=nonsense", "/api/x", 400},
		{"scope=path:/api/y:read", "api/x", 400},
	} {
		for range 2 { // the second time the query is known
			if got := ask(v, "GET", tt.query, with(bearer(readerToken), forwarded("GET", tt.target))).StatusCode; got != tt.want {
				t.Errorf("?%s about %s = %d, want %d", tt.query, tt.target, got, tt.want)
			}
		}
	}
}

// S85
func TestOnlyListedProxiesDescribe(t *testing.T) {
	var logged strings.Builder
	listed := web.Peers{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::5/128")}
	tests := []struct {
		peers web.Peers
		from  string
		want  int
	}{
		{nil, "127.0.0.1:1", 400},
		{listed, "10.1.2.3:1", 200},
		{listed, "[::ffff:10.1.2.3]:1", 200},
		{listed, "[fd00::5]:1", 200},
		{listed, "10.2.0.1:1", 400},
		{listed, "[fd00::6]:1", 400},
		{listed, "@", 400},
		{listed, "", 400},
	}
	for _, tt := range tests {
		logged.Reset()
		v, err := NewVerifier(VerifierOptions{
			Check: newFakeChecker(t), Peers: tt.peers, Log: slog.New(slog.NewTextHandler(&logged, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, query := range []string{"", "scope=path:/api/x:read"} {
			r := httptest.NewRequest("GET", "/latchkey/verify?"+query, nil)
			r.RemoteAddr, r.Header = tt.from, with(bearer(aliceToken), forwarded("GET", "/api/x"))
			// What the peer says of itself changes nothing.
			r.Header["X-Forwarded-For"] = []string{"10.1.2.3"}
			w := httptest.NewRecorder()
			v.ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Errorf("a description from %q to one that lists %v = %d, want %d", tt.from, tt.peers, w.Code, tt.want)
			}
			if tt.want != 200 && !strings.Contains(w.Body.String(), "trusted_proxies") {
				t.Errorf("the refusal is %q, want one that names trusted_proxies", w.Body)
			}
		}
		if got := strings.Count(logged.String(), "trusted_proxies"); (tt.want == 200) != (got == 0) || got > 2 {
			t.Errorf("a description from %q is logged %d times:\n%s", tt.from, got, &logged)
		}
		if got := strings.Count(logged.String(), "\n"); got > 1 {
			t.Errorf("%d lines were logged within a minute, want 1", got)
		}
	}
}

// addrChecker keeps the address that it was asked about.
type addrChecker struct {
	*fakeChecker
	addr netip.Addr
}

func (c *addrChecker) Check(ctx context.Context, found credential.Credential) (*identity.Identity, error) {
	c.addr = audit.FromContext(ctx).Addr
	return c.fakeChecker.Check(ctx, found)
}

// S84: the address that tokens are limited by is the client's, as the listed
// proxy tells it, and unknown where the proxy does not.
func TestAddressOfTheClient(t *testing.T) {
	listed := web.Peers{netip.MustParsePrefix("10.1.0.0/16")}
	tests := []struct {
		from  string
		chain []string
		want  string
	}{
		{"10.1.0.1:1", []string{"192.0.2.7"}, "192.0.2.7"},
		{"[::ffff:10.1.0.1]:1", []string{"::ffff:192.0.2.7"}, "192.0.2.7"},
		{"10.1.0.1:1", []string{"192.0.2.7:5555"}, "192.0.2.7"},
		{"10.1.0.1:1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"10.1.0.1:1", []string{"198.51.100.1, 192.0.2.7, 10.1.0.2"}, "192.0.2.7"},
		{"10.1.0.1:1", []string{"198.51.100.1", "192.0.2.7"}, "192.0.2.7"},
		{"10.1.0.1:1", []string{"198.51.100.1, unknown"}, "invalid IP"},
		{"10.1.0.1:1", []string{"198.51.100.1, "}, "invalid IP"},
		{"10.1.0.1:1", nil, "invalid IP"},
	}
	for _, tt := range tests {
		check := &addrChecker{fakeChecker: newFakeChecker(t)}
		v, err := NewVerifier(VerifierOptions{Check: check, Peers: listed})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/latchkey/verify", nil)
		r.RemoteAddr, r.Header = tt.from, with(bearer(aliceToken), original("GET", "/api/x"))
		delete(r.Header, "X-Forwarded-For")
		if tt.chain != nil {
			r.Header["X-Forwarded-For"] = tt.chain
		}
		w := httptest.NewRecorder()
		web.Identify(listed, v).ServeHTTP(w, r)
		if got := check.addr.String(); w.Code != 200 || got != tt.want {
			t.Errorf("%s with X-Forwarded-For %q = %d from %s, want 200 from %s", tt.from, tt.chain, w.Code, got, tt.want)
		}
	}
}

// S87
func TestAnonymousRequests(t *testing.T) {
	open := rules(t, "path:/public/*:read", "path:/icon:*")
	tests := []struct {
		query  string
		header http.Header
		want   int
	}{
		{"", forwarded("GET", "/public/x"), 200},
		{"", forwarded("HEAD", "/public/x?y"), 200},
		{"", forwarded("POST", "/icon"), 200},
		{"scope=path:/public/y:read", forwarded("GET", "/public/x"), 200},
		{"", with(forwarded("GET", "/public/x"), bearer(aliceToken)), 200},
		{"", with(forwarded("GET", "/public/x"), bearer(revokedToken)), 401},
		{"", with(forwarded("GET", "/public/x"), http.Header{"Authorization": {"Bearer"}}), 400},
		{"scope=path:/other:read", forwarded("GET", "/public/x"), 401},
		{"scope=path:/public/x:read", nil, 401},
		{"", forwarded("POST", "/public/x"), 401},
		{"", forwarded("GET", "/secret?/public/x"), 401},
		{"", forwarded("GET", "/secret?x=/public/x"), 401},
		{"", forwarded("GET", "/secret#/public/x"), 400},
		{"", forwarded("GET", "/public/../secret"), 400},
		{"", forwarded("GET", "/public/..%2fsecret"), 400},
		{"", forwarded("GET", "/public//secret"), 401},
		{"", forwarded("GET", "/public/;/secret"), 401},
		{"", forwarded("GET", "/public/a%2fsecret"), 401},
		{"", with(forwarded("GET", "/secret"), http.Header{"User-Agent": {"kube-probe/1.30"}}), 401},
		{"", with(forwarded("GET", "/secret"), http.Header{"X-Forwarded-Path": {"/public/x"}}), 401},
	}
	v, err := NewVerifier(VerifierOptions{
		Check: newFakeChecker(t), Peers: loopback(),
		Anonymous: func(context.Context) (scope.Set, error) { return open, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		res := ask(v, "GET", tt.query, tt.header)
		named := tt.header["Authorization"] != nil
		if got := res.Header.Get("Latchkeyuser"); res.StatusCode != tt.want || (got != "") != (named && tt.want == 200) {
			t.Errorf("?%s %v = %d with Latchkeyuser %q, want %d", tt.query, tt.header, res.StatusCode, got, tt.want)
		}
	}

	v.anonymous = func(context.Context) (scope.Set, error) { return open, errors.New("the store is away") }
	if got := ask(v, "GET", "", forwarded("GET", "/public/x")).StatusCode; got != 500 { // S89
		t.Errorf("an anonymous request while its rules cannot be read = %d, want 500", got)
	}
}

// S109: what is refused is written down with method, path and what was missing,
// without the query, and the answer has the id to find it by.
func TestRefusalsAreRecorded(t *testing.T) {
	h := open(t, Options{}) // for its audit log
	v, err := NewVerifier(VerifierOptions{Check: newFakeChecker(t), Audit: h.audit, Peers: loopback()})
	if err != nil {
		t.Fatal(err)
	}
	asked := func(query string, header http.Header) (id string) {
		r := httptest.NewRequest("GET", "/latchkey/verify?"+query, nil)
		r.RemoteAddr, r.Header = "127.0.0.1:1", with(header)
		w := httptest.NewRecorder()
		web.Identify(loopback(), v).ServeHTTP(w, r)
		id = w.Header().Get("Latchkey-Request-Id")
		if got := strings.Contains(w.Body.String(), id); got != (w.Code != 200) || id == "" {
			t.Errorf("the text of the answer %d is %q, the id %q", w.Code, w.Body, id)
		}
		return id
	}
	type event struct{ Target, Reason, Actor, Token, Missing, Host, Addr string }
	host := http.Header{"X-Forwarded-Host": {"files.example.com"}}
	want := map[string]event{}
	asked("", with(bearer(aliceToken), forwarded("POST", "/x")))
	asked("", with(bearer(revokedToken), forwarded("POST", "/x"))) // its check is recorded elsewhere
	want[asked("", with(bearer(readerToken), host, forwarded("POST", "/api/x?signature=abc")))] = event{
		"POST /api/x", "forbidden", "alice", "tok_reader", "path:/api/x:write", "files.example.com", "192.0.2.7"}
	want[asked("scope=path:/x:read", bearer(readerToken))] = event{
		"path:/x:read", "forbidden", "alice", "tok_reader", "path:/x:read", "", "127.0.0.1"}
	want[asked("", with(bearer(endedToken), forwarded("GET", "/x")))] = event{
		"GET /x", "unauthenticated", "alice", "tok_ended", "", "", "192.0.2.7"}
	want[asked("", forwarded("GET", "/x"))] = event{"GET /x", "unauthenticated", "", "", "", "", "192.0.2.7"}
	want[asked("", bearer(aliceToken))] = event{"", "request_not_described", "", "", "", "", "127.0.0.1"}

	got := map[string]event{}
	for _, e := range h.events(t) {
		got[e.RequestID] = event{e.Target, e.Reason, e.ActorName, e.TokenID, e.Detail["missing"], e.Detail["host"], e.Addr}
		if e.Action != "verify" || e.Outcome != "refused" {
			t.Errorf("the event is %s %s, want verify refused", e.Action, e.Outcome)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events by request (-want +got):\n%s", diff)
	}
}

// TestRequestsOfTraefik replays what Traefik's ForwardAuth sends (pkg/middlewares/
// auth/forward.go, writeHeader, of 3.7) for a write with a body, and for a client
// that sends a description of its own, which Traefik replaces.
func TestRequestsOfTraefik(t *testing.T) {
	v := newTestVerifier(t, newFakeChecker(t))
	sent := func(method, target string) http.Header {
		return http.Header{
			"User-Agent": {"curl/8"}, "Accept-Encoding": {"gzip"}, "X-Forwarded-For": {"192.0.2.7"}, "X-Forwarded-Method": {method},
			"X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"443"}, "X-Forwarded-Host": {"files.example.com"}, "X-Forwarded-Uri": {target},
		}
	}
	for _, tt := range []struct {
		method, target string
		want           int
	}{
		{"GET", "/api/x?y=z", 200},
		{"GET", "/api/a%2Fb", 403},
		{"POST", "/api/x", 403},
		{"GET", "/other", 403},
		{"GET", "//api/x", 400},
		{"OPTIONS", "*", 400},
	} {
		if got := ask(v, "GET", "", with(bearer(readerToken), sent(tt.method, tt.target))).StatusCode; got != tt.want {
			t.Errorf("ForwardAuth about %s %s = %d, want %d", tt.method, tt.target, got, tt.want)
		}
	}
}

// Answer is the way in for those who do not ask by HTTP.
func TestAnswer(t *testing.T) {
	v := newTestVerifier(t, newFakeChecker(t))
	q := Question{Peer: netip.MustParseAddr("127.0.0.1"), Method: "GET", Target: "/api/x", Header: bearer(readerToken)}
	h := http.Header{}
	if status, text := v.Answer(t.Context(), q, h); status != 200 || text != "" || h.Get("Latchkeyuser") != "alice" {
		t.Errorf("Answer() = %d, %q with %v, want 200 for alice", status, text, h)
	}
	q.Target = "/x"
	h = http.Header{}
	if status, text := v.Answer(t.Context(), q, h); status != 403 || text == "" || h.Get("Latchkeyuser") != "" {
		t.Errorf("Answer() = %d, %q with %v, want 403", status, text, h)
	}
	q.Target, q.Peer = "/api/x", netip.Addr{}
	if status, _ := v.Answer(t.Context(), q, http.Header{}); status != 400 {
		t.Errorf("Answer() to nobody = %d, want 400", status)
	}
	if status, _ := v.Answer(t.Context(), Question{Header: bearer(aliceToken)}, http.Header{}); status != 400 {
		t.Errorf("Answer() about nothing = %d, want 400", status)
	}
}

func TestRememberedQueriesAreBounded(t *testing.T) {
	var a askedQueries
	for i := range 3 * mostAsked {
		a.remember("scope=path:/"+strings.Repeat("x", i+1)+":read", nil)
	}
	if got := len(*a.known.Load()); got != mostAsked {
		t.Errorf("%d queries are remembered, want %d", got, mostAsked)
	}
}

// FuzzDescription checks that a description that lets a reader of /api in is
// about something under /api in every way that a server may read it, and that
// no answer leads anywhere else (S81, S88, S91).
func FuzzDescription(f *testing.F) {
	for _, seed := range [][4]string{
		{"GET", "/api/x", "", ""}, {"", "", "GET", "/api/x?y"}, {"GET", "/api/x", "GET", "/api/x"}, {"GET", "/api/x", "POST", "/api/x"},
		{"GET", "/api/%2e%2e/x", "", ""}, {"GET", "/api//x", "", ""}, {"GET", "http://x/api/x", "", ""}, {"GET\n", "/api/x", "", ""},
		{"GET", `/api/..\x`, "", ""}, {"GET", "/api/..;/x", "", ""}, {"GET", "/api/%252e%252e/x", "", ""}, {"OPTIONS", "*", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	v := newTestVerifier(f, newFakeChecker(f))
	f.Fuzz(func(t *testing.T, method, target, method2, target2 string) {
		header := bearer(readerToken)
		for name, value := range map[string]string{
			"X-Original-Method": method, "X-Original-Uri": target, "X-Forwarded-Method": method2, "X-Forwarded-Uri": target2,
		} {
			if value != "" {
				header[name] = []string{value}
			}
		}
		if res := ask(v, "GET", "", header); res.StatusCode != 200 {
			if res.StatusCode < 400 {
				t.Fatalf("the answer is %d", res.StatusCode)
			}
			return
		}
		if method == "" {
			method, target = method2, target2
		}
		if (method2 != "" || target2 != "") && (method2 != method || target2 != target) {
			t.Fatalf("%q %q and %q %q are taken for one", method, target, method2, target2)
		}
		if method != "GET" && method != "HEAD" && method != "OPTIONS" {
			t.Fatalf("%q reads", method)
		}
		raw, _, _ := strings.Cut(target, "?")
		for range 3 {
			for _, text := range []string{raw, strings.ReplaceAll(raw, `\`, "/"), cutParameters(raw)} {
				if text != path.Clean(text) && text != path.Clean(text)+"/" || !strings.HasPrefix(text, "/api/") {
					t.Fatalf("%q lets in a reader of /api/, and can be read as %q", target, text)
				}
			}
			if decoded, err := url.PathUnescape(raw); err == nil {
				raw = decoded
			}
		}
	})
}
