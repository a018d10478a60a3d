package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

const eventColumns = `id, at, action, outcome, reason, actor_id, actor_name, token_id, target, addr, agent,
	request_id, correlation_id, detail, count`

// Events implements [store.EventReader].
func (s *Store) Events(ctx context.Context, q store.EventQuery) ([]store.Event, error) {
	if err := store.CheckLimit(q.Limit); err != nil {
		return nil, err
	}
	query, args := eventQuery(q)
	var events []store.Event
	err := s.lists.list(ctx, "list events", query, args, func(r row) error {
		var e store.Event
		err := r.scan(&e.ID, micros{&e.At}, &e.Action, &e.Outcome, &e.Reason, &e.ActorID, &e.ActorName,
			&e.TokenID, &e.Target, &e.Addr, &e.Agent, &e.RequestID, &e.CorrelationID, fromText{&e.Detail}, &e.Count)
		events = append(events, e)
		return err
	})
	return events, err
}

func eventQuery(q store.EventQuery) (string, []any) {
	const newestFirst = ` ORDER BY at DESC, id DESC LIMIT ?`
	w := eventWhere(q)
	if q.TokenID == "" {
		return `SELECT ` + eventColumns + ` FROM events` + w.String() + newestFirst, append(w.args, q.Limit)
	}
	// Two walks over two indexes, each no longer than the limit; an OR would
	// find and sort everything first.
	used, about := w, w
	used.conditions = append([]string{`token_id = ? AND token_id <> ''`}, w.conditions...)
	about.conditions = append([]string{`target = ? AND target <> ''`}, w.conditions...)
	half := append(append([]any{q.TokenID}, w.args...), q.Limit)
	query := `SELECT * FROM (SELECT ` + eventColumns + ` FROM events` + used.String() + newestFirst + `)
		UNION SELECT * FROM (SELECT ` + eventColumns + ` FROM events` + about.String() + newestFirst + `)` + newestFirst
	return query, append(append(append([]any{}, half...), half...), q.Limit)
}

func eventWhere(q store.EventQuery) where {
	var w where
	for _, c := range []struct{ condition, value string }{
		{`outcome = ?`, q.Outcome},
		{`actor_name = ?`, q.ActorName},
		// The second half says that the index, which leaves out "", will do.
		{`actor_id = ? AND actor_id <> ''`, q.ActorID},
		{`target = ? AND target <> ''`, q.Target},
		{`request_id = ? AND request_id <> ''`, q.RequestID},
		{`correlation_id = ? AND correlation_id <> ''`, q.CorrelationID},
	} {
		if c.value != "" {
			w.and(c.condition, c.value)
		}
	}
	if strings.HasSuffix(q.Action, ".") {
		w.prefix(`action`, q.Action)
	} else if q.Action != "" {
		w.and(`action = ?`, q.Action)
	}
	if !q.Since.IsZero() {
		w.and(`at >= ?`, q.Since.UnixMicro())
	}
	if !q.Until.IsZero() {
		w.and(`at < ?`, q.Until.UnixMicro())
	}
	if q.After != (store.Position{}) {
		w.and(`(at, id) < (?, ?)`, q.After.At.UnixMicro(), q.After.ID)
	}
	return w
}

// AppendEvent implements [store.Tx]. An event with the time and id of one that
// is there already is the same event, written again after a doubtful commit.
func (t *tx) AppendEvent(e store.Event) error {
	e = e.Clean()
	detail, err := text(e.Detail, len(e.Detail))
	if err != nil {
		return fmt.Errorf("write the detail of event %s: %w", e.ID, err)
	}
	_, err = t.exec("append an event", `INSERT INTO events (`+eventColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		e.ID, e.At.UnixMicro(), e.Action, e.Outcome, e.Reason, e.ActorID, e.ActorName, e.TokenID, e.Target,
		e.Addr, e.Agent, e.RequestID, e.CorrelationID, detail, e.Count)
	return err
}

// AppendEvents implements [store.Batcher].
func (s *Store) AppendEvents(ctx context.Context, events []store.Event) error {
	if len(events) == 0 {
		return nil
	}
	return s.writer.update(ctx, func(t *tx) error {
		for _, e := range events {
			if err := t.AppendEvent(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// SweepEvents implements [store.Batcher].
func (s *Store) SweepEvents(ctx context.Context, before time.Time, limit int) (n int, err error) {
	if err := store.CheckLimit(limit); err != nil {
		return 0, err
	}
	err = s.writer.update(ctx, func(t *tx) (err error) {
		n, err = t.exec("sweep events", `DELETE FROM events WHERE (at, id) IN (
			SELECT at, id FROM events WHERE at < ? ORDER BY at, id LIMIT ?)`, before.UnixMicro(), limit)
		return err
	})
	return n, err
}
