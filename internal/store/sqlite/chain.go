package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/store"
)

const placedColumns = `place, mac, ` + eventColumns

func scanPlaced(r row) (store.PlacedEvent, error) {
	var e store.PlacedEvent
	err := r.scan(&e.Place, &e.MAC, &e.ID, micros{&e.At}, &e.Action, &e.Outcome, &e.Reason, &e.ActorID, &e.ActorName,
		&e.TokenID, &e.Target, &e.Addr, &e.Agent, &e.RequestID, &e.CorrelationID, fromText{&e.Detail}, &e.Count)
	return e, err
}

// EventsByPlace implements [store.EventChain].
func (s *Store) EventsByPlace(ctx context.Context, above int64, limit int) ([]store.PlacedEvent, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return s.placed(ctx, `SELECT `+placedColumns+` FROM events WHERE place > ? ORDER BY place LIMIT ?`, above, limit)
}

// EventsAt implements [store.EventChain].
func (s *Store) EventsAt(ctx context.Context, places []int64) ([]store.PlacedEvent, error) {
	var all []store.PlacedEvent
	for part := range slices.Chunk(places, 500) {
		args := make([]any, len(part))
		for i, p := range part {
			args[i] = p
		}
		query := `SELECT ` + placedColumns + ` FROM events WHERE place IN (?` + strings.Repeat(`, ?`, len(part)-1) + `) ORDER BY place`
		some, err := s.placed(ctx, query, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func (s *Store) placed(ctx context.Context, query string, args ...any) ([]store.PlacedEvent, error) {
	var events []store.PlacedEvent
	err := s.lists.list(ctx, "list events by place", query, args, func(r row) error {
		e, err := scanPlaced(r)
		events = append(events, e)
		return err
	})
	return events, err
}

const sealColumns = `number, at, previous, members, count, first_at, last_at, root, tags, adopted, key_id, signature`

// Seals implements [store.EventChain].
func (s *Store) Seals(ctx context.Context, q store.SealQuery) ([]store.Seal, error) {
	if err := store.CheckLimit(q.Limit); err != nil {
		return nil, err
	}
	var w where
	w.and(`number > ?`, q.After)
	if !q.Since.IsZero() {
		w.and(`last_at >= ?`, q.Since.UnixMicro())
	}
	if !q.Until.IsZero() {
		w.and(`first_at < ?`, q.Until.UnixMicro())
	}
	return s.seals(ctx, w.String()+` ORDER BY number LIMIT ?`, append(w.args, q.Limit)...)
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
	var seals []store.Seal
	err := s.lists.list(ctx, "list seals", `SELECT `+sealColumns+` FROM event_seals`+rest, args, func(r row) error {
		var l store.Seal
		err := r.scan(&l.Number, micros{&l.At}, &l.Previous, &l.Members, &l.Count, micros{&l.First}, micros{&l.Last},
			&l.Root, &l.Tags, &l.Adopted, &l.KeyID, &l.Signature)
		seals = append(seals, l)
		return err
	})
	return seals, err
}

// AppendSeal implements [store.EventChain].
func (s *Store) AppendSeal(ctx context.Context, l store.Seal) error {
	return s.writer.do(ctx, func(t *tx) error {
		_, err := t.exec("append a seal", `INSERT INTO event_seals (`+sealColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			l.Number, l.At.UnixMicro(), bytesOf(l.Previous), l.Members, l.Count, l.First.UnixMicro(), l.Last.UnixMicro(),
			bytesOf(l.Root), bytesOf(l.Tags), l.Adopted, l.KeyID, bytesOf(l.Signature))
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
	err := s.points.get(ctx, "read where the audit log begins",
		`SELECT number, hash, through, removed, at, key_id, signature FROM event_trim`, nil,
		&m.Number, &m.Hash, micros{&m.Through}, &m.Removed, micros{&m.At}, &m.KeyID, &m.Signature)
	return m, err
}

// Trim implements [store.EventChain].
func (s *Store) Trim(ctx context.Context, m store.Trimmed, places [][2]int64) error {
	return s.writer.do(ctx, func(t *tx) error {
		n, err := t.exec("note where the audit log begins", `INSERT INTO event_trim (one, number, hash, through, removed, at, key_id, signature)
			VALUES (1, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET number = excluded.number, hash = excluded.hash,
			through = excluded.through, removed = excluded.removed, at = excluded.at, key_id = excluded.key_id,
			signature = excluded.signature WHERE excluded.number > event_trim.number`,
			m.Number, bytesOf(m.Hash), m.Through.UnixMicro(), m.Removed, m.At.UnixMicro(), m.KeyID, bytesOf(m.Signature))
		if err == nil && n == 0 {
			err = fmt.Errorf("trim the audit log to seal %d: %w", m.Number, store.ErrConflict)
		}
		if err != nil {
			return err
		}
		for _, p := range places {
			if _, err := t.exec("remove old events", `DELETE FROM events WHERE place BETWEEN ? AND ?`, p[0], p[1]); err != nil {
				return err
			}
		}
		_, err = t.exec("remove old seals", `DELETE FROM event_seals WHERE number <= ?`, m.Number)
		return err
	})
}
