// Package throttle counts what must not happen too often, in memory that has
// a hard bound however many keys an attacker thinks of. Limiter is the plain
// counter, one budget per key; Logins puts several of them together into a
// rule for failed logins that slows a guesser down and cannot be used to lock
// the rightful owner of an account out.
//
// The counters are those of one process. They can be written out and read
// back, so that a restart does not hand out new budgets. The package answers
// no requests, checks no passwords and reports nothing.
package throttle

import (
	"container/heap"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// Rate is a budget: Burst events at once, and then one more per Every.
type Rate struct {
	Burst int
	Every time.Duration
}

func (r Rate) span() int64 { return int64(r.Burst) * int64(r.Every) }

// LimiterOptions bounds a Limiter. The zero value is good.
type LimiterOptions struct {
	Max int              // keys remembered at most; 65536 if zero
	Now func() time.Time // time.Now if nil
}

// Limiter gives each key the same budget, by the generic cell rate algorithm:
// all it keeps of a key is the time at which its budget will be full again,
// and nothing of a key whose budget is full. When the table is full, the key
// that is nearest to a full budget is forgotten, so that flooding it with new
// keys does not wash out those that were charged most. Its methods may be
// called from several goroutines.
type Limiter struct {
	rate   Rate
	now    func() time.Time
	seed   seed
	shards [16]shard
}

// NewLimiter makes a Limiter. A burst below one counts as one.
func NewLimiter(rate Rate, opts LimiterOptions) *Limiter {
	return newLimiter(rate, opts, newSeed())
}

func newLimiter(rate Rate, opts LimiterOptions, s seed) *Limiter {
	rate.Burst = max(rate.Burst, 1)
	if opts.Max <= 0 {
		opts.Max = 1 << 16
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	l := &Limiter{rate: rate, now: opts.Now, seed: s}
	for i := range l.shards {
		l.shards[i].index = make(map[key]int)
		l.shards[i].max = max(opts.Max/len(l.shards), 1)
	}
	return l
}

// Take charges one event to a key. Where the budget does not allow it, the
// time until it will is returned, nothing is charged, and the Charge is empty;
// otherwise that time is zero. A refused event costs nothing, so that asking
// again and again does not prolong the wait.
func (l *Limiter) Take(name string) (Charge, time.Duration) { return l.take(l.seed.key(name)) }

// Len tells how many keys are remembered.
func (l *Limiter) Len() int {
	n := 0
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		n += len(s.heap)
		s.mu.Unlock()
	}
	return n
}

func (l *Limiter) take(k key) (Charge, time.Duration) { return l.takeUpTo(k, l.rate.Burst) }

// takeUpTo is take with a smaller burst than the limiter's own.
func (l *Limiter) takeUpTo(k key, burst int) (Charge, time.Duration) {
	s, now := l.shard(k), l.now().UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	full := now
	i, known := s.index[k]
	if known {
		// The upper bound matters when the clock was set back.
		full = min(max(s.heap[i].full, now), now+l.rate.span())
	}
	full += int64(l.rate.Every)
	if wait := full - now - int64(burst)*int64(l.rate.Every); wait > 0 {
		return Charge{}, time.Duration(wait)
	}
	s.set(k, full)
	return Charge{limiter: l, key: k, full: full}, 0
}

// Charge is one event that was charged. Its zero value is no charge.
type Charge struct {
	limiter *Limiter
	key     key
	full    int64 // when this charge will have been paid off
}

// Return gives back what time has not paid off yet, as if the event had not
// been. It must be called once at most.
func (c Charge) Return() {
	if c.limiter == nil {
		return
	}
	s, now := c.limiter.shard(c.key), c.limiter.now().UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	i, known := s.index[c.key]
	rest := min(c.full-now, int64(c.limiter.rate.Every))
	if !known || rest <= 0 {
		return
	}
	s.set(c.key, s.heap[i].full-rest)
	s.expire(now)
}

func (l *Limiter) shard(k key) *shard { return &l.shards[k[0]%byte(len(l.shards))] }

// entries returns a copy of the keys whose budget is not full.
func (l *Limiter) entries() []entry {
	now := l.now().UnixNano()
	var all []entry
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		for _, e := range s.heap {
			if e.full > now {
				all = append(all, e)
			}
		}
		s.mu.Unlock()
	}
	return all
}

// add puts an entry back that was written out earlier. One that claims to be
// more charged than the budget allows is cut to that.
func (l *Limiter) add(e entry) {
	now := l.now().UnixNano()
	if e.full <= now {
		return
	}
	s := l.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(e.key, min(e.full, now+l.rate.span()))
}

// shard is one part of the table. Its heap has the entry that is nearest to a
// full budget first; index says where a key is in it.
type shard struct {
	mu    sync.Mutex
	index map[key]int
	heap  []entry
	max   int
}

type entry struct {
	key  key
	full int64 // when the budget will be full again, in ns since 1970
}

// set stores an entry and forgets the least charged one where the table is
// full. s.mu is held, as in all methods below.
func (s *shard) set(k key, full int64) {
	if i, known := s.index[k]; known {
		s.heap[i].full = full
		heap.Fix(s, i)
		return
	}
	if len(s.heap) >= s.max {
		heap.Pop(s)
	}
	heap.Push(s, entry{key: k, full: full})
}

// expire forgets a few entries whose budget is full again; two for each one
// that may come in are enough to get rid of all.
func (s *shard) expire(now int64) {
	for range 2 {
		if len(s.heap) == 0 || s.heap[0].full > now {
			return
		}
		heap.Pop(s)
	}
}

// Len, Less, Swap, Push and Pop make the shard a heap.Interface.

func (s *shard) Len() int { return len(s.heap) }

func (s *shard) Less(i, j int) bool { return s.heap[i].full < s.heap[j].full }

func (s *shard) Swap(i, j int) {
	s.heap[i], s.heap[j] = s.heap[j], s.heap[i]
	s.index[s.heap[i].key], s.index[s.heap[j].key] = i, j
}

func (s *shard) Push(x any) {
	e := x.(entry)
	s.index[e.key] = len(s.heap)
	s.heap = append(s.heap, e)
}

func (s *shard) Pop() any {
	e := s.heap[len(s.heap)-1]
	s.heap = s.heap[:len(s.heap)-1]
	delete(s.index, e.key)
	return e
}

// key stands for names of any length and anybody's choice. It is made with a
// seed that nobody outside knows, so that collisions and crowded shards
// cannot be aimed at.
type key [16]byte

type seed [32]byte

func newSeed() seed {
	var s seed
	rand.Read(s[:]) // never fails, as of Go 1.24
	return s
}

func (s seed) key(parts ...string) key {
	buf := make([]byte, 0, 128)
	buf = append(buf, s[:]...)
	for _, part := range parts {
		buf = binary.BigEndian.AppendUint64(buf, uint64(len(part)))
		buf = append(buf, part...)
	}
	sum := sha256.Sum256(buf)
	return key(sum[:16])
}
