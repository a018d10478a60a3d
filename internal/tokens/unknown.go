package tokens

import (
	"sync"
	"time"
)

// unknowns remembers for a moment which well-formed tokens do not exist, so
// that a client that repeats one does not ask the database each time. Its
// memory is bounded: when it is full it starts over.
type unknowns struct {
	keep time.Duration
	most int

	mu    sync.Mutex
	until map[digest]time.Time
}

func newUnknowns(keep time.Duration, most int) *unknowns {
	return &unknowns{keep: keep, most: most, until: map[digest]time.Time{}}
}

func (u *unknowns) has(d digest, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	end, ok := u.until[d]
	return ok && now.Before(end)
}

func (u *unknowns) add(d digest, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.until) >= u.most {
		clear(u.until)
	}
	u.until[d] = now.Add(u.keep)
}
