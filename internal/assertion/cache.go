package assertion

import (
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/identity"
)

// key says whose assertion it is, and for whom. An identity is known by its
// address: the core hands out the same one as long as nothing has changed about
// the token and its account, and another one from then on. So what was revoked
// is not found here any more.
type key struct {
	id       *identity.Identity
	audience string
}

const (
	shards = 16

	// most is how many entries a shard has in each of its two halves. With the
	// rest of the bounds all of them take some 20 MB.
	most = 512
)

// cache keeps assertions for as long as they are handed out again. Entries are
// in the half of their time; when that is over, or the half is full, it becomes
// the older one, and what was that is dropped as a whole.
type cache struct {
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu         sync.RWMutex
	young, old map[key]*entry
	began      time.Time // of the young half
}

// entry is an assertion that is made once, by the first who asks.
type entry struct {
	generation uint64
	made       time.Time

	once sync.Once
	text string
	err  error
}

// errInterrupted is the outcome when whoever made an assertion did not come
// back.
var errInterrupted = errors.New("an assertion was not made to its end")

func (c *cache) init() {
	c.seed = maphash.MakeSeed()
	for i := range c.shards {
		c.shards[i].young = map[key]*entry{}
	}
}

// get returns what was made for k lately, or has it made.
func (c *cache) get(k key, generation uint64, now time.Time, sign func() (string, error)) (string, error) {
	s := &c.shards[maphash.Comparable(c.seed, k)%shards]
	e := s.find(k)
	if !e.good(generation, now) {
		e = s.add(k, generation, now)
	}
	e.once.Do(func() { e.text, e.err = sign() })
	if e.err != nil {
		s.drop(k, e)
		return "", e.err
	}
	return e.text, nil
}

// good reports whether the entry can be handed out.
func (e *entry) good(generation uint64, now time.Time) bool {
	return e != nil && e.generation == generation && !now.Before(e.made) && now.Sub(e.made) < reuse
}

func (s *shard) find(k key) *entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.young[k]; e != nil {
		return e
	}
	return s.old[k]
}

// add puts in an entry that is yet to be made, unless somebody else was first.
func (s *shard) add(k key, generation uint64, now time.Time) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.young[k]; e.good(generation, now) {
		return e
	}
	if age := now.Sub(s.began); age >= reuse || age < 0 || len(s.young) >= most {
		s.old, s.young, s.began = s.young, map[key]*entry{}, now
	}
	e := &entry{generation: generation, made: now, err: errInterrupted}
	s.young[k] = e
	return e
}

// drop takes out an entry that was not made.
func (s *shard) drop(k key, e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, half := range []map[key]*entry{s.young, s.old} {
		if half[k] == e {
			delete(half, k)
		}
	}
}
