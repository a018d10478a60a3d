package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// errStalled says that nothing moved for too long. It ends the request to the
// upstream.
var errStalled = errors.New("nothing moved for too long")

// watch ends an exchange in which nothing moves. The transport bounds how long
// the head of an answer may take once the request is sent, but neither how long
// an upstream may leave a body unread nor how long it may pause within its own,
// and either would hold both connections for ever.
//
// A client may take an answer as slowly as it likes: that it does is not waited
// for here.
type watch struct {
	limit  time.Duration
	cancel context.CancelCauseFunc // of the request to the upstream
	client *http.ResponseController

	mu      sync.Mutex
	timer   *time.Timer // nil: nothing was waited for yet
	waiting bool
	over    bool // the upstream has begun to answer
	reading bool // the client is the one who has to move
	late    bool // the client did not
	stalled bool // the upstream did not
}

// wait begins to wait, or begins anew.
func (w *watch) wait() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.start()
}

// start is wait with the lock held.
func (w *watch) start() {
	w.waiting = true
	if w.timer == nil {
		w.timer = time.AfterFunc(w.limit, w.end)
		return
	}
	w.timer.Reset(w.limit)
}

// moved notes progress in the client's body, and who has to move next. The
// first begins the waiting: before it the transport may be waiting itself, for
// the upstream's leave to send a body (Expect).
func (w *watch) moved(client bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reading = client
	if w.waiting || !w.over {
		w.start()
	}
}

// rest ends the waiting.
func (w *watch) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting, w.over = false, true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// end is called when the time is over.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.waiting:
	case w.reading:
		w.late = true
		_ = w.client.SetReadDeadline(time.Unix(1, 0)) // what cannot be ended so is ended by the client
	default:
		w.stalled = true
		w.cancel(errStalled)
	}
}

// fault reports who did not move in time, if anybody.
func (w *watch) fault() (client, upstream bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.late, w.stalled
}

// responseBody is an upstream's body that is waited for only while it is read.
type responseBody struct {
	io.ReadCloser
	watch *watch
}

// Read reads on.
func (b *responseBody) Read(p []byte) (int, error) {
	b.watch.wait()
	defer b.watch.rest()
	return b.ReadCloser.Read(p)
}
