package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/store"
)

const eventColumns = `id, at, action, outcome, reason, actor_id, actor_name, token_id, target, addr, agent,
	request_id, correlation_id, detail, count`

// Events implements [store.EventReader].
func (s *Store) Events(ctx context.Context, q store.EventQuery) ([]store.Event, error) {
	if err := store.CheckLimit(q.Limit); err != nil {
		return nil, err
	}
	query, args, ok := eventQuery(q)
	if !ok {
		return nil, s.fault(ctx, "list events", ctx.Err())
	}
	return list(ctx, s, "list events", query, args, func(row pgx.CollectableRow) (store.Event, error) {
		var e store.Event
		var detail []byte
		err := row.Scan(&e.ID, instant{&e.At}, &e.Action, &e.Outcome, &e.Reason, &e.ActorID, &e.ActorName,
			&e.TokenID, &e.Target, &e.Addr, &e.Agent, &e.RequestID, &e.CorrelationID, &detail, &e.Count)
		if err == nil {
			e.Detail, err = fromObject(detail)
		}
		return e, err
	})
}

// eventQuery returns false when nothing can match.
func eventQuery(q store.EventQuery) (string, []any, bool) {
	w := eventWhere(q)
	newestFirst := ` ORDER BY at DESC, id DESC LIMIT ` + w.arg(q.Limit) + `::bigint`
	switch {
	case q.TokenID != "":
		id := w.text(q.TokenID) + `::text`
		return eitherOf(w, newestFirst, `token_id = `+id+` AND token_id <> ''`, `target = `+id+` AND target <> ''`), w.args, !w.never
	case q.CorrelationID != "":
		id := w.text(q.CorrelationID) + `::text`
		return eitherOf(w, newestFirst,
			`correlation_id = `+id+` AND correlation_id <> '' AND correlation_id <> request_id`,
			`request_id = `+id+` AND request_id <> '' AND correlation_id = request_id`), w.args, !w.never
	}
	return `SELECT ` + eventColumns + ` FROM events` + w.String() + newestFirst, w.args, !w.never
}

// eitherOf finds what fulfils w and one or the other condition: two walks over
// two indexes, each no longer than the limit; an OR would find and sort
// everything first.
func eitherOf(w where, newestFirst, one, other string) string {
	half := func(condition string) string {
		h := w
		h.conditions = append([]string{condition}, w.conditions...)
		return `(SELECT ` + eventColumns + ` FROM events` + h.String() + newestFirst + `)`
	}
	return `SELECT DISTINCT ON (at, id) * FROM (` + half(one) + ` UNION ALL ` + half(other) + `) e` + newestFirst
}

func eventWhere(q store.EventQuery) where {
	var w where
	w.equal(`outcome`, q.Outcome)
	w.equal(`actor_name`, q.ActorName)
	w.equal(`correlation_id`, q.CorrelationID)
	for _, c := range []struct{ column, value string }{
		{`actor_id`, q.ActorID}, {`target`, q.Target}, {`request_id`, q.RequestID},
	} {
		if c.value != "" {
			w.equal(c.column, c.value)
			w.and(c.column + ` <> ''`) // the index, which leaves out "", will do
		}
	}
	if strings.HasSuffix(q.Action, ".") {
		w.prefix(`action`, q.Action)
	} else {
		w.equal(`action`, q.Action)
	}
	if !q.Since.IsZero() {
		w.and(`at >= ` + w.arg(q.Since) + `::timestamptz`)
	}
	if !q.Until.IsZero() {
		w.and(`at < ` + w.arg(q.Until) + `::timestamptz`)
	}
	if q.After != (store.Position{}) {
		w.and(`(at, id) < (` + w.arg(q.After.At) + `::timestamptz, ` + w.text(q.After.ID) + `::text)`)
	}
	return w
}

// AppendEvent implements [store.Tx]. An event with the time and id of one that
// is there already is the same event, written again after a doubtful commit.
func (t *tx) AppendEvent(e store.Event) error {
	e = e.Clean()
	detail, err := object(e.Detail)
	if err != nil {
		return fmt.Errorf("write the detail of event %s: %w", e.ID, err)
	}
	return t.later("append an event", `INSERT INTO events (`+eventColumns+`, mac)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::jsonb, $15, $16) ON CONFLICT DO NOTHING`,
		e.ID, e.At, e.Action, e.Outcome, e.Reason, e.ActorID, e.ActorName, e.TokenID, e.Target,
		e.Addr, e.Agent, e.RequestID, e.CorrelationID, detail, e.Count, bytesOf(e.MAC))
}

// AppendEvents implements [store.Batcher].
func (s *Store) AppendEvents(ctx context.Context, events []store.Event) error {
	if len(events) == 0 {
		return nil
	}
	return s.update(ctx, func(t *tx) error {
		for _, e := range events {
			if err := t.AppendEvent(e); err != nil {
				return err
			}
		}
		return nil
	})
}
