package guard

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// Bounds of the wait between attempts to follow the changes.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// tooLate is by how much of [Options.MaxStale] news may lag before the stream
// is opened anew: what is left must do until the next news comes.
const tooLate = 0.75

// follow follows the server's changes until the guard is closed.
func (g *Guard) follow() {
	backoff := minBackoff
	for {
		heard, err := g.followOnce()
		if g.ctx.Err() != nil {
			return
		}
		if heard && !errors.Is(err, errLate) { // the way may really be that long
			backoff = minBackoff
		}
		if !errors.Is(err, io.EOF) { // else the server ended it, as it does now and then
			g.state.lost(g.log, err)
		}
		select {
		case <-g.ctx.Done():
			return
		case <-time.After(backoff/2 + rand.N(backoff/2)): // not all services at once
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

var (
	errSilent = errors.New("nothing was heard of the server for too long")
	errSlept  = errors.New("the clock was set, or the machine slept")
	errLate   = errors.New("the server's news comes too late")
)

// followOnce reads one stream of changes to its end. It reports whether
// anything was heard.
func (g *Guard) followOnce() (heard bool, err error) {
	ctx, cancel := context.WithCancelCause(g.ctx)
	defer cancel(nil)
	silence := time.AfterFunc(g.maxStale, func() { cancel(errSilent) })
	defer silence.Stop()
	asked := newAnchor()
	after, begun := g.cache.position()
	if !begun {
		after = -1
	}
	for e, err := range g.client.Changes(asked.trace(ctx), after) {
		if err != nil {
			return heard, err
		}
		silence.Reset(g.maxStale)
		heard = true
		if err := g.hear(e, asked); err != nil {
			return heard, err
		}
	}
	return heard, io.EOF
}

// hear takes in one event.
func (g *Guard) hear(e client.ChangeEvent, asked *anchor) error {
	switch e.Name {
	case api.EventChange:
		g.cache.apply(e.Change)
		switch e.Kind {
		case api.ChangeToken, api.ChangeAccount, api.ChangeGroups:
		default:
			g.keys.changed()
		}
	case api.EventReset:
		g.cache.begin(e.Position)
	case api.EventSeen:
		if end, begun := g.cache.position(); !begun || end != e.Position { // the first, or some are missing
			g.cache.begin(e.Position)
		}
		now := time.Now()
		age, err := asked.age(now, time.Duration(e.AsOf)*time.Millisecond)
		if err != nil {
			return err
		}
		at := now.Add(-age)
		g.heard.Store(&at)
		if float64(age) > tooLate*float64(g.maxStale) {
			return errLate
		}
		g.state.found(g.log)
	}
	return nil
}

// anchor is the time at which a stream was asked for, which lies before
// everything that the server says of times since it was: so what is told is at
// least as new as it seems, however long it was under way. The price is that a
// question which was slow to arrive makes all that is told on its stream look
// as old as that; asking anew mends it.
type anchor struct{ at atomic.Pointer[time.Time] }

func newAnchor() *anchor {
	a := &anchor{}
	a.set()
	return a
}

func (a *anchor) set() {
	now := time.Now()
	a.at.Store(&now)
}

// trace returns a context for asking. When there is a connection, and the
// request is about to be sent, the anchor is moved to that time.
func (a *anchor) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { a.set() }})
}

// age returns how old at most, now, the news is that is as of a time since the
// stream was asked for. It fails when the two clocks do not agree about that:
// the monotonic clock stands still while the machine sleeps, and what is read
// after that was sent before.
func (a *anchor) age(now time.Time, asOf time.Duration) (time.Duration, error) {
	asked := *a.at.Load()
	age := now.Sub(asked) - asOf
	if wall := time.Duration(now.UnixNano()-asked.UnixNano()) - asOf; wall > age+time.Second {
		return 0, errSlept
	}
	return max(age, 0), nil
}
