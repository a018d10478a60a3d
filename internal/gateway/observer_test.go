package gateway

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// passing notes what an observer is told.
type passing struct {
	mu   sync.Mutex
	told []any
}

func (p *passing) Pass(_ context.Context, route string, h http.Header) func(status int) {
	p.note("to " + route)
	h.Set("Traceparent", "ours")
	return func(status int) { p.note(status) }
}

func (p *passing) note(what any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, what)
}

func (p *passing) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = nil
}

func (p *passing) all() []any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.told)
}

// The observer is told of each request that is passed on, once of its beginning
// and once of its end, and may say which trace it belongs to.
func TestObserver(t *testing.T) {
	var seen atomic.Value
	upstream := rawHandler(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Get("Traceparent"))
		if r.URL.Path == "/pulp/content/cut" {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusTeapot)
	})
	p := &passing{}
	h := open(t, Options{Routes: one(mustURL(t, upstream), func(r *Route) { r.Name = "app" }), Observer: p})
	for _, tt := range []struct {
		path, token string
		told        []any
	}{
		{"/pulp/content/x", aliceToken, []any{"to app", http.StatusTeapot}},
		{"/pulp/content/cut", aliceToken, []any{"to app", 0}},
		{"/pulp/content/x", "lkp_nobodys", nil}, // goes no further
	} {
		p.forget()
		req, _ := http.NewRequest(http.MethodGet, h.URL+tt.path, nil)
		req.Header = bearer(tt.token)
		req.Header.Set("Traceparent", "the client's")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		var diff string
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // the end is told after the client has all
			if diff = cmp.Diff(tt.told, p.all()); diff == "" || time.Now().After(deadline) {
				break
			}
		}
		if diff != "" {
			t.Errorf("GET %s: what the observer is told, -want +got:\n%s", tt.path, diff)
		}
	}
	if got := seen.Load(); got != "ours" {
		t.Errorf("the upstream gets the traceparent %q, want the observer's", got)
	}
}
