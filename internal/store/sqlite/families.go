package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

const (
	familyByToken = `SELECT t.id, f.terms FROM families f JOIN tokens t ON t.seq = f.token WHERE t.id = ?`

	spentByDigest = `SELECT s.digest, t.id, s.at, s.successor, s.replays
		FROM spent_secrets s JOIN tokens t ON t.seq = s.token WHERE s.digest = ?`
)

// Family implements [store.FamilyReader].
func (s *Store) Family(ctx context.Context, tokenID string) (store.Family, error) {
	var f store.Family
	err := s.points.get(ctx, "find a family", familyByToken, []any{tokenID}, &f.TokenID, &f.Terms)
	return f, err
}

// spentDest is where the columns of spentByDigest go.
func spentDest(s *store.Spent) []any {
	return []any{&s.Digest, &s.TokenID, micros{&s.At}, &s.Successor, &s.Replays}
}

// SpentSecret implements [store.FamilyReader].
func (s *Store) SpentSecret(ctx context.Context, digest []byte) (store.Spent, error) {
	var spent store.Spent
	err := s.points.get(ctx, "find a used refresh token", spentByDigest, []any{digest}, spentDest(&spent)...)
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
	if err := f.Check(); err != nil {
		return err
	}
	return t.change("insert a family", `INSERT INTO families (token, terms) SELECT seq, ? FROM tokens WHERE id = ?`, f.Terms, f.TokenID)
}

// InsertSpent implements [store.FamilyWriter].
func (t *tx) InsertSpent(s store.Spent) error {
	if err := s.Check(); err != nil {
		return err
	}
	return t.change("mark a refresh token as used", `INSERT INTO spent_secrets (digest, token, at, successor, replays)
		SELECT ?, seq, ?, ?, ? FROM tokens WHERE id = ?`, s.Digest, s.At.UnixMicro(), orNull(s.Successor), s.Replays, s.TokenID)
}

// CountReplay implements [store.FamilyWriter].
func (t *tx) CountReplay(digest []byte) error {
	return t.change("count a replay", `UPDATE spent_secrets SET replays = replays + 1 WHERE digest = ?`, digest)
}

// ForgetSuccessors implements [store.FamilyWriter].
func (t *tx) ForgetSuccessors(tokenID string, before time.Time) error {
	if !store.Storable(tokenID) {
		return fmt.Errorf("forget successors: %w", store.ErrNotFound)
	}
	_, err := t.exec("forget successors", `UPDATE spent_secrets SET successor = NULL
		WHERE token = (SELECT seq FROM tokens WHERE id = ?) AND successor IS NOT NULL AND at < ?`, tokenID, before.UnixMicro())
	return err
}
