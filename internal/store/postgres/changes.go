package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// LastChange implements [store.ChangeReader].
func (s *Store) LastChange(ctx context.Context) (int64, error) {
	var seq int64
	err := s.get(ctx, "find the last change", `SELECT seq FROM change_counter`, nil, &seq)
	return seq, err
}

// ChangesAfter implements [store.ChangeReader].
func (s *Store) ChangesAfter(ctx context.Context, seq int64, limit int) ([]store.Change, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return list(ctx, s, "read the change log", `SELECT seq, at, kind, token_id, account_id
		FROM changes WHERE seq > $1::bigint ORDER BY seq LIMIT $2::bigint`, []any{seq, limit},
		func(row pgx.CollectableRow) (store.Change, error) {
			var c store.Change
			err := row.Scan(&c.Seq, instant{&c.At}, (*string)(&c.Kind), &c.TokenID, &c.AccountID)
			return c, err
		})
}

// AppendChange implements [store.Tx]. From here to the commit, everybody else
// who appends a change waits, so it is best done last.
func (t *tx) AppendChange(c store.Change) (int64, error) {
	if err := c.Check(); err != nil {
		return 0, err
	}
	var seq int64
	err := t.get("append a change", `WITH next AS (UPDATE change_counter SET seq = seq + 1 RETURNING seq)
		INSERT INTO changes (seq, at, kind, token_id, account_id)
		SELECT seq, $1::timestamptz, $2::text, $3::text, $4::text FROM next RETURNING seq`,
		[]any{c.At, string(c.Kind), c.TokenID, c.AccountID}, &seq)
	t.changed = t.changed || err == nil
	return seq, err
}

// SweepChanges implements [store.Batcher].
func (s *Store) SweepChanges(ctx context.Context, before time.Time, keep, limit int) (n int, err error) {
	if err := store.CheckLimit(limit); err != nil {
		return 0, err
	}
	err = s.update(ctx, func(t *tx) (err error) {
		n, err = t.exec("sweep changes", `
			WITH newest AS (SELECT seq FROM change_counter),
				oldest AS (SELECT seq, at FROM changes ORDER BY seq LIMIT $3::bigint),
				kept AS (SELECT min(seq) AS seq FROM oldest
					WHERE seq > (SELECT seq FROM newest) - $2::bigint AND at >= $1::timestamptz OR seq >= (SELECT seq FROM newest))
			DELETE FROM changes WHERE seq IN (SELECT seq FROM oldest)
				AND ((SELECT seq FROM kept) IS NULL OR seq < (SELECT seq FROM kept))`,
			before, max(keep, 1), limit)
		return err
	})
	return n, err
}
