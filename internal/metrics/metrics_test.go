package metrics

import (
	"bytes"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/store/watched"
	"github.com/latchkey-auth/latchkey/internal/throttle"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

var update = flag.Bool("update", false, "write docs/reference/metrics.md")

// full returns metrics in which everything has been counted.
func full() *Metrics {
	m := New()
	grid := func(rows, columns int) [][]int64 {
		g := make([][]int64, rows)
		for i := range g {
			g[i] = make([]int64, columns)
		}
		return g
	}
	m.Follow(Sources{
		Tokens: func() tokens.Stats {
			return tokens.Stats{
				Checks: grid(len(tokens.Results()), len(tokens.Places())), Tokens: grid(len(tokens.Events()), len(tokens.Classes())),
				CacheEntries: 7, Lag: time.Second, Bound: 2 * time.Second,
			}
		},
		Audit: func() audit.Stats { return audit.Stats{Waiting: 3} }, Passwords: func() password.Stats { return password.Stats{Entered: 2, Waited: time.Second} },
		Throttle: func() throttle.Stats { return throttle.Stats{} }, Logins: func() []int64 { return []int64{1, 2, 3, 4} },
		Ready: func() bool { return true }, Certificate: func() time.Time { return time.Unix(2_000_000_000, 0) },
		Spans: func() (int64, int64) { return 5, 6 },
	})
	for _, d := range Doors() {
		m.Door(d).Begin()
		m.Door(d).End(200, 3*time.Millisecond)
	}
	m.Route("pulp-api").Begin()
	m.Route("pulp-api").End(0, time.Second)
	m.StoreCall(watched.Lookup, time.Millisecond, true)
	m.Committed(3)
	m.Connected()
	return m
}

func gathered(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler(Build{"v1", "abc", "go1"}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("GET /metrics = %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestSamples(t *testing.T) {
	text := gathered(t, full())
	for _, want := range []string{
		`latchkey_requests_total{code="2xx",door="verify"} 1`,
		`latchkey_requests_total{code="none",door="verify"} 0`,
		`latchkey_request_duration_seconds_bucket{door="api",le="0.0025"} 0`,
		`latchkey_request_duration_seconds_bucket{door="api",le="0.005"} 1`,
		`latchkey_request_duration_seconds_sum{door="api"} 0.003`,
		`latchkey_upstream_requests_total{code="none",route="pulp-api"} 1`,
		`latchkey_store_errors_total{call="lookup"} 1`,
		`latchkey_store_commit_callers_bucket{le="4"} 1`,
		`latchkey_password_queue_wait_seconds_sum 1`,
		`latchkey_password_queue_wait_seconds_count 2`,
		`latchkey_logins_total{outcome="throttled"} 3`,
		`latchkey_change_log_fresh 1`,
		`latchkey_connections_open 1`,
		`latchkey_tls_certificate_not_after_timestamp_seconds 2e+09`,
		`latchkey_build_info{commit="abc",go="go1",version="v1"} 1`,
		`go_goroutines `,
		`process_`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("GET /metrics has no %q", want)
		}
	}
}

// What others count is left out while there is nobody to ask.
func TestWithoutSources(t *testing.T) {
	text := gathered(t, New())
	for _, name := range []string{"latchkey_checks_total", "latchkey_ready", "latchkey_tls_certificate", "latchkey_audit_waiting", "latchkey_store_commit_callers"} {
		if strings.Contains(text, "\n"+name) {
			t.Errorf("GET /metrics of a server without sources has %s", name)
		}
	}
	if !strings.Contains(text, "latchkey_connections_total 0") {
		t.Error("GET /metrics has no latchkey_connections_total 0")
	}
}

func TestNamesAreGood(t *testing.T) {
	registry := prometheus.NewRegistry()
	if err := registry.Register(newCollector(full(), Build{})); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	var got []string
	for _, f := range families {
		got = append(got, f.GetName())
	}
	want := Names()
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Names() and what is gathered, -want +got:\n%s", diff)
	}
}

// Every label has values from its list alone, however many there are of what
// others choose.
func TestLabelsAreBounded(t *testing.T) {
	m := full()
	for i := range 3 * mostRoutes {
		m.Route(fmt.Sprint("route-", i))
	}
	if n := len(m.routeNames()); n > mostRoutes+1 {
		t.Errorf("%d routes are told apart, want at most %d", n, mostRoutes+1)
	}
	allowed := map[string][]string{}
	for _, topic := range table() {
		for _, f := range topic.families {
			for _, l := range f.labels {
				allowed[f.name+" "+l.name] = l.values
			}
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(m, Build{}))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, sample := range f.GetMetric() {
			for _, l := range sample.GetLabel() {
				values, known := allowed[f.GetName()+" "+l.GetName()]
				if f.GetName() == buildInfo || known && values == nil {
					continue
				}
				if !slices.Contains(values, l.GetValue()) {
					t.Errorf("%s has %s=%q, which is not in the list", f.GetName(), l.GetName(), l.GetValue())
				}
			}
		}
	}
}

func TestReference(t *testing.T) {
	const path = "../../docs/reference/metrics.md"
	var want bytes.Buffer
	if err := Reference(&want); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("%s is not what the code says, run make docs. -code +file:\n%s", path, diff)
	}
}

// Every metric that the alert rules and the dashboard name exists.
func TestNamesInPackaging(t *testing.T) {
	name := regexp.MustCompile(`latchkey_[a-z_]+`)
	known := Names()
	for _, path := range []string{"../../packaging/prometheus/alerts.yml", "../../packaging/grafana/latchkey.json", "../../docs/operations.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := name.FindAllString(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s names no metric", path)
		}
		for _, n := range found {
			base := n
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
			if !slices.Contains(known, n) && !slices.Contains(known, base) {
				t.Errorf("%s names %s, which does not exist", path, n)
			}
		}
	}
}
