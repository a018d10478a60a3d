package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/counter"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/metrics"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
	"github.com/latchkey-auth/latchkey/internal/traces"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// How a request ended is counted, whatever became of it. S89: what panics is an
// error to the client and in the count.
func TestDoorCountsEveryEnd(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		gone    bool // the client
		class   string
	}{
		{"an answer", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, false, "2xx"},
		{"a body alone", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }, false, "2xx"},
		{"nothing said", func(http.ResponseWriter, *http.Request) {}, false, "2xx"},
		{"an announcement", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(403) }, false, "4xx"},
		{"a panic", func(http.ResponseWriter, *http.Request) { panic("x") }, false, "5xx"},
		{"a panic halfway", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); panic(http.ErrAbortHandler) }, false, "2xx"},
		{"an error for nobody", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, true, "none"},
		{"an answer for nobody", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }, true, "2xx"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := door{Handler: tt.handler, requests: counter.NewRequests()}
			log := slog.New(slog.DiscardHandler)
			fail := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.gone {
				cancel()
			}
			w := httptest.NewRecorder()
			func() {
				defer func() { _ = recover() }()
				web.Recover(log, fail, web.LogRequests(log, d)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
			}()
			for i, n := range d.requests.ByClass() {
				want := int64(0)
				if counter.Classes()[i] == tt.class {
					want = 1
				}
				if n != want {
					t.Errorf("%d requests are counted as %s, want %d", n, counter.Classes()[i], want)
				}
			}
			if d.requests.UnderWay() != 0 {
				t.Errorf("%d requests are under way, want none", d.requests.UnderWay())
			}
			if tt.class == "5xx" && w.Code < 500 {
				t.Errorf("the client got %d, want an error", w.Code)
			}
		})
	}
}

func TestCountingAtTheDoorDoesNotAllocate(t *testing.T) {
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	d := door{Handler: nothing, requests: counter.NewRequests()}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	if n := testing.AllocsPerRun(100, func() { d.ServeHTTP(w, r) }); n != 0 {
		t.Errorf("a request at a door costs %v allocations, want none", n)
	}
}

func TestFailuresOfTheStore(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		ctx  context.Context
		err  error
		want bool
	}{
		{t.Context(), nil, false},
		{t.Context(), store.ErrNotFound, false},
		{t.Context(), store.ErrConflict, false},
		{t.Context(), errors.New("what a transaction found"), false},
		{t.Context(), store.ErrUnavailable, true},
		{gone, store.ErrUnavailable, false},
	} {
		if got := isFailure(tt.ctx, tt.err); got != tt.want {
			t.Errorf("isFailure(%v) = %v, want %v", tt.err, got, tt.want)
		}
	}
}

// observed is a server with a service behind it, and what the service was sent.
func observed(t *testing.T, tracer *traces.Tracer) (*Server, *metrics.Metrics, *http.Header) {
	t.Helper()
	var sent http.Header
	behind := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { sent = r.Header }))
	t.Cleanup(behind.Close)
	upstream, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: sqlite.Memory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	m := metrics.New()
	s, err := New(Options{
		Store: db, Keys: coretest.NewKeys(t), Log: slog.New(slog.DiscardHandler), Metrics: m, Tracer: tracer,
		Routes: []gateway.Route{
			{Name: "app", Prefix: "/app", Upstream: upstream, Auth: gateway.Optional},
			{Name: "down", Prefix: "/down", Upstream: &url.URL{Scheme: "unix", Path: "/nowhere"}, Auth: gateway.Optional},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, m, &sent
}

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func through(t *testing.T, s *Server, path string) int {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Traceparent", traceparent)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code
}

func TestUpstreamsAreCounted(t *testing.T) {
	s, m, sent := observed(t, nil)
	for path, want := range map[string]int{"/app/x": 200, "/down/x": 502, "/nothing": 404} {
		if got := through(t, s, path); got != want {
			t.Errorf("GET %s = %d, want %d", path, got, want)
		}
	}
	for route, want := range map[string][]int64{"app": {0, 0, 1, 0, 0, 0}, "down": {1, 0, 0, 0, 0, 0}} {
		if diff := cmp.Diff(want, m.Route(route).ByClass()); diff != "" {
			t.Errorf("the requests to %s, -want +got:\n%s", route, diff)
		}
		if n := m.Route(route).UnderWay(); n != 0 {
			t.Errorf("%d requests to %s are under way, want none", n, route)
		}
	}
	if diff := cmp.Diff([]int64{0, 0, 1, 0, 1, 1}, m.Door(metrics.Gateway).ByClass()); diff != "" {
		t.Errorf("the requests at the gateway, -want +got:\n%s", diff)
	}
	if got := sent.Get("Traceparent"); got != traceparent {
		t.Errorf("without traces the service gets the traceparent %q, want the client's", got)
	}
}

func TestTracesGoThroughTheGateway(t *testing.T) {
	bodies := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- string(body)
	}))
	defer collector.Close()
	tracer, err := traces.New(traces.Options{Endpoint: collector.URL, Percent: 100, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s, _, sent := observed(t, tracer)
	if got := through(t, s, "/app/x?token=planted"); got != 200 {
		t.Fatalf("GET /app/x = %d, want 200", got)
	}
	through(t, s, alivePath) // is not worth a span
	if got := sent.Get("Traceparent"); !strings.HasPrefix(got, traceparent[:36]) || strings.Contains(got, "b7ad6b7169203331") {
		t.Errorf("the service gets the traceparent %q, want the client's trace and a span of ours", got)
	}
	if err := s.Reload(s.opts); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/latchkey/api/v1/whoami", nil)
	r.Header.Set("Authorization", "Bearer "+strings.Repeat("0", 40)) // asks the store
	s.ServeHTTP(httptest.NewRecorder(), r)
	tracer.Close()
	close(bodies)
	var all strings.Builder
	for body := range bodies {
		all.WriteString(body)
	}
	for _, want := range []string{`"GET gateway"`, `"upstream app"`, `"GET api"`, `"store TokenByDigest"`, `"stringValue":"/app/x"`} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no span has %s: %s", want, &all)
		}
	}
	for _, never := range []string{"planted", "health", "0000000000000000000000000000000000000000"} {
		if strings.Contains(all.String(), never) {
			t.Errorf("the spans have %q: %s", never, &all)
		}
	}
}

// What is counted elsewhere is there as soon as the server is.
func TestServerFeedsItsMetrics(t *testing.T) {
	s, m, _ := observed(t, nil)
	through(t, s, verifyPath+"?scope=path:/x:read")
	s.countConnection(nil, http.StateNew)
	w := httptest.NewRecorder()
	m.Handler(metrics.Build{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`latchkey_requests_total{code="4xx",door="verify"} 1`, `latchkey_connections_open 1`, `latchkey_change_log_fresh 0`,
		`latchkey_ready 0`, `latchkey_cache_capacity 100000`, `latchkey_password_queue 0`, `latchkey_audit_waiting `,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("GET /metrics has no %q:\n%s", want, grep(w.Body.String(), want))
		}
	}
}

// grep returns the lines that begin as a text does, up to a bracket.
func grep(text, like string) string {
	name, _, _ := strings.Cut(like, "{")
	name, _, _ = strings.Cut(name, " ")
	var found []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, name) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}
