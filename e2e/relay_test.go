//go:build e2e && linux

package e2e

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// relay stands between a server and its database and can fail in the ways of a
// network. Its zero state passes everything on.
type relay struct {
	to       string
	listener net.Listener
	all      sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	gone  bool          // connections are cut, new ones too
	still chan struct{} // not nil: nothing is passed on until it is closed
}

// newRelay starts a relay to the host of a URL and returns the URL through it.
func newRelay(t *testing.T, address string) (*relay, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{to: u.Host, listener: l, conns: map[net.Conn]bool{}}
	r.all.Go(r.accept)
	t.Cleanup(func() {
		l.Close()
		r.hang(false)
		r.cut(true)
		r.all.Wait()
	})
	u.Host = l.Addr().String()
	return r, u.String()
}

func (r *relay) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.all.Go(func() { r.connect(c) })
	}
}

func (r *relay) connect(c net.Conn) {
	defer c.Close()
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer server.Close()
	if !r.keep(c, server) {
		return
	}
	r.all.Go(func() { r.pass(server, c); c.Close() })
	r.pass(c, server)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
	delete(r.conns, server)
}

// keep notes connections, so that they can be cut.
func (r *relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return false
	}
	for _, c := range conns {
		r.conns[c] = true
	}
	return true
}

// pass hands on what comes from one side, unless the relay hangs.
func (r *relay) pass(from io.Reader, to io.Writer) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		r.mu.Lock()
		still := r.still
		r.mu.Unlock()
		if still != nil {
			<-still
		}
		if _, bad := to.Write(buf[:n]); err != nil || bad != nil {
			return
		}
	}
}

// cut ends all connections and takes no more, or takes them again.
func (r *relay) cut(gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = gone
	for c := range r.conns {
		if gone {
			c.Close()
		}
	}
}

// hang stops passing on, with all connections open, or goes on where it
// stopped.
func (r *relay) hang(still bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case still && r.still == nil:
		r.still = make(chan struct{})
	case !still && r.still != nil:
		close(r.still)
		r.still = nil
	}
}
