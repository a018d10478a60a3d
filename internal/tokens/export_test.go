package tokens

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
)

// What the tests of this package look at inside.

// CacheLen returns how many entries the cache keeps, stale ones included.
func (s *Service) CacheLen() int { return s.cache.len() }

// CacheIndexes returns how many entries the index by token has, and how many
// accounts are known.
func (s *Service) CacheIndexes() (entries, holders int) {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	for _, e := range s.cache.byToken {
		for ; e != nil; e = e.other {
			entries++
		}
	}
	return entries, len(s.cache.holders)
}

// UnknownsLen returns how many unknown tokens are remembered.
func (s *Service) UnknownsLen() int {
	s.unknowns.mu.Lock()
	defer s.unknowns.mu.Unlock()
	return len(s.unknowns.until)
}

// MostUnknowns is the bound of what UnknownsLen returns.
func (s *Service) MostUnknowns() int { return s.unknowns.most }

// FlushUses writes the last uses that wait.
func (s *Service) FlushUses(ctx context.Context) { s.flushUses(ctx) }

// SweepEnded removes what ended long ago.
func (s *Service) SweepEnded(ctx context.Context) { s.sweep(ctx) }

// CatchUp reads the change log once.
func (s *Service) CatchUp(ctx context.Context) { s.catchUp(ctx) }

// StaleAnswers returns how many answers were given from the cache although the
// change log could not be followed.
func (s *Service) StaleAnswers() int64 { return s.counts.checks[accepted][fromStale].Value() }

// Day is the unit of the rules of life.
const Day = day

// MostUses is how many last uses wait at most.
const MostUses = mostUses

// MaxLife is the longest life that can be asked for where no rule bounds it.
const MaxLife time.Duration = maxLifeInDays * day

// Generate makes a native secret and its digest, of a token that no store has.
func Generate(keys *serverkey.Ring) (secret.Text, [32]byte) {
	text, sum := generate(Personal, Native, keys.Current())
	return text, sum
}
