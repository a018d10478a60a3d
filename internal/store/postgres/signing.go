package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/store"
)

const signingKeys = `SELECT id, algorithm, public, certificate, sealed,
	created_at, active_at, retire_at, longest, withdrawn_at, withdrawn_by, withdraw_reason, imported
	FROM signing_keys ORDER BY created_at, id`

func scanSigningKey(row pgx.CollectableRow) (store.SigningKey, error) {
	var k store.SigningKey
	err := row.Scan(&k.ID, &k.Algorithm, &k.Public, &k.Certificate, &k.Sealed,
		instant{&k.CreatedAt}, instant{&k.ActiveAt}, instant{&k.RetireAt}, period{&k.Longest},
		instant{&k.WithdrawnAt}, &k.WithdrawnBy, &k.WithdrawReason, &k.Imported)
	return k, err
}

// SigningKeys implements [store.SigningKeyReader].
func (s *Store) SigningKeys(ctx context.Context) ([]store.SigningKey, error) {
	return list(ctx, s, "list signing keys", signingKeys, nil, scanSigningKey)
}

// LockSigningKeys implements [store.SigningKeyWriter]. It locks the table: a
// key that does not exist yet has no row to lock. Plain reads go on. What was
// committed while it waited is seen, as every statement has its own snapshot.
func (t *tx) LockSigningKeys() ([]store.SigningKey, error) {
	var keys []store.SigningKey
	err := t.send("lock the signing keys", []pending{
		{query: `LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE`}, {query: signingKeys},
	}, func(results pgx.BatchResults) error {
		if _, err := results.Exec(); err != nil {
			return err
		}
		rows, err := results.Query()
		if err != nil {
			return err
		}
		keys, err = pgx.CollectRows(rows, scanSigningKey)
		return err
	})
	return keys, err
}

// InsertSigningKey implements [store.SigningKeyWriter].
func (t *tx) InsertSigningKey(k store.SigningKey) error {
	const op = "insert a signing key"
	if err := k.Check(); err != nil {
		return err
	}
	n, err := t.exec(op, `INSERT INTO signing_keys (id, algorithm, public, certificate, sealed, created_at, active_at, retire_at, longest, withdrawn_at, withdrawn_by, withdraw_reason, imported)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING`,
		k.ID, k.Algorithm, bytesOrNull(k.Public), bytesOrNull(k.Certificate), bytesOrNull(k.Sealed), k.CreatedAt, maybe(k.ActiveAt), maybe(k.RetireAt),
		k.Longest.Microseconds(), maybe(k.WithdrawnAt), k.WithdrawnBy, k.WithdrawReason, k.Imported)
	if err == nil && n == 0 {
		return fmt.Errorf("%s: %w", op, store.ErrConflict)
	}
	return err
}

// UpdateSigningKey implements [store.SigningKeyWriter].
func (t *tx) UpdateSigningKey(k store.SigningKey) error {
	if err := k.Check(); err != nil {
		return err
	}
	return t.change("update a signing key", `UPDATE signing_keys SET sealed = $2, active_at = $3, retire_at = $4,
			longest = $5, withdrawn_at = $6, withdrawn_by = $7, withdraw_reason = $8
		WHERE id = $1`,
		k.ID, bytesOrNull(k.Sealed), maybe(k.ActiveAt), maybe(k.RetireAt),
		k.Longest.Microseconds(), maybe(k.WithdrawnAt), k.WithdrawnBy, k.WithdrawReason)
}

// DeleteSigningKey implements [store.SigningKeyWriter].
func (t *tx) DeleteSigningKey(id string) error {
	const op = "delete a signing key"
	if err := findable(t.caller, op, id); err != nil {
		return err
	}
	return t.change(op, `DELETE FROM signing_keys WHERE id = $1`, id)
}

// bytesOrNull is a column of bytes that may be NULL.
func bytesOrNull(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}
