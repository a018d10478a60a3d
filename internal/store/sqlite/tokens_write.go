package sqlite

import (
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// LockToken implements [store.TokenWriter]. Nothing needs to be locked: there
// is one transaction at a time.
func (t *tx) LockToken(id string) (store.Token, error) {
	var r tokenRow
	err := t.get("find a token", tokenByID, []any{id}, &r)
	return r.token, err
}

// LockSlot implements [store.TokenWriter].
func (t *tx) LockSlot(accountID, slot string) (store.FoundToken, error) {
	var r foundRow
	if err := t.get("find the token in a slot", tokenBySlot, []any{accountID, slot}, &r); err != nil {
		return store.FoundToken{}, err
	}
	return r.finish(), nil
}

const insertToken = `INSERT INTO tokens (id, account_id, class, name, prefix, slot, scope, labels, cidrs,
		epoch, parent_id, created_at, expires_at, idle_after, revoked_at, revoked_by, revoke_reason, rotated_at)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// InsertToken implements [store.TokenWriter].
func (t *tx) InsertToken(tok store.Token, s store.Secret) error {
	s.TokenID = tok.ID
	if err := tok.Check(); err != nil {
		return err
	}
	if err := s.Check(); err != nil {
		return err
	}
	scope, labels, cidrs, err := lists(tok)
	if err != nil {
		return err
	}
	seq, err := t.insert("insert a token", insertToken,
		tok.ID, tok.AccountID, tok.Class, tok.Name, tok.Prefix, tok.Slot, scope, labels, cidrs,
		tok.Epoch, tok.ParentID, tok.CreatedAt.UnixMicro(), maybe(tok.ExpiresAt), tok.IdleAfter.Microseconds(),
		maybe(tok.RevokedAt), tok.RevokedBy, tok.RevokeReason, maybe(tok.RotatedAt))
	if err != nil {
		return err
	}
	if err := t.insertSecret(seq, s); err != nil {
		// The caller may go on after a conflict, and then without half a token.
		if _, undo := t.exec("take a token back", `DELETE FROM tokens WHERE seq = ?`, seq); undo != nil {
			return undo
		}
		return err
	}
	if tok.LastUse.At.IsZero() {
		return nil
	}
	tok.LastUse.TokenID = tok.ID
	return t.recordUse(tok.LastUse)
}

// lists writes what a token has of lists and maps as text.
func lists(t store.Token) (scope, labels, cidrs string, err error) {
	if scope, err = text(t.Scope, len(t.Scope)); err != nil {
		return "", "", "", fmt.Errorf("write the scope of token %s: %w", t.ID, err)
	}
	if labels, err = text(t.Labels, len(t.Labels)); err != nil {
		return "", "", "", fmt.Errorf("write the labels of token %s: %w", t.ID, err)
	}
	if cidrs, err = text(t.CIDRs, len(t.CIDRs)); err != nil {
		return "", "", "", fmt.Errorf("write the address ranges of token %s: %w", t.ID, err)
	}
	return scope, labels, cidrs, nil
}

// UpdateToken implements [store.TokenWriter].
func (t *tx) UpdateToken(tok store.Token) error {
	if err := tok.Check(); err != nil {
		return err
	}
	scope, labels, cidrs, err := lists(tok)
	if err != nil {
		return err
	}
	return t.change("update a token", `UPDATE tokens SET name = ?, prefix = ?, scope = ?, labels = ?, cidrs = ?,
			epoch = ?, expires_at = ?, idle_after = ?, revoked_at = ?, revoked_by = ?, revoke_reason = ?, rotated_at = ?
		WHERE id = ?`,
		tok.Name, tok.Prefix, scope, labels, cidrs, tok.Epoch, maybe(tok.ExpiresAt), tok.IdleAfter.Microseconds(),
		maybe(tok.RevokedAt), tok.RevokedBy, tok.RevokeReason, maybe(tok.RotatedAt), tok.ID)
}

// InsertSecret implements [store.TokenWriter].
func (t *tx) InsertSecret(s store.Secret) error {
	if err := s.Check(); err != nil {
		return err
	}
	var seq int64
	err := t.put("count the secrets of a token", `UPDATE tokens SET secrets = secrets + 1 WHERE id = ? RETURNING seq`,
		[]any{s.TokenID}, &seq)
	if err != nil {
		return err
	}
	return t.insertSecret(seq, s)
}

func (t *tx) insertSecret(seq int64, s store.Secret) error {
	var sealed any
	if len(s.Sealed) > 0 {
		sealed = s.Sealed
	}
	_, err := t.exec("insert a secret", `INSERT INTO token_secrets
			(digest, token, key_id, sealed, created_at, expires_at, until_successor) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		s.Digest, seq, s.KeyID, sealed, s.CreatedAt.UnixMicro(), maybe(s.ExpiresAt), s.UntilSuccessor)
	return err
}

// RetireSecrets implements [store.TokenWriter].
func (t *tx) RetireSecrets(tokenID string, keep []byte, until time.Time, untilSuccessor bool) error {
	if keep == nil {
		keep = []byte{} // no digest is empty
	}
	const these = ` WHERE token = (SELECT seq FROM tokens WHERE id = ?1) AND digest <> ?2`
	var err error
	if until.IsZero() {
		_, err = t.exec("remove secrets", `DELETE FROM token_secrets`+these, tokenID, keep)
	} else {
		_, err = t.exec("retire secrets", `UPDATE token_secrets SET expires_at = min(ifnull(expires_at, ?3), ?3),
			until_successor = until_successor OR ?4`+these, tokenID, keep, until.UnixMicro(), untilSuccessor)
	}
	return err
}

const countUnrevoked = `SELECT unrevoked FROM token_counts WHERE account_id = ?`

// CountUnrevoked implements [store.TokenWriter].
func (t *tx) CountUnrevoked(accountID string) (int, error) {
	var n int
	err := t.get("count unrevoked tokens", countUnrevoked, []any{accountID}, &n)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil // it has never had a token
	}
	return n, err
}

// countLive goes by the account's own epoch and splits those without an end
// from those with one, so that each part is one stretch of the index; tokens
// of a later epoch do not come up and are there for completeness.
const countLive = `WITH a AS (SELECT id, epoch FROM accounts WHERE id = ?1)
	SELECT count(*) FROM (
		SELECT 1 FROM (
			SELECT t.seq, t.created_at, t.rotated_at, t.idle_after FROM a CROSS JOIN tokens t
				WHERE t.account_id = a.id AND t.revoked_at IS NULL AND t.epoch = a.epoch AND t.expires_at IS NULL
			UNION ALL
			SELECT t.seq, t.created_at, t.rotated_at, t.idle_after FROM a CROSS JOIN tokens t
				WHERE t.account_id = a.id AND t.revoked_at IS NULL AND t.epoch = a.epoch AND t.expires_at > ?2
			UNION ALL
			SELECT t.seq, t.created_at, t.rotated_at, t.idle_after FROM a CROSS JOIN tokens t
				WHERE t.account_id = a.id AND t.revoked_at IS NULL AND t.epoch > a.epoch
					AND (t.expires_at IS NULL OR t.expires_at > ?2)
		) t
		WHERE t.idle_after = 0 OR ` + idleEnd + ` >= ?2
		LIMIT ?3)`

// CountLive implements [store.TokenWriter].
func (t *tx) CountLive(accountID string, now time.Time, most int) (int, error) {
	var n int
	if most <= 0 {
		return 0, nil // SQLite takes a negative limit for none
	}
	err := t.get("count live tokens", countLive, []any{accountID, now.UnixMicro(), most}, &n)
	return n, err
}

// RevokeTokens implements [store.TokenWriter].
func (t *tx) RevokeTokens(accountID string, at time.Time, by, reason string) (int, error) {
	if !store.Storable(by, reason) {
		return 0, fmt.Errorf("revoke the tokens of account %q: %w", accountID, store.ErrInvalid)
	}
	var n int
	err := t.get("count tokens to revoke", `SELECT count(*) FROM tokens
		WHERE account_id = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)`,
		[]any{accountID, at.UnixMicro()}, &n)
	if err != nil {
		return 0, err
	}
	_, err = t.exec("revoke tokens", `UPDATE tokens SET revoked_at = ?, revoked_by = ?, revoke_reason = ?
		WHERE account_id = ? AND revoked_at IS NULL`, maybe(at), by, reason, accountID)
	return n, err
}

// RevokeEach implements [store.TokenWriter].
func (t *tx) RevokeEach(ids []string, at time.Time, by, reason string) ([]string, error) {
	if !store.Storable(by, reason) {
		return nil, fmt.Errorf("revoke %d tokens: %w", len(ids), store.ErrInvalid)
	}
	var revoked []string
	for _, id := range ids {
		n, err := t.exec("revoke a token", `UPDATE tokens SET revoked_at = ?, revoked_by = ?, revoke_reason = ?
			WHERE id = ? AND revoked_at IS NULL`, maybe(at), by, reason, id)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			revoked = append(revoked, id)
		}
	}
	return revoked, nil
}
