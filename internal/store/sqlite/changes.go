package sqlite

import (
	"context"

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
