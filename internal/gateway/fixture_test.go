package gateway

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// Tokens that the fake checker knows. They have the shape of taken-over tokens,
// so that they count as Basic passwords too.
var (
	aliceToken    = hexToken("a") // may everything
	readerToken   = hexToken("b") // alice's, reads under /api only
	robotToken    = hexToken("c")
	oddNameToken  = hexToken("d")
	staleToken    = hexToken("e")
	pullToken     = hexToken("1") // alice's, pulls repository:prod/*
	revokedToken  = hexToken("0")
	floodToken    = hexToken("2") // Throttled
	downToken     = hexToken("3") // Unavailable
	bugToken      = hexToken("4") // an error that nobody thought of
	nobodyToken   = hexToken("5") // neither identity nor error
	endedToken    = hexToken("6") // alice's, and known to have ended
	alicePassword = "a passphrase"
)

func hexToken(digit string) string { return strings.Repeat(digit, 40) }

func rules(t testing.TB, texts ...string) scope.Set {
	t.Helper()
	set, err := scope.ParseSet(texts)
	if err != nil {
		t.Fatalf("ParseSet(%q) = %v", texts, err)
	}
	return set
}

type fakeChecker struct{ known map[string]*identity.Identity }

func newFakeChecker(t testing.TB) *fakeChecker {
	all := rules(t, "path:*:*")
	token := func(name, id string) *identity.Identity {
		return &identity.Identity{Method: identity.Token, AccountID: "1", Name: name, TokenID: id, Grants: all, EffectiveText: "path:*:*"}
	}
	reader := token("alice", "tok_reader")
	reader.TokenScope = rules(t, "path:/api/*:read")
	puller := token("alice", "tok_pull")
	puller.TokenScope = rules(t, "repository:prod/*:pull")
	robot := token("ci-robot", "tok_robot")
	robot.Kind = "robot"
	stale := token("alice", "tok_stale")
	stale.Stale = true
	return &fakeChecker{known: map[string]*identity.Identity{
		aliceToken: token("alice", "tok_alice"), readerToken: reader, robotToken: robot, pullToken: puller,
		oddNameToken: token("zoë", "tok_odd"), staleToken: stale, nobodyToken: nil,
		alicePassword: {Method: identity.Password, AccountID: "1", Name: "alice", Grants: all},
	}}
}

func (c *fakeChecker) Check(_ context.Context, found credential.Credential) (*identity.Identity, error) {
	text := found.Token.Reveal()
	switch found.Scheme {
	case credential.None:
		return nil, nil
	case credential.Basic:
		text = found.Password.Reveal()
	}
	if id, ok := c.known[text]; ok {
		return id, nil
	}
	switch text {
	case floodToken:
		return nil, fault.TooOften(90 * time.Second)
	case downToken:
		return nil, fault.Unavailablef(errors.New("connection refused"), "the database does not answer")
	case endedToken:
		return nil, &tokens.Refusal{Reason: tokens.ReasonRevoked, TokenID: "tok_ended", AccountID: "1", AccountName: "alice"}
	case bugToken:
		return nil, errors.New("a secret detail")
	}
	if found.Scheme == credential.Basic && !tokens.Recognised(text) {
		return nil, fault.Unauthenticatedf("no such user or password")
	}
	return nil, &tokens.Refusal{Reason: tokens.ReasonRevoked}
}

// eventSink keeps audit events.
type eventSink struct {
	audit.Store // whatever is not asked for here
	mu          sync.Mutex
	events      []store.Event
}

func (s *eventSink) AppendEvents(_ context.Context, events []store.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, events...)
	return nil
}

// house is a gateway that listens, and what it writes down.
type house struct {
	*httptest.Server
	gateway *Gateway
	sink    *eventSink
	audit   *audit.Log
}

// events returns what was recorded up to now.
func (h *house) events(t *testing.T) []store.Event {
	t.Helper()
	h.audit.Flush(t.Context())
	h.sink.mu.Lock()
	defer h.sink.mu.Unlock()
	return h.sink.events
}

// addr returns host:port.
func (h *house) addr() string { return strings.TrimPrefix(h.URL, "http://") }

// open starts a gateway as the server has it: behind [web.Identify] and
// [web.Recover].
func open(t testing.TB, o Options) *house {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	h := &house{sink: &eventSink{}}
	h.audit = audit.NewLog(h.sink, log)
	if o.Check == nil {
		o.Check = newFakeChecker(t)
	}
	o.Audit = h.audit
	var err error
	if h.gateway, err = New(o); err != nil {
		t.Fatalf("New() = %v", err)
	}
	fail := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	h.Server = httptest.NewUnstartedServer(web.Identify(o.Peers, web.Recover(log, fail, h.gateway)))
	h.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	h.Start()
	t.Cleanup(func() { h.Close(); h.gateway.Close() })
	return h
}

// seen is what an upstream got.
type seen struct {
	Method, Target, Host string
	Header, Trailer      http.Header
	Body                 string
}

// mirror is an upstream that keeps what it gets.
type mirror struct {
	*httptest.Server
	mu   sync.Mutex
	got  []seen
	next http.HandlerFunc // answers; nil: 200
}

func newMirror(t testing.TB) *mirror {
	m := &mirror{}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil { // a request that broke off is none
			m.mu.Lock()
			m.got = append(m.got, seen{r.Method, r.RequestURI, r.Host, r.Header.Clone(), r.Trailer.Clone(), string(body)})
			m.mu.Unlock()
		}
		if m.next != nil {
			m.next(w, r)
		}
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *mirror) url(t testing.TB) *url.URL { return mustURL(t, m.URL) }

// all returns what came so far.
func (m *mirror) all() []seen {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]seen(nil), m.got...)
}

// only returns the one request that came.
func (m *mirror) only(t *testing.T) seen {
	t.Helper()
	got := m.all()
	if len(got) != 1 {
		t.Fatalf("the upstream got %d requests, want 1: %v", len(got), got)
	}
	return got[0]
}

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// one returns a route table of one route for everything.
func one(upstream *url.URL, change func(r *Route)) []Route {
	r := Route{Name: "all", Prefix: "/", Upstream: upstream}
	if change != nil {
		change(&r)
	}
	return []Route{r}
}

func bearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

func basic(user, password string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}}
}

// send does a request and returns the answer with its body read.
func (h *house) send(t *testing.T, method, target string, header http.Header, body io.Reader) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.URL+target, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := h.Client().Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the body: %v", method, target, err)
	}
	return res, string(text)
}

// exchangeRaw writes bytes to a new connection and returns everything that
// comes back until the other side closes.
func exchangeRaw(t testing.TB, addr, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("%q: the connection stays open after %q", request, answer)
	}
	return string(answer)
}

// statusOf reads the status of the first answer in raw bytes, 0 if there is
// none.
func statusOf(answer string) int {
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

// rawUpstream listens and runs serve for each connection.
func rawUpstream(t testing.TB, serve func(conn net.Conn)) *url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	end := make(chan struct{})
	t.Cleanup(func() { close(end); l.Close(); open.Wait() })
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			done := make(chan struct{})
			open.Go(func() {
				defer conn.Close()
				defer close(done)
				serve(conn)
			})
			open.Go(func() {
				select {
				case <-end:
					conn.Close()
				case <-done:
				}
			})
		}
	})
	return mustURL(t, "http://"+l.Addr().String())
}

// readHead reads a request's head as bytes.
func readHead(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String(), err
		}
	}
}

func loopback() web.Peers { return web.Peers{netip.MustParsePrefix("127.0.0.0/8")} }
