package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

const spentByDigest = `SELECT digest, token_id, at, successor, replays FROM spent_secrets WHERE digest = $1`

// Family implements [store.FamilyReader].
func (s *Store) Family(ctx context.Context, tokenID string) (store.Family, error) {
	const op = "find a family"
	if err := findable(ctx, op, tokenID); err != nil {
		return store.Family{}, err
	}
	var f store.Family
	err := s.get(ctx, op, `SELECT token_id, terms FROM families WHERE token_id = $1`, []any{tokenID}, &f.TokenID, &f.Terms)
	return f, err
}

// spentDest is where the columns of spentByDigest go.
func spentDest(s *store.Spent) []any {
	return []any{&s.Digest, &s.TokenID, instant{&s.At}, &s.Successor, &s.Replays}
}

// SpentSecret implements [store.FamilyReader].
func (s *Store) SpentSecret(ctx context.Context, digest []byte) (store.Spent, error) {
	var spent store.Spent
	err := s.get(ctx, "find a used refresh token", spentByDigest, []any{digest}, spentDest(&spent)...)
	return spent, err
}

// Spent implements [store.FamilyWriter].
func (t *tx) Spent(digest []byte) (store.Spent, error) {
	var spent store.Spent
	err := t.get("find a used refresh token", spentByDigest, []any{digest}, spentDest(&spent)...)
	return spent, err
}

// InsertFamily implements [store.FamilyWriter].
func (t *tx) InsertFamily(f store.Family) error {
	const op = "insert a family"
	if err := f.Check(); err != nil {
		return err
	}
	return t.insertBelow(op, f.TokenID, `WITH t AS (SELECT id FROM tokens WHERE id = $1::text),
		f AS (INSERT INTO families (token_id, terms) SELECT t.id, $2::text FROM t ON CONFLICT DO NOTHING RETURNING token_id)
		SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM f)`, f.TokenID, f.Terms)
}

// InsertSpent implements [store.FamilyWriter].
func (t *tx) InsertSpent(s store.Spent) error {
	const op = "mark a refresh token as used"
	if err := s.Check(); err != nil {
		return err
	}
	return t.insertBelow(op, s.TokenID, `WITH t AS (SELECT id FROM tokens WHERE id = $1::text),
		s AS (
			INSERT INTO spent_secrets (token_id, digest, at, successor, replays)
			SELECT t.id, $2::bytea, $3::timestamptz, $4::bytea, $5::bigint FROM t ON CONFLICT DO NOTHING RETURNING token_id)
		SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM s)`,
		s.TokenID, s.Digest, s.At, bytesOrNull(s.Successor), s.Replays)
}

// insertBelow runs an insert of a row that belongs to a token. The query says
// how many tokens it found and how many rows it inserted.
func (t *tx) insertBelow(op, tokenID, query string, args ...any) error {
	var tokens, rows int
	err := t.get(op, query, args, &tokens, &rows)
	switch {
	case err != nil:
		return err
	case tokens == 0:
		return fmt.Errorf("%s of %s: %w", op, tokenID, store.ErrNotFound)
	case rows == 0:
		return fmt.Errorf("%s of %s: %w", op, tokenID, store.ErrConflict)
	}
	return nil
}

// CountReplay implements [store.FamilyWriter].
func (t *tx) CountReplay(digest []byte) error {
	return t.change("count a replay", `UPDATE spent_secrets SET replays = replays + 1 WHERE digest = $1`, digest)
}

// ForgetSuccessors implements [store.FamilyWriter].
func (t *tx) ForgetSuccessors(tokenID string, before time.Time) error {
	const op = "forget successors"
	if err := findable(t.caller, op, tokenID); err != nil {
		return errors.Join(err, t.ready())
	}
	_, err := t.exec(op, `UPDATE spent_secrets SET successor = NULL
		WHERE token_id = $1 AND successor IS NOT NULL AND at < $2::timestamptz`, tokenID, before)
	return err
}
