package web

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// serveRecovered serves h behind all steps of this package, as the server has
// them, with a fail that answers with a problem.
func serveRecovered(t *testing.T, log *slog.Logger, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	fail := func(w http.ResponseWriter, _ *http.Request) {
		WriteProblem(w, slog.New(slog.DiscardHandler), errors.New("a panic"))
	}
	srv := httptest.NewUnstartedServer(Identify(nil, Recover(log, fail, LogRequests(log, h))))
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

// S89: a panic before the answer was begun is a 500, one after it a cut
// connection, and never something that could be taken for the whole answer.
func TestRecover(t *testing.T) {
	flush := func(w http.ResponseWriter) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("Flush() = %v", err)
		}
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		status  int // 0: the connection is cut
	}{
		{"at once", func(http.ResponseWriter, *http.Request) { panic("oh") }, 500},
		{"with an error", func(http.ResponseWriter, *http.Request) { panic(io.ErrUnexpectedEOF) }, 500},
		{"with nil", func(http.ResponseWriter, *http.Request) { panic(nil) }, 500},
		{"of the runtime", func(_ http.ResponseWriter, r *http.Request) { r.Header = nil; r.Header["a"] = nil }, 500},
		{"with headers set", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/png")
			panic("oh")
		}, 500},
		{"after early hints", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			panic("oh")
		}, 500},
		{"after the header", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			panic("oh")
		}, 0},
		{"after some of the body", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half of ")
			panic("oh")
		}, 0},
		{"after the header was sent", func(w http.ResponseWriter, _ *http.Request) {
			flush(w)
			panic("oh")
		}, 0},
		{"after some was sent", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half of ")
			flush(w)
			panic("oh")
		}, 0},
		{"with all that was announced", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			_, _ = io.WriteString(w, "all")
			panic("oh")
		}, 0},
		{"that is meant", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0},
		{"after the connection was taken", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Errorf("Hijack() = %v", err)
				return
			}
			defer conn.Close()
			panic("oh")
		}, 0},
		{"none", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") }, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} { // without and with LogRequests
				log := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: level}))
				srv := serveRecovered(t, log, tt.handler)
				resp, err := srv.Client().Get(srv.URL)
				status, body := 0, ""
				if err == nil {
					var raw []byte
					if raw, err = io.ReadAll(resp.Body); err == nil {
						status, body = resp.StatusCode, string(raw)
					}
					_ = resp.Body.Close()
				}
				if status != tt.status {
					t.Errorf("at %v: status = %d (%v), want %d; %q", level, status, err, tt.status, body)
				}
				if status == 500 && (resp.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, `"code":"internal"`)) {
					t.Errorf("at %v: answer = %v %s, want a problem", level, resp.Header, body)
				}
			}
		})
	}
}

// S112: what a panic says is in the log, with the request's id, and nowhere
// else.
func TestRecoverLogs(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	srv := serveRecovered(t, log, func(http.ResponseWriter, *http.Request) { panic("the inner workings") })
	resp, err := srv.Client().Get(srv.URL + "/a/path?secret=1")
	if err != nil {
		t.Fatalf("Get() = %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("ReadAll() = %v", err)
	}
	srv.Close()
	for _, want := range []string{"the inner workings", "path=/a/path", "request_id=" + resp.Header.Get(RequestIDHeader), "recover_test.go"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &out)
		}
	}
	for _, never := range []string{"inner workings", ".go"} {
		if strings.Contains(string(body), never) {
			t.Errorf("the answer has %q: %s", never, body)
		}
	}
	if strings.Contains(out.String(), "secret=1") {
		t.Errorf("the log has the query:\n%s", &out)
	}
}

// On a connection that was taken nobody answers for the handler.
func TestRecoverTaken(t *testing.T) {
	h := Recover(slog.New(slog.DiscardHandler), func(http.ResponseWriter, *http.Request) {
		t.Error("fail was called")
	}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("Hijack() = %v", err)
			return
		}
		defer conn.Close()
		panic("oh")
	}))
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	srv.Start()
	defer srv.Close()
	if resp, err := srv.Client().Get(srv.URL); err == nil {
		_ = resp.Body.Close()
		t.Errorf("Get() = %d, want a cut connection", resp.StatusCode)
	}
}

// An abort is no panic to tell of.
func TestRecoverAbortIsQuiet(t *testing.T) {
	var out bytes.Buffer
	h := Recover(slog.New(slog.NewTextHandler(&out, nil)), func(http.ResponseWriter, *http.Request) {
		t.Error("fail was called")
	}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("recover() = %v, want ErrAbortHandler", v)
		}
		if out.Len() > 0 {
			t.Errorf("the log has %s, want nothing", &out)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
}

// Streams and upgrades still reach the connection through all the wrappers.
func TestResponseControllerReaches(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug}))
	goOn := make(chan struct{})
	srv := serveRecovered(t, log, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		for name, err := range map[string]error{
			"SetReadDeadline":  rc.SetReadDeadline(time.Now().Add(time.Minute)),
			"SetWriteDeadline": rc.SetWriteDeadline(time.Now().Add(time.Minute)),
			"EnableFullDuplex": rc.EnableFullDuplex(),
		} {
			if err != nil {
				t.Errorf("%s() = %v", name, err)
			}
		}
		if r.URL.Path == "/hijack" {
			conn, rw, err := rc.Hijack()
			if err != nil {
				t.Errorf("Hijack() = %v", err)
				return
			}
			defer conn.Close()
			_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\nhello")
			_ = rw.Flush()
			return
		}
		_, _ = io.WriteString(w, "first")
		if err := rc.Flush(); err != nil {
			t.Errorf("Flush() = %v", err)
		}
		<-goOn
	})

	resp, err := srv.Client().Get(srv.URL + "/flush")
	if err != nil {
		t.Fatalf("Get() = %v", err)
	}
	defer resp.Body.Close()
	first := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first" {
		t.Errorf("ReadFull() while the handler runs = %q, %v, want first", first, err)
	}
	close(goOn)

	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatalf("Dial() = %v", err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /hijack HTTP/1.1\r\nHost: a\r\n\r\n")
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || line != "HTTP/1.1 101 Switching Protocols\r\n" {
		t.Errorf("ReadString() = %q, %v, want 101", line, err)
	}
	rest, err := io.ReadAll(in)
	if err != nil || string(rest) != "\r\nhello" {
		t.Errorf("ReadAll() = %q, %v, want hello", rest, err)
	}
}

// What cannot be flushed was not begun.
func TestFlushNotSupported(t *testing.T) {
	w := &statusWriter{ResponseWriter: struct{ http.ResponseWriter }{httptest.NewRecorder()}}
	if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) || w.status != 0 {
		t.Errorf("Flush() = %v with status %d, want ErrNotSupported and 0", err, w.status)
	}
	if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, http.ErrNotSupported) || w.status != 0 {
		t.Errorf("Hijack() = %v with status %d, want ErrNotSupported and 0", err, w.status)
	}
}
