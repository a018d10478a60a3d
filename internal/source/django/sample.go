package django

import (
	"context"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"
)

// sample remembers what kinds of hashes the table has, and how many of each,
// so that a name that does not exist can cost what it would if it did. After
// an upgrade of Django a table has several kinds for a long time. Each unknown
// name gets one of them by chance, in proportion, and keeps it: always taking
// the most frequent one would tell all others to be real.
type sample struct {
	seed  maphash.Seed
	lasts time.Duration
	now   func() time.Time

	mu     sync.Mutex // guards the fields below
	at     time.Time  // zero if there was none yet
	shares []share    // by kind
	total  int
	busy   bool // somebody is reading a new one
}

type share struct {
	kind, encoded string // the encoded hash of one such user
	count         int
}

// like returns a stored hash for a name to be treated like, or nothing when
// the table has none.
func (s *sample) like(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A fraction of the whole, so that a new sample moves few names.
	place := float64(maphash.String(s.seed, name)>>11) / (1 << 53) * float64(s.total)
	for _, one := range s.shares {
		if place -= float64(one.count); place < 0 {
			return one.encoded
		}
	}
	return ""
}

func (s *sample) set(shares []share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.shares, s.total = s.now(), shares, 0
	for _, one := range shares {
		s.total += one.count
	}
}

// begin reports whether the caller should read a new sample; it must call end
// then. While one is being read, others go on with the old one.
func (s *sample) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.at.IsZero()
	if !first && (s.busy || s.now().Sub(s.at) < s.lasts) {
		return false
	}
	s.busy = true
	return true
}

func (s *sample) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
}

// resample is called by every login before it knows anything of the name, so
// that nothing of the name shows in the time that it takes.
func (s *Source) resample(ctx context.Context) error {
	if !s.sample.begin() {
		return nil
	}
	defer s.sample.end()
	shares, err := s.readSample(ctx)
	if err != nil {
		return err
	}
	s.sample.set(shares)
	return nil
}

func (s *Source) readSample(ctx context.Context) ([]share, error) {
	var hashes []string
	err := s.read(ctx, func(ctx context.Context) (err error) {
		hashes, err = s.queries.hashes(ctx, s.pool)
		return err
	})
	if err != nil {
		return nil, err
	}
	kinds := make(map[string]share)
	for _, encoded := range hashes {
		kind, err := s.passwords.Kind(encoded)
		if err != nil {
			continue // nobody logs in with it
		}
		kinds[kind] = share{kind, encoded, kinds[kind].count + 1}
	}
	shares := make([]share, 0, len(kinds))
	for _, one := range kinds {
		shares = append(shares, one)
	}
	slices.SortFunc(shares, func(a, b share) int { return strings.Compare(a.kind, b.kind) })
	return shares, nil
}
