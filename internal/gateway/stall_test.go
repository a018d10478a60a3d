package gateway

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// shortPatience makes pauses too long that are there for ever.
func shortPatience(r *Route) { r.Timeouts.Response = 100 * time.Millisecond }

// takeNothing is an upstream that accepts connections and reads nothing.
func takeNothing(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l // nobody accepts: the kernel does, and fills its buffers
}

func TestStalledUpload(t *testing.T) {
	l := takeNothing(t)
	h := open(t, Options{Routes: one(mustURL(t, "http://"+l.Addr().String()), shortPatience)})
	res := h.begin(t, "POST", "/up", io.LimitReader(newEndless(), 64<<20), 64<<20)
	defer res.Body.Close()
	if res.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("an upload that the upstream does not read = %s, want 504", res.Status)
	}
}

func TestStalledAnswer(t *testing.T) {
	block := make(chan struct{})
	t.Cleanup(func() { close(block) })
	upstream := rawHandler(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "a part")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-block:
		case <-r.Context().Done():
		}
	})
	h := open(t, Options{Routes: one(mustURL(t, upstream), shortPatience)})
	res := h.begin(t, "GET", "/down", nil, 0)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if string(body) != "a part" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an answer that goes no further = %q, %v; want its beginning and an unexpected end", body, err)
	}
}

func TestStalledClient(t *testing.T) {
	cut := make(chan error, 1)
	upstream := rawHandler(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		cut <- err
	})
	h := open(t, Options{Routes: one(mustURL(t, upstream), shortPatience)})
	c := talk(t, h.addr())
	c.say("POST /up HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + aliceToken + "\r\nContent-Length: 10\r\n\r\npart")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 408 ") || !strings.Contains(head, "Connection: close") {
		t.Errorf("an upload that goes no further = %q, want 408 and the connection closed", head)
	}
	if err := <-cut; err == nil {
		t.Error("the upstream got a whole body, want it cut off")
	}
}

// What moves, however slowly, goes on.
func TestSlowIsNotStalled(t *testing.T) {
	const parts, pace, patience = 8, 150 * time.Millisecond, time.Second // more than one patience in each direction
	upstream := rawHandler(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for _, b := range body {
			time.Sleep(pace)
			_, _ = w.Write([]byte{b})
			_ = http.NewResponseController(w).Flush()
		}
	})
	h := open(t, Options{Routes: one(mustURL(t, upstream), func(r *Route) { r.Timeouts.Response = patience })})
	from, to := io.Pipe()
	go func() {
		for range parts {
			time.Sleep(pace)
			_, _ = to.Write([]byte("x"))
		}
		to.Close()
	}()
	res := h.begin(t, "POST", "/both", from, -1)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if string(body) != strings.Repeat("x", parts) || err != nil {
		t.Errorf("a slow exchange = %q, %v; want %d parts", body, err, parts)
	}
}
