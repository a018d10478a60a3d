package tokens

import (
	"time"

	"github.com/latchkey-auth/latchkey/internal/counter"
)

// answeredFrom says where the answer of a check came from.
type answeredFrom int

const (
	fromForm  answeredFrom = iota // what was presented cannot be a token of this server
	fromCache                     // what is in memory, also that there is no such token
	fromStore                     // the database, or its failure
	fromStale                     // what is in memory, past the bound: see Options.StaleFor
	places
)

// Places names where the answers of checks come from, in the order of
// [Stats.Checks].
func Places() []string { return []string{"form", "cache", "store", "stale"} }

// Results of a check besides the reasons of a refusal.
const (
	accepted = iota
	undecided
	firstReason
)

func reasons() []Reason {
	return []Reason{
		ReasonMalformed, ReasonUnknown, ReasonExpired, ReasonIdle,
		ReasonRevoked, ReasonRotated, ReasonDisabled, ReasonAddress,
		ReasonKind,
	}
}

// results is how many there are; the last is for a reason that is not in the
// list.
const results = firstReason + 9 + 1

// Results names what checks lead to, in the order of [Stats.Checks].
func Results() []string {
	list := []string{"ok", "unavailable"}
	for _, r := range reasons() {
		list = append(list, string(r))
	}
	return append(list, "other")
}

func resultOf(r *Refusal) int {
	switch r.Reason {
	case ReasonMalformed:
		return firstReason
	case ReasonUnknown:
		return firstReason + 1
	case ReasonExpired:
		return firstReason + 2
	case ReasonIdle:
		return firstReason + 3
	case ReasonRevoked:
		return firstReason + 4
	case ReasonRotated:
		return firstReason + 5
	case ReasonDisabled:
		return firstReason + 6
	case ReasonAddress:
		return firstReason + 7
	case ReasonKind:
		return firstReason + 8
	}
	return results - 1
}

// What becomes of tokens.
const (
	issuedOne = iota
	rotatedOne
	revokedOne
	events
)

// Events names what becomes of tokens, in the order of [Stats.Tokens].
func Events() []string { return []string{"issued", "rotated", "revoked"} }

// Classes names the classes of tokens, in the order of [Stats.Tokens]. "all"
// stands for those that ended together with all others of their account,
// whatever their class.
func Classes() []string {
	return []string{"all", string(Personal), string(Robot), string(Refresh), string(Registry)}
}

const classCount = 5

func classIndex(class string) int {
	switch Class(class) {
	case Personal:
		return 1
	case Robot:
		return 2
	case Refresh:
		return 3
	case Registry:
		return 4
	}
	return 0
}

// counts is what the core counts of its own work.
type counts struct {
	checks [results][places]counter.Counter
	tokens [events][classCount]counter.Counter
}

func (c *counts) check(result int, from answeredFrom) { c.checks[result][from].Inc() }

func (c *counts) token(event int, class string, n int) {
	c.tokens[event][classIndex(class)].Add(int64(n))
}

// Stats is what the core has done since it was made, and how it stands.
type Stats struct {
	Checks [][]int64 // by result and place
	Tokens [][]int64 // by event and class

	CacheEntries int   // stale ones included
	CacheMost    int   // as many are kept at most
	Evicted      int64 // entries that were still good and had to go for others
	Invalidated  int64 // changes that were applied to the cache
	Unknown      int   // tokens that are remembered for not being there
	UsesWaiting  int   // last uses that are not written yet

	Position int64         // of the last change that was read from the log; 0 before
	Lag      time.Duration // since the log was last read to its end; negative: never
	Bound    time.Duration // from which lag on nothing is answered from memory
}

// Stats returns the counts. It takes some locks of the cache for a moment, so
// it is for those who ask now and then.
func (s *Service) Stats() Stats {
	st := Stats{
		CacheEntries: s.cache.len(), CacheMost: s.cache.most, Evicted: s.cache.evicted.Load(),
		Invalidated: int64(s.cache.sequence.Load()), Unknown: s.unknowns.len(), UsesWaiting: s.uses.len(),
		Position: s.position.Load(), Lag: s.lag(), Bound: s.opts.Bound,
	}
	if st.Lag == never {
		st.Lag = -1
	}
	for i := range s.counts.checks {
		st.Checks = append(st.Checks, values(s.counts.checks[i][:]))
	}
	for i := range s.counts.tokens {
		st.Tokens = append(st.Tokens, values(s.counts.tokens[i][:]))
	}
	return st
}

func values(row []counter.Counter) []int64 {
	n := make([]int64, len(row))
	for i := range row {
		n[i] = row[i].Value()
	}
	return n
}

func (u *unknowns) len() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.until)
}

// len returns how many uses wait. Those of one token count once when they have
// been sorted.
func (u *uses) len() int {
	u.sorting.Lock()
	defer u.sorting.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.fresh) + len(u.waiting)
}
