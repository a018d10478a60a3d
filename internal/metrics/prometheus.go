package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/latchkey-auth/latchkey/internal/counter"
)

// Build is what the program was made from. It is shown with the metrics, and
// nowhere else where others than administrators can see it (S116).
type Build struct{ Version, Commit, Go string }

// Handler returns what answers Prometheus, with the metrics of the Go runtime
// and of the process beside our own.
func (m *Metrics) Handler(b Build) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister( // fails only on two metrics of one name, which a test would notice
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newCollector(m, b),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4, Timeout: 30 * time.Second, DisableCompression: true,
	})
}

// collector reads the table for Prometheus.
type collector struct {
	metrics  *Metrics
	families []described
	build    prometheus.Metric
}

type described struct {
	family
	desc *prometheus.Desc
}

// buildInfo is the one metric that needs more than the counters.
const (
	buildInfo     = "latchkey_build_info"
	buildInfoHelp = "Always 1. The labels say what the program was built from."
)

func newCollector(m *Metrics, b Build) *collector {
	c := &collector{metrics: m}
	for _, t := range table() {
		for _, f := range t.families {
			var labels []string
			for _, l := range f.labels {
				labels = append(labels, l.name)
			}
			c.families = append(c.families, described{f, prometheus.NewDesc(f.name, f.help, labels, nil)})
		}
	}
	desc := prometheus.NewDesc(buildInfo, buildInfoHelp, []string{"version", "commit", "go"}, nil)
	c.build = prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, 1, b.Version, b.Commit, b.Go)
	return c
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range c.families {
		to <- f.desc
	}
	to <- c.build.Desc()
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(to chan<- prometheus.Metric) {
	for _, f := range c.families {
		f.read(c.metrics, promSink{f, to})
	}
	to <- c.build
}

// promSink turns samples into what Prometheus' library takes.
type promSink struct {
	of described
	to chan<- prometheus.Metric
}

func (s promSink) value(v float64, labels ...string) {
	t := prometheus.GaugeValue
	if s.of.kind == counting {
		t = prometheus.CounterValue
	}
	s.to <- prometheus.MustNewConstMetric(s.of.desc, t, v, labels...)
}

func (s promSink) histogram(h counter.Snapshot, per float64, labels ...string) {
	buckets := make(map[float64]uint64, len(h.Bounds))
	for i, bound := range h.Bounds {
		buckets[float64(bound)/per] = uint64(h.UpTo[i])
	}
	s.to <- prometheus.MustNewConstHistogram(s.of.desc, uint64(h.Count), float64(h.Sum)/per, buckets, labels...)
}

func (s promSink) summary(count uint64, sum float64, labels ...string) {
	s.to <- prometheus.MustNewConstSummary(s.of.desc, count, sum, nil, labels...)
}
