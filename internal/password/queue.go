package password

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// queue lets a bounded number of hashes in, by count and by memory, in the
// order in which they came. First come, first served matters: a hash that
// needs much memory would starve behind small ones otherwise.
type queue struct {
	mu      sync.Mutex // guards all fields below
	slots   int        // free places
	memory  int64      // free bytes
	room    int        // callers that may wait
	waiting list.List  // of *waiter
	running int

	entered, refused, gaveUp int64         // since the start
	waited                   time.Duration // of all that entered or gave up
}

type waiter struct {
	memory int64
	since  time.Time
	ready  chan struct{} // closed, under mu, when the waiter was let in
}

// enter returns nil when the caller may hash; it must call leave then.
func (q *queue) enter(ctx context.Context, memory int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q.mu.Lock()
	if q.waiting.Len() == 0 && q.fits(memory) {
		q.entered++
		q.take(memory)
		q.mu.Unlock()
		return nil
	}
	if q.waiting.Len() >= q.room {
		q.refused++
		q.mu.Unlock()
		return ErrBusy
	}
	w := &waiter{memory: memory, since: time.Now(), ready: make(chan struct{})}
	place := q.waiting.PushBack(w)
	q.mu.Unlock()

	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-w.ready: // let in at the same moment: hand the place on
		q.give(memory)
	default:
		q.gaveUp++
		q.waited += time.Since(w.since)
		q.waiting.Remove(place)
	}
	q.wake() // the one that gave up may have held up smaller ones
	return ctx.Err()
}

func (q *queue) leave(memory int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.give(memory)
	q.wake()
}

// wake lets in whoever is next, as far as there is place. q.mu is held.
func (q *queue) wake() {
	for first := q.waiting.Front(); first != nil; first = q.waiting.Front() {
		w := first.Value.(*waiter)
		if !q.fits(w.memory) {
			return
		}
		q.entered++
		q.waited += time.Since(w.since)
		q.take(w.memory)
		q.waiting.Remove(first)
		close(w.ready)
	}
}

// fits also lets in what is larger than the whole budget, when it is alone:
// nothing may wait for ever.
func (q *queue) fits(memory int64) bool {
	return q.slots > 0 && (q.memory >= memory || q.running == 0)
}

func (q *queue) take(memory int64) {
	q.slots--
	q.memory -= memory
	q.running++
}

func (q *queue) give(memory int64) {
	q.slots++
	q.memory += memory
	q.running--
}

func (q *queue) load() (running, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running, q.waiting.Len()
}

func (q *queue) stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Stats{
		Running: q.running, Waiting: q.waiting.Len(),
		Entered: q.entered, Refused: q.refused, GaveUp: q.gaveUp, Waited: q.waited,
	}
}
