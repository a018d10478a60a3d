package gateway

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"

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

// The observer is told of each request that is passed on, once of its beginning
// and once of its end, and may say which trace it belongs to.
func TestObserver(t *testing.T) {
	var seen string
	upstream := rawHandler(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Get("Traceparent")
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
		p.told = nil
		req, _ := http.NewRequest(http.MethodGet, h.URL+tt.path, nil)
		req.Header = bearer(tt.token)
		req.Header.Set("Traceparent", "the client's")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		p.mu.Lock()
		if diff := cmp.Diff(tt.told, p.told); diff != "" {
			t.Errorf("GET %s: what the observer is told, -want +got:\n%s", tt.path, diff)
		}
		p.mu.Unlock()
	}
	if seen != "ours" {
		t.Errorf("the upstream gets the traceparent %q, want the observer's", seen)
	}
}
