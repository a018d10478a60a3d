package counter

import "time"

// Classes names the classes of HTTP statuses, in the order of
// [Requests.ByClass]. "none" stands for requests that ended without a status:
// the connection was cut, or nobody answered.
func Classes() []string { return []string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"} }

const classes = 6

// Requests counts HTTP requests: those that began, those that ended by the class
// of their status, and how long they took. Make one with [NewRequests].
type Requests struct {
	began Counter
	ended [classes]Counter
	took  *Histogram // ns
}

// NewRequests returns a counter of requests.
func NewRequests() *Requests { return &Requests{took: NewHistogram(Durations()...)} }

// Begin counts a request that begins. Each must end with [Requests.End].
func (r *Requests) Begin() { r.began.Inc() }

// End counts a request that ended with a status after some time. A status that
// is none is one that was not sent.
func (r *Requests) End(status int, took time.Duration) {
	class := status / 100
	if class < 0 || class >= classes {
		class = 0
	}
	at := pick()
	r.ended[class].at(at, 1)
	r.took.at(at, int64(took))
}

// ByClass returns how many requests ended with each of the [Classes].
func (r *Requests) ByClass() []int64 {
	n := make([]int64, classes)
	for i := range r.ended {
		n[i] = r.ended[i].Value()
	}
	return n
}

// UnderWay returns how many requests have begun and not ended.
func (r *Requests) UnderWay() int64 {
	var ended int64
	for _, n := range r.ByClass() { // first, so that the difference is never negative
		ended += n
	}
	return r.began.Value() - ended
}

// Took returns how long requests took, in nanoseconds.
func (r *Requests) Took() Snapshot { return r.took.Snapshot() }
