package guard

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/client"
)

// Health is how a guard stands with its server.
type Health struct {
	// Fresh says that answers come from memory where they can. When it is
	// false every request asks the server, and fails when it does not answer.
	Fresh bool

	// Lag is how long ago all that the server knew was known here; negative:
	// nothing is known yet.
	Lag time.Duration

	// Position is the number of the last change that was heard of.
	Position int64

	// Entries is how many tokens are kept in memory.
	Entries int

	// Err is why the server's changes cannot be followed, or its last answer
	// was none; nil while all is well.
	Err error
}

// Health tells how things stand, for the service's own readiness and metrics.
func (g *Guard) Health() Health {
	now := time.Now()
	h := Health{Fresh: g.fresh(now), Lag: -1, Entries: g.cache.len(), Err: g.state.err()}
	h.Position, _ = g.cache.position()
	if heard := g.heard.Load(); heard != nil {
		h.Lag = max(now.Sub(*heard), 0)
	}
	return h
}

// state remembers whether the server can be followed and asked, so that the log
// has a line when that changes and not for every request.
type state struct {
	mu        sync.Mutex
	following error // why not; nil: yes, or not tried yet
	answering error
	told      bool // that the changes are followed
}

func (s *state) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.following, s.answering)
}

func (s *state) lost(log *slog.Logger, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.following == nil {
		log.Warn("the changes of the Latchkey server cannot be followed: each request asks it", "err", err, "hint", hint(err))
	}
	s.following, s.told = err, false
}

func (s *state) found(log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.told {
		log.Info("the changes of the Latchkey server are followed")
		s.answering = nil // which was before
	}
	s.following, s.told = nil, true
}

func (s *state) unanswered(log *slog.Logger, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answering == nil {
		log.Warn("the Latchkey server does not answer: requests are refused with 503", "err", err, "hint", hint(err))
	}
	s.answering = err
}

func (s *state) answered(log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answering != nil {
		log.Info("the Latchkey server answers again")
	}
	s.answering = nil
}

// hint says what to do about an error.
func hint(err error) string {
	switch {
	case errors.Is(err, client.ErrUnauthenticated):
		return "the service's own token is not valid: give it a new one"
	case errors.Is(err, client.ErrForbidden):
		return "the service's own token needs the right latchkey:check:read"
	case errors.Is(err, client.ErrForeign):
		return "is there a Latchkey server at this URL?"
	}
	return "is the server running, and can it be reached from here?"
}
