package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/latchkey-auth/latchkey/internal/metrics"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/watched"
	"github.com/latchkey-auth/latchkey/internal/traces"
)

// storeWatch tells the metrics and the traces of calls of the store.
type storeWatch struct {
	metrics *metrics.Metrics
	tracer  *traces.Tracer // nil: none
}

// Call implements [watched.Observer].
func (w storeWatch) Call(ctx context.Context, kind watched.Kind, method string) (context.Context, func(error)) {
	began := time.Now()
	traced := func(bool) {}
	if w.tracer != nil {
		ctx, traced = w.tracer.Store(ctx, kind.String(), method)
	}
	return ctx, func(err error) {
		failed := isFailure(ctx, err)
		w.metrics.StoreCall(kind, time.Since(began), failed)
		traced(failed)
	}
}

// isFailure reports whether an error of the store is its own fault. What does
// not exist, what exists already, what a transaction's function found wrong and
// callers who have gone are not.
func isFailure(ctx context.Context, err error) bool {
	return errors.Is(err, store.ErrUnavailable) && !errors.Is(ctx.Err(), context.Canceled)
}

// upstreamWatch tells the metrics and the traces of requests that the gateway
// passes on.
type upstreamWatch struct {
	metrics *metrics.Metrics
	tracer  *traces.Tracer // nil: none
}

// Pass implements [gateway.Observer].
func (w upstreamWatch) Pass(ctx context.Context, route string, h http.Header) func(status int) {
	requests, began := w.metrics.Route(route), time.Now()
	requests.Begin()
	traced := func(int) {}
	if w.tracer != nil {
		traced = w.tracer.Upstream(ctx, route, h)
	}
	return func(status int) {
		requests.End(status, time.Since(began))
		traced(status)
	}
}

// countConnection is the server's [http.Server.ConnState].
func (s *Server) countConnection(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.metrics.Connected()
	case http.StateClosed, http.StateHijacked:
		s.metrics.Disconnected()
	}
}

// isReady reports whether the server does its work, as [Server.ready] says it.
func (s *Server) isReady() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return !s.draining.Load() && s.ping(ctx) == nil && s.tokens.Ready()
}
