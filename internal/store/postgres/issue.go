package postgres

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// maxTogether is how many tokens are issued in one transaction at most. Past
// some dozens the round trips and the flush are a small part of the cost, and
// the first caller should not wait for ever longer.
const maxTogether = 128

// errAlone says that a token has to be issued in a transaction of its own.
var errAlone = errors.New("a token cannot be issued together with others")

// Issue implements [store.Issuer]. Callers who come together share a
// transaction; see [issuer]. What does not fit into it has one of its own.
func (s *Store) Issue(ctx context.Context, i store.Issue) error {
	if err := i.Check(); err != nil {
		return err
	}
	err := errAlone
	if fitsTogether(i) {
		err = s.issuer.issue(ctx, i)
	}
	if errors.Is(err, errAlone) {
		return s.Update(ctx, i.In)
	}
	return err
}

// fitsTogether reports whether a token is as it is when it is made, and can be
// asked for by what is named.
func fitsTogether(i store.Issue) bool {
	return i.Token.RevokedAt.IsZero() && i.Token.RotatedAt.IsZero() && store.Storable(i.By)
}

// issuer issues the tokens of callers who come together in one transaction of
// two round trips: one that locks and reads what all the decisions rest on, and
// one that writes all tokens and commits. Its goroutine takes those who wait,
// and meanwhile the next ones gather.
//
// It does not wait where somebody has locked an account or a token, so that no
// caller waits for another one's: what is locked, or not there at all, is left
// to a transaction of its own. So is everybody when the server refuses the
// whole, as when an id is taken, since it does not say because of whom.
type issuer struct {
	s *Store

	gate    sync.RWMutex // held for reading while something is put into queue
	shut    bool         // guarded by gate
	queue   chan *issuing
	stopped chan struct{} // closed when the goroutine has ended
}

// issuing is a caller who waits.
type issuing struct {
	store.Issue
	done chan error

	// Set by the goroutine before it answers.
	event    store.Event
	labels   string // of the token, as JSON
	detail   string // of the event, as JSON
	verdict  error  // why the token is not written; nil where it is
	panicked any    // what Admit panicked with; the caller goes on with it
}

func newIssuer(s *Store) *issuer {
	r := &issuer{s: s, queue: make(chan *issuing, 2*maxTogether), stopped: make(chan struct{})}
	go r.loop()
	return r
}

// issue waits for the turn and for the outcome.
func (r *issuer) issue(ctx context.Context, i store.Issue) error {
	const op = "issue a token"
	limited, cancel := r.s.limited(ctx)
	defer cancel()
	one := &issuing{Issue: i, done: make(chan error, 1)}
	if err := r.enqueue(limited, one); err != nil {
		return r.s.fault(ctx, op, err)
	}
	select {
	case err := <-one.done:
		if one.panicked != nil {
			panic(one.panicked)
		}
		return err
	case <-limited.Done():
		return r.s.fault(ctx, op+", whose outcome is not known", limited.Err())
	}
}

func (r *issuer) enqueue(ctx context.Context, one *issuing) error {
	r.gate.RLock()
	defer r.gate.RUnlock()
	if r.shut {
		return errAlone // which says what is wrong
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case r.queue <- one:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *issuer) loop() {
	defer close(r.stopped)
	batch := make([]*issuing, 0, maxTogether)
	crowded := false // several shared the last transaction
	for one := range r.queue {
		batch = append(batch[:0], one)
		for len(batch) < maxTogether {
			if one = r.next(crowded); one == nil {
				break
			}
			batch = append(batch, one)
		}
		crowded = len(batch) > 1
		err := r.s.issueTogether(batch)
		for _, one := range batch {
			if err != nil {
				one.verdict = err
			}
			one.done <- one.verdict
		}
		clear(batch)
	}
}

// next returns somebody else who waits, nil when nobody does. Where many ask it
// first lets those run who are about to, as they would have to wait for the
// commit after this one. Whoever asks alone is not held up by that.
func (r *issuer) next(crowded bool) *issuing {
	one := r.poll()
	if one == nil && crowded {
		runtime.Gosched()
		one = r.poll()
	}
	return one
}

func (r *issuer) poll() *issuing {
	select {
	case one := <-r.queue:
		return one
	default:
		return nil
	}
}

// stop takes no more callers and waits for those under way.
func (r *issuer) stop() {
	r.gate.Lock()
	if !r.shut {
		r.shut = true
		close(r.queue)
	}
	r.gate.Unlock()
	<-r.stopped
}
