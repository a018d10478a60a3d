package postgres

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// RegisterKey implements [store.KeyRegistry].
func (s *Store) RegisterKey(ctx context.Context, id string, check []byte) error {
	if !store.Storable(id) || len(check) == 0 {
		return fmt.Errorf("register server secret %q: %w", id, store.ErrInvalid)
	}
	return s.update(ctx, func(t *tx) error {
		err := t.later("register a server secret", `INSERT INTO server_keys (id, check_value, created_at)
			VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`, id, check, s.now())
		if err != nil {
			return err
		}
		var known []byte
		err = t.get("compare a server secret", `SELECT check_value FROM server_keys WHERE id = $1`, []any{id}, &known)
		if err == nil && !bytes.Equal(known, check) {
			return fmt.Errorf("server secret %q: %w with another value", id, store.ErrConflict)
		}
		return err
	})
}

// Keys implements [store.KeyRegistry].
func (s *Store) Keys(ctx context.Context) ([]string, error) {
	return list(ctx, s, "list server secrets", `SELECT id FROM server_keys ORDER BY seq`, nil, pgx.RowTo[string])
}
