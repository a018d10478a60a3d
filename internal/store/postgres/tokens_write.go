package postgres

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// LockToken implements [store.TokenWriter].
func (t *tx) LockToken(id string) (store.Token, error) {
	const op = "lock a token"
	if err := findable(t.caller, op, id); err != nil {
		return store.Token{}, err
	}
	var r tokenRow
	if err := t.get(op, tokenByID+` FOR NO KEY UPDATE OF t`, []any{id}, r.dest()...); err != nil {
		return store.Token{}, err
	}
	return r.finish()
}

// maxLooks is how often LockSlot looks again.
const maxLooks = 100

// LockSlot implements [store.TokenWriter]. It locks first and reads then: a
// statement that waited for a lock sees the locked row as it is now, but rows
// of other tables as they were before it waited. While it waited, the token
// may also have been replaced by another one that is not locked yet; then it
// looks again.
func (t *tx) LockSlot(accountID, slot string) (store.FoundToken, error) {
	const op = "lock the token in a slot"
	if err := findable(t.caller, op, accountID, slot); err != nil {
		return store.FoundToken{}, err
	}
	for range maxLooks {
		var locked string
		var r foundRow
		err := t.send(op, []pending{
			{query: `SELECT id FROM tokens WHERE account_id = $1 AND slot = $2 AND slot <> '' AND revoked_at IS NULL
				FOR NO KEY UPDATE`, args: []any{accountID, slot}},
			{query: tokenBySlot, args: []any{accountID, slot}},
		}, func(results pgx.BatchResults) error {
			if err := results.QueryRow().Scan(&locked); err != nil && !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
			return results.QueryRow().Scan(r.dest()...)
		})
		if err != nil {
			return store.FoundToken{}, err
		}
		if locked == r.token.ID {
			return r.finish()
		}
	}
	return store.FoundToken{}, fmt.Errorf("%s: %w: it changed hands all the time", op, store.ErrUnavailable)
}

// insertToken reports how many tokens and secrets were inserted, and whether
// the account exists. It breaks no rule of uniqueness but inserts nothing.
const insertToken = `WITH account AS (SELECT id FROM accounts WHERE id = $2::text),
	t AS (
		INSERT INTO tokens (id, account_id, class, name, prefix, slot, scope, labels, cidrs, epoch, parent_id,
			created_at, expires_at, idle_after, revoked_at, revoked_by, revoke_reason, rotated_at)
		SELECT $1::text, account.id, $3::text, $4::text, $5::text, $6::text, $7::text[], $8::jsonb, $9::text[],
			$10::bigint, $11::text, $12::timestamptz, $13::timestamptz, $14::bigint, $15::timestamptz, $16::text,
			$17::text, $18::timestamptz
		FROM account ON CONFLICT DO NOTHING RETURNING id),
	s AS (
		INSERT INTO token_secrets (token_id, digest, key_id, sealed, created_at, expires_at, until_successor)
		SELECT t.id, $19::bytea, $20::text, $21::bytea, $22::timestamptz, $23::timestamptz, $24::boolean
		FROM t ON CONFLICT DO NOTHING RETURNING token_id)
	SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM t), (SELECT count(*) FROM s)`

// InsertToken implements [store.TokenWriter].
func (t *tx) InsertToken(tok store.Token, s store.Secret) error {
	const op = "insert a token"
	s.TokenID = tok.ID
	if err := errors.Join(tok.Check(), s.Check()); err != nil {
		return err
	}
	labels, err := object(tok.Labels)
	if err != nil {
		return fmt.Errorf("write the labels of token %s: %w", tok.ID, err)
	}
	var accounts, tokens, secrets int
	err = t.get(op, insertToken, []any{
		tok.ID, tok.AccountID, tok.Class, tok.Name, tok.Prefix, tok.Slot, array(tok.Scope), labels, ranges(tok.CIDRs),
		tok.Epoch, tok.ParentID, tok.CreatedAt, maybe(tok.ExpiresAt), tok.IdleAfter.Microseconds(),
		maybe(tok.RevokedAt), tok.RevokedBy, tok.RevokeReason, maybe(tok.RotatedAt),
		s.Digest, s.KeyID, sealed(s), s.CreatedAt, maybe(s.ExpiresAt), s.UntilSuccessor,
	}, &accounts, &tokens, &secrets)
	switch {
	case err != nil:
		return err
	case accounts == 0:
		return fmt.Errorf("%s: %w: its account", op, store.ErrNotFound)
	case tokens == 0:
		return fmt.Errorf("%s: %w", op, store.ErrConflict)
	case secrets == 0:
		// The caller may go on after a conflict, and then without half a token.
		if _, err := t.exec("take a token back", `DELETE FROM tokens WHERE id = $1`, tok.ID); err != nil {
			return err
		}
		return fmt.Errorf("%s: its digest: %w", op, store.ErrConflict)
	}
	if tok.LastUse.At.IsZero() {
		return nil
	}
	u := tok.LastUse.Clean()
	return t.later("record a use", `INSERT INTO token_uses (token_id, at, addr, agent) VALUES ($1, $2, $3, $4)`,
		tok.ID, u.At, addressText(u.Addr), u.Agent)
}

func ranges(prefixes []netip.Prefix) []string {
	list := make([]string, len(prefixes))
	for i, p := range prefixes {
		list[i] = p.String()
	}
	return list
}

func sealed(s store.Secret) []byte {
	if len(s.Sealed) == 0 {
		return nil
	}
	return s.Sealed
}

// UpdateToken implements [store.TokenWriter].
func (t *tx) UpdateToken(tok store.Token) error {
	if err := tok.Check(); err != nil {
		return err
	}
	labels, err := object(tok.Labels)
	if err != nil {
		return fmt.Errorf("write the labels of token %s: %w", tok.ID, err)
	}
	update := t.change
	if tok.RevokedAt.IsZero() {
		update = t.guarded // it may go back into a slot that is taken
	}
	return update("update a token", `UPDATE tokens SET name = $2, prefix = $3, scope = $4::text[], labels = $5::jsonb,
			cidrs = $6::text[], epoch = $7::bigint, expires_at = $8::timestamptz, idle_after = $9::bigint,
			revoked_at = $10::timestamptz, revoked_by = $11, revoke_reason = $12, rotated_at = $13::timestamptz
		WHERE id = $1`,
		tok.ID, tok.Name, tok.Prefix, array(tok.Scope), labels, ranges(tok.CIDRs), tok.Epoch, maybe(tok.ExpiresAt),
		tok.IdleAfter.Microseconds(), maybe(tok.RevokedAt), tok.RevokedBy, tok.RevokeReason, maybe(tok.RotatedAt))
}

// InsertSecret implements [store.TokenWriter].
func (t *tx) InsertSecret(s store.Secret) error {
	const op = "insert a secret"
	if err := s.Check(); err != nil {
		return err
	}
	var tokens, secrets int
	err := t.get(op, `WITH t AS (SELECT id FROM tokens WHERE id = $1::text),
		s AS (
			INSERT INTO token_secrets (token_id, digest, key_id, sealed, created_at, expires_at, until_successor)
			SELECT t.id, $2::bytea, $3::text, $4::bytea, $5::timestamptz, $6::timestamptz, $7::boolean
			FROM t ON CONFLICT DO NOTHING RETURNING token_id)
		SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM s)`, []any{
		s.TokenID, s.Digest, s.KeyID, sealed(s), s.CreatedAt, maybe(s.ExpiresAt), s.UntilSuccessor,
	}, &tokens, &secrets)
	switch {
	case err != nil:
		return err
	case tokens == 0:
		return fmt.Errorf("%s: %w: its token", op, store.ErrNotFound)
	case secrets == 0:
		return fmt.Errorf("%s: its digest: %w", op, store.ErrConflict)
	}
	return nil
}

// RetireSecrets implements [store.TokenWriter].
func (t *tx) RetireSecrets(tokenID string, keep []byte, until time.Time, untilSuccessor bool) error {
	if !store.Storable(tokenID) {
		return nil
	}
	if keep == nil {
		keep = []byte{} // no digest is empty
	}
	const these = ` WHERE token_id = $1 AND digest <> $2`
	var err error
	if until.IsZero() {
		_, err = t.exec("remove secrets", `DELETE FROM token_secrets`+these, tokenID, keep)
	} else {
		_, err = t.exec("retire secrets", `UPDATE token_secrets SET expires_at = least(expires_at, $3::timestamptz),
			until_successor = until_successor OR $4::boolean`+these, tokenID, keep, until, untilSuccessor)
	}
	return err
}

const countUnrevoked = `SELECT unrevoked FROM token_counts WHERE account_id = $1`

// CountUnrevoked implements [store.TokenWriter].
func (t *tx) CountUnrevoked(accountID string) (int, error) {
	if !store.Storable(accountID) {
		return 0, t.ready()
	}
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
const countLive = `SELECT count(*) FROM (
	SELECT 1 FROM accounts a CROSS JOIN LATERAL (
		SELECT t.id, t.created_at, t.rotated_at, t.idle_after FROM tokens t
			WHERE t.account_id = a.id AND t.revoked_at IS NULL AND t.epoch = a.epoch AND t.expires_at IS NULL
		UNION ALL
		SELECT t.id, t.created_at, t.rotated_at, t.idle_after FROM tokens t
			WHERE t.account_id = a.id AND t.revoked_at IS NULL AND t.epoch = a.epoch AND t.expires_at > $2::timestamptz
		UNION ALL
		SELECT t.id, t.created_at, t.rotated_at, t.idle_after FROM tokens t
			WHERE t.account_id = a.id AND t.revoked_at IS NULL AND t.epoch > a.epoch
				AND (t.expires_at IS NULL OR t.expires_at > $2::timestamptz)
	) t
	WHERE a.id = $1 AND (t.idle_after = 0 OR ` + idleEnd + ` >= $2::timestamptz)
	LIMIT $3::bigint) live`

// CountLive implements [store.TokenWriter].
func (t *tx) CountLive(accountID string, now time.Time, most int) (int, error) {
	if most <= 0 || !store.Storable(accountID) {
		return 0, t.ready()
	}
	var n int
	err := t.get("count live tokens", countLive, []any{accountID, now, most}, &n)
	return n, err
}

// RevokeTokens implements [store.TokenWriter].
func (t *tx) RevokeTokens(accountID string, at time.Time, by, reason string) (int, error) {
	if !store.Storable(accountID, by, reason) {
		return 0, fmt.Errorf("revoke the tokens of account %q: %w", accountID, store.ErrInvalid)
	}
	var n int
	err := t.get("revoke tokens", `WITH revoked AS (
			UPDATE tokens SET revoked_at = $2::timestamptz, revoked_by = $3, revoke_reason = $4
			WHERE account_id = $1 AND revoked_at IS NULL RETURNING expires_at)
		SELECT count(*) FROM revoked WHERE expires_at IS NULL OR expires_at > $2::timestamptz`,
		[]any{accountID, at, by, reason}, &n)
	return n, err
}

// RevokeEach implements [store.TokenWriter]. The rows are locked in the order
// of their ids, so that two calls do not wait for each other.
func (t *tx) RevokeEach(ids []string, at time.Time, by, reason string) ([]string, error) {
	if !store.Storable(by, reason) {
		return nil, fmt.Errorf("revoke %d tokens: %w", len(ids), store.ErrInvalid)
	}
	known := make([]string, 0, len(ids))
	for _, id := range ids {
		if store.Storable(id) {
			known = append(known, id)
		}
	}
	var revoked []string
	err := t.get("revoke tokens", `WITH these AS (
			SELECT id FROM tokens WHERE id = ANY($1::text[]) AND revoked_at IS NULL ORDER BY id FOR NO KEY UPDATE),
		revoked AS (
			UPDATE tokens t SET revoked_at = $2::timestamptz, revoked_by = $3, revoke_reason = $4
			FROM these WHERE t.id = these.id RETURNING t.id)
		SELECT coalesce(array_agg(id), '{}') FROM revoked`, []any{known, at, by, reason}, &revoked)
	return revoked, err
}
