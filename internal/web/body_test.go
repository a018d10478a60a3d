package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fault"
)

// pipeListener takes connections that are made in memory, so that a server's
// deadlines follow the clock of a test.
type pipeListener struct {
	conns  chan net.Conn
	closed context.Context
	close  context.CancelFunc
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed.Done():
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error { l.close(); return nil }

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// servePipe serves h until the test ends, and returns how to connect to it.
func servePipe(t *testing.T, h http.Handler) func() net.Conn {
	t.Helper()
	l := &pipeListener{conns: make(chan net.Conn)}
	l.closed, l.close = context.WithCancel(context.Background())
	srv := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return func() net.Conn {
		theirs, ours := net.Pipe()
		l.conns <- theirs
		t.Cleanup(func() { _ = ours.Close() })
		return ours
	}
}

// bodyReader answers with what ReadBody says.
func bodyReader(w http.ResponseWriter, r *http.Request) {
	body, err := ReadBody(w, r)
	if err != nil {
		WriteProblem(w, slog.New(slog.DiscardHandler), err)
		return
	}
	select { // work that takes longer than a body may, and is not cut short by its deadline
	case <-time.After(2 * bodyTime):
		_, _ = w.Write(body)
	case <-r.Context().Done():
		http.Error(w, "the request was given up", http.StatusTeapot)
	}
}

// recovered serves h as the server does, and answers its panics.
func recovered(h http.HandlerFunc) http.Handler {
	log := slog.New(slog.DiscardHandler)
	fail := func(w http.ResponseWriter, _ *http.Request) { WriteProblem(w, log, errors.New("a panic")) }
	return Recover(log, fail, LogRequests(log, h))
}

// refuser answers without a look at the body.
func refuser(w http.ResponseWriter, _ *http.Request) {
	WriteProblem(w, slog.New(slog.DiscardHandler), fault.Unauthenticatedf("no"))
}

func readAnswer(t *testing.T, r *bufio.Reader) (int, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("ReadResponse() = %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("ReadAll(%d answer) = %v", resp.StatusCode, err)
	}
	return resp.StatusCode, string(body)
}

// A client that sends a body slowly is let go in time, also by the server's
// own reading of what the handler left.
func TestReadBodySlow(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		header  string
		first   string
		status  int
	}{
		{"stops", bodyReader, "Content-Length: 100\r\n", "{", http.StatusBadRequest},
		{"stops within a chunk", bodyReader, "Transfer-Encoding: chunked\r\n", "100\r\n{", http.StatusBadRequest},
		{"stops after too much", bodyReader, "Content-Length: 200000\r\n", strings.Repeat("x", MaxBody+1), http.StatusRequestEntityTooLarge},
		{"is not read", refuser, "Content-Length: 100\r\n", "{", http.StatusUnauthorized},
		{"is not read for a panic", func(http.ResponseWriter, *http.Request) { panic("oh") }, "Content-Length: 100\r\n", "{", http.StatusInternalServerError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := servePipe(t, recovered(tt.handler))()
				began := time.Now()
				if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\n"+tt.header+"\r\n"+tt.first); err != nil {
					t.Fatalf("WriteString() = %v", err)
				}
				in := bufio.NewReader(conn)
				if status, body := readAnswer(t, in); status != tt.status {
					t.Errorf("status = %d, want %d; %s", status, tt.status, body)
				}
				if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
					t.Errorf("ReadByte() after the answer = %v, want the connection to be closed", err)
				}
				if took := time.Since(began); took < bodyTime/2 || took > bodyTime+time.Second {
					t.Errorf("the connection was held for %v, want about %v", took, bodyTime)
				}
			})
		})
	}
}

// The deadline of a body neither cuts the handler short nor lasts for the next
// request on the connection.
func TestReadBodyDeadlineEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := servePipe(t, recovered(bodyReader))()
		in := bufio.NewReader(conn)
		for range 2 {
			if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
				t.Fatalf("WriteString() = %v", err)
			}
			if status, body := readAnswer(t, in); status != http.StatusOK || body != "{}" {
				t.Errorf("status, body = %d, %q, want 200, {}", status, body)
			}
			time.Sleep(2 * bodyTime)
		}
	})
}

// A handler that limits the body in its own way has the last word.
func TestOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := servePipe(t, recovered(func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second)); err != nil {
				t.Errorf("SetReadDeadline() = %v", err)
			}
			refuser(w, r)
		}))()
		began := time.Now()
		if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"); err != nil {
			t.Fatalf("WriteString() = %v", err)
		}
		if status, body := readAnswer(t, bufio.NewReader(conn)); status != http.StatusUnauthorized || time.Since(began) > 2*time.Second {
			t.Errorf("status = %d after %v, want 401 after 1 s; %s", status, time.Since(began), body)
		}
	})
}

func TestReadBodySize(t *testing.T) {
	for _, size := range []int{0, 1, MaxBody, MaxBody + 1, 2 * MaxBody} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", size)))
		r.ContentLength = -1 // as with chunks: nobody says the size before
		body, err := ReadBody(httptest.NewRecorder(), r)
		if size <= MaxBody && (err != nil || len(body) != size) {
			t.Errorf("ReadBody(%d bytes) = %d bytes, %v, want all", size, len(body), err)
		}
		if size > MaxBody && (!errors.Is(err, ErrTooLarge) || body != nil) {
			t.Errorf("ReadBody(%d bytes) = %d bytes, %v, want ErrTooLarge", size, len(body), err)
		}
	}
}
