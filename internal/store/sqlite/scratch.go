package sqlite

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store/portable"
	"github.com/latchkey-auth/latchkey/internal/store/schema"
)

// Scratch is a database that a restore works in, before what comes out of it
// goes to the real one, of either kind. It lives in a file without a name, of
// which nothing is left when the process ends, however that happens.
type Scratch struct {
	*whole

	log *slog.Logger
}

// NewScratch makes an empty database with the schema of a version, which may be
// older than the newest. It fails with store.ErrNewerSchema when this program
// does not know that version.
func NewScratch(ctx context.Context, version int64, log *slog.Logger) (_ *Scratch, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	newest, err := newestSchema()
	if err != nil {
		return nil, err
	}
	if version > newest {
		return nil, newerSchema(version, newest)
	}
	const unnamed = "file:?_pragma=foreign_keys(ON)&_pragma=synchronous(OFF)&_pragma=cache_size(-65536)&_pragma=trusted_schema(OFF)"
	w, err := openWhole(ctx, unnamed, "BEGIN", slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	s := &Scratch{whole: w, log: log}
	if err = s.move(ctx, version); err == nil {
		err = s.empty(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Upgrade brings the content to the newest schema.
func (s *Scratch) Upgrade(ctx context.Context) error { return s.move(ctx, schema.Latest) }

// Close throws the database away.
func (s *Scratch) Close() error { return s.close() }

// Tally is what a database has.
type Tally struct {
	Accounts int64
	Tokens   int64
	Live     int64 // tokens that opened doors at the time asked about
	Events   int64
}

// Tally counts what there is, judged at the given time.
func (s *Scratch) Tally(ctx context.Context, at time.Time) (Tally, error) {
	var t Tally
	var err error
	for _, c := range []struct {
		n     *int64
		query string
		args  []any
	}{
		{&t.Accounts, `SELECT count(*) FROM accounts`, nil},
		{&t.Tokens, `SELECT count(*) FROM tokens`, nil},
		{&t.Events, `SELECT count(*) FROM events`, nil},
		{&t.Live, `SELECT count(*) FROM tokens AS t JOIN accounts AS a ON a.id = t.account_id
			LEFT JOIN token_uses AS u ON u.token = t.seq
			WHERE t.revoked_at IS NULL AND t.epoch >= a.epoch AND NOT a.disabled
			AND ifnull(t.expires_at, ?1 + 1) > ?1
			AND (t.idle_after = 0 OR max(t.created_at, ifnull(t.rotated_at, 0), ifnull(u.at, 0)) + t.idle_after > ?1)`,
			[]any{at.UnixMicro()}},
	} {
		if *c.n, err = s.count(ctx, "count what there is", c.query, c.args...); err != nil {
			return Tally{}, err
		}
	}
	return t, nil
}

// EndTokens ends every token, by raising the epoch of every account above any
// that it can have had since, and marks the tokens for those who read lists.
// Signed tokens end with the keys that signed them: the server makes new ones.
func (s *Scratch) EndTokens(ctx context.Context, now time.Time, reason string) error {
	err := s.exec(ctx, "raise the epochs", `UPDATE accounts SET epoch = max(epoch + 1, ?), epoch_at = ?`,
		now.Unix(), now.UnixMicro())
	if err != nil {
		return err
	}
	if err := s.exec(ctx, "forget the signing keys", `DELETE FROM signing_keys`); err != nil {
		return err
	}
	return s.exec(ctx, "revoke the tokens", `UPDATE tokens SET revoked_at = ?, revoked_by = '', revoke_reason = ?
		WHERE revoked_at IS NULL`, now.UnixMicro(), reason)
}

// HasPassword reports whether a local account that is not disabled has a
// password: the one with the given name, or any when name is "".
func (s *Scratch) HasPassword(ctx context.Context, name string) (bool, error) {
	n, err := s.count(ctx, "look for passwords", `SELECT count(*) FROM accounts
		WHERE source = 'local' AND password_hash <> '' AND (?1 = '' OR name = ?1 AND NOT disabled)`, name)
	return n > 0, err
}

// EndPasswords takes the passwords that are kept here away from all accounts
// but the one with the given name, which gets another.
func (s *Scratch) EndPasswords(ctx context.Context, name, hash string) error {
	return s.exec(ctx, "end the passwords", `UPDATE accounts SET password_hash =
		CASE WHEN source = 'local' AND name = ?1 THEN ?2 ELSE '' END WHERE password_hash <> ''`, name, hash)
}

var _ portable.Target = (*Scratch)(nil)
