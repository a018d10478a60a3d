package password

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestQueueBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{slots: 2, memory: 100, room: 2}
		for range 2 {
			if err := q.enter(t.Context(), 10); err != nil {
				t.Fatal(err)
			}
		}
		var in atomic.Int32
		for range 2 {
			go func() {
				if err := q.enter(t.Context(), 10); err == nil {
					in.Add(1)
				}
			}()
		}
		synctest.Wait()
		if running, waiting := q.load(); running != 2 || waiting != 2 || in.Load() != 0 {
			t.Fatalf("load = %d running, %d waiting, %d let in; want 2, 2, 0", running, waiting, in.Load())
		}
		if err := q.enter(t.Context(), 10); !errors.Is(err, ErrBusy) {
			t.Errorf("enter with the queue full = %v, want ErrBusy", err)
		}
		q.leave(10)
		synctest.Wait()
		if got := in.Load(); got != 1 {
			t.Errorf("after one left, %d were let in, want 1", got)
		}
		q.leave(10)
		q.leave(10)
		synctest.Wait()
		if running, waiting := q.load(); running != 1 || waiting != 0 || in.Load() != 2 {
			t.Errorf("load = %d running, %d waiting, %d let in; want 1, 0, 2", running, waiting, in.Load())
		}
		q.leave(10)
		if q.slots != 2 || q.memory != 100 {
			t.Errorf("left over: %d slots, %d bytes; want 2, 100", q.slots, q.memory)
		}
	})
}

func TestQueueMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{slots: 8, memory: 100, room: 8}
		if err := q.enter(t.Context(), 60); err != nil {
			t.Fatal(err)
		}
		order := make(chan int64, 3)
		for _, memory := range []int64{60, 30, 500} {
			go func() {
				if q.enter(t.Context(), memory) == nil {
					order <- memory
				}
			}()
			synctest.Wait() // so that they queue in this order
		}
		if _, waiting := q.load(); waiting != 3 {
			t.Fatalf("%d wait, want 3: the small one must not overtake", waiting)
		}
		q.leave(60)
		synctest.Wait()
		if a, b := <-order, <-order; a+b != 90 {
			t.Errorf("let in %d and %d, want 60 and 30", a, b)
		}
		q.leave(60)
		q.leave(30)
		synctest.Wait()
		if got := <-order; got != 500 {
			t.Errorf("let in %d, want the one that is larger than the budget, alone", got)
		}
		q.leave(500)
		if q.memory != 100 || q.slots != 8 {
			t.Errorf("left over: %d slots, %d bytes; want 8, 100", q.slots, q.memory)
		}
	})
}

func TestQueueContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{slots: 2, memory: 100, room: 8}
		if err := q.enter(t.Context(), 60); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		large, small := make(chan error, 1), make(chan error, 1)
		go func() { large <- q.enter(ctx, 60) }()
		synctest.Wait()
		go func() { small <- q.enter(t.Context(), 10) }()
		synctest.Wait()
		cancel()
		if err := <-large; !errors.Is(err, context.Canceled) {
			t.Errorf("enter after cancel = %v, want context.Canceled", err)
		}
		if err := <-small; err != nil {
			t.Errorf("enter behind one that gave up = %v, want nil", err)
		}
		if err := q.enter(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("enter with a context that is done = %v, want context.Canceled", err)
		}
		q.leave(60)
		q.leave(10)
		if running, waiting := q.load(); running+waiting != 0 || q.memory != 100 || q.slots != 2 {
			t.Errorf("left over: %d running, %d waiting, %d slots, %d bytes", running, waiting, q.slots, q.memory)
		}
	})
}

// The bounds hold, and nothing is lost, when everybody comes and gives up at
// the same time.
func TestQueueStress(t *testing.T) {
	q := &queue{slots: 3, memory: 100, room: 16}
	var inside, bytes atomic.Int64
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				if (i+j)%3 == 0 {
					go cancel()
				}
				memory := int64(10 + (i*j)%50)
				if err := q.enter(ctx, memory); err == nil {
					if n, b := inside.Add(1), bytes.Add(memory); n > 3 || b > 100 {
						t.Errorf("%d inside with %d bytes, want at most 3 and 100", n, b)
					}
					inside.Add(-1)
					bytes.Add(-memory)
					q.leave(memory)
				}
				cancel()
			}
		})
	}
	all.Wait()
	if running, waiting := q.load(); running+waiting != 0 || q.memory != 100 || q.slots != 3 {
		t.Errorf("left over: %d running, %d waiting, %d slots, %d bytes", running, waiting, q.slots, q.memory)
	}
}

func TestPoolIsBusy(t *testing.T) {
	p := quick(t, Options{Parallel: 1, Queue: -1})
	if err := p.queue.enter(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	encoded := p.Dummy("")
	if _, err := p.Hash(t.Context(), "correct horse battery"); !errors.Is(err, ErrBusy) {
		t.Errorf("Hash = %v, want ErrBusy", err)
	}
	if _, err := p.Verify(t.Context(), encoded, "correct horse battery"); !errors.Is(err, ErrBusy) {
		t.Errorf("Verify = %v, want ErrBusy", err)
	}
	// S100: the answer for an unknown name is the same.
	if err := p.Waste(t.Context(), encoded); !errors.Is(err, ErrBusy) {
		t.Errorf("Waste = %v, want ErrBusy", err)
	}
	if running, waiting := p.Load(); running != 1 || waiting != 0 {
		t.Errorf("Load = %d, %d; want 1, 0", running, waiting)
	}
	p.queue.leave(1)
	if err := p.Waste(t.Context(), encoded); err != nil {
		t.Errorf("Waste when idle = %v, want nil", err)
	}
}
