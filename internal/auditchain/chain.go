package auditchain

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

const (
	sealEvery = 2 * time.Second
	sealLimit = 10 * time.Second // for the last seals, when the server stops

	// awaited is for how long a place that was left out may still be taken: a
	// transaction of another node got it and is not committed yet. Stores end
	// their transactions far sooner.
	awaited   = time.Minute
	mostHoles = 10_000

	// recent is how many seals a server looks through when it starts, for
	// places that were left out.
	recent = 200
)

// Store is what a chain needs of a store.
type Store interface {
	store.EventChain
	AppendEvents(ctx context.Context, events []store.Event) error
}

// Options are what a [Chain] is made of. Store, Keys and Log are needed.
type Options struct {
	Store Store
	Keys  *Keys
	Log   *slog.Logger
	Now   func() time.Time // default time.Now

	// HeadFile keeps the head of the chain outside of the database, so that a
	// cut tail is noticed; "": nowhere.
	HeadFile string

	// Report is told of an alarm in a word of the audit log's table and a
	// sentence, to be recorded; nil: nobody is.
	Report func(action, reason, text string)
}

// Chain seals the events of a database. Several nodes may do so at once on the
// same one: of two that make the same seal the database takes one. Its methods
// may be called from several goroutines.
type Chain struct {
	Options

	mu      sync.Mutex
	loaded  bool
	head    Head  // the last seal that this server has seen
	adopted bool  // whether that one, or none at all, let in events from before the chain
	top     int64 // the highest place that was looked at
	holes   map[int64]time.Time
	saved   Head // what the file holds
	alarmed map[string]bool

	// anchor is what the file held when the server started: what the head was
	// when it was last seen outside of the database.
	anchor Head
	adrift bool // there was no such head, although the log had seals

	busy chan struct{} // holds whoever verifies or exports
}

// New returns a chain. It asks the database for nothing.
func New(o Options) *Chain {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Report == nil {
		o.Report = func(string, string, string) {}
	}
	return &Chain{Options: o, holes: map[int64]time.Time{}, alarmed: map[string]bool{}, busy: make(chan struct{}, 1)}
}

// Run seals what was written again and again until ctx ends. The last seal is
// the caller's, once nothing is written any more: see [Chain.Finish].
func (c *Chain) Run(ctx context.Context) {
	tick := time.NewTicker(sealEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := c.Seal(ctx); err != nil && ctx.Err() == nil {
			c.Log.Warn("the audit log cannot be sealed, it will be tried again", "err", err)
		}
	}
}

// Finish seals what is left when a server stops, and logs the head.
func (c *Chain) Finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sealLimit)
	defer cancel()
	if err := c.Seal(ctx); err != nil {
		c.Log.Error("the last events of the audit log are not sealed", "err", err)
	}
	if head := c.Head(); head.Number > 0 {
		c.Log.Info("the audit log is sealed", "head", head.String())
	}
}

// Head returns the head of the chain as this server knows it.
func (c *Chain) Head() Head {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head
}

// Seal puts all events that are in no seal yet into seals.
func (c *Chain) Seal(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.follow(ctx); err != nil {
		return err
	}
	for {
		events, more, err := c.unsealed(ctx)
		if err != nil {
			return err
		}
		if len(events) > 0 {
			next := c.seal(events)
			err := c.Store.AppendSeal(ctx, next)
			if errors.Is(err, store.ErrConflict) { // another node was first
				more, err = true, c.follow(ctx)
			} else if err == nil {
				err = c.advance(next)
			}
			if err != nil {
				return err
			}
		}
		if !more {
			return c.save()
		}
	}
}

// unsealed returns the next events to seal, in the order of their places, and
// whether there may be more. Events that no server wrote are passed over.
func (c *Chain) unsealed(ctx context.Context) (good []store.PlacedEvent, more bool, err error) {
	var late []int64
	for place, since := range c.holes {
		if c.Now().Sub(since) > awaited {
			delete(c.holes, place)
			continue
		}
		late = append(late, place)
	}
	slices.Sort(late)
	late = late[:min(len(late), maxMembers/2)]
	events, err := c.Store.EventsAt(ctx, late)
	if err != nil {
		return nil, false, err
	}
	room := maxMembers - len(events)
	fresh, err := c.Store.EventsByPlace(ctx, c.top, room)
	if err != nil {
		return nil, false, err
	}
	for _, e := range slices.Concat(events, fresh) {
		switch c.Keys.origin(e.Event) {
		case ours:
			good = append(good, e)
		case unattested:
			if c.adopted {
				good = append(good, e)
				continue
			}
			fallthrough
		default:
			delete(c.holes, e.Place)
			c.alarm("audit.forged", "forged", fmt.Sprintf("event %s at place %d was written or changed by nobody who has this server's secret, and is not sealed", e.ID, e.Place))
		}
	}
	if len(fresh) > 0 && len(good) == 0 {
		c.top = fresh[len(fresh)-1].Place
	}
	return good, len(fresh) == room, nil
}

// seal makes the next seal.
func (c *Chain) seal(events []store.PlacedEvent) store.Seal {
	next := store.Seal{
		Number: c.head.Number + 1, At: c.Now().UTC().Truncate(time.Microsecond), Previous: c.head.Hash, Count: len(events),
		First: events[0].At, Last: events[0].At, KeyID: c.Keys.current.id,
	}
	places := make([]int64, len(events))
	leaves := make([][sha256.Size]byte, len(events))
	for i, e := range events {
		places[i], leaves[i] = e.Place, leaf(e.Event)
		if e.At.Before(next.First) {
			next.First = e.At
		}
		if e.At.After(next.Last) {
			next.Last = e.At
		}
		next.Adopted = next.Adopted || len(e.MAC) == 0
	}
	next.Members, next.Root, next.Tags = formatPlaces(places), rootOf(leaves), tagsOf(leaves)
	next.Signature = ed25519.Sign(c.Keys.current.signer, signed(next))
	return next
}

// advance takes note of the seal that follows the head.
func (c *Chain) advance(l store.Seal) error {
	places, err := parsePlaces(l.Members)
	if err != nil {
		return fmt.Errorf("seal %d of the audit log: %w", l.Number, err)
	}
	now := c.Now()
	for _, p := range places {
		delete(c.holes, p)
		for hole := c.top + 1; hole < p && len(c.holes) < mostHoles; hole++ {
			c.holes[hole] = now
		}
		c.top = max(c.top, p)
	}
	c.head, c.adopted = Head{Number: l.Number, Hash: hashOf(l)}, l.Adopted
	return nil
}

// follow takes note of the seals that were made since, by this server in an
// earlier life or by other nodes.
func (c *Chain) follow(ctx context.Context) error {
	if !c.loaded {
		if err := c.load(ctx); err != nil {
			return err
		}
	}
	for {
		seals, err := c.Store.Seals(ctx, store.SealQuery{After: c.head.Number, Limit: recent})
		if err != nil {
			return err
		}
		for _, l := range seals {
			if l.Number != c.head.Number+1 || !c.head.precedes(l) {
				c.alarm("audit.broken", "broken", fmt.Sprintf("seal %d of the audit log does not continue seal %d, which this server has seen", l.Number, c.head.Number))
			}
			if err := c.advance(l); err != nil {
				return err
			}
		}
		if len(seals) < recent {
			return c.checkTail(ctx)
		}
	}
}

// checkTail notices that the database ends before the head.
func (c *Chain) checkTail(ctx context.Context) error {
	if c.head.Number == 0 {
		return nil
	}
	last, err := c.lastNumber(ctx)
	if err != nil || last >= c.head.Number {
		return err
	}
	c.alarm("audit.broken", "cut", fmt.Sprintf("the end of the audit log was removed: it has seals up to %d, and this server has seen %d", last, c.head.Number))
	return c.reload(ctx, c.head)
}

// lastNumber returns the number of the last seal, or of the last one that was
// trimmed.
func (c *Chain) lastNumber(ctx context.Context) (int64, error) {
	l, err := c.Store.LastSeal(ctx)
	if !errors.Is(err, store.ErrNotFound) {
		return l.Number, err
	}
	m, err := c.Store.TrimmedTo(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return m.Number, err
}

// alarm tells the log and the audit log, once in the life of the process.
func (c *Chain) alarm(action, reason, text string) {
	if c.alarmed[text] || len(c.alarmed) > 1000 {
		return
	}
	c.alarmed[text] = true
	c.Log.Error("the audit log was tampered with", "what", text)
	c.Report(action, reason, text)
}
