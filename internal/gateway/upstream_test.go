package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/identity"
)

// sayOnce returns an upstream that reads a request's head, says something and
// hangs up.
func sayOnce(t *testing.T, text string) *url.URL {
	return rawUpstream(t, func(conn net.Conn) {
		if _, err := readHead(bufio.NewReader(conn)); err == nil {
			io.WriteString(conn, text)
		}
	})
}

// S89
func TestUpstreamFailures(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	tests := []struct {
		name     string
		upstream *url.URL
		want     int
		code     string
	}{
		{"nobody listens", mustURL(t, "http://"+gone.Addr().String()), 502, codeUpstream},
		{"no socket", mustURL(t, "unix:///nonexistent/socket"), 502, codeUpstream},
		{"no TLS there", mustURL(t, "https://"+rawUpstream(t, func(conn net.Conn) { io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n") }).Host), 502, codeUpstream},
		{"silence", rawUpstream(t, func(conn net.Conn) { io.Copy(io.Discard, conn) }), 504, codeUpstreamTimeout},
		{"hangs up", sayOnce(t, ""), 502, codeUpstream},
		{"hangs up in the head", sayOnce(t, "HTTP/1.1 200 OK\r\nContent-Le"), 502, codeUpstream},
		{"no HTTP", sayOnce(t, "220 mail.example.com ESMTP\r\n\r\n"), 502, codeUpstream},
		{"no status", sayOnce(t, "HTTP/1.1 xyz OK\r\n\r\n"), 502, codeUpstream},
		{"no length", sayOnce(t, "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), 502, codeUpstream},
		{"two lengths", sayOnce(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), 502, codeUpstream},
		{"an endless head", sayOnce(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", maxResponseHeader+1)), 502, codeUpstream},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := open(t, Options{Routes: one(tt.upstream, func(r *Route) { r.Timeouts.Response = 100 * time.Millisecond })})
			for _, method := range []string{"GET", "POST", "HEAD"} {
				res, body := h.send(t, method, "/", bearer(aliceToken), nil)
				if res.StatusCode != tt.want {
					t.Errorf("%s = %d %s, want %d", method, res.StatusCode, body, tt.want)
				}
				var p api.Problem
				if method == "HEAD" {
					if body != "" {
						t.Errorf("HEAD: body = %q, want none", body)
					}
					continue
				}
				if err := json.Unmarshal([]byte(body), &p); err != nil || p.Code != tt.code {
					t.Errorf("%s: body = %s (%v), want a problem with code %q", method, body, err, tt.code)
				}
				if strings.Contains(body, tt.upstream.Host) && tt.upstream.Host != "" {
					t.Errorf("%s: body = %s tells the upstream's address", method, body) // S112
				}
			}
		})
	}
}

// A body that breaks off never looks complete.
func TestBodiesThatBreakOff(t *testing.T) {
	for name, text := range map[string]string{
		"with a length":          "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart",
		"with a length, no byte": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
		"in chunks":              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
		"in a chunk":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\npart",
		"in a bad chunk":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, Options{Routes: one(sayOnce(t, text), func(r *Route) { r.Audit = AuditAll })})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = bearer(aliceToken)
			res, err := h.Client().Do(req)
			if err == nil {
				var body []byte
				body, err = io.ReadAll(res.Body)
				res.Body.Close()
				if err == nil {
					t.Errorf("GET = %d %q without an error, want a broken body", res.StatusCode, body)
				}
			}
		})
	}
}

func TestClientGoneCancelsUpstream(t *testing.T) {
	begun, cancelled := make(chan struct{}), make(chan struct{})
	upstream := rawHandler(t, func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(cancelled)
	})
	h := open(t, Options{Routes: one(mustURL(t, upstream), nil)})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = bearer(aliceToken)
	go func() { <-begun; cancel() }()
	if _, err := h.Client().Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("GET = %v, want it cancelled", err)
	}
	<-cancelled // or the test times out
}

func TestUploadThatBreaksOff(t *testing.T) {
	end := make(chan error, 1)
	begun := make(chan struct{})
	upstream := rawHandler(t, func(_ http.ResponseWriter, r *http.Request) {
		io.ReadFull(r.Body, make([]byte, 5))
		close(begun)
		_, err := io.ReadAll(r.Body)
		end <- err
	})
	h := open(t, Options{Routes: one(mustURL(t, upstream), nil)})
	c := talk(t, h.addr())
	c.say("PUT / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + aliceToken + "\r\nContent-Length: 100\r\n\r\nhello")
	<-begun
	c.conn.Close()
	if err := <-end; err == nil {
		t.Errorf("the upstream saw the end of an upload that broke off")
	}
}

// A request that is not idempotent is sent once, even where the connection was
// used before and the upstream hangs up.
func TestPostsAreNotRepeated(t *testing.T) {
	var posts atomic.Int32
	upstream := rawUpstream(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for {
			head, err := readHead(r)
			if err != nil {
				return
			}
			if strings.HasPrefix(head, "POST") {
				posts.Add(1)
				return
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	h := open(t, Options{Routes: one(upstream, nil)})
	if res, _ := h.send(t, "GET", "/", bearer(aliceToken), nil); res.StatusCode != http.StatusOK {
		t.Fatalf("GET = %d, want 200", res.StatusCode)
	}
	for i, body := range []io.Reader{nil, strings.NewReader("hello")} {
		if res, _ := h.send(t, "POST", "/", bearer(aliceToken), body); res.StatusCode != http.StatusBadGateway {
			t.Errorf("POST = %d, want 502", res.StatusCode)
		}
		if got := posts.Load(); got != int32(i+1) {
			t.Errorf("after %d posts the upstream got %d", i+1, got)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Host+" "+r.RequestURI+" "+r.Header.Get("Latchkeyuser"))
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	h := open(t, Options{Routes: one(&url.URL{Scheme: "unix", Path: socket}, nil)})
	if _, body := h.send(t, "GET", "/a%2Fb?c", bearer(aliceToken), nil); body != h.addr()+" /a%2Fb?c alice" {
		t.Errorf("GET = %q, want %q", body, h.addr()+" /a%2Fb?c alice")
	}
}

func TestTLSUpstream(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+r.Header.Get("Latchkeyuser"))
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	h := open(t, Options{Routes: one(mustURL(t, s.URL), func(r *Route) { r.TLS = &tls.Config{RootCAs: roots} })})
	if _, body := h.send(t, "GET", "/", bearer(aliceToken), nil); body != "HTTP/1.1 alice" {
		t.Errorf("GET = %q, want %q", body, "HTTP/1.1 alice")
	}
}

func TestRoutesShareUpstreams(t *testing.T) {
	pool := newUpstreams()
	u := mustURL(t, "http://127.0.0.1:1")
	a, err := pool.of(Route{Upstream: u})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pool.of(Route{Upstream: u, Timeouts: Timeouts{Dial: 5 * time.Second}})
	c, _ := pool.of(Route{Upstream: u, Timeouts: Timeouts{Dial: time.Second}})
	if a != b || a == c {
		t.Errorf("routes with equal upstreams share connections: %t, with other timeouts: %t, want true, false", a == b, a == c)
	}
}

type panicChecker struct{}

func (panicChecker) Check(context.Context, credential.Credential) (*identity.Identity, error) {
	panic("a bug")
}

// S89: a bug is a 500.
func TestPanicsAreNoSuccess(t *testing.T) {
	m := newMirror(t)
	h := open(t, Options{Routes: one(m.url(t), func(r *Route) { r.Auth = Optional }), Check: panicChecker{}})
	res, _ := h.send(t, "GET", "/", bearer(aliceToken), nil)
	if res.StatusCode != http.StatusInternalServerError || len(m.all()) != 0 {
		t.Errorf("GET = %d, upstream got %v, want 500 and nothing", res.StatusCode, m.all())
	}
}
