package server

import (
	"net/http"
	"time"

	"github.com/latchkey-auth/latchkey/internal/counter"
	"github.com/latchkey-auth/latchkey/internal/metrics"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// door is a handler whose requests are counted.
type door struct {
	http.Handler
	requests *counter.Requests
}

// door makes a door of a handler.
func (s *Server) door(d metrics.Door, h http.Handler) door {
	return door{h, s.metrics.Door(d)}
}

// ServeHTTP answers a request and counts it, however it ends.
func (d door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.requests.Begin()
	began, returned := time.Now(), false
	defer func() { d.requests.End(endedWith(w, r, returned), time.Since(began)) }()
	d.Handler.ServeHTTP(w, r)
	returned = true
}

// endedWith returns the status to count a request under; 0 when the client was
// gone before there was an answer.
func endedWith(w http.ResponseWriter, r *http.Request, returned bool) int {
	status := web.StatusOf(w)
	switch {
	case status == 0 && returned:
		return http.StatusOK // as the server says for a handler that said nothing
	case status == 0:
		return http.StatusInternalServerError // as [web.Recover] is about to say
	case status >= http.StatusInternalServerError && r.Context().Err() != nil:
		return 0
	}
	return status
}
