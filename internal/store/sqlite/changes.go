package sqlite

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// LastChange implements [store.ChangeReader].
func (s *Store) LastChange(ctx context.Context) (int64, error) {
	var seq int64
	err := s.points.get(ctx, "find the last change", `SELECT seq FROM change_counter`, nil, &seq)
	return seq, err
}

// ChangesAfter implements [store.ChangeReader].
func (s *Store) ChangesAfter(ctx context.Context, seq int64, limit int) ([]store.Change, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	var changes []store.Change
	err := s.points.each(ctx, "read the change log",
		`SELECT seq, at, kind, token_id, account_id FROM changes WHERE seq > ? ORDER BY seq LIMIT ?`,
		[]any{seq, limit}, func(r row) error {
			var c store.Change
			if err := r.scan(&c.Seq, micros{&c.At}, (*string)(&c.Kind), &c.TokenID, &c.AccountID); err != nil {
				return err
			}
			changes = append(changes, c)
			return nil
		})
	return changes, err
}

// AppendChange implements [store.Tx].
func (t *tx) AppendChange(c store.Change) (int64, error) {
	if err := c.Check(); err != nil {
		return 0, err
	}
	var seq int64
	err := t.put("number a change", `UPDATE change_counter SET seq = seq + 1 RETURNING seq`, nil, &seq)
	if err != nil {
		return 0, err
	}
	_, err = t.exec("append a change", `INSERT INTO changes (seq, at, kind, token_id, account_id) VALUES (?, ?, ?, ?, ?)`,
		seq, c.At.UnixMicro(), string(c.Kind), c.TokenID, c.AccountID)
	return seq, err
}

// SweepChanges implements [store.Batcher].
func (s *Store) SweepChanges(ctx context.Context, before time.Time, keep, limit int) (n int, err error) {
	if err := store.CheckLimit(limit); err != nil {
		return 0, err
	}
	err = s.writer.do(ctx, func(t *tx) (err error) {
		n, err = t.exec("sweep changes", `
			WITH newest AS (SELECT seq FROM change_counter),
				oldest AS (SELECT seq, at FROM changes ORDER BY seq LIMIT ?3),
				kept AS (SELECT min(seq) AS seq FROM oldest
					WHERE seq > (SELECT seq FROM newest) - ?2 AND at >= ?1 OR seq >= (SELECT seq FROM newest))
			DELETE FROM changes WHERE seq IN (SELECT seq FROM oldest)
				AND ((SELECT seq FROM kept) IS NULL OR seq < (SELECT seq FROM kept))`,
			before.UnixMicro(), max(keep, 1), limit)
		return err
	})
	return n, err
}
