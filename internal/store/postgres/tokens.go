package postgres

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/store"
)

const tokenColumns = `t.id, t.account_id, t.class, t.name, t.prefix, t.slot, t.scope, t.labels, t.cidrs,
	t.epoch, t.parent_id, t.created_at, t.expires_at, t.idle_after,
	t.revoked_at, t.revoked_by, t.revoke_reason, t.rotated_at, u.at, u.addr, u.agent`

const secretColumns = `s.digest, s.key_id, s.sealed, s.created_at, s.expires_at, coalesce(s.until_successor, false),
	NOT coalesce(s.until_successor, true) AND EXISTS (
		SELECT 1 FROM token_secrets p WHERE p.token_id = s.token_id AND p.until_successor)`

const (
	tokenByID = `SELECT ` + tokenColumns + `
		FROM tokens t LEFT JOIN token_uses u ON u.token_id = t.id WHERE t.id = $1`

	tokenByDigest = `SELECT ` + tokenColumns + `, ` + secretColumns + `
		FROM token_secrets s JOIN tokens t ON t.id = s.token_id LEFT JOIN token_uses u ON u.token_id = t.id
		WHERE s.digest = $1`

	tokenBySlot = `SELECT ` + tokenColumns + `, ` + secretColumns + `
		FROM tokens t LEFT JOIN token_uses u ON u.token_id = t.id LEFT JOIN token_secrets s ON s.token_id = t.id
		WHERE t.account_id = $1 AND t.slot = $2 AND t.slot <> '' AND t.revoked_at IS NULL
		ORDER BY s.created_at DESC NULLS LAST, s.until_successor LIMIT 1`
)

// tokenRow is where the columns of a token go.
type tokenRow struct {
	token  store.Token
	labels []byte
	cidrs  []string
}

func (r *tokenRow) dest() []any {
	t := &r.token
	return []any{
		&t.ID, &t.AccountID, &t.Class, &t.Name, &t.Prefix, &t.Slot, &t.Scope, &r.labels, &r.cidrs,
		&t.Epoch, &t.ParentID, instant{&t.CreatedAt}, instant{&t.ExpiresAt}, period{&t.IdleAfter},
		instant{&t.RevokedAt}, &t.RevokedBy, &t.RevokeReason, instant{&t.RotatedAt},
		instant{&t.LastUse.At}, address{&t.LastUse.Addr}, words{&t.LastUse.Agent},
	}
}

func (r *tokenRow) finish() (store.Token, error) {
	t := r.token
	t.Scope = orNil(t.Scope)
	var err error
	if t.Labels, err = fromObject(r.labels); err != nil {
		return store.Token{}, fmt.Errorf("read the labels of token %s: %w: %v", t.ID, store.ErrUnavailable, err)
	}
	for _, c := range r.cidrs {
		p, err := netip.ParsePrefix(c)
		if err != nil {
			return store.Token{}, fmt.Errorf("read the address ranges of token %s: %w: %v", t.ID, store.ErrUnavailable, err)
		}
		t.CIDRs = append(t.CIDRs, p)
	}
	if !t.LastUse.At.IsZero() {
		t.LastUse.TokenID = t.ID
	}
	return t, nil
}

// foundRow is where the columns of a token and of one of its secrets go; a
// token may have no secret.
type foundRow struct {
	tokenRow
	secret         store.Secret
	hasPredecessor bool
}

func (r *foundRow) dest() []any {
	s := &r.secret
	return append(r.tokenRow.dest(), &s.Digest, words{&s.KeyID}, &s.Sealed, instant{&s.CreatedAt}, instant{&s.ExpiresAt},
		&s.UntilSuccessor, &r.hasPredecessor)
}

func (r *foundRow) finish() (store.FoundToken, error) {
	t, err := r.tokenRow.finish()
	if r.secret.Digest != nil {
		r.secret.TokenID = t.ID
	}
	return store.FoundToken{Token: t, Secret: r.secret, HasPredecessor: r.hasPredecessor}, err
}

// TokenByDigest implements [store.TokenReader].
func (s *Store) TokenByDigest(ctx context.Context, digest []byte) (store.FoundToken, error) {
	var r foundRow
	if err := s.get(ctx, "find a token by its digest", tokenByDigest, []any{digest}, r.dest()...); err != nil {
		return store.FoundToken{}, err
	}
	return r.finish()
}

// Token implements [store.TokenReader].
func (s *Store) Token(ctx context.Context, id string) (store.Token, error) {
	const op = "find a token"
	if err := findable(ctx, op, id); err != nil {
		return store.Token{}, err
	}
	var r tokenRow
	if err := s.get(ctx, op, tokenByID, []any{id}, r.dest()...); err != nil {
		return store.Token{}, err
	}
	return r.finish()
}

// SecretOfSlot implements [store.TokenReader].
func (s *Store) SecretOfSlot(ctx context.Context, accountID, slot string) (store.FoundToken, error) {
	const op = "find the token in a slot"
	if err := findable(ctx, op, accountID, slot); err != nil {
		return store.FoundToken{}, err
	}
	var r foundRow
	if err := s.get(ctx, op, tokenBySlot, []any{accountID, slot}, r.dest()...); err != nil {
		return store.FoundToken{}, err
	}
	return r.finish()
}

// findable gives [store.ErrNotFound] for keys that cannot be stored: the
// server would refuse the whole query for them.
func findable(ctx context.Context, op string, keys ...string) error {
	if store.Storable(keys...) {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w: %w", op, store.ErrUnavailable, ctx.Err())
	}
	return fmt.Errorf("%s: %w", op, store.ErrNotFound)
}

// Parts of conditions on a token t. The time that they are judged against
// takes the place of %[1]s.
const (
	// idleEnd is when a token ends for want of use.
	idleEnd = `greatest(t.created_at, t.rotated_at, (SELECT v.at FROM token_uses v WHERE v.token_id = t.id))
		+ t.idle_after * interval '1 microsecond'`

	accountEpoch = `(SELECT a.epoch FROM accounts a WHERE a.id = t.account_id)`

	ended   = `(t.revoked_at IS NOT NULL OR t.epoch < ` + accountEpoch + `)`
	expired = `(coalesce(t.expires_at <= %[1]s, false) OR (t.idle_after > 0 AND ` + idleEnd + ` < %[1]s))`
)

// Tokens implements [store.TokenReader].
func (s *Store) Tokens(ctx context.Context, q store.TokenQuery) ([]store.Token, error) {
	if err := store.CheckLimit(q.Limit); err != nil {
		return nil, err
	}
	query, args, ok := tokenQuery(q)
	if !ok {
		return nil, s.fault(ctx, "list tokens", ctx.Err())
	}
	return list(ctx, s, "list tokens", query, args, func(row pgx.CollectableRow) (store.Token, error) {
		var r tokenRow
		if err := row.Scan(r.dest()...); err != nil {
			return store.Token{}, err
		}
		return r.finish()
	})
}

// tokenQuery returns false when nothing can match.
func tokenQuery(q store.TokenQuery) (string, []any, bool) {
	var w where
	w.equal(`t.account_id`, q.AccountID)
	w.equal(`t.class`, q.Class)
	w.prefix(`t.name`, q.NamePrefix)
	w.prefix(`t.prefix`, q.Prefix)
	w.state(q.State, q.Now)
	if q.Label[0] != "" {
		key, value := w.text(q.Label[0]), w.text(q.Label[1])
		w.and(`t.labels ? ` + key + `::text AND ` + value + `::text IN ('', t.labels ->> ` + key + `::text)`)
	}
	if !q.UnusedSince.IsZero() {
		w.and(`(u.at IS NULL OR u.at < ` + w.arg(q.UnusedSince) + `::timestamptz)`)
	}
	if q.NeverUsed {
		w.and(`u.at IS NULL`)
	}
	if q.Group != "" && q.Group != store.GroupEveryone {
		w.and(`EXISTS (SELECT 1 FROM group_members m WHERE m.account_id = t.account_id AND m.group_name = ` + w.text(q.Group) + `::text)`)
	}
	if !q.CreatedSince.IsZero() {
		w.and(`t.created_at >= ` + w.arg(q.CreatedSince) + `::timestamptz`)
	}
	if !q.CreatedBefore.IsZero() {
		w.and(`t.created_at < ` + w.arg(q.CreatedBefore) + `::timestamptz`)
	}
	if q.After != (store.Position{}) {
		w.and(`(t.created_at, t.id) < (` + w.arg(q.After.At) + `::timestamptz, ` + w.text(q.After.ID) + `::text)`)
	}
	limit := w.arg(q.Limit)
	return `SELECT ` + tokenColumns + ` FROM tokens t LEFT JOIN token_uses u ON u.token_id = t.id` +
		w.String() + ` ORDER BY t.created_at DESC, t.id DESC LIMIT ` + limit + `::bigint`, w.args, !w.never
}

// where collects the conditions of a query and its arguments.
type where struct {
	conditions []string
	args       []any
	never      bool // a text was asked for that cannot be stored
}

// arg adds an argument and returns its placeholder.
func (w *where) arg(v any) string {
	w.args = append(w.args, v)
	return "$" + strconv.Itoa(len(w.args))
}

func (w *where) text(s string) string {
	w.never = w.never || !store.Storable(s)
	return w.arg(s)
}

func (w *where) and(condition string) { w.conditions = append(w.conditions, condition) }

func (w *where) equal(column, value string) {
	if value != "" {
		w.and(column + ` = ` + w.text(value) + `::text`)
	}
}

func (w *where) prefix(column, prefix string) {
	if prefix == "" {
		return
	}
	w.and(column + ` >= ` + w.text(prefix) + `::text`)
	if end, ok := store.PrefixEnd(prefix); ok {
		w.and(column + ` < ` + w.text(end) + `::text`)
	}
}

func (w *where) state(state store.TokenState, now time.Time) {
	switch state {
	case store.TokenLive:
		w.and(`NOT ` + ended + ` AND NOT ` + fmt.Sprintf(expired, w.arg(now)+`::timestamptz`))
	case store.TokenExpired:
		w.and(`NOT ` + ended + ` AND ` + fmt.Sprintf(expired, w.arg(now)+`::timestamptz`))
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
