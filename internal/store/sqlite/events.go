package sqlite

import (
	"context"
	"fmt"
	"strings"

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

const newestFirst = ` ORDER BY at DESC, id DESC LIMIT ?`

func eventQuery(q store.EventQuery) (string, []any) {
	w := eventWhere(q)
	switch {
	case q.TokenID != "":
		return eitherOf(w, q.TokenID, q.Limit, `token_id = ? AND token_id <> ''`, `target = ? AND target <> ''`)
	case q.CorrelationID != "":
		return eitherOf(w, q.CorrelationID, q.Limit,
			`correlation_id = ? AND correlation_id <> '' AND correlation_id <> request_id`,
			`request_id = ? AND request_id <> '' AND correlation_id = request_id`)
	}
	return `SELECT ` + eventColumns + ` FROM events` + w.String() + newestFirst, append(w.args, q.Limit)
}

// eitherOf finds what fulfils w and one or the other condition on a text: two
// walks over two indexes, each no longer than the limit; an OR would find and
// sort everything first.
func eitherOf(w where, text string, limit int, one, other string) (string, []any) {
	first, second := w, w
	first.conditions = append([]string{one}, w.conditions...)
	second.conditions = append([]string{other}, w.conditions...)
	half := append(append([]any{text}, w.args...), limit)
	query := `SELECT * FROM (SELECT ` + eventColumns + ` FROM events` + first.String() + newestFirst + `)
		UNION SELECT * FROM (SELECT ` + eventColumns + ` FROM events` + second.String() + newestFirst + `)` + newestFirst
	return query, append(append(append([]any{}, half...), half...), limit)
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
		{`correlation_id = ?`, q.CorrelationID},
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
	_, err = t.exec("append an event", `INSERT INTO events (`+eventColumns+`, mac)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		e.ID, e.At.UnixMicro(), e.Action, e.Outcome, e.Reason, e.ActorID, e.ActorName, e.TokenID, e.Target,
		e.Addr, e.Agent, e.RequestID, e.CorrelationID, detail, e.Count, bytesOf(e.MAC))
	return err
}

// AppendEvents implements [store.Batcher].
func (s *Store) AppendEvents(ctx context.Context, events []store.Event) error {
	if len(events) == 0 {
		return nil
	}
	return s.writer.do(ctx, func(t *tx) error {
		for _, e := range events {
			if err := t.AppendEvent(e); err != nil {
				return err
			}
		}
		return nil
	})
}
