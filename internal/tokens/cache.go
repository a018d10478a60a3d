package tokens

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// holder is what the cache knows of an account. All entries of its tokens
// share it, so that one mark makes all of them stale.
type holder struct {
	stale   atomic.Bool
	account store.Account
	groups  []string
	grants  scope.Set

	shown     scope.Set // grants without those that others cover
	shownText string
}

// entry is what a check needs to know about one secret. What every check looks
// at comes first, to lie together in memory: with many tokens in use, waiting
// for memory is most of the cost. All up to idleAfter is one cache line, and
// the whole is some of them; a test counts.
type entry struct {
	stale atomic.Bool
	used  atomic.Bool // since the eviction hand last passed

	// free says that nothing limits the secret but its ends: there are no
	// networks, it does not go idle, and it has no predecessor.
	free bool

	holder  *holder
	refusal *Refusal // not nil: the answer is no, for this reason

	secretEnds int64              // when this secret ends by itself, in ns since 1970; 0: with its token
	tokenEnds  int64              // likewise the token
	touched    atomic.Int64       // last use on this node, s since 1970
	id         *identity.Identity // never nil

	idleAfter time.Duration

	// predecessor says that an older secret of the token ends with the first
	// use of this one. newest is what was shown of the token's newest secret
	// then; each rotation changes it.
	predecessor bool
	newest      string

	lately *use   // what waits to be sorted; see [uses], whose lock guards it
	other  *entry // of the same token, in [cache.byToken], whose lock guards it

	cidrs    []netip.Prefix
	digest   digest
	lastSign int64 // of life, when it was loaded, in ns since 1970
	loadedAt int64 // likewise

	generation uint64 // of the signing keys, for a signed token
}

// current reports whether nothing has come in that makes the entry untrue.
func (e *entry) current() bool { return !e.stale.Load() && !e.holder.stale.Load() }

const shardCount = 64

// cache keeps the entries of the secrets in use, by digest, up to a bound.
// Reading takes a shared lock on one of many shards; what invalidates takes
// one lock over all of it and is rare.
type cache struct {
	shards [shardCount]shard

	// mu guards the indexes that invalidation needs, and orders it against
	// filling: see put.
	mu       sync.Mutex
	byToken  map[string]*entry // one of each token's, which leads to the others
	holders  map[string]*holder
	most     int
	sequence atomic.Uint64 // rises with every invalidation
	evicted  atomic.Int64  // entries that were still good when they had to go for others
}

// shard is a map with a clock hand: an entry that was used since the hand last
// passed gets a second round.
type shard struct {
	mu    sync.RWMutex
	m     map[digest]*entry
	clock []*entry
	hand  int
	most  int
}

func newCache(most int) *cache {
	c := &cache{byToken: map[string]*entry{}, holders: map[string]*holder{}, most: max(1, most)}
	for i := range c.shards {
		c.shards[i].m = map[digest]*entry{}
		c.shards[i].most = max(1, most/shardCount)
	}
	return c
}

func (c *cache) shard(d digest) *shard { return &c.shards[d[31]%shardCount] }

// get finds a current entry.
func (c *cache) get(d digest) *entry {
	s := c.shard(d)
	s.mu.RLock()
	e := s.m[d]
	s.mu.RUnlock()
	if e == nil || !e.current() {
		return nil
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	return e
}

// position returns where the stream of invalidations stands. Whoever fills the
// cache asks before loading and hands it to put.
func (c *cache) position() uint64 { return c.sequence.Load() }

// heldBy returns the current holder for an account, if the cache has it.
func (c *cache) heldBy(accountID string) *holder {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.holders[accountID]
}

// put keeps an entry that was loaded after the stream of invalidations stood at
// since. If anything was invalidated in between, the entry may be untrue
// already and is not kept; the next check loads again.
func (c *cache) put(e *entry, since uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sequence.Load() != since {
		return
	}
	c.index(e)
	gone, evicted := c.shard(e.digest).add(e)
	for _, old := range gone {
		c.forget(old)
	}
	if evicted {
		c.evicted.Add(1)
	}
	e.other = c.byToken[e.id.TokenID]
	c.byToken[e.id.TokenID] = e
}

// index lets the entry share the holder that changes of its account are
// applied to. Two loads at once may have made one each; nothing came in
// between, so both are equal.
func (c *cache) index(e *entry) {
	id := e.holder.account.ID
	if known := c.holders[id]; known != nil {
		e.holder = known
		return
	}
	if len(c.holders) >= c.most {
		c.staleAll()
	}
	c.holders[id] = e.holder
}

// add puts e in and returns the entries that had to go for it, and whether a
// current one of another secret is among them.
func (s *shard) add(e *entry) (gone []*entry, evicted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.m[e.digest]; old != nil {
		gone = append(gone, old)
		old.stale.Store(true)
	}
	s.m[e.digest] = e
	if len(s.clock) < s.most {
		s.clock = append(s.clock, e)
		return gone, false
	}
	for {
		victim := s.clock[s.hand]
		if victim.current() && victim.used.Swap(false) {
			s.hand = (s.hand + 1) % len(s.clock)
			continue
		}
		if s.m[victim.digest] == victim {
			delete(s.m, victim.digest)
		}
		evicted = victim.current()
		victim.stale.Store(true)
		s.clock[s.hand] = e
		s.hand = (s.hand + 1) % len(s.clock)
		return append(gone, victim), evicted
	}
}

// forget takes an entry out of the indexes.
func (c *cache) forget(e *entry) {
	first := c.byToken[e.id.TokenID]
	switch {
	case first != e:
		for o := first; o != nil; o = o.other {
			if o.other == e {
				o.other = e.other
				break
			}
		}
	case e.other == nil:
		delete(c.byToken, e.id.TokenID)
	default:
		c.byToken[e.id.TokenID] = e.other
	}
	e.other = nil
}

// apply makes stale what a change is about.
func (c *cache) apply(change store.Change) {
	c.sequence.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch change.Kind {
	case store.ChangeToken:
		for e := c.byToken[change.TokenID]; e != nil; {
			e.stale.Store(true)
			e, e.other = e.other, nil
		}
		delete(c.byToken, change.TokenID)
	case store.ChangeAccount:
		if h := c.holders[change.AccountID]; h != nil {
			h.stale.Store(true)
			delete(c.holders, change.AccountID)
		}
	default:
		c.staleAll()
	}
}

// clear makes everything stale, for when changes may have been missed.
func (c *cache) clear() {
	c.sequence.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.staleAll()
}

func (c *cache) staleAll() {
	for _, h := range c.holders {
		h.stale.Store(true)
	}
	clear(c.holders)
}

// len returns how many entries are kept, stale ones included.
func (c *cache) len() int {
	n := 0
	for i := range c.shards {
		c.shards[i].mu.RLock()
		n += len(c.shards[i].m)
		c.shards[i].mu.RUnlock()
	}
	return n
}
