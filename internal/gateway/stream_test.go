package gateway

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// streamSize is how much goes through in each direction, in bytes. The
// environment variable LATCHKEY_TEST_STREAM_MIB changes it.
func streamSize(t *testing.T) int64 {
	mib := int64(streamMiB)
	if text := os.Getenv("LATCHKEY_TEST_STREAM_MIB"); text != "" {
		var err error
		if mib, err = strconv.ParseInt(text, 10, 64); err != nil {
			t.Fatalf("LATCHKEY_TEST_STREAM_MIB: %v", err)
		}
	}
	return mib << 20
}

// maxAllocated bounds what may be allocated in total while a body goes
// through, in bytes. It is far below the body.
const maxAllocated = 32 << 20

// endless is a body without end: a block of numbers over and over, so that lost
// or swapped parts show.
type endless struct {
	block []byte
	at    int
}

func newEndless() *endless {
	e := &endless{block: make([]byte, 1<<20+8)} // no multiple of any buffer
	for i := 0; i < len(e.block); i += 8 {
		binary.LittleEndian.PutUint64(e.block[i:], uint64(i))
	}
	return e
}

// next returns what comes next, at most n bytes of it.
func (e *endless) next(n int) []byte {
	part := e.block[e.at:min(e.at+n, len(e.block))]
	e.at = (e.at + len(part)) % len(e.block)
	return part
}

// Read copies what comes next.
func (e *endless) Read(p []byte) (int, error) { return copy(p, e.next(len(p))), nil }

// checkBody reads a body of the given length and fails unless it is what
// [endless] gives.
func checkBody(r io.Reader, size int64) error {
	want, buffer := newEndless(), make([]byte, 64<<10)
	for left := size; left > 0; {
		n, err := r.Read(buffer[:min(left, int64(len(buffer)))])
		for got := buffer[:n]; len(got) > 0; {
			part := want.next(len(got))
			if !bytes.Equal(got[:len(part)], part) {
				return fmt.Errorf("with %d bytes left: other bytes than were sent", left)
			}
			got = got[len(part):]
		}
		if left -= int64(n); err != nil && left > 0 {
			return fmt.Errorf("with %d bytes left: %w", left, err)
		}
	}
	if n, err := r.Read(buffer); n != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("behind the body: %d bytes, %w, want the end", n, err)
	}
	return nil
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestStreamingTakesNoMemory(t *testing.T) {
	size := streamSize(t)
	received := make(chan error, 1)
	upstream := rawHandler(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/down", "/down-chunked":
			if r.URL.Path == "/down" {
				w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
			}
			io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(newEndless(), size), make([]byte, 64<<10))
		default:
			received <- checkBody(r.Body, size)
		}
	})
	h := open(t, Options{Routes: one(mustURL(t, upstream), nil)})
	run := func(name string, transfer func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			before := allocated()
			transfer(t)
			if got := allocated() - before; got > maxAllocated {
				t.Errorf("%d MiB allocated for a body of %d MiB, want at most %d", got>>20, size>>20, maxAllocated>>20)
			}
		})
	}
	for _, path := range []string{"/down", "/down-chunked"} {
		run(path, func(t *testing.T) {
			res := h.begin(t, "GET", path, nil, 0)
			defer res.Body.Close()
			if err := checkBody(res.Body, size); err != nil {
				t.Errorf("GET %s: %v", path, err)
			}
		})
	}
	for path, length := range map[string]int64{"/up": size, "/up-chunked": -1} {
		run(path, func(t *testing.T) {
			res := h.begin(t, "PUT", path, io.LimitReader(newEndless(), size), length)
			res.Body.Close()
			if err := <-received; err != nil {
				t.Errorf("PUT %s: at the upstream: %v", path, err)
			}
		})
	}
}

// rawHandler serves a handler without keeping anything and returns its URL.
func rawHandler(t testing.TB, handle http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handle}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return "http://" + l.Addr().String()
}

// begin does a request with alice's token and returns the answer with its body
// unread.
func (h *house) begin(t *testing.T, method, target string, body io.Reader, length int64) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.URL+target, body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = length
	req.Header = bearer(aliceToken)
	res, err := h.Client().Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return res
}

// What the upstream has sent so far reaches the client while it goes on.
func TestPartsAreNotHeldBack(t *testing.T) {
	for _, length := range []string{"", "8"} {
		goOn := make(chan struct{})
		upstream := rawHandler(t, func(w http.ResponseWriter, _ *http.Request) {
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			io.WriteString(w, "one\n")
			http.NewResponseController(w).Flush()
			<-goOn
			io.WriteString(w, "two\n")
		})
		h := open(t, Options{Routes: one(mustURL(t, upstream), nil)})
		res := h.begin(t, "GET", "/", nil, 0)
		r := bufio.NewReader(res.Body)
		if line, err := r.ReadString('\n'); line != "one\n" || err != nil {
			t.Errorf("first line with Content-Length %q = %q, %v", length, line, err)
		}
		close(goOn)
		if rest, err := io.ReadAll(r); string(rest) != "two\n" || err != nil {
			t.Errorf("the rest with Content-Length %q = %q, %v", length, rest, err)
		}
		res.Body.Close()
	}
}

// conversation is a connection to a gateway for talking in turns.
type conversation struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func talk(t *testing.T, addr string) *conversation {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &conversation{t, conn, bufio.NewReader(conn)}
}

func (c *conversation) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatalf("writing %q: %v", text, err)
	}
}

// head reads the head of an answer.
func (c *conversation) head() string {
	c.t.Helper()
	head, err := readHead(c.r)
	if err != nil {
		c.t.Fatalf("reading an answer: %v after %q", err, head)
	}
	return head
}

func TestExpectContinue(t *testing.T) {
	upstream := rawHandler(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refused" {
			http.Error(w, "no", http.StatusRequestEntityTooLarge)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Header.Get("Expect"), body)
	})
	h := open(t, Options{Routes: one(mustURL(t, upstream), nil)})
	const form = "POST %s HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"

	c := talk(t, h.addr())
	c.say(fmt.Sprintf(form, "/taken", aliceToken))
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 100 ") {
		t.Fatalf("first answer = %q, want 100", head)
	}
	c.say("hello")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") || strings.Count(head, "Correlation-Id:") != 1 {
		t.Errorf("second answer = %q, want 200 with one Correlation-Id", head)
	}
	if body, err := io.ReadAll(c.r); !strings.Contains(string(body), "100-continue hello") || err != nil {
		t.Errorf("body = %q, %v", body, err)
	}

	for path, want := range map[string]string{"/refused": "HTTP/1.1 413 ", "/x": "HTTP/1.1 401 "} {
		token := aliceToken
		if path == "/x" {
			token = revokedToken
		}
		c := talk(t, h.addr())
		c.say(fmt.Sprintf(form, path, token))
		if head := c.head(); !strings.HasPrefix(head, want) {
			t.Errorf("POST %s: first answer = %q, want %q and no 100", path, head, want)
		}
	}
}

func TestEarlyHintsKeepOurHeaders(t *testing.T) {
	upstream := rawHandler(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		io.WriteString(w, "done")
	})
	h := open(t, Options{Routes: one(mustURL(t, upstream), nil)})
	c := talk(t, h.addr())
	c.say("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + staleToken + "\r\n\r\n")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 103 ") || !strings.Contains(head, "Link: </a.css>") {
		t.Errorf("first answer = %q, want 103 with Link", head)
	}
	head := c.head()
	if !strings.HasPrefix(head, "HTTP/1.1 200 ") || strings.Contains(head, "Link:") {
		t.Errorf("second answer = %q, want 200 without Link", head)
	}
	for _, name := range []string{"Correlation-Id: ", "Latchkey-Request-Id: ", "Latchkey-Stale: true"} {
		if strings.Count(head, name) != 1 {
			t.Errorf("second answer = %q, want %q in it once", head, name)
		}
	}
}

func TestUpgrade(t *testing.T) {
	upstream := rawUpstream(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		head, err := readHead(r)
		if err != nil || !strings.Contains(head, "Latchkeyuser: alice\r\n") || strings.Contains(head, "Authorization") {
			io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			return
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		line, _ := r.ReadString('\n')
		io.WriteString(conn, "echo "+line)
	})
	h := open(t, Options{Routes: one(upstream, func(r *Route) { r.Upgrade, r.Audit = []string{"WebSocket"}, AuditAll })})
	c := talk(t, h.addr())
	c.say("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + aliceToken + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, "Latchkey-Request-Id:") {
		t.Fatalf("answer = %q, want 101", head)
	}
	c.say("hello\n")
	if got, err := io.ReadAll(c.r); string(got) != "echo hello\n" || err != nil {
		t.Errorf("behind the switch = %q, %v, want the echo", got, err)
	}
}

// An upstream that switches protocols unasked gets nothing of the client.
func TestUnaskedUpgradeIsAFailure(t *testing.T) {
	upstream := rawUpstream(t, func(conn net.Conn) {
		if _, err := readHead(bufio.NewReader(conn)); err == nil {
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		}
	})
	h := open(t, Options{Routes: one(upstream, nil)})
	res, body := h.send(t, "GET", "/", bearer(aliceToken), nil)
	if res.StatusCode != http.StatusBadGateway {
		t.Errorf("GET = %d %s, want 502", res.StatusCode, body)
	}
}

func TestEncodedBodiesStayAsTheyAre(t *testing.T) {
	m := newMirror(t)
	m.next = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "not really gzip")
	}
	h := open(t, Options{Routes: one(m.url(t), nil)})
	answer := exchangeRaw(t, h.addr(), rawGet("/", "Accept-Encoding: br, gzip\r\n"))
	if !strings.HasSuffix(answer, "not really gzip") || !strings.Contains(answer, "Content-Encoding: gzip") {
		t.Errorf("answer = %q, want the body as it was", answer)
	}
	exchangeRaw(t, h.addr(), rawGet("/", ""))
	for i, want := range []string{"br, gzip", ""} {
		if got := m.all()[i].Header.Get("Accept-Encoding"); got != want {
			t.Errorf("Accept-Encoding at the upstream = %q, want %q", got, want)
		}
	}
}

// Clients may speak HTTP/2 to the gateway; upstreams always get HTTP/1.1.
func TestHTTP2Client(t *testing.T) {
	m := newMirror(t)
	m.next = func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }
	g, err := New(Options{Check: newFakeChecker(t), Routes: one(m.url(t), nil)})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(g)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(func() { s.Close(); g.Close() })
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL, io.MultiReader(strings.NewReader("hello")))
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = "//" + req.URL.Host + "/a%2Fb?c;d"
		req.Header = bearer(aliceToken)
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if res.ProtoMajor != 2 || string(body) != "HTTP/1.1" || err != nil {
			t.Errorf("PUT = %s %q, %v, want HTTP/2.0 in front and HTTP/1.1 behind", res.Proto, body, err)
		}
	}
	for _, got := range m.all() {
		if got.Target != "/a%2Fb?c;d" || got.Body != "hello" || got.Header.Get("X-Forwarded-Proto") != "https" {
			t.Errorf("the upstream got %+v, want /a%%2Fb?c;d with its body by https", got)
		}
	}
}
