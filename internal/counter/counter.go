// Package counter has counters that many goroutines add to at once without
// standing in each other's way: each addition goes to one of several cells that
// share no cache line, and whoever reads adds them up. So counting costs the hot
// path a few nanoseconds, and reading, which happens when metrics are asked for,
// a little more.
//
// It knows no names, labels or formats; internal/metrics does.
package counter

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// cells is how many parts a counter has. It must be a power of two.
const cells = 8

// cell fills a cache line.
type cell struct {
	n atomic.Int64
	_ [56]byte
}

// Counter is a number that is added to. Its zero value is 0.
type Counter struct{ cells [cells]cell }

// Inc adds one.
func (c *Counter) Inc() { c.Add(1) }

// Add adds n, which may be negative.
func (c *Counter) Add(n int64) { c.at(pick(), n) }

func (c *Counter) at(cell uint32, n int64) { c.cells[cell].n.Add(n) }

// Value returns the sum. Additions that happen meanwhile may or may not be in
// it.
func (c *Counter) Value() int64 {
	var sum int64
	for i := range c.cells {
		sum += c.cells[i].n.Load()
	}
	return sum
}

// pick chooses a cell. The generator behind it belongs to the thread.
func pick() uint32 { return rand.Uint32() % cells }

// MostBounds is how many bounds a histogram can have.
const MostBounds = 15

// Histogram counts values by the range that they lie in. Make one with
// [NewHistogram].
type Histogram struct {
	bounds []int64
	cells  [cells]ranges
}

// ranges is one part of a histogram. Its size is a multiple of a cache line.
type ranges struct {
	counts [MostBounds + 1]atomic.Int64 // the last is for what is above all bounds
	sum    atomic.Int64
	_      [56]byte
}

// NewHistogram returns a histogram whose ranges end at the given bounds, each
// of which belongs to the range below it. The bounds must rise, and there can be
// [MostBounds] of them; it panics on others, which a test would notice.
func NewHistogram(bounds ...int64) *Histogram {
	if len(bounds) > MostBounds {
		panic("counter: too many bounds")
	}
	for i := 1; i < len(bounds); i++ {
		if bounds[i] <= bounds[i-1] {
			panic("counter: the bounds do not rise")
		}
	}
	return &Histogram{bounds: bounds}
}

// Observe counts a value.
func (h *Histogram) Observe(v int64) { h.at(pick(), v) }

func (h *Histogram) at(cell uint32, v int64) {
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	r := &h.cells[cell]
	r.counts[i].Add(1)
	r.sum.Add(v)
}

// Snapshot is what a histogram has counted.
type Snapshot struct {
	Bounds []int64 // not to be changed
	UpTo   []int64 // how many values were at most the bound of the same index
	Count  int64   // how many values there were
	Sum    int64   // of all values
}

// Snapshot returns the counts. Values that are observed meanwhile may or may
// not be in them, and may be in the sum alone.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Bounds: h.bounds, UpTo: make([]int64, len(h.bounds))}
	for i := range h.cells {
		r := &h.cells[i]
		for j := range h.bounds {
			s.UpTo[j] += r.counts[j].Load()
		}
		s.Count += r.counts[len(h.bounds)].Load()
		s.Sum += r.sum.Load()
	}
	var below int64
	for j, n := range s.UpTo {
		below += n
		s.UpTo[j] = below
	}
	s.Count += below
	return s
}

// Durations returns the bounds for how long something takes that is quick as a
// rule, in nanoseconds: from 100 µs to 10 s.
func Durations() []int64 {
	var bounds []int64
	for _, d := range []time.Duration{
		100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
		time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
		50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, time.Second, 2500 * time.Millisecond, 10 * time.Second,
	} {
		bounds = append(bounds, int64(d))
	}
	return bounds
}
