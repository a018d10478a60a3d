package sqlite

import (
	"bytes"
	"context"
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// RegisterKey implements [store.KeyRegistry].
func (s *Store) RegisterKey(ctx context.Context, id string, check []byte) error {
	if !store.Storable(id) || len(check) == 0 {
		return fmt.Errorf("register server secret %q: %w", id, store.ErrInvalid)
	}
	return s.writer.do(ctx, func(t *tx) error {
		_, err := t.exec("register a server secret", `INSERT INTO server_keys (id, check_value, created_at)
			VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING`, id, check, t.w.now().UnixMicro())
		if err != nil {
			return err
		}
		var known []byte
		err = t.get("compare a server secret", `SELECT check_value FROM server_keys WHERE id = ?`, []any{id}, &known)
		if err == nil && !bytes.Equal(known, check) {
			return fmt.Errorf("server secret %q: %w with another value", id, store.ErrConflict)
		}
		return err
	})
}

// Keys implements [store.KeyRegistry].
func (s *Store) Keys(ctx context.Context) ([]string, error) {
	var ids []string
	err := s.lists.list(ctx, "list server secrets", `SELECT id FROM server_keys ORDER BY seq`, nil,
		func(r row) error {
			var id string
			err := r.scan(&id)
			ids = append(ids, id)
			return err
		})
	return ids, err
}
