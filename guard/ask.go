package guard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/scope"
)

const (
	mostAsking = 64 // questions to the server at one time

	// longestKept is after what time the server is asked again about a token
	// that is in use: so it knows of the use, and nothing that a guard cannot
	// see can count for longer.
	longestKept = time.Minute

	// refusedFor is for how long a refusal is remembered.
	refusedFor = time.Second

	maxAgent = 256 // bytes of a User-Agent that are passed on
)

// question is what makes two checks the same: one token, from one address.
type question struct {
	digest digest
	addr   netip.Addr
}

// flight is a question that is under way, for all who ask it meanwhile.
type flight struct {
	done chan struct{} // closed when the rest is set
	id   Identity
	err  error
}

type flights struct {
	mu sync.Mutex
	m  map[question]*flight
}

// ask gets the answer from the server. Whoever asks the same question while it
// is under way waits for the same answer; it is not under way for longer than
// answers may be old. It goes on when the one who began it leaves.
func (g *Guard) ask(ctx context.Context, q question, c Credential, said *said) (Identity, error) {
	g.flights.mu.Lock()
	f := g.flights.m[q]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		if g.flights.m == nil {
			g.flights.m = map[question]*flight{}
		}
		g.flights.m[q] = f
		go func() {
			f.id, f.err = g.fetch(q, c, said)
			g.flights.mu.Lock()
			delete(g.flights.m, q) // first: the next to come asks anew
			g.flights.mu.Unlock()
			close(f.done)
		}()
	}
	g.flights.mu.Unlock()
	select {
	case <-f.done:
		return f.id, f.err
	case <-ctx.Done():
		return Identity{}, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// fetch asks the server and keeps the answer. An answer that a change is known
// to have overtaken is no answer: it asks again. What a verified token says, if
// it is one, is what else the answer is good for.
func (g *Guard) fetch(q question, c Credential, said *said) (Identity, error) {
	ctx, cancel := context.WithTimeout(g.ctx, g.maxStale)
	defer cancel()
	select {
	case g.asking <- struct{}{}:
		defer func() { <-g.asking }()
	case <-ctx.Done():
		return Identity{}, g.unavailable(errors.New("too many questions to the server are under way"))
	}
	in := api.Check{Token: c.Token, Agent: c.Agent[:min(len(c.Agent), maxAgent)]}
	if q.addr.IsValid() {
		in.Addr = q.addr.String()
	}
	for wait := 5 * time.Millisecond; ; wait *= 2 {
		sent := time.Now()
		got, err := g.client.Check(ctx, in)
		switch {
		case err != nil:
			return Identity{}, g.unavailable(err)
		case !got.Active:
			g.state.answered(g.log)
			g.cache.drop(q.digest)
			g.refused.add(q, time.Now())
			return Identity{}, ErrRefused
		case got.AccountID == "":
			return Identity{}, g.unavailable(client.ErrForeign)
		}
		g.state.answered(g.log)
		e := entryOf(q.digest, got, sent)
		if got.Stale || !e.takes(q.addr) || !e.until.After(time.Now()) {
			return e.id, nil // true now, and not to be kept
		}
		if g.cache.put(e, got.Position) != somethingChanged {
			if kin := kinOf(e, got, said); kin != nil {
				g.cache.put(kin, got.Position)
			}
			return e.id, nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return Identity{}, g.unavailable(errors.New("the server's answers lag behind its changes"))
		}
	}
}

// unavailable makes the error for a check that got no answer, and takes note.
func (g *Guard) unavailable(cause error) error {
	if g.ctx.Err() != nil {
		return fmt.Errorf("%w: the guard is closed", ErrUnavailable)
	}
	g.state.unanswered(g.log, cause)
	return fmt.Errorf("%w: %w", ErrUnavailable, cause)
}

// entryOf makes an entry of the answer to a question that was sent at a time.
// How long it lasts goes by the difference of two times of the server, so that
// its clock and this one need not agree.
func entryOf(d digest, got api.Checked, sent time.Time) *entry {
	id := Identity{
		Account: got.Account, AccountID: got.AccountID, Kind: got.Kind, Source: got.Source,
		TokenID: got.TokenID, Class: got.Class, Stale: got.Stale,
	}
	id.rules, _ = scope.ParseGrants(got.Scope) // a rule that cannot be read allows nothing
	e := &entry{digest: d, id: id, sent: sent}
	if got.CheckedAt != nil {
		e.checked = *got.CheckedAt
	}
	if got.ExpiresAt != nil {
		e.id.ExpiresAt = *got.ExpiresAt
	}
	e.until = e.keptUntil(got.IdleTimeout, e.id.ExpiresAt)
	for _, text := range got.CIDRs {
		n, err := netip.ParsePrefix(text)
		if err != nil {
			n = netip.Prefix{} // contains nothing
		}
		e.cidrs = append(e.cidrs, n)
	}
	return e
}

// keptUntil returns for how long an answer is kept about a token that is idle
// after so many seconds, 0 for never, and ends at a time of the server, zero
// for never. It is not kept when that time cannot be told here.
func (e *entry) keptUntil(idle int64, ends time.Time) time.Time {
	keep := longestKept
	if idle > 0 && idle < int64(2*longestKept/time.Second) {
		keep = time.Duration(idle) * time.Second / 2
	}
	switch {
	case ends.IsZero():
	case e.checked.IsZero():
		keep = 0
	default:
		keep = min(keep, ends.Sub(e.checked))
	}
	return e.sent.Add(keep)
}

// refusals remembers for a moment what the server refused, so that somebody who
// repeats a bad token does not cost it a question each time. Its memory is
// bounded: when it is full it starts over.
type refusals struct {
	most  int
	mu    sync.RWMutex
	until map[question]time.Time
}

func newRefusals(most int) *refusals {
	return &refusals{most: most, until: map[question]time.Time{}}
}

func (r *refusals) has(q question, now time.Time) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	end, ok := r.until[q]
	return ok && now.Before(end)
}

func (r *refusals) add(q question, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.until) >= r.most {
		clear(r.until)
	}
	r.until[q] = now.Add(refusedFor)
}
