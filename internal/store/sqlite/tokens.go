package sqlite

import (
	"context"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// tokenColumns are one packed column, see [unpack].
const tokenColumns = `concat_ws(char(0), ` + tokenParts + `)`

const tokenParts = `t.id, t.account_id, t.class, t.name, t.prefix, t.slot,
	t.scope, t.labels, t.cidrs, t.epoch, t.parent_id, t.created_at, ifnull(t.expires_at, ''), t.idle_after,
	ifnull(t.revoked_at, ''), t.revoked_by, t.revoke_reason, ifnull(t.rotated_at, ''),
	ifnull(u.at, ''), ifnull(u.addr, ''), ifnull(u.agent, '')`

// foundColumns are those of the token t and of its secret s, in one packed
// column. Most tokens have had only one secret, and then there is no
// predecessor to look for.
const foundColumns = `concat_ws(char(0), ` + tokenParts + `,
	ifnull(hex(s.digest), ''), ifnull(hex(s.sealed), ''), ifnull(s.key_id, ''), ifnull(s.created_at, ''),
	ifnull(s.expires_at, ''), ifnull(s.until_successor, 0),
	t.secrets > 1 AND ifnull(s.until_successor, 1) = 0 AND EXISTS (
		SELECT 1 FROM token_secrets p WHERE p.token = t.seq AND p.until_successor = 1))`

const (
	tokenByID = `SELECT ` + tokenColumns + `
		FROM tokens t LEFT JOIN token_uses u ON u.token = t.seq WHERE t.id = ?`

	tokenByDigest = `SELECT ` + foundColumns + `
		FROM token_secrets s JOIN tokens t ON t.seq = s.token LEFT JOIN token_uses u ON u.token = t.seq
		WHERE s.digest = ?`

	tokenBySlot = `SELECT ` + foundColumns + `
		FROM tokens t LEFT JOIN token_uses u ON u.token = t.seq LEFT JOIN token_secrets s ON s.token = t.seq
		WHERE t.account_id = ? AND t.slot = ? AND t.slot <> '' AND t.revoked_at IS NULL
		ORDER BY s.created_at DESC, s.until_successor LIMIT 1`
)

// tokenRow reads the columns of a token.
type tokenRow struct{ token store.Token }

// Scan implements [sql.Scanner].
func (r *tokenRow) Scan(v any) error {
	p, err := packedIn(v)
	if err != nil {
		return err
	}
	if err := r.take(&p); err != nil {
		return err
	}
	return p.end()
}

// take reads the parts of a token.
func (r *tokenRow) take(p *packed) error {
	t := &r.token
	err := p.take(&t.ID, &t.AccountID, &t.Class, &t.Name, &t.Prefix, &t.Slot,
		fromText{&t.Scope}, fromText{&t.Labels}, fromText{&t.CIDRs}, &t.Epoch, &t.ParentID,
		micros{&t.CreatedAt}, micros{&t.ExpiresAt}, period{&t.IdleAfter},
		micros{&t.RevokedAt}, &t.RevokedBy, &t.RevokeReason, micros{&t.RotatedAt},
		micros{&t.LastUse.At}, address{&t.LastUse.Addr}, &t.LastUse.Agent)
	if !t.LastUse.At.IsZero() {
		t.LastUse.TokenID = t.ID
	}
	return err
}

// foundRow reads the columns of a token and of one of its secrets; a token may
// have no secret.
type foundRow struct {
	tokenRow
	secret         store.Secret
	hasPredecessor bool
}

// Scan implements [sql.Scanner].
func (r *foundRow) Scan(v any) error {
	p, err := packedIn(v)
	if err != nil {
		return err
	}
	if err := r.take(&p); err != nil {
		return err
	}
	s := &r.secret
	if err := p.take(blob{&s.Digest}, blob{&s.Sealed}, &s.KeyID, micros{&s.CreatedAt}, micros{&s.ExpiresAt}, &s.UntilSuccessor, &r.hasPredecessor); err != nil {
		return err
	}
	return p.end()
}

func (r *foundRow) finish() store.FoundToken {
	s := r.secret
	if s.Digest != nil {
		s.TokenID = r.token.ID
	}
	return store.FoundToken{Token: r.token, Secret: s, HasPredecessor: r.hasPredecessor}
}

// TokenByDigest implements [store.TokenReader].
func (s *Store) TokenByDigest(ctx context.Context, digest []byte) (store.FoundToken, error) {
	var r foundRow
	if err := s.points.get(ctx, "find a token by its digest", tokenByDigest, []any{digest}, &r); err != nil {
		return store.FoundToken{}, err
	}
	return r.finish(), nil
}

// Token implements [store.TokenReader].
func (s *Store) Token(ctx context.Context, id string) (store.Token, error) {
	var r tokenRow
	err := s.points.get(ctx, "find a token", tokenByID, []any{id}, &r)
	return r.token, err
}

// SecretOfSlot implements [store.TokenReader].
func (s *Store) SecretOfSlot(ctx context.Context, accountID, slot string) (store.FoundToken, error) {
	var r foundRow
	if err := s.points.get(ctx, "find the token in a slot", tokenBySlot, []any{accountID, slot}, &r); err != nil {
		return store.FoundToken{}, err
	}
	return r.finish(), nil
}

// Parts of conditions on a token t. The time that they are judged against is
// bound to each ?.
const (
	// idleEnd is when a token ends for want of use.
	idleEnd = `max(t.created_at, ifnull(t.rotated_at, t.created_at),
		ifnull((SELECT v.at FROM token_uses v WHERE v.token = t.seq), t.created_at)) + t.idle_after`

	accountEpoch = `(SELECT a.epoch FROM accounts a WHERE a.id = t.account_id)`

	ended   = `(t.revoked_at IS NOT NULL OR t.epoch < ` + accountEpoch + `)`
	expired = `(ifnull(t.expires_at <= ?, 0) OR (t.idle_after > 0 AND ` + idleEnd + ` < ?))`
)

// Tokens implements [store.TokenReader].
func (s *Store) Tokens(ctx context.Context, q store.TokenQuery) ([]store.Token, error) {
	if err := store.CheckLimit(q.Limit); err != nil {
		return nil, err
	}
	query, args := tokenQuery(q)
	var tokens []store.Token
	err := s.lists.list(ctx, "list tokens", query, args, func(r row) error {
		var t tokenRow
		err := r.scan(&t)
		tokens = append(tokens, t.token)
		return err
	})
	return tokens, err
}

func tokenQuery(q store.TokenQuery) (string, []any) {
	var w where
	if q.AccountID != "" {
		w.and(`t.account_id = ?`, q.AccountID)
	}
	if q.Class != "" {
		w.and(`t.class = ?`, q.Class)
	}
	w.prefix(`t.name`, q.NamePrefix)
	w.prefix(`t.prefix`, q.Prefix)
	w.state(q.State, q.Now)
	if q.Label[0] != "" {
		w.and(`t.labels <> '' AND EXISTS (
			SELECT 1 FROM json_each(t.labels) l WHERE l.key = ? AND (? = '' OR l.value = ?))`,
			q.Label[0], q.Label[1], q.Label[1])
	}
	if !q.UnusedSince.IsZero() {
		w.and(`(u.at IS NULL OR u.at < ?)`, q.UnusedSince.UnixMicro())
	}
	if q.NeverUsed {
		w.and(`u.at IS NULL`)
	}
	if q.Group != "" && q.Group != store.GroupEveryone {
		w.and(`EXISTS (SELECT 1 FROM group_members m WHERE m.account_id = t.account_id AND m.group_name = ?)`, q.Group)
	}
	if !q.CreatedSince.IsZero() {
		w.and(`t.created_at >= ?`, q.CreatedSince.UnixMicro())
	}
	if !q.CreatedBefore.IsZero() {
		w.and(`t.created_at < ?`, q.CreatedBefore.UnixMicro())
	}
	if q.After != (store.Position{}) {
		w.and(`(t.created_at, t.id) < (?, ?)`, q.After.At.UnixMicro(), q.After.ID)
	}
	return `SELECT ` + tokenColumns + ` FROM tokens t LEFT JOIN token_uses u ON u.token = t.seq` +
		w.String() + ` ORDER BY t.created_at DESC, t.id DESC LIMIT ?`, append(w.args, q.Limit)
}

// where collects the conditions of a query.
type where struct {
	conditions []string
	args       []any
}

func (w *where) and(condition string, args ...any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, args...)
}

func (w *where) prefix(column, prefix string) {
	if prefix == "" {
		return
	}
	w.and(column+` >= ?`, prefix)
	if end, ok := store.PrefixEnd(prefix); ok {
		w.and(column+` < ?`, end)
	}
}

func (w *where) state(state store.TokenState, now time.Time) {
	n := now.UnixMicro()
	switch state {
	case store.TokenLive:
		w.and(`NOT `+ended+` AND NOT `+expired, n, n)
	case store.TokenExpired:
		w.and(`NOT `+ended+` AND `+expired, n, n)
	case store.TokenRevoked:
		w.and(ended)
	}
}

// String returns the WHERE clause, "" when there are no conditions.
func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}
