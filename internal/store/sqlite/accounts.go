package sqlite

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// accountColumns are one packed column, see [unpack].
const accountColumns = `concat_ws(char(0), a.id, a.kind, a.name, a.source, a.subject, a.email, a.note,
	a.password_hash, a.fingerprint, a.disabled, a.disabled_reason, a.epoch, a.max_tokens, a.created_at,
	ifnull(a.last_login_at, ''), ifnull(a.epoch_at, ''))`

const (
	accountByID      = `SELECT ` + accountColumns + ` FROM accounts a WHERE a.id = ?`
	accountBySubject = `SELECT ` + accountColumns + ` FROM accounts a WHERE a.source = ? AND a.subject = ?`
	accountsByName   = `SELECT ` + accountColumns + ` FROM accounts a WHERE a.name = ?
		ORDER BY a.source <> 'local', a.source`

	// holderByID is one statement, and so shows one state of the database.
	holderByID = `SELECT ` + accountColumns + `,
		(SELECT json_group_array(g.group_name ORDER BY g.group_name) FROM group_members g
			WHERE g.account_id = a.id AND g.group_name NOT IN ('everyone', 'anonymous')),
		(SELECT json_group_array(DISTINCT r.scope ORDER BY r.scope) FROM grants r
			WHERE r.account_id = a.id OR r.group_name = 'everyone' OR r.group_name IN (
				SELECT g.group_name FROM group_members g WHERE g.account_id = a.id AND g.group_name <> 'anonymous'))
		FROM accounts a WHERE a.id = ?`
)

// accountRow reads the columns of an account.
type accountRow struct{ account store.Account }

// Scan implements [sql.Scanner].
func (r *accountRow) Scan(v any) error {
	a := &r.account
	return unpack(v, &a.ID, (*string)(&a.Kind), &a.Name, &a.Source, &a.Subject, &a.Email, &a.Note,
		&a.PasswordHash, &a.Fingerprint, &a.Disabled, &a.DisabledReason, &a.Epoch, &a.MaxTokens,
		micros{&a.CreatedAt}, micros{&a.LastLoginAt}, micros{&a.EpochAt})
}

// Holder implements [store.AccountReader].
func (s *Store) Holder(ctx context.Context, accountID string) (store.Holder, error) {
	var r accountRow
	var h store.Holder
	err := s.points.get(ctx, "load an account with its grants", holderByID, []any{accountID},
		&r, fromText{&h.Groups}, fromText{&h.Grants})
	h.Account = r.account
	return h, err
}

// Account implements [store.AccountReader].
func (s *Store) Account(ctx context.Context, id string) (store.Account, error) {
	var r accountRow
	err := s.points.get(ctx, "find an account", accountByID, []any{id}, &r)
	return r.account, err
}

// AccountBySubject implements [store.AccountReader].
func (s *Store) AccountBySubject(ctx context.Context, source, subject string) (store.Account, error) {
	var r accountRow
	err := s.points.get(ctx, "find an account by its subject", accountBySubject, []any{source, subject}, &r)
	return r.account, err
}

// AccountsByName implements [store.AccountReader].
func (s *Store) AccountsByName(ctx context.Context, name string) ([]store.Account, error) {
	var accounts []store.Account
	err := s.points.each(ctx, "find accounts by name", accountsByName, []any{name}, appendAccount(&accounts))
	return accounts, err
}

// Accounts implements [store.AccountReader].
func (s *Store) Accounts(ctx context.Context, q store.AccountQuery) ([]store.Account, error) {
	if err := store.CheckLimit(q.Limit); err != nil {
		return nil, err
	}
	query, args := accountQuery(q)
	var accounts []store.Account
	err := s.lists.list(ctx, "list accounts", query, args, appendAccount(&accounts))
	return accounts, err
}

func accountQuery(q store.AccountQuery) (string, []any) {
	var w where
	if q.Kind != "" {
		w.and(`a.kind = ?`, string(q.Kind))
	}
	if q.Source != "" {
		w.and(`a.source = ?`, q.Source)
	}
	w.prefix(`a.name`, q.NamePrefix)
	if q.Disabled != nil {
		w.and(`a.disabled = ?`, *q.Disabled)
	}
	if q.AfterName != "" || q.AfterID != "" {
		w.and(`(a.name, a.id) > (?, ?)`, q.AfterName, q.AfterID)
	}
	return `SELECT ` + accountColumns + ` FROM accounts a INDEXED BY accounts_name` + w.String() +
		` ORDER BY a.name, a.id LIMIT ?`, append(w.args, q.Limit)
}

func appendAccount(accounts *[]store.Account) func(row) error {
	return func(r row) error {
		var a accountRow
		err := r.scan(&a)
		*accounts = append(*accounts, a.account)
		return err
	}
}

// LockAccount implements [store.AccountWriter].
func (t *tx) LockAccount(id string) (store.Account, error) {
	var r accountRow
	err := t.get("find an account", accountByID, []any{id}, &r)
	return r.account, err
}

// InsertAccount implements [store.AccountWriter].
func (t *tx) InsertAccount(a store.Account) error {
	if err := a.Check(); err != nil {
		return err
	}
	_, err := t.exec("insert an account", `INSERT INTO accounts (id, kind, name, source, subject, email, note,
			password_hash, fingerprint, disabled, disabled_reason, epoch, max_tokens, created_at, last_login_at, epoch_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
			(SELECT max(at) FROM departed WHERE source = ? AND (subject = ? OR name = ?)))`,
		a.ID, string(a.Kind), a.Name, a.Source, a.Subject, a.Email, a.Note, a.PasswordHash, a.Fingerprint,
		a.Disabled, a.DisabledReason, a.Epoch, a.MaxTokens, a.CreatedAt.UnixMicro(), maybe(a.LastLoginAt),
		a.Source, a.Subject, a.Name)
	return err
}

// UpdateAccount implements [store.AccountWriter]. When the epoch changes, the
// time is kept, so that the sweep knows since when older tokens have been
// dead; likewise when the name does.
func (t *tx) UpdateAccount(a store.Account) error {
	if err := a.Check(); err != nil {
		return err
	}
	return t.change("update an account", `UPDATE accounts SET name = ?, email = ?, note = ?,
			password_hash = ?, fingerprint = ?, disabled = ?, disabled_reason = ?,
			epoch_at = CASE WHEN epoch = ? AND name = ? THEN epoch_at ELSE ? END,
			epoch = ?, max_tokens = ?, last_login_at = ? WHERE id = ?`,
		a.Name, a.Email, a.Note, a.PasswordHash, a.Fingerprint, a.Disabled, a.DisabledReason,
		a.Epoch, a.Name, t.w.now().UnixMicro(), a.Epoch, a.MaxTokens, maybe(a.LastLoginAt), a.ID)
}

// DeleteAccount implements [store.AccountWriter].
func (t *tx) DeleteAccount(id string) error {
	if _, err := t.exec("remember a deleted account", `INSERT OR REPLACE INTO departed (source, subject, name, at)
		SELECT source, subject, name, ? FROM accounts WHERE id = ?`, t.w.now().UnixMicro(), id); err != nil {
		return err
	}
	return t.change("delete an account", `DELETE FROM accounts WHERE id = ?`, id)
}
