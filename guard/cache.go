package guard

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/api"
)

// entry is a good answer about one token. It does not change once it is in the
// cache, but for the two marks at its end.
type entry struct {
	digest digest
	kin    bool // of what a signed token says, and not of its text
	id     Identity
	cidrs  []netip.Prefix // where the token may be used from; none: anywhere
	until  time.Time      // when the answer ends by itself

	sent, checked time.Time // when the server was asked, and its time when it answered; zero: it did not say

	token, account *mark
	generation     uint64
	slot           int // in its shard's ring

	used atomic.Bool // since the eviction hand last passed
}

// takes reports whether the answer holds for a credential from an address.
func (e *entry) takes(addr netip.Addr) bool {
	if len(e.cidrs) == 0 {
		return true
	}
	addr = plain(addr)
	for _, n := range e.cidrs {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// mark is shared by the entries of one token or of one account, so that one
// write makes all of them untrue.
type mark struct {
	stale   atomic.Bool
	id      string
	entries int // guarded by cache.mu
}

const shardCount = 32

// mostRules bounds the rules of an entry, and so its memory. Answers with more
// are not kept.
const mostRules = 1000

// cache keeps good answers by the digest of their token, up to a bound. Reading
// takes a shared lock on one of many shards; filling and invalidating take one
// lock over all of it.
type cache struct {
	shards     [shardCount]shard // by the digest of a token
	kin        [shardCount]shard // by the digest of what a signed token says, which nobody can present
	generation atomic.Uint64     // an entry of another one is not true any more

	mu       sync.Mutex // guards the rest, and orders filling against invalidation
	tokens   map[string]*mark
	accounts map[string]*mark
	recent   recent
}

func newCache(most int) *cache {
	c := &cache{tokens: map[string]*mark{}, accounts: map[string]*mark{}}
	for i := range shardCount {
		for _, s := range []*shard{&c.shards[i], &c.kin[i]} {
			s.entries = map[digest]*entry{}
			s.most = (most + shardCount - 1) / shardCount
		}
	}
	return c
}

func (c *cache) shard(d digest) *shard { return &c.shards[d[0]%shardCount] }

// shardOf returns where an entry belongs.
func (c *cache) shardOf(e *entry) *shard {
	if e.kin {
		return &c.kin[e.digest[0]%shardCount]
	}
	return c.shard(e.digest)
}

// holds reports whether nothing has come in that makes the entry untrue.
func (c *cache) holds(e *entry) bool {
	return !e.token.stale.Load() && !e.account.stale.Load() && e.generation == c.generation.Load()
}

// get finds an entry that holds at a time, by both clocks.
func (c *cache) get(d digest, now time.Time) *entry { return c.find(c.shard(d), d, now) }

// related finds what is known of a signed token by what it says.
func (c *cache) related(d digest, now time.Time) *entry {
	return c.find(&c.kin[d[0]%shardCount], d, now)
}

func (c *cache) find(s *shard, d digest, now time.Time) *entry {
	s.mu.RLock()
	e := s.entries[d]
	s.mu.RUnlock()
	if e == nil || !c.holds(e) || !now.Before(e.until) || now.UnixNano() >= e.until.UnixNano() {
		return nil
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	return e
}

// put keeps an answer in which all changes up to position are, unless it may be
// untrue already. It returns what is known of the changes behind the position.
func (c *cache) put(e *entry, position int64) knowledge {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.recent.behind(position, e.id)
	if known != nothingChanged || len(e.id.rules) > mostRules {
		return known
	}
	c.keep(e)
	return known
}

// adopt keeps an entry that was made of another, unless that is not there any
// more: then changes may have come in that did not find it.
func (c *cache) adopt(e, from *entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shardOf(from)
	s.mu.RLock()
	there := s.entries[from.digest] == from
	s.mu.RUnlock()
	if !there || !c.holds(from) {
		return false
	}
	c.keep(e)
	return true
}

// keep puts an entry in that is known to hold. The caller has the lock.
func (c *cache) keep(e *entry) {
	e.generation = c.generation.Load()
	e.token, e.account = share(c.tokens, e.id.TokenID), share(c.accounts, e.id.AccountID)
	if gone := c.shardOf(e).add(e, c.holds); gone != nil {
		release(c.tokens, gone.token)
		release(c.accounts, gone.account)
	}
}

// drop forgets the answer about a token.
func (c *cache) drop(d digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shard(d)
	s.mu.RLock()
	e := s.entries[d]
	s.mu.RUnlock()
	if e != nil {
		spoil(c.tokens, e.id.TokenID)
		e.token.stale.Store(true)
	}
}

// begin says that changes are told from behind a position on, for the first
// time or with some missing: what is kept is not true any more.
func (c *cache) begin(position int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation.Add(1)
	c.recent.begin(position)
}

// apply makes untrue what a change is about.
func (c *cache) apply(change api.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.recent.add(change) { // some are missing
		c.generation.Add(1)
	}
	switch change.Kind {
	case api.ChangeToken:
		spoil(c.tokens, change.Token)
	case api.ChangeAccount:
		spoil(c.accounts, change.Account)
	default:
		c.generation.Add(1)
	}
}

// position returns the number of the last change that was applied; false before
// the first was told.
func (c *cache) position() (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recent.end, c.recent.begun
}

// len returns how many entries are kept, untrue ones included.
func (c *cache) len() int {
	n := 0
	for i := range c.shards {
		c.shards[i].mu.RLock()
		n += len(c.shards[i].entries)
		c.shards[i].mu.RUnlock()
	}
	return n
}

func share(marks map[string]*mark, id string) *mark {
	m := marks[id]
	if m == nil {
		m = &mark{id: id}
		marks[id] = m
	}
	m.entries++
	return m
}

func release(marks map[string]*mark, m *mark) {
	if m.entries--; m.entries == 0 && marks[m.id] == m {
		delete(marks, m.id)
	}
}

func spoil(marks map[string]*mark, id string) {
	if m := marks[id]; m != nil {
		m.stale.Store(true)
		delete(marks, id) // entries to come share a new one
	}
}

// shard is a part of the cache: a map, and a ring with a hand that evicts. An
// entry that was used since the hand last passed gets a second round.
type shard struct {
	mu      sync.RWMutex
	entries map[digest]*entry
	ring    []*entry
	hand    int
	most    int
}

// add puts an entry in and returns the one that had to go for it, if any.
func (s *shard) add(e *entry, holds func(*entry) bool) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.entries[e.digest]
	s.entries[e.digest] = e
	switch {
	case old != nil:
		e.slot = old.slot
	case len(s.ring) < s.most:
		e.slot = len(s.ring)
		s.ring = append(s.ring, e)
		return nil
	default:
		for range len(s.ring) { // once around is enough, whatever readers do
			if !holds(s.ring[s.hand]) || !s.ring[s.hand].used.Swap(false) {
				break
			}
			s.hand = (s.hand + 1) % len(s.ring)
		}
		e.slot, old = s.hand, s.ring[s.hand]
		delete(s.entries, old.digest)
		s.hand = (s.hand + 1) % len(s.ring)
	}
	s.ring[e.slot] = e
	return old
}
