package counter

import (
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

func TestManyAtOnce(t *testing.T) {
	const workers, each = 16, 2000
	var c Counter
	h := NewHistogram(1, 2, 4)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := range int64(each) {
				c.Inc()
				c.Add(-1)
				c.Inc()
				h.Observe(i % 8)
			}
		})
	}
	group.Wait()
	if got := c.Value(); got != workers*each {
		t.Errorf("Value() = %d, want %d", got, workers*each)
	}
	const eighth = workers * each / 8
	want := Snapshot{Bounds: []int64{1, 2, 4}, UpTo: []int64{2 * eighth, 3 * eighth, 5 * eighth}, Count: 8 * eighth, Sum: 28 * eighth}
	if diff := cmp.Diff(want, h.Snapshot()); diff != "" {
		t.Errorf("Snapshot(), -want +got:\n%s", diff)
	}
}

func TestRequests(t *testing.T) {
	r := NewRequests()
	for _, status := range []int{101, 200, 204, 304, 404, 503, 0, -1, 600, 1 << 40} {
		r.Begin()
		r.End(status, time.Millisecond)
	}
	r.Begin()
	if diff := cmp.Diff([]int64{4, 1, 2, 1, 1, 1}, r.ByClass()); diff != "" {
		t.Errorf("ByClass(), -want +got:\n%s", diff)
	}
	if got := r.UnderWay(); got != 1 {
		t.Errorf("UnderWay() = %d, want 1", got)
	}
	if s := r.Took(); s.Count != 10 || s.Sum != int64(10*time.Millisecond) || s.UpTo[3] != 10 || s.UpTo[2] != 0 {
		t.Errorf("Took() = %+v, want ten of a millisecond", s)
	}
	if len(r.ByClass()) != len(Classes()) {
		t.Errorf("Classes() = %v, want %d", Classes(), len(r.ByClass()))
	}
}

// Cells that shared a cache line would defeat the purpose.
func TestCellsAreApart(t *testing.T) {
	if cell, ranges := unsafe.Sizeof(cell{}), unsafe.Sizeof(ranges{}); cell%64 != 0 || ranges%64 != 0 {
		t.Errorf("the cells have %d and %d bytes, want multiples of 64", cell, ranges)
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	r := NewRequests()
	if n := testing.AllocsPerRun(100, func() { r.Begin(); r.End(200, time.Second) }); n != 0 {
		t.Errorf("a request costs %v allocations, want none", n)
	}
}

func TestBadBounds(t *testing.T) {
	for _, bounds := range [][]int64{{2, 1}, {1, 1}, make([]int64, MostBounds+1)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewHistogram(%v) did not panic", bounds)
				}
			}()
			NewHistogram(bounds...)
		}()
	}
}

func BenchmarkRequests(b *testing.B) {
	r := NewRequests()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Begin()
			r.End(200, 30*time.Microsecond)
		}
	})
}
