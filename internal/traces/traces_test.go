package traces

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

// collector keeps what it is sent.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	header http.Header
	status int
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{status: 200}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bodies, c.header = append(c.bodies, r.URL.Path+" "+string(body)), r.Header
		if c.status == http.StatusTemporaryRedirect {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(c.status)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) tracer(t *testing.T, change func(*Options)) *Tracer {
	t.Helper()
	o := Options{Endpoint: c.URL, Percent: 100, Version: "v1", Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// spans returns what was sent, once the tracer is closed.
func (c *collector) spans(t *testing.T, tr *Tracer) []spanMessage {
	t.Helper()
	tr.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []spanMessage
	for _, body := range c.bodies {
		text, found := strings.CutPrefix(body, "/v1/traces ")
		if !found {
			t.Errorf("spans were sent to %.40s, want /v1/traces", body)
		}
		var d document
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		all = append(all, d.ResourceSpans[0].ScopeSpans[0].Spans...)
	}
	return all
}

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func request(method, target string, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestRequestWithAllThatHangsOnIt(t *testing.T) {
	c := newCollector(t)
	tr := c.tracer(t, func(o *Options) { o.Authorization = secret.New("Bearer planted") })
	r, done := tr.Request(request("POST", "/a/b?x=1", "Traceparent", parent), "gateway", "req1")
	ctx, stored := tr.Store(r.Context(), "lookup", "TokenByDigest")
	if ctx == r.Context() {
		t.Error("Store() within a request returned the same context, want one with a span")
	}
	stored(true)
	h := http.Header{"Traceparent": {parent}, "Tracestate": {"a=b"}}
	passed := tr.Upstream(r.Context(), "app", h)
	passed(0)
	done(502)
	spans := c.spans(t, tr)
	if len(spans) != 3 {
		t.Fatalf("%d spans were sent, want 3: %+v", len(spans), spans)
	}
	store, upstream, whole := spans[0], spans[1], spans[2]
	for _, s := range spans {
		if s.TraceID != "0af7651916cd43dd8448eb211c80319c" || s.Status.Code != statusError || s.Flags != 1 || len(s.Start) != 19 {
			t.Errorf("the span %+v, want it in the client's trace and failed", s)
		}
	}
	if whole.ParentID != "b7ad6b7169203331" || store.ParentID != whole.SpanID || upstream.ParentID != whole.SpanID {
		t.Errorf("the parents are %s, %s and %s, want the client's span and the request's", whole.ParentID, store.ParentID, upstream.ParentID)
	}
	if whole.Name != "POST gateway" || whole.Kind != 2 || store.Name != "store TokenByDigest" || upstream.Name != "upstream app" || upstream.Kind != 3 {
		t.Errorf("the names are %q, %q and %q", whole.Name, store.Name, upstream.Name)
	}
	if want := "00-" + whole.TraceID + "-" + upstream.SpanID + "-01"; h.Get("Traceparent") != want || h.Get("Tracestate") != "" {
		t.Errorf("the service gets %v, want %s", h, want)
	}
	if c.header.Get("Authorization") != "Bearer planted" || c.header.Get("Content-Type") != "application/json" {
		t.Errorf("the collector gets %v", c.header)
	}
	if sent, failed := tr.Spans(); sent != 3 || failed != 0 {
		t.Errorf("Spans() = %d, %d, want 3 and 0", sent, failed)
	}
}

// S69, S110: nothing secret gets into a span, wherever a client puts it.
func TestNothingSecret(t *testing.T) {
	const planted = "plantedNotARealSecret"
	token := "lkp_" + strings.Repeat("a", 38)
	c := newCollector(t)
	tr := c.tracer(t, nil)
	for _, r := range []*http.Request{
		request("GET", "/x?token="+planted, "Authorization", "Bearer "+planted, "Cookie", "s="+planted, "X-Api-Key", planted, "User-Agent", planted, "Baggage", "k="+planted),
		request("GET", "/t/"+token+"/y"),
		request("GET", "/t/%6ckp%5F"+strings.Repeat("%61", 38)),
		request("GET", "/hex/"+strings.Repeat("0123456789", 4)),
		request("GET", "/jwt/eyJhbGciOiJub25lIn0."+planted+".x"),
		request(planted, "/method"),
		request("GET", "/long/"+strings.Repeat("a%20b/", 1000)),
		request("GET", strings.Repeat("/"+strings.Repeat("c", 40), 20)+strings.Repeat("/d", 86)+"/"+strings.Repeat("a", 38)), // cut in the middle of the last
		request("GET", "/broken/%FF%00%0A"),
	} {
		r, done := tr.Request(r, "gateway", "req")
		tr.Upstream(r.Context(), "app", r.Header)(200)
		done(200)
	}
	spans := c.spans(t, tr)
	if len(spans) != 18 {
		t.Errorf("%d spans were sent, want 18", len(spans))
	}
	for _, body := range c.bodies {
		for _, hidden := range []string{planted, token, strings.Repeat("a", 8), "%61%61", "0123456789012345", "eyJ"} {
			if strings.Contains(body, hidden) {
				t.Errorf("%q was sent to the collector: %s", hidden, body)
			}
		}
	}
	var paths []string
	for _, s := range spans {
		for _, a := range s.Attributes {
			if text, _ := a.Value.(map[string]any)["stringValue"].(string); a.Key == "url.path" {
				paths = append(paths, text)
			} else if len(text) > maxValue {
				t.Errorf("the attribute %s has %d bytes, want at most %d", a.Key, len(text), maxValue)
			}
		}
	}
	for _, want := range []string{"/x", "/t/hidden/y", "/t/hidden", "/hex/hidden", "/jwt/hidden", "/broken/%FF%00%0A"} {
		if !slices.Contains(paths, want) {
			t.Errorf("no span has the path %s: %q", want, paths)
		}
	}
}

func TestSampling(t *testing.T) {
	for _, tt := range []struct {
		percent int
		header  []string
		spans   int
	}{
		{100, nil, 1},
		{0, nil, 0},
		{100, []string{"Traceparent", parent}, 1},
		{0, []string{"Traceparent", parent}, 0}, // a client cannot make the server do more than it was told
		{100, []string{"Traceparent", parent[:len(parent)-1] + "0"}, 0},
		{100, []string{"Traceparent", "00-nonsense"}, 1},
	} {
		c := newCollector(t)
		tr := c.tracer(t, func(o *Options) { o.Percent = tt.percent })
		r, done := tr.Request(request("GET", "/", tt.header...), "api", "req")
		h := http.Header{}
		tr.Upstream(r.Context(), "app", h)(200)
		_, stored := tr.Store(r.Context(), "read", "Token")
		stored(false)
		done(200)
		if got := len(c.spans(t, tr)); got != 3*tt.spans {
			t.Errorf("%d%% of %v: %d spans, want %d", tt.percent, tt.header, got, 3*tt.spans)
		}
		if h.Get("Traceparent") == "" {
			t.Errorf("%d%% of %v: the service gets no traceparent", tt.percent, tt.header)
		}
	}
}

// What the server does by itself has no traces.
func TestStoreOutsideOfRequests(t *testing.T) {
	c := newCollector(t)
	tr := c.tracer(t, nil)
	ctx, done := tr.Store(t.Context(), "follow", "ChangesAfter")
	done(false)
	if ctx != t.Context() {
		t.Error("Store() without a request returned another context")
	}
	if got := c.spans(t, tr); len(got) != 0 {
		t.Errorf("%d spans were sent, want none", len(got))
	}
}

// S113: the collector is asked where it was configured to be, and nowhere else.
func TestCollectorThatMisbehaves(t *testing.T) {
	for _, status := range []int{http.StatusTemporaryRedirect, http.StatusBadRequest, http.StatusServiceUnavailable} {
		c := newCollector(t)
		c.status = status
		var log strings.Builder
		tr := c.tracer(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		_, done := tr.Request(request("GET", "/"), "api", "req")
		done(200)
		if got := len(c.spans(t, tr)); got != 1 || len(c.bodies) != 1 {
			t.Errorf("after a %d the collector was asked %d times, want once", status, len(c.bodies))
		}
		if sent, failed := tr.Spans(); sent != 0 || failed != 1 {
			t.Errorf("Spans() after a %d = %d, %d, want 0 and 1", status, sent, failed)
		}
		if !strings.Contains(log.String(), "traces cannot be sent") {
			t.Errorf("after a %d the log says %q", status, log.String())
		}
	}
	c := newCollector(t)
	c.Close()
	tr := c.tracer(t, nil)
	_, done := tr.Request(request("GET", "/"), "api", "req")
	done(200)
	tr.Close()
	if sent, failed := tr.Spans(); sent != 0 || failed != 1 {
		t.Errorf("Spans() without a collector = %d, %d, want 0 and 1", sent, failed)
	}
}

func TestBadEndpoint(t *testing.T) {
	for _, endpoint := range []string{"", "collector", "ftp://h", "http://"} {
		if _, err := New(Options{Endpoint: endpoint, Log: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("New() with the endpoint %q succeeded", endpoint)
		}
	}
}

// FuzzCleanPath checks that no path makes the cleaner panic or gets through
// whole with something that may be a token.
func FuzzCleanPath(f *testing.F) {
	for _, seed := range []string{"", "/", "/a/b", "/t/lkp_" + strings.Repeat("x", 38), "/\xff\x00", strings.Repeat("/é", 300), strings.Repeat("0", 31) + " "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := cleanPath(path)
		if len(got) > maxValue {
			t.Errorf("cleanPath(%q) has %d bytes, want at most %d", path, len(got), maxValue)
		}
		if slices.ContainsFunc(strings.Split(got, "/"), secretive) {
			t.Errorf("cleanPath(%q) = %q, which may have a secret", path, got)
		}
	})
}
