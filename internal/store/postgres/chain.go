package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/store"
)

const placedColumns = `place, mac, ` + eventColumns

func scanPlaced(row pgx.CollectableRow) (store.PlacedEvent, error) {
	var e store.PlacedEvent
	var detail []byte
	err := row.Scan(&e.Place, &e.MAC, &e.ID, instant{&e.At}, &e.Action, &e.Outcome, &e.Reason, &e.ActorID, &e.ActorName,
		&e.TokenID, &e.Target, &e.Addr, &e.Agent, &e.RequestID, &e.CorrelationID, &detail, &e.Count)
	if err == nil {
		e.Detail, err = fromObject(detail)
	}
	return e, err
}

// EventsByPlace implements [store.EventChain].
func (s *Store) EventsByPlace(ctx context.Context, above int64, limit int) ([]store.PlacedEvent, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return list(ctx, s, "list events by place",
		`SELECT `+placedColumns+` FROM events WHERE place > $1::bigint ORDER BY place LIMIT $2::bigint`, []any{above, limit}, scanPlaced)
}

// EventsAt implements [store.EventChain].
func (s *Store) EventsAt(ctx context.Context, places []int64) ([]store.PlacedEvent, error) {
	if len(places) == 0 {
		return nil, nil
	}
	return list(ctx, s, "list events by place",
		`SELECT `+placedColumns+` FROM events WHERE place = ANY ($1::bigint[]) ORDER BY place`, []any{places}, scanPlaced)
}

const sealColumns = `number, at, previous, members, count, first_at, last_at, root, tags, adopted, key_id, signature`

// Seals implements [store.EventChain].
func (s *Store) Seals(ctx context.Context, q store.SealQuery) ([]store.Seal, error) {
	if err := store.CheckLimit(q.Limit); err != nil {
		return nil, err
	}
	var w where
	w.and(`number > ` + w.arg(q.After) + `::bigint`)
	if !q.Since.IsZero() {
		w.and(`last_at >= ` + w.arg(q.Since) + `::timestamptz`)
	}
	if !q.Until.IsZero() {
		w.and(`first_at < ` + w.arg(q.Until) + `::timestamptz`)
	}
	limit := ` ORDER BY number LIMIT ` + w.arg(q.Limit) + `::bigint`
	return s.seals(ctx, w.String()+limit, w.args...)
}

// LastSeal implements [store.EventChain].
func (s *Store) LastSeal(ctx context.Context) (store.Seal, error) {
	seals, err := s.seals(ctx, ` ORDER BY number DESC LIMIT 1`)
	if err == nil && len(seals) == 0 {
		err = fmt.Errorf("read the last seal: %w", store.ErrNotFound)
	}
	if err != nil {
		return store.Seal{}, err
	}
	return seals[0], nil
}

func (s *Store) seals(ctx context.Context, rest string, args ...any) ([]store.Seal, error) {
	return list(ctx, s, "list seals", `SELECT `+sealColumns+` FROM event_seals`+rest, args, func(row pgx.CollectableRow) (store.Seal, error) {
		var l store.Seal
		err := row.Scan(&l.Number, instant{&l.At}, &l.Previous, &l.Members, &l.Count, instant{&l.First}, instant{&l.Last},
			&l.Root, &l.Tags, &l.Adopted, &l.KeyID, &l.Signature)
		return l, err
	})
}

// AppendSeal implements [store.EventChain].
func (s *Store) AppendSeal(ctx context.Context, l store.Seal) error {
	return s.update(ctx, func(t *tx) error {
		n, err := t.exec("append a seal", `INSERT INTO event_seals (`+sealColumns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`,
			l.Number, l.At, bytesOf(l.Previous), l.Members, l.Count, l.First, l.Last, bytesOf(l.Root), bytesOf(l.Tags), l.Adopted,
			l.KeyID, bytesOf(l.Signature))
		if err == nil && n == 0 {
			err = fmt.Errorf("append seal %d: %w", l.Number, store.ErrConflict)
		}
		return err
	})
}

// bytesOf makes a list of bytes into one that is not NULL.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// TrimmedTo implements [store.EventChain].
func (s *Store) TrimmedTo(ctx context.Context) (store.Trimmed, error) {
	var m store.Trimmed
	err := s.get(ctx, "read where the audit log begins",
		`SELECT number, hash, through, removed, at, key_id, signature FROM event_trim`, nil,
		&m.Number, &m.Hash, instant{&m.Through}, &m.Removed, instant{&m.At}, &m.KeyID, &m.Signature)
	return m, err
}

// Trim implements [store.EventChain].
func (s *Store) Trim(ctx context.Context, m store.Trimmed, places [][2]int64) error {
	var from, to []int64
	for _, p := range places {
		from, to = append(from, p[0]), append(to, p[1])
	}
	return s.update(ctx, func(t *tx) error {
		n, err := t.exec("note where the audit log begins", `INSERT INTO event_trim AS old (one, number, hash, through, removed, at, key_id, signature)
			VALUES (1, $1, $2, $3, $4, $5, $6, $7) ON CONFLICT (one) DO UPDATE SET number = excluded.number, hash = excluded.hash,
			through = excluded.through, removed = excluded.removed, at = excluded.at, key_id = excluded.key_id,
			signature = excluded.signature WHERE excluded.number > old.number`,
			m.Number, bytesOf(m.Hash), m.Through, m.Removed, m.At, m.KeyID, bytesOf(m.Signature))
		if err == nil && n == 0 {
			err = fmt.Errorf("trim the audit log to seal %d: %w", m.Number, store.ErrConflict)
		}
		if err != nil {
			return err
		}
		err = t.later("remove old events", `DELETE FROM events USING unnest($1::bigint[], $2::bigint[]) AS r (a, b)
			WHERE place BETWEEN r.a AND r.b`, from, to)
		if err != nil {
			return err
		}
		return t.later("remove old seals", `DELETE FROM event_seals WHERE number <= $1::bigint`, m.Number)
	})
}

// takeUpPlaces makes places rise on from what is there: a database that was
// filled from a copy has events, and a sequence that begins anew.
func (s *Store) takeUpPlaces(ctx context.Context) error {
	return s.update(ctx, func(t *tx) error {
		_, err := t.exec("take up the places of events", `SELECT setval('events_place', e.last)
			FROM (SELECT max(place) AS last FROM events) AS e, events_place AS p WHERE e.last > p.last_value`)
		return err
	})
}
