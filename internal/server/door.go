package server

import (
	"net/http"
	"time"

	"github.com/latchkey-auth/latchkey/internal/counter"
	"github.com/latchkey-auth/latchkey/internal/metrics"
	"github.com/latchkey-auth/latchkey/internal/traces"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// door is a handler whose requests are counted.
type door struct {
	http.Handler
	requests *counter.Requests
	name     string
	tracer   *traces.Tracer // nil: its requests are not traced
}

// door makes a door of a handler. Whether the server lives is asked so often
// that nobody wants traces of it.
func (s *Server) door(d metrics.Door, h http.Handler) door {
	made := door{Handler: h, requests: s.metrics.Door(d), name: d.String()}
	if d != metrics.Health {
		made.tracer = s.opts.Tracer
	}
	return made
}

// ServeHTTP answers a request and counts it, however it ends.
func (d door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.requests.Begin()
	began, returned := web.Began(w), false
	ended := func(int) {}
	if d.tracer != nil {
		r, ended = d.tracer.Request(r, d.name, web.RequestID(w))
	}
	defer func() {
		status := endedWith(w, r, returned)
		d.requests.End(status, time.Since(began))
		ended(status)
	}()
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
