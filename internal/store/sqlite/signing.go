package sqlite

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

const signingKeys = `SELECT id, algorithm, public, certificate, sealed,
	created_at, active_at, retire_at, longest, withdrawn_at, withdrawn_by, withdraw_reason, imported
	FROM signing_keys ORDER BY created_at, id`

// appendSigningKey reads a row of signingKeys.
func appendSigningKey(list *[]store.SigningKey) func(row) error {
	return func(r row) error {
		var k store.SigningKey
		var longest int64
		err := r.scan(&k.ID, &k.Algorithm, &k.Public, &k.Certificate, &k.Sealed,
			micros{&k.CreatedAt}, micros{&k.ActiveAt}, micros{&k.RetireAt}, &longest,
			micros{&k.WithdrawnAt}, &k.WithdrawnBy, &k.WithdrawReason, &k.Imported)
		k.Longest = time.Duration(longest) * time.Microsecond
		*list = append(*list, k)
		return err
	}
}

// SigningKeys implements [store.SigningKeyReader].
func (s *Store) SigningKeys(ctx context.Context) ([]store.SigningKey, error) {
	var list []store.SigningKey
	err := s.lists.list(ctx, "list signing keys", signingKeys, nil, appendSigningKey(&list))
	return list, err
}

// LockSigningKeys implements [store.SigningKeyWriter]. There is one writer.
func (t *tx) LockSigningKeys() ([]store.SigningKey, error) {
	const op = "lock the signing keys"
	if err := t.ready(); err != nil {
		return nil, t.fault(op, err)
	}
	var list []store.SigningKey
	err := t.w.conn.each(signingKeys, nil, appendSigningKey(&list))
	return list, t.fault(op, err)
}

// InsertSigningKey implements [store.SigningKeyWriter].
func (t *tx) InsertSigningKey(k store.SigningKey) error {
	if err := k.Check(); err != nil {
		return err
	}
	_, err := t.exec("insert a signing key", `INSERT INTO signing_keys (id, algorithm, public, certificate, sealed, created_at, active_at, retire_at, longest, withdrawn_at, withdrawn_by, withdraw_reason, imported)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		k.ID, k.Algorithm, orNull(k.Public), orNull(k.Certificate), orNull(k.Sealed), k.CreatedAt.UnixMicro(), maybe(k.ActiveAt), maybe(k.RetireAt),
		k.Longest.Microseconds(), maybe(k.WithdrawnAt), k.WithdrawnBy, k.WithdrawReason, k.Imported)
	return err
}

// UpdateSigningKey implements [store.SigningKeyWriter].
func (t *tx) UpdateSigningKey(k store.SigningKey) error {
	if err := k.Check(); err != nil {
		return err
	}
	return t.change("update a signing key", `UPDATE signing_keys SET sealed = ?,
			active_at = ?, retire_at = ?, longest = ?, withdrawn_at = ?, withdrawn_by = ?, withdraw_reason = ?
		WHERE id = ?`,
		orNull(k.Sealed), maybe(k.ActiveAt), maybe(k.RetireAt),
		k.Longest.Microseconds(), maybe(k.WithdrawnAt), k.WithdrawnBy, k.WithdrawReason, k.ID)
}

// DeleteSigningKey implements [store.SigningKeyWriter].
func (t *tx) DeleteSigningKey(id string) error {
	return t.change("delete a signing key", `DELETE FROM signing_keys WHERE id = ?`, id)
}

// orNull is a column of bytes that may be NULL.
func orNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}
