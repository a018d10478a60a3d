package web

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// statusWriter remembers the status of an answer: what the client was told
// first, or 0 as long as nothing was. Its methods besides those of every
// [http.ResponseWriter] are for [http.ResponseController].
type statusWriter struct {
	http.ResponseWriter
	began   time.Time // zero: that is not known
	status  int
	limited atomic.Bool // the handler said how long the body is waited for
}

// StatusOf returns the status that was sent through w so far: 0 as long as none
// was, and for a w that is not what [Recover] hands on.
func StatusOf(w http.ResponseWriter) int {
	if noted, ok := w.(*statusWriter); ok {
		return noted.status
	}
	return 0
}

// Began returns when the request that w answers came; now where [Identify] did
// not see it.
func Began(w http.ResponseWriter) time.Time {
	if noted, ok := w.(*statusWriter); ok && !noted.began.IsZero() {
		return noted.began
	}
	return time.Now()
}

// noting returns a statusWriter for w: w itself if it is one to which nothing
// was written yet.
func noting(w http.ResponseWriter) *statusWriter {
	if noted, ok := w.(*statusWriter); ok && noted.status == 0 {
		return noted
	}
	return &statusWriter{ResponseWriter: w, began: Began(w)}
}

func (w *statusWriter) note(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// WriteHeader notes the status. Those below 200 announce another one.
func (w *statusWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.note(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write notes the status that goes without saying.
func (w *statusWriter) Write(b []byte) (int, error) {
	w.note(http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// FlushError sends what was written so far, and with it the status.
func (w *statusWriter) FlushError() error {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if !errors.Is(err, http.ErrNotSupported) {
		w.note(http.StatusOK)
	}
	return err
}

// Hijack hands over the connection; what is said on it is the taker's.
func (w *statusWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.note(http.StatusSwitchingProtocols)
	}
	return conn, rw, err
}

// SetReadDeadline limits how long the body is waited for.
func (w *statusWriter) SetReadDeadline(t time.Time) error {
	w.limited.Store(true)
	return http.NewResponseController(w.ResponseWriter).SetReadDeadline(t)
}

// limitRest limits how long the server waits for what is left of a body: it
// reads that before it answers, and would wait without end.
func (w *statusWriter) limitRest(r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody || w.limited.Load() || w.status == http.StatusSwitchingProtocols {
		return
	}
	_ = http.NewResponseController(w.ResponseWriter).SetReadDeadline(time.Now().Add(bodyTime))
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
