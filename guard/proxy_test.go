package guard_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// network is a way to a server that can be spoilt: connections hang, are cut,
// refused, or carry everything late.
type network struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	open  map[net.Conn]bool
	hang  bool
	late  time.Duration
	moved chan struct{} // closed when hang ends
}

func newNetwork(t testing.TB, server string) *network {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{listener: l, to: strings.TrimPrefix(server, "http://"), open: map[net.Conn]bool{}, moved: make(chan struct{})}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go n.carry(c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		n.cut()
		n.flow()
	})
	return n
}

func (n *network) url() string { return "http://" + n.listener.Addr().String() }

// cut ends all connections.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.open {
		c.Close()
	}
}

// stall lets nothing through any more, in either direction, and ends nothing.
func (n *network) stall() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.hang {
		n.hang, n.moved = true, make(chan struct{})
	}
}

// flow ends what stall began.
func (n *network) flow() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hang {
		n.hang = false
		close(n.moved)
	}
}

// delay makes everything come later by d, in each direction.
func (n *network) delay(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.late = d
}

func (n *network) now() (late time.Duration, wait <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hang {
		return n.late, n.moved
	}
	return n.late, nil
}

func (n *network) carry(here net.Conn) {
	there, err := net.Dial("tcp", n.to)
	if err != nil {
		here.Close()
		return
	}
	n.mu.Lock()
	n.open[here], n.open[there] = true, true
	n.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { n.copy(there, here) })
	both.Go(func() { n.copy(here, there) })
	both.Wait()
	n.mu.Lock()
	delete(n.open, here)
	delete(n.open, there)
	n.mu.Unlock()
}

type piece struct {
	data []byte
	at   time.Time
}

// copy carries one direction. Pieces keep their distance when they are late.
func (n *network) copy(to, from net.Conn) {
	pieces := make(chan piece, 10_000)
	go func() {
		defer close(pieces)
		for {
			b := make([]byte, 32<<10)
			size, err := from.Read(b)
			if size > 0 {
				pieces <- piece{b[:size], time.Now()}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		late, stalled := n.now()
		time.Sleep(time.Until(p.at.Add(late)))
		if stalled != nil {
			<-stalled
		}
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	to.Close()
	from.Close()
	_, _ = io.Copy(io.Discard, from)
	for range pieces { // the reader may wait to hand one over
	}
}
