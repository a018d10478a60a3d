package auditchain

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"io"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Export writes the events from since on and before until (zero: all) as lines
// of JSON, with all that is needed to verify them later: the seals that vouch
// for them, and the hashes of the other events that those vouch for. Lines are
// described in package api. See [Chain.Reserve].
func (c *Chain) Export(ctx context.Context, w io.Writer, since, until time.Time) error {
	if err := c.Seal(ctx); err != nil {
		return err
	}
	x := &export{chain: c, lines: json.NewEncoder(w), since: since, until: until}
	x.lines.SetEscapeHTML(false)
	return x.run(ctx)
}

// HexKeys writes public keys as exports and [api.AuditHead] have them.
func HexKeys(keys map[string]ed25519.PublicKey) map[string]string {
	texts := make(map[string]string, len(keys))
	for id, key := range keys {
		texts[id] = hex.EncodeToString(key)
	}
	return texts
}

type export struct {
	chain        *Chain
	lines        *json.Encoder
	since, until time.Time
	cursor       int64 // number of the last seal that was written
	end          api.AuditExportEnd
}

func (x *export) run(ctx context.Context) error {
	start := api.AuditExportStart{Type: api.AuditStart, Version: 1, Keys: HexKeys(x.chain.Keys.Public())}
	if !x.since.IsZero() {
		start.Since = &x.since
	}
	if !x.until.IsZero() {
		start.Until = &x.until
	}
	if err := x.lines.Encode(start); err != nil {
		return err
	}
	for after := int64(0); ; {
		wanted, err := x.chain.Store.Seals(ctx, store.SealQuery{After: after, Since: x.since, Until: x.until, Limit: pageOfSeals})
		if err != nil {
			return err
		}
		for _, l := range wanted {
			if err := x.upTo(ctx, l); err != nil {
				return err
			}
			after = l.Number
		}
		if len(wanted) < pageOfSeals {
			break
		}
	}
	x.end.Type = api.AuditEnd
	return x.lines.Encode(x.end)
}

// upTo writes a seal, and before it those that lie between the last one that
// was written and this, so that what is exported is one chain.
func (x *export) upTo(ctx context.Context, l store.Seal) error {
	for x.cursor > 0 && x.cursor < l.Number-1 {
		between, err := x.chain.Store.Seals(ctx, store.SealQuery{After: x.cursor, Limit: pageOfSeals})
		if err != nil {
			return err
		}
		for _, b := range between {
			if b.Number >= l.Number {
				return x.seal(ctx, l)
			}
			if err := x.seal(ctx, b); err != nil {
				return err
			}
		}
	}
	return x.seal(ctx, l)
}

// seal writes a seal behind its events. Events that are missing are left out,
// which whoever verifies the export will see.
func (x *export) seal(ctx context.Context, l store.Seal) error {
	places, err := parsePlaces(l.Members)
	if err != nil {
		places = nil // likewise
	}
	events, err := x.chain.Store.EventsAt(ctx, places)
	if err != nil {
		return err
	}
	for _, e := range events {
		if err := x.event(e); err != nil {
			return err
		}
	}
	x.cursor = l.Number
	x.end.Seals++
	x.end.Head = Head{Number: l.Number, Hash: hashOf(l)}.String()
	return x.lines.Encode(api.AuditExportSeal{
		Type: api.AuditSeal, Number: l.Number, At: l.At, Previous: l.Previous, Members: l.Members, Count: l.Count,
		First: l.First, Last: l.Last, Root: l.Root, Tags: l.Tags, Adopted: l.Adopted, Key: l.KeyID, Signature: l.Signature,
	})
}

func (x *export) event(e store.PlacedEvent) error {
	hash := leaf(e.Event)
	text := hex.EncodeToString(hash[:])
	if e.At.Before(x.since) || !x.until.IsZero() && !e.At.Before(x.until) {
		return x.lines.Encode(api.AuditExportOmitted{Type: api.AuditOmitted, Place: e.Place, Hash: text})
	}
	x.end.Events++
	return x.lines.Encode(api.AuditExportEvent{Type: api.AuditEvent, Place: e.Place, Hash: text, Code: e.MAC, Event: Shown(e.Event)})
}

// Shown returns an event as the native API shows it, with nothing left out that
// its digest is over.
func Shown(e store.Event) api.Event {
	return api.Event{
		ID: e.ID, At: e.At.UTC(), Action: e.Action, Outcome: e.Outcome, Reason: e.Reason,
		Actor: e.ActorName, ActorID: e.ActorID, Token: e.TokenID, Target: e.Target, Addr: e.Addr, Agent: e.Agent,
		RequestID: e.RequestID, CorrelationID: e.CorrelationID, Detail: e.Detail, Count: e.Count,
	}
}

// stored is the reverse of Shown.
func stored(e api.Event) store.Event {
	return store.Event{
		ID: e.ID, At: e.At.UTC(), Action: e.Action, Outcome: e.Outcome, Reason: e.Reason,
		ActorName: e.Actor, ActorID: e.ActorID, TokenID: e.Token, Target: e.Target, Addr: e.Addr, Agent: e.Agent,
		RequestID: e.RequestID, CorrelationID: e.CorrelationID, Detail: e.Detail, Count: e.Count,
	}
}
