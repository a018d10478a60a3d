//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
)

const (
	// large is the size of a body that no machine of a test has the memory for
	// to spare.
	large = 5 << 30
	// largeMemory is how much more memory the server may take for one.
	largeMemory = 64 << 20
	// largeLimit bounds one transfer. It takes some seconds.
	largeLimit = 4 * time.Minute
)

// TestLarge sends bodies through the gateway in both directions, framed in both
// ways, and looks at how much memory the server takes for
// that.
func TestLarge(t *testing.T) {
	s := serve(t, serveOptions{config: filesRoute(newUpstream(t, largeUpstream), "")})
	secret := s.token(t, s.admin(), api.CreateToken{}).Secret
	for _, test := range []struct {
		name    string
		run     func(t *testing.T, s *latchkey, secret string, size int64, chunked bool)
		chunked bool
	}{
		{"upload, Content-Length", upload, false},
		{"upload, chunked", upload, true},
		{"download, Content-Length", download, false},
		{"download, chunked", download, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, s, secret, 1<<20, test.chunked) // what any transfer needs is there from now on
			before := s.process.peakMemory(t)
			test.run(t, s, secret, large, test.chunked)
			after := s.process.peakMemory(t)
			if after-before > largeMemory {
				t.Errorf("the server's memory grew from %d to %d MiB, want less than %d MiB more", before>>20, after>>20, largeMemory>>20)
			}
		})
	}
}

// newUpstream starts a service and returns where it is.
func newUpstream(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	upstream := httptest.NewServer(handler)
	t.Cleanup(upstream.Close)
	return upstream.URL
}

// filesRoute is the configuration of a gateway in front of one service.
func filesRoute(upstream, more string) string {
	return fmt.Sprintf("routes:\n  - name: files\n    prefix: /files\n    upstream: %s\n%s", upstream, more)
}

// received is what the upstream tells of a body.
type received struct {
	Size    int64
	Sum     uint32
	Chunked bool
	User    string
}

// largeUpstream says what it got, or sends as much as it is asked for.
func largeUpstream(w http.ResponseWriter, r *http.Request) {
	got := received{Chunked: len(r.TransferEncoding) > 0, User: r.Header.Get("Latchkeyuser")}
	if r.Method == http.MethodPut {
		sum := newSum()
		got.Size, _ = io.Copy(sum, r.Body) // a body cut short shows in the size
		got.Sum = sum.Sum32()
		_ = json.NewEncoder(w).Encode(got) // the test sees what is missing
		return
	}
	size, _ := strconv.ParseInt(r.URL.Query().Get("size"), 10, 64)
	if r.URL.Query().Get("chunked") != "true" {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
	_, _ = io.Copy(w, io.LimitReader(newStream(), size)) // likewise
}

func upload(t *testing.T, s *latchkey, secret string, size int64, chunked bool) {
	t.Helper()
	sum := newSum()
	body := io.TeeReader(io.LimitReader(newStream(), size), sum)
	req := s.request(t, http.MethodPut, "/files/large", secret, io.NopCloser(body))
	req.ContentLength = size
	if chunked {
		req.ContentLength = -1
	}
	resp := do(t, req)
	defer resp.Body.Close()
	var got received
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("PUT of %d bytes = %s, %v", size, resp.Status, err)
	}
	want := received{Size: size, Sum: sum.Sum32(), Chunked: chunked, User: "admin"}
	if got != want {
		t.Errorf("PUT of %d bytes: the upstream got %+v, want %+v", size, got, want)
	}
}

func download(t *testing.T, s *latchkey, secret string, size int64, chunked bool) {
	t.Helper()
	resp := do(t, s.request(t, http.MethodGet, fmt.Sprintf("/files/large?size=%d&chunked=%t", size, chunked), secret, nil))
	defer resp.Body.Close()
	if isChunked := len(resp.TransferEncoding) > 0; resp.StatusCode != http.StatusOK || isChunked != chunked {
		t.Fatalf("GET of %d bytes = %s with the framing %q", size, resp.Status, resp.TransferEncoding)
	}
	got, want := newSum(), newSum()
	n, err := io.Copy(got, resp.Body)
	if err != nil || n != size {
		t.Fatalf("GET of %d bytes: %d came, then %v", size, n, err)
	}
	if _, err := io.Copy(want, io.LimitReader(newStream(), size)); err != nil || got.Sum32() != want.Sum32() {
		t.Errorf("GET of %d bytes: the checksum is %x, want %x", size, got.Sum32(), want.Sum32())
	}
}

func newSum() crc { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

type crc = interface {
	io.Writer
	Sum32() uint32
}

// request makes a request with a token that ends with the test, or earlier.
func (s *latchkey) request(t *testing.T, method, path, secret string, body io.Reader) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), largeLimit)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	return req
}

func do(t *testing.T, req *http.Request) *http.Response {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true, DisableCompression: true}}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// stream is endless content of which no two blocks are the same.
type stream struct {
	block []byte
	count uint64
	at    int
}

func newStream() *stream {
	s := &stream{block: make([]byte, 256<<10)}
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(s.block) // never fails
	return s
}

// Read returns what comes next.
func (s *stream) Read(p []byte) (int, error) {
	if s.at == 0 {
		s.count++
		binary.BigEndian.PutUint64(s.block, s.count)
	}
	n := copy(p, s.block[s.at:])
	s.at = (s.at + n) % len(s.block)
	return n, nil
}

// peakMemory is the most memory that the program has had so far, in bytes
// (VmHWM in proc_pid_status(5)).
func (p *process) peakMemory(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		t.Skipf("how much memory a process has is not known here: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			return kib << 10
		}
	}
	t.Fatal("there is no VmHWM in the status of a process")
	return 0
}
