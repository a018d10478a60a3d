package auditchain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// ErrBusy says that the log is being verified or exported already. Both read
// all of it, so one after the other.
var ErrBusy = errors.New("the audit log is being read already")

const (
	pageOfSeals  = 100
	pageOfEvents = 2000

	// mostStray bounds the events that are kept in memory until a later seal
	// claims them.
	mostStray = 20_000

	// settled is the age from which an event must be in a seal.
	settled = 2 * awaited
)

// Verify goes through the whole log: every seal, every event that it vouches
// for, and every event beside them. What was written up to now is sealed first.
// Given is a head that the caller has kept, or the zero Head; progress is told
// of the number of events every now and then. See [Chain.Reserve].
func (c *Chain) Verify(ctx context.Context, given Head, progress func(events int64)) (api.AuditReport, error) {
	if err := c.Seal(ctx); err != nil {
		return api.AuditReport{}, err
	}
	v := &verification{chain: c, stray: map[int64]store.PlacedEvent{}, progress: progress}
	v.keys = c.Keys.Public()
	c.mu.Lock()
	own, file, adrift := c.head, c.anchor, c.adrift
	c.mu.Unlock()
	v.expect("server", file)
	if own.Number != file.Number {
		v.expect("server", own)
	}
	v.expect("given", given)
	if err := v.run(ctx, own.Number); err != nil {
		return api.AuditReport{}, err
	}
	report := v.finish()
	if adrift {
		report.Anchors = unanchored(report.Anchors, own)
	}
	return report, nil
}

// unanchored leaves out the head that this server only has from the database.
func unanchored(anchors []api.AuditAnchor, own Head) []api.AuditAnchor {
	var kept []api.AuditAnchor
	for _, a := range anchors {
		if a.Source != "server" || a.Head != own.String() {
			kept = append(kept, a)
		}
	}
	return kept
}

// Reserve lets one caller at a time read the whole log, as [Chain.Verify] and
// [Chain.Export] do; [ErrBusy] for any other until release is called.
func (c *Chain) Reserve() (release func(), err error) {
	select {
	case c.busy <- struct{}{}:
		return func() { <-c.busy }, nil
	default:
		return nil, ErrBusy
	}
}

// verification reads events in the order of their places, once, and gives each
// to the seal that claims it.
type verification struct {
	checker
	chain    *Chain
	cursor   int64 // the highest place that was read
	end      bool  // there are no events above it
	top      int64 // the highest place that a seal claims
	stray    map[int64]store.PlacedEvent
	progress func(int64)
}

// run goes through seals up to the given number, which was the last one when
// it began.
func (v *verification) run(ctx context.Context, last int64) error {
	trimmed, err := v.chain.Store.TrimmedTo(ctx)
	switch {
	case err == nil:
		v.begin(trimmed)
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	for after := v.head.Number; ; {
		seals, err := v.chain.Store.Seals(ctx, store.SealQuery{After: after, Limit: pageOfSeals})
		if err != nil {
			return err
		}
		for _, l := range seals {
			if l.Number > last {
				return v.leftOver(ctx, trimmed)
			}
			if err := v.one(ctx, l); err != nil {
				return err
			}
			after = l.Number
		}
		if v.progress != nil {
			v.progress(v.report.Events)
		}
		if len(seals) < pageOfSeals {
			return v.leftOver(ctx, trimmed)
		}
	}
}

// one checks a seal with its events.
func (v *verification) one(ctx context.Context, l store.Seal) error {
	places, err := parsePlaces(l.Members)
	if err != nil {
		places = nil // the signature does not fit either
	}
	members := make([]member, len(places))
	for i, p := range places {
		e, ok, err := v.at(ctx, p)
		if err != nil {
			return err
		}
		members[i] = member{place: p, missing: !ok}
		if ok {
			members[i].id, members[i].leaf = e.ID, leaf(e.Event)
			members[i].origin, members[i].attests = v.chain.Keys.origin(e.Event), true
		}
	}
	v.seal(l, members)
	return nil
}

// at returns the event at a place that a seal claims, if it is there.
func (v *verification) at(ctx context.Context, place int64) (store.PlacedEvent, bool, error) {
	for place > v.cursor && !v.end {
		if err := v.read(ctx); err != nil {
			return store.PlacedEvent{}, false, err
		}
	}
	v.top = max(v.top, place)
	e, ok := v.stray[place]
	delete(v.stray, place)
	return e, ok, nil
}

// read takes in the next events.
func (v *verification) read(ctx context.Context) error {
	events, err := v.chain.Store.EventsByPlace(ctx, v.cursor, pageOfEvents)
	if err != nil {
		return err
	}
	v.end = len(events) < pageOfEvents
	for _, e := range events {
		v.stray[e.Place], v.cursor = e, e.Place
	}
	if len(v.stray) > mostStray {
		for place, e := range v.stray {
			if v.chain.Keys.origin(e.Event) == nobodys {
				delete(v.stray, place)
				v.foreign(e)
			}
		}
	}
	return nil
}

func (v *verification) foreign(e store.PlacedEvent) {
	v.find(api.AuditFinding{Kind: "inserted", Place: e.Place, Event: printable(e.ID),
		Text: fmt.Sprintf("event %s at place %d is in no seal, and no server with these secrets wrote it", printable(e.ID), e.Place)})
}

// leftOver looks at the events that no seal has claimed.
func (v *verification) leftOver(ctx context.Context, trimmed store.Trimmed) error {
	for !v.end {
		if err := v.read(ctx); err != nil {
			return err
		}
		v.sortOut(trimmed)
	}
	v.sortOut(trimmed)
	return nil
}

func (v *verification) sortOut(trimmed store.Trimmed) {
	for _, place := range slices.Sorted(maps.Keys(v.stray)) {
		e := v.stray[place]
		delete(v.stray, place)
		young := v.chain.Now().Sub(e.At) < settled && e.At.After(trimmed.Through)
		switch v.chain.Keys.origin(e.Event) {
		case nobodys, unattested:
			v.foreign(e)
		case retired:
			v.find(api.AuditFinding{Kind: "unsealed", Place: place, Event: printable(e.ID),
				Text: fmt.Sprintf("event %s at place %d is in no seal, and it was written under a secret that this server has not", printable(e.ID), place)})
		case ours:
			if young || place > v.top {
				v.report.Unsealed++
				continue
			}
			v.find(api.AuditFinding{Kind: "unsealed", Place: place, Event: printable(e.ID),
				Text: fmt.Sprintf("event %s at place %d was written by a server, but is in no seal: it was moved, or removed once and put back", printable(e.ID), place)})
		}
	}
}

// printable makes an id or key that may come from a forger fit to be shown.
func printable(s string) string { return audit.Clip(s) }
