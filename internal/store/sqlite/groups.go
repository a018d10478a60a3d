package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/store"
)

const grantColumns = `id, ifnull(account_id, ''), ifnull(group_name, ''), scope, created_at, created_by`

func grantDest(g *store.Grant) []any {
	return []any{&g.ID, &g.AccountID, &g.Group, &g.Scope, micros{&g.CreatedAt}, &g.CreatedBy}
}

// Groups implements [store.AccountReader].
func (s *Store) Groups(ctx context.Context) ([]store.Group, error) {
	var groups []store.Group
	err := s.lists.list(ctx, "list groups", `SELECT name, note, created_at FROM groups ORDER BY name`, nil,
		func(r row) error {
			var g store.Group
			if err := r.scan(&g.Name, &g.Note, micros{&g.CreatedAt}); err != nil {
				return err
			}
			groups = append(groups, g)
			return nil
		})
	return groups, err
}

// Members implements [store.AccountReader].
func (s *Store) Members(ctx context.Context, group string) ([]store.Account, error) {
	var accounts []store.Account
	err := s.lists.list(ctx, "list the members of a group", `SELECT `+accountColumns+`
		FROM group_members m JOIN accounts a ON a.id = m.account_id
		WHERE m.group_name = ? ORDER BY a.name, a.id`, []any{group}, appendAccount(&accounts))
	return accounts, err
}

// Grants implements [store.AccountReader].
func (s *Store) Grants(ctx context.Context, q store.GrantQuery) ([]store.Grant, error) {
	var w where
	if q.AccountID != "" {
		w.and(`account_id = ?`, q.AccountID)
	}
	if q.Group != "" {
		w.and(`group_name = ?`, q.Group)
	}
	var grants []store.Grant
	err := s.lists.list(ctx, "list grants",
		`SELECT `+grantColumns+` FROM grants`+w.String()+` ORDER BY created_at, id`, w.args,
		func(r row) error {
			var g store.Grant
			if err := r.scan(grantDest(&g)...); err != nil {
				return err
			}
			grants = append(grants, g)
			return nil
		})
	return grants, err
}

// InsertGroup implements [store.GroupWriter].
func (t *tx) InsertGroup(g store.Group) error {
	if err := g.Check(); err != nil {
		return err
	}
	_, err := t.exec("insert a group", `INSERT INTO groups (name, note, created_at) VALUES (?, ?, ?)`,
		g.Name, g.Note, g.CreatedAt.UnixMicro())
	return err
}

// DeleteGroup implements [store.GroupWriter].
func (t *tx) DeleteGroup(name string) error {
	return t.change("delete a group", `DELETE FROM groups WHERE name = ?`, name)
}

// AddMember implements [store.GroupWriter].
func (t *tx) AddMember(group, accountID string) (bool, error) {
	_, err := t.exec("add a member to a group",
		`INSERT INTO group_members (group_name, account_id) VALUES (?, ?)`, group, accountID)
	if errors.Is(err, store.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// RemoveMember implements [store.GroupWriter].
func (t *tx) RemoveMember(group, accountID string) (bool, error) {
	n, err := t.exec("remove a member from a group",
		`DELETE FROM group_members WHERE group_name = ? AND account_id = ?`, group, accountID)
	return n > 0, err
}

// InsertGrant implements [store.GroupWriter].
func (t *tx) InsertGrant(g store.Grant) error {
	if err := g.Check(); err != nil {
		return err
	}
	_, err := t.exec("insert a grant", `INSERT INTO grants (id, account_id, group_name, scope, created_at, created_by)
		VALUES (?, nullif(?, ''), nullif(?, ''), ?, ?, ?)`,
		g.ID, g.AccountID, g.Group, g.Scope, g.CreatedAt.UnixMicro(), g.CreatedBy)
	return err
}

// DeleteGrant implements [store.GroupWriter].
func (t *tx) DeleteGrant(id string) (store.Grant, error) {
	var g store.Grant
	err := t.put("delete a grant", `DELETE FROM grants WHERE id = ? RETURNING `+grantColumns,
		[]any{id}, grantDest(&g)...)
	if err != nil {
		return store.Grant{}, fmt.Errorf("grant %q: %w", id, err)
	}
	return g, nil
}
