package gateway

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// requestBody is a client's body on its way to an upstream. It remembers
// whether reading it failed, to tell a client's mistake from an upstream's, and
// hands on trailer fields that were announced and may pass.
type requestBody struct {
	io.ReadCloser
	watch    *watch
	received http.Header // filled by net/http at the end of the body
	passed   http.Header // what the upstream gets
	failed   atomic.Bool
}

// newRequestBody wraps a body. Trailer has the announced names, as
// [http.Request] has them; pass says which of them go on.
func newRequestBody(body io.ReadCloser, watch *watch, trailer http.Header, pass func(name string) bool) *requestBody {
	b := &requestBody{ReadCloser: body, watch: watch, received: trailer}
	for name := range trailer {
		if pass(name) {
			if b.passed == nil {
				b.passed = http.Header{}
			}
			b.passed[name] = nil
		}
	}
	return b
}

// Read reads on. The transport looks at the trailer after the end, in the same
// goroutine.
func (b *requestBody) Read(p []byte) (int, error) {
	b.watch.moved(true)
	n, err := b.ReadCloser.Read(p)
	b.watch.moved(false)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		for name := range b.passed {
			b.passed[name] = b.received[name]
		}
	case !errors.Is(err, http.ErrBodyReadAfterClose):
		b.failed.Store(true)
	}
	return n, err
}

// broken reports whether the client's body could not be read to its end.
func (b *requestBody) broken() bool { return b.failed.Load() }

// copyBuffer is the size of the buffers between the two sides, in bytes.
const copyBuffer = 64 << 10

// bufferPool keeps buffers for bodies. [httputil.BufferPool] deals in slices;
// what is pooled are arrays, which need no allocation to be put back.
type bufferPool struct{ pool sync.Pool }

func newBufferPool() *bufferPool {
	return &bufferPool{pool: sync.Pool{New: func() any { return new([copyBuffer]byte) }}}
}

// Get returns a buffer.
func (p *bufferPool) Get() []byte { return p.pool.Get().(*[copyBuffer]byte)[:] }

// Put takes a buffer back.
func (p *bufferPool) Put(b []byte) { p.pool.Put((*[copyBuffer]byte)(b)) }
