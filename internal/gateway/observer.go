package gateway

import (
	"context"
	"net/http"
)

// Observer is told of requests that are passed on, for metrics and traces.
type Observer interface {
	// Pass is told that a request is about to go to the upstream of a route. It
	// may add to the header what says which trace the request belongs to. The
	// function that it returns is called once: with the status when the head of
	// the answer is there, or with 0 when there is none.
	Pass(ctx context.Context, route string, h http.Header) func(status int)
}

// passes tells the observer that the request goes on.
func (x *exchange) passes(h http.Header) {
	if x.g.observer != nil {
		x.passed = x.g.observer.Pass(x.in.Context(), x.route.Name, h)
	}
}

// answered tells the observer what came of it, once.
func (x *exchange) answered(status int) {
	if told := x.passed; told != nil {
		x.passed = nil
		told(status)
	}
}
