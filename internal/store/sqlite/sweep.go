package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// ours is the condition on a token that it was made here; see
// [store.ImportedPrefix].
const ours = `substr(t.id, 1, 4) <> '` + store.ImportedPrefix + `'`

// deadBefore is the condition on a token that it ended before ?1. The end by
// epoch is taken to be the last change of the account's epoch, which is not
// too early.
const deadBefore = `(t.expires_at < ?1 OR ` + ours + ` AND (t.revoked_at < ?1
	OR (t.idle_after > 0 AND ` + idleEnd + ` < ?1)
	OR EXISTS (SELECT 1 FROM accounts a WHERE a.id = t.account_id AND t.epoch < a.epoch AND a.epoch_at < ?1)))`

// deadTokens finds tokens that ended before ?1, each kind by its own index.
const deadTokens = `SELECT seq FROM (
		SELECT * FROM (SELECT t.seq FROM tokens t WHERE t.revoked_at < ?1 AND ` + ours + ` LIMIT ?2)
		UNION SELECT * FROM (SELECT t.seq FROM tokens t WHERE t.expires_at < ?1 LIMIT ?2)
		UNION SELECT * FROM (SELECT t.seq FROM tokens t
			WHERE t.idle_after > 0 AND t.created_at < ?1 AND ` + idleEnd + ` < ?1 AND ` + ours + ` LIMIT ?2)
		UNION SELECT * FROM (SELECT t.seq FROM accounts a CROSS JOIN tokens t
			WHERE a.epoch_at < ?1 AND t.account_id = a.id AND t.revoked_at IS NULL AND t.epoch < a.epoch AND ` + ours + ` LIMIT ?2)
	) LIMIT ?2`

// Sweep implements [store.Batcher]. The search, which may be long, is made
// beside the writer; what it found is looked at again when it is removed.
func (s *Store) Sweep(ctx context.Context, endedBefore time.Time, limit int) (n int, err error) {
	if err := store.CheckLimit(limit); err != nil {
		return 0, err
	}
	before := endedBefore.UnixMicro()
	var found []int64
	err = s.lists.list(ctx, "find ended tokens", deadTokens, []any{before, limit}, func(r row) error {
		var seq int64
		err := r.scan(&seq)
		found = append(found, seq)
		return err
	})
	if err != nil {
		return 0, err
	}
	list, err := json.Marshal(found)
	if err != nil {
		return 0, fmt.Errorf("sweep tokens: %w", err)
	}
	err = s.writer.do(ctx, func(t *tx) (err error) {
		_, err = t.exec("sweep secrets", `DELETE FROM token_secrets WHERE digest IN (
			SELECT digest FROM token_secrets WHERE expires_at < ? LIMIT ?)`, before, limit)
		if err != nil {
			return err
		}
		if _, err = t.exec("forget deleted accounts", `DELETE FROM departed WHERE at < ?`, endedBefore.Add(-store.KeepDeparted).UnixMicro()); err != nil || len(found) == 0 {
			return err
		}
		n, err = t.exec("sweep tokens", `DELETE FROM tokens AS t
			WHERE t.seq IN (SELECT value FROM json_each(?2)) AND `+deadBefore, before, string(list))
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
