//go:build e2e && linux

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
)

const (
	// patience is how long the gateway waits for the upstreams of these tests.
	patience = 2 * time.Second
	// answered is within what a client has to know, on a slow machine.
	answered = 20 * time.Second
)

// brokenUpstream is a service that does something wrong with each request.
type brokenUpstream struct {
	unread bool             // it does not read the body of the request
	head   string           // what it sends
	then   func(c net.Conn) // and what it does before it closes the connection
	status int              // that the client gets, where there is no part of an answer
	exits  []int            // of curl, where there is
}

// brokenUpstreams are named by the paths at which they are. Those that would
// sleep for ever wake up when done is closed.
func brokenUpstreams(done <-chan struct{}) map[string]brokenUpstream {
	const ok = "HTTP/1.1 200 OK\r\n"
	hang := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) } // until the gateway gives up
	sleep := func(net.Conn) { <-done }
	reset := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }
	repeat := func(text string, every time.Duration) func(net.Conn) {
		return func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, text); err != nil {
					return
				}
				time.Sleep(every) // the pace is what is wrong with this upstream
			}
		}
	}
	cut := []int{18, 56} // "partial file", "failure in receiving network data"
	return map[string]brokenUpstream{
		"hangs":              {then: hang, status: 504},
		"reads-nothing":      {unread: true, then: sleep, status: 504},
		"closes-unread":      {unread: true, status: 502},
		"resets-unread":      {unread: true, then: reset, status: 502},
		"hangs-in-the-head":  {head: ok + "Content-Le", then: hang, status: 504},
		"head-without-end":   {head: ok, then: repeat("X: y\r\n", 50*time.Millisecond), status: 504},
		"hints-without-end":  {then: repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 50*time.Millisecond), status: 504},
		"large-head":         {head: ok, then: repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 0), status: 502},
		"closes":             {status: 502},
		"resets":             {then: reset, status: 502},
		"closes-in-the-head": {head: ok + "Content-Le", status: 502},
		"resets-in-the-head": {head: ok + "Content-Le", then: reset, status: 502},

		"no-http":          {head: "220 mail.example.org ESMTP\r\n", status: 502},
		"no-status":        {head: "HTTP/1.1 OK\r\n\r\n", status: 502},
		"no-number":        {head: "HTTP/1.1 2x0 OK\r\n\r\n", status: 502},
		"strange-number":   {head: "HTTP/1.1 99 Strange\r\nContent-Length: 0\r\n\r\n", status: 502},
		"no-version":       {head: "HTTP/x 200 OK\r\n\r\n", status: 502},
		"no-header":        {head: ok + "this is no header\r\n\r\n", status: 502},
		"two-lengths":      {head: ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", status: 502},
		"negative-length":  {head: ok + "Content-Length: -1\r\n\r\n", status: 502},
		"unknown-coding":   {head: ok + "Transfer-Encoding: rot13\r\n\r\n", status: 502},
		"binary":           {head: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", status: 502},
		"unwanted-upgrade": {head: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", status: 502},

		"closes-in-the-body":    {head: ok + "Content-Length: 1000\r\n\r\npart", exits: cut},
		"resets-in-the-body":    {head: ok + "Content-Length: 1000\r\n\r\npart", then: reset, exits: cut},
		"hangs-in-the-body":     {head: ok + "Content-Length: 1000\r\n\r\npart", then: hang, exits: cut},
		"closes-in-a-chunk":     {head: ok + "Transfer-Encoding: chunked\r\n\r\n10\r\npart", exits: cut},
		"closes-before-the-end": {head: ok + "Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", exits: cut},
		"resets-without-length": {head: ok + "\r\npart", then: reset, exits: cut},
		"hangs-between-chunks":  {head: ok + "Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", then: hang, exits: cut},
		"nonsense-for-a-chunk":  {head: ok + "Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n", exits: cut},
	}
}

// TestBroken has upstreams that do not do what they should. The client gets a
// clear answer in time, or sees that what it got is not all (S89).
func TestBroken(t *testing.T) {
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	upstreams := brokenUpstreams(done)
	upstream := listenBroken(t, upstreams)
	s := serve(t, serveOptions{config: filesRoute(upstream, fmt.Sprintf("    response_timeout: %v\n", patience))})
	secret := s.token(t, s.admin(), api.CreateToken{}).Secret
	body := filepath.Join(t.TempDir(), "body")
	must(t, os.WriteFile(body, make([]byte, 64<<20), 0o600)) // more than fits between the two
	for name, b := range upstreams {
		for what, args := range map[string][]string{"GET": nil, "PUT": {"--upload-file", body}} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				a := curl(t, with(bearer(secret), append(args, "--max-time", "60", s.url+"/files/"+name)...)...)
				b.check(t, what, a)
			})
		}
	}
	t.Run("refuses", func(t *testing.T) {
		nobody := reserve(t)
		nobody.release()
		s := serve(t, serveOptions{config: filesRoute("http://"+nobody.address, "")})
		secret := s.token(t, s.admin(), api.CreateToken{}).Secret
		brokenUpstream{status: 502}.check(t, "GET", curl(t, with(bearer(secret), s.url+"/files/x")...))
	})
}

// check compares what curl got with what it should.
func (b brokenUpstream) check(t *testing.T, what string, a answer) {
	t.Helper()
	if a.took > answered {
		t.Errorf("%s took %v, want an answer within %v", what, a.took, answered)
	}
	if b.exits != nil {
		if !slices.Contains(b.exits, a.exit) {
			t.Errorf("%s = %d, and curl ends with %d %q; want one of %v, as the body is not all there", what, a.status, a.exit, a.said, b.exits)
		}
		return
	}
	a.want(t, what, b.status, fmt.Sprintf(`"status":%d`, b.status))
	if kind := a.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("%s: the type of the answer is %q, want a problem", what, kind)
	}
}

// listenBroken starts all the upstreams at one address.
func listenBroken(t *testing.T, upstreams map[string]brokenUpstream) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				breakDown(c, upstreams)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// breakDown reads the head of a request and does what is wrong.
func breakDown(c net.Conn, upstreams map[string]brokenUpstream) {
	req, err := http.ReadRequest(bufio.NewReaderSize(c, 4096))
	if err != nil {
		return
	}
	b := upstreams[strings.TrimPrefix(req.URL.Path, "/files/")]
	if !b.unread {
		_, _ = io.Copy(io.Discard, req.Body) // the gateway may be gone
	}
	_, _ = io.WriteString(c, b.head) // likewise
	if b.then != nil {
		b.then(c)
	}
}

// TestClientGone has clients that give up. The upstream learns of it, whatever
// it was doing for them.
func TestClientGone(t *testing.T) {
	began, ended := make(chan struct{}, 1), make(chan error, 1)
	upstream := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		switch r.URL.Path {
		case "/files/waiting":
			<-r.Context().Done()
			ended <- r.Context().Err()
		case "/files/downloading":
			_, err := io.Copy(w, newStream())
			ended <- err
		case "/files/uploading":
			_, err := io.Copy(io.Discard, r.Body)
			ended <- err
		}
	})
	s := serve(t, serveOptions{config: filesRoute(upstream, "")})
	secret := s.token(t, s.admin(), api.CreateToken{}).Secret
	for path, body := range map[string]io.Reader{"waiting": nil, "downloading": nil, "uploading": newStream()} {
		t.Run(path, func(t *testing.T) {
			method := http.MethodGet
			if body != nil {
				method = http.MethodPut
			}
			ctx, giveUp := context.WithCancel(t.Context())
			defer giveUp()
			req := s.request(t, method, "/files/"+path, secret, body).WithContext(ctx)
			result := make(chan error, 1)
			go func() { result <- discard(req) }()
			await(t, began, "the request to reach the upstream")
			giveUp()
			if err := await(t, result, "the client to return"); err == nil {
				t.Error("the client that gave up got a whole answer, want an error")
			}
			if err := await(t, ended, "the upstream to learn that the client is gone"); err == nil {
				t.Error("the upstream's request ended well, want it to be cut off")
			}
		})
	}
}

// discard sends a request and reads the answer away.
func discard(req *http.Request) error {
	resp, err := (&http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// await receives from a channel, but not for ever.
func await[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(answered):
		t.Fatalf("waited %v for %s", answered, what)
	}
	panic("not reached")
}
