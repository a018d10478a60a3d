package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/store"
)

const accountColumns = `a.id, a.kind, a.name, a.source, a.subject, a.email, a.note, a.password_hash,
	a.fingerprint, a.disabled, a.disabled_reason, a.epoch, a.max_tokens, a.created_at, a.last_login_at, a.epoch_at`

const (
	accountByID      = `SELECT ` + accountColumns + ` FROM accounts a WHERE a.id = $1`
	accountBySubject = `SELECT ` + accountColumns + ` FROM accounts a WHERE a.source = $1 AND a.subject = $2`
	accountsByName   = `SELECT ` + accountColumns + ` FROM accounts a WHERE a.name = $1
		ORDER BY a.source <> 'local', a.source`

	// holderByID is one statement, and so shows one state of the database.
	holderByID = `SELECT ` + accountColumns + `,
		ARRAY(SELECT g.group_name FROM group_members g
			WHERE g.account_id = a.id AND g.group_name NOT IN ('everyone', 'anonymous') ORDER BY 1),
		ARRAY(SELECT r.scope FROM grants r WHERE r.account_id = a.id
			UNION SELECT r.scope FROM grants r WHERE r.group_name = 'everyone'
			UNION SELECT r.scope FROM group_members g JOIN grants r ON r.group_name = g.group_name
				WHERE g.account_id = a.id AND g.group_name <> 'anonymous'
			ORDER BY 1)
		FROM accounts a WHERE a.id = $1`
)

func accountDest(a *store.Account) []any {
	return []any{&a.ID, (*string)(&a.Kind), &a.Name, &a.Source, &a.Subject, &a.Email, &a.Note, &a.PasswordHash,
		&a.Fingerprint, &a.Disabled, &a.DisabledReason, &a.Epoch, &a.MaxTokens,
		instant{&a.CreatedAt}, instant{&a.LastLoginAt}, instant{&a.EpochAt}}
}

func scanAccount(row pgx.CollectableRow) (store.Account, error) {
	var a store.Account
	err := row.Scan(accountDest(&a)...)
	return a, err
}

// Holder implements [store.AccountReader].
func (s *Store) Holder(ctx context.Context, accountID string) (store.Holder, error) {
	const op = "load an account with its grants"
	if err := findable(ctx, op, accountID); err != nil {
		return store.Holder{}, err
	}
	var h store.Holder
	dest := append(accountDest(&h.Account), &h.Groups, &h.Grants)
	if err := s.get(ctx, op, holderByID, []any{accountID}, dest...); err != nil {
		return store.Holder{}, err
	}
	h.Groups, h.Grants = orNil(h.Groups), orNil(h.Grants)
	return h, nil
}

// Account implements [store.AccountReader].
func (s *Store) Account(ctx context.Context, id string) (store.Account, error) {
	const op = "find an account"
	if err := findable(ctx, op, id); err != nil {
		return store.Account{}, err
	}
	var a store.Account
	err := s.get(ctx, op, accountByID, []any{id}, accountDest(&a)...)
	return a, err
}

// AccountBySubject implements [store.AccountReader].
func (s *Store) AccountBySubject(ctx context.Context, source, subject string) (store.Account, error) {
	const op = "find an account by its subject"
	if err := findable(ctx, op, source, subject); err != nil {
		return store.Account{}, err
	}
	var a store.Account
	err := s.get(ctx, op, accountBySubject, []any{source, subject}, accountDest(&a)...)
	return a, err
}

// AccountsByName implements [store.AccountReader].
func (s *Store) AccountsByName(ctx context.Context, name string) ([]store.Account, error) {
	const op = "find accounts by name"
	if !store.Storable(name) {
		return nil, s.fault(ctx, op, ctx.Err())
	}
	return list(ctx, s, op, accountsByName, []any{name}, scanAccount)
}

// Accounts implements [store.AccountReader].
func (s *Store) Accounts(ctx context.Context, q store.AccountQuery) ([]store.Account, error) {
	const op = "list accounts"
	if err := store.CheckLimit(q.Limit); err != nil {
		return nil, err
	}
	var w where
	w.equal(`a.kind`, string(q.Kind))
	w.equal(`a.source`, q.Source)
	w.prefix(`a.name`, q.NamePrefix)
	if q.Disabled != nil {
		w.and(`a.disabled = ` + w.arg(*q.Disabled) + `::boolean`)
	}
	if q.AfterName != "" || q.AfterID != "" {
		w.and(`(a.name, a.id) > (` + w.text(q.AfterName) + `::text, ` + w.text(q.AfterID) + `::text)`)
	}
	if w.never {
		return nil, s.fault(ctx, op, ctx.Err())
	}
	limit := w.arg(q.Limit)
	query := `SELECT ` + accountColumns + ` FROM accounts a` + w.String() +
		` ORDER BY a.name, a.id LIMIT ` + limit + `::bigint`
	return list(ctx, s, op, query, w.args, scanAccount)
}

// LockAccount implements [store.AccountWriter]. The lock does not keep others
// from adding tokens to the account, only from locking or changing it.
func (t *tx) LockAccount(id string) (store.Account, error) {
	const op = "lock an account"
	if err := findable(t.caller, op, id); err != nil {
		return store.Account{}, err
	}
	var a store.Account
	err := t.get(op, accountByID+` FOR NO KEY UPDATE`, []any{id}, accountDest(&a)...)
	return a, err
}

// InsertAccount implements [store.AccountWriter].
func (t *tx) InsertAccount(a store.Account) error {
	const op = "insert an account"
	if err := a.Check(); err != nil {
		return err
	}
	n, err := t.exec(op, `INSERT INTO accounts (id, kind, name, source, subject, email, note,
			password_hash, fingerprint, disabled, disabled_reason, epoch, max_tokens, created_at, last_login_at, epoch_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
			(SELECT max(at) FROM departed WHERE source = $4 AND (subject = $5 OR name = $3))) ON CONFLICT DO NOTHING`,
		a.ID, string(a.Kind), a.Name, a.Source, a.Subject, a.Email, a.Note, a.PasswordHash, a.Fingerprint,
		a.Disabled, a.DisabledReason, a.Epoch, a.MaxTokens, a.CreatedAt, maybe(a.LastLoginAt))
	if err == nil && n == 0 {
		return fmt.Errorf("%s: %w", op, store.ErrConflict)
	}
	return err
}

// UpdateAccount implements [store.AccountWriter]. When the epoch changes, the
// time is kept, so that the sweep knows since when older tokens have been
// dead; likewise when the name does.
func (t *tx) UpdateAccount(a store.Account) error {
	if err := a.Check(); err != nil {
		return err
	}
	return t.guarded("update an account", `UPDATE accounts SET name = $2, email = $3, note = $4,
			password_hash = $5, fingerprint = $6, disabled = $7, disabled_reason = $8,
			epoch_at = CASE WHEN epoch = $9::bigint AND name = $2 THEN epoch_at ELSE $10::timestamptz END,
			epoch = $9::bigint, max_tokens = $11, last_login_at = $12::timestamptz WHERE id = $1`,
		a.ID, a.Name, a.Email, a.Note, a.PasswordHash, a.Fingerprint, a.Disabled, a.DisabledReason,
		a.Epoch, t.s.now(), a.MaxTokens, maybe(a.LastLoginAt))
}

// DeleteAccount implements [store.AccountWriter].
func (t *tx) DeleteAccount(id string) error {
	const op = "delete an account"
	if err := findable(t.caller, op, id); err != nil {
		return err
	}
	if _, err := t.exec(op, `INSERT INTO departed (source, subject, name, at)
		SELECT source, subject, name, $2::timestamptz FROM accounts WHERE id = $1
		ON CONFLICT (source, subject) DO UPDATE SET name = excluded.name, at = excluded.at`, id, t.s.now()); err != nil {
		return err
	}
	return t.change(op, `DELETE FROM accounts WHERE id = $1`, id)
}
