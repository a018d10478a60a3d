package guard

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/jose"
)

const (
	// refetchAfter is how often an unknown key, or a server that does not
	// answer, makes the guard ask for the keys again, at most (S56).
	refetchAfter = time.Second

	// longestKeys is for how long published keys are kept, at most.
	longestKeys = time.Hour
)

// keySet is the server's public keys as they were published at one time.
type keySet struct {
	keys  map[string]*jose.Key
	asked time.Time     // when they were asked for
	keep  time.Duration // for how long they may be kept from then on
	round uint64        // how many changes of keys had been told before

	// said is the server's time when it answered, at the least; heard is when
	// that was here. Zero: it is not known.
	said, heard time.Time
}

func (s *keySet) find(id string) *jose.Key { return s.keys[id] }

// past reports whether what ends at a time has certainly ended for the server,
// by its own clock.
func (s *keySet) past(at, now time.Time) bool {
	return !s.said.IsZero() && s.said.Add(now.Sub(s.heard)).After(at.Add(clocksDiffer))
}

// clocksDiffer is more than what the server adds to the life of a token, a
// minute at most, and what the clocks of its nodes may differ by.
const clocksDiffer = 2 * time.Minute

// keys keeps the server's public keys, for as long as it lets them be kept and
// no longer. They are for refusing what the server has not signed: that it has
// is not enough for letting anybody in, so a key that was withdrawn a moment ago
// opens nothing while it is still in here.
type keys struct {
	fetch  func() (client.KeySet, error) // ends in a bounded time
	rounds atomic.Uint64                 // how many changes of keys were told
	have   atomic.Pointer[keySet]

	mu     sync.Mutex
	flight *keyFlight
	tried  time.Time // when they were asked for last, and in which round
	round  uint64
}

// keyFlight is a question for the keys that is under way.
type keyFlight struct {
	done chan struct{} // closed when set is set
	set  *keySet       // nil: there was no answer
}

// changed says that the server's keys are not those any more that are kept.
func (k *keys) changed() { k.rounds.Add(1) }

// current returns the keys; nil when they cannot be had now.
func (k *keys) current(ctx context.Context, now time.Time) *keySet {
	have := k.have.Load()
	if have != nil && have.round == k.rounds.Load() && kept(have, now) {
		return have
	}
	return k.ask(ctx, now)
}

// kept reports by both clocks whether keys may still be used.
func kept(s *keySet, now time.Time) bool {
	return now.Sub(s.asked) < s.keep && now.UnixNano()-s.asked.UnixNano() < int64(s.keep)
}

// newer returns the keys anew because one was not among those at hand, which it
// returns again when they are too new for that.
func (k *keys) newer(ctx context.Context, at *keySet, now time.Time) *keySet {
	if at.round == k.rounds.Load() && now.Sub(at.asked) < refetchAfter {
		return at
	}
	return k.ask(ctx, now)
}

// ask asks the server, once for all who want to know at the same time and not
// more often than refetchAfter, unless it has told of a change since.
func (k *keys) ask(ctx context.Context, now time.Time) *keySet {
	for {
		f, round := k.board(now)
		if f == nil {
			if have := k.have.Load(); have != nil && have.round == round && kept(have, now) {
				return have
			}
			return nil
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil
		}
		if f.set == nil || f.set.round >= round { // else it was asked before the change that this is about
			return f.set
		}
	}
}

// board returns the question that is under way, or a new one; nil when it is
// too early for that.
func (k *keys) board(now time.Time) (*keyFlight, uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	round := k.rounds.Load()
	if k.flight != nil {
		return k.flight, round
	}
	if k.round == round && !k.tried.IsZero() && now.Sub(k.tried) < refetchAfter {
		return nil, round
	}
	k.flight, k.tried, k.round = &keyFlight{done: make(chan struct{})}, now, round
	go k.fly(k.flight, round)
	return k.flight, round
}

// fly asks the server.
func (k *keys) fly(f *keyFlight, round uint64) {
	asked := time.Now()
	got, err := k.fetch()
	heard := time.Now()
	if err == nil {
		if read, err := jose.ParsePublished(got.Document); err == nil {
			f.set = &keySet{
				keys: read, asked: asked, keep: min(max(got.MaxAge, refetchAfter), longestKeys), round: round, said: got.At, heard: heard,
			}
			k.have.Store(f.set)
		}
	}
	k.mu.Lock()
	k.flight = nil
	k.mu.Unlock()
	close(f.done)
}
