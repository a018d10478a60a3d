package postgres

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// ours is the condition on a token that it was made here; see
// [store.ImportedPrefix].
const ours = `left(t.id, 4) <> '` + store.ImportedPrefix + `'`

// sweepTokens finds tokens that ended before $1, each kind by its own index,
// and removes those of them for which this is still so. The end by epoch is
// taken to be the last change of the account's epoch, which is not too early.
const sweepTokens = `WITH dead AS MATERIALIZED (
		(SELECT t.id FROM tokens t WHERE t.revoked_at < $1::timestamptz AND ` + ours + ` LIMIT $2::bigint)
		UNION (SELECT t.id FROM tokens t WHERE t.expires_at < $1::timestamptz LIMIT $2::bigint)
		UNION (SELECT t.id FROM tokens t
			WHERE t.idle_after > 0 AND t.created_at < $1::timestamptz AND ` + idleEnd + ` < $1::timestamptz AND ` + ours + ` LIMIT $2::bigint)
		UNION (SELECT t.id FROM accounts a JOIN tokens t ON t.account_id = a.id
			WHERE a.epoch_at < $1::timestamptz AND t.revoked_at IS NULL AND t.epoch < a.epoch AND ` + ours + ` LIMIT $2::bigint)
		LIMIT $2::bigint)
	DELETE FROM tokens t WHERE t.id IN (SELECT id FROM dead) AND (
		t.expires_at < $1::timestamptz OR ` + ours + ` AND (t.revoked_at < $1::timestamptz
			OR (t.idle_after > 0 AND ` + idleEnd + ` < $1::timestamptz)
			OR t.epoch < (SELECT a.epoch FROM accounts a WHERE a.id = t.account_id AND a.epoch_at < $1::timestamptz)))`

// Sweep implements [store.Batcher].
func (s *Store) Sweep(ctx context.Context, endedBefore time.Time, limit int) (n int, err error) {
	if err := store.CheckLimit(limit); err != nil {
		return 0, err
	}
	err = s.update(ctx, func(t *tx) (err error) {
		_, err = t.exec("sweep secrets", `DELETE FROM token_secrets WHERE digest IN (
			SELECT digest FROM token_secrets WHERE expires_at < $1::timestamptz LIMIT $2::bigint
			FOR UPDATE SKIP LOCKED)`, endedBefore, limit)
		if err != nil {
			return err
		}
		if _, err = t.exec("forget deleted accounts", `DELETE FROM departed WHERE at < $1::timestamptz`, endedBefore.Add(-store.KeepDeparted)); err != nil {
			return err
		}
		n, err = t.exec("sweep tokens", sweepTokens, endedBefore, limit)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
