package metrics

import "github.com/latchkey-auth/latchkey/internal/counter"

// kind is the type of a metric, as Prometheus has them.
type kind string

const (
	counting  kind = "counter"
	gauge     kind = "gauge"
	histogram kind = "histogram"
	summary   kind = "summary"
)

// label is a label with all values that it can have.
type label struct {
	name   string
	values []string // nil: the names of the gateway's routes
}

// family is a metric with its description.
type family struct {
	name   string
	kind   kind
	help   string
	labels []label
	read   func(m *Metrics, to sink)
}

// sink takes the samples of one family. The values of the labels are in the
// order of the family's.
type sink interface {
	value(v float64, labels ...string)
	histogram(s counter.Snapshot, per float64, labels ...string) // per: as much in the snapshot is 1
	summary(count uint64, sum float64, labels ...string)
}

// one is the reader of a family without labels. It reads nothing while there is
// no such source.
func one(read func(m *Metrics) (float64, bool)) func(*Metrics, sink) {
	return func(m *Metrics, to sink) {
		if v, ok := read(m); ok {
			to.value(v)
		}
	}
}

// truth is 1 for true.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
