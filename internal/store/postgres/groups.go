package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/store"
)

const grantColumns = `id, coalesce(account_id, ''), coalesce(group_name, ''), scope, created_at, created_by`

func grantDest(g *store.Grant) []any {
	return []any{&g.ID, &g.AccountID, &g.Group, &g.Scope, instant{&g.CreatedAt}, &g.CreatedBy}
}

// Groups implements [store.AccountReader].
func (s *Store) Groups(ctx context.Context) ([]store.Group, error) {
	return list(ctx, s, "list groups", `SELECT name, note, created_at FROM groups ORDER BY name`, nil,
		func(row pgx.CollectableRow) (store.Group, error) {
			var g store.Group
			err := row.Scan(&g.Name, &g.Note, instant{&g.CreatedAt})
			return g, err
		})
}

// Members implements [store.AccountReader].
func (s *Store) Members(ctx context.Context, group string) ([]store.Account, error) {
	const op = "list the members of a group"
	if !store.Storable(group) {
		return nil, s.fault(ctx, op, ctx.Err())
	}
	return list(ctx, s, op, `SELECT `+accountColumns+`
		FROM group_members m JOIN accounts a ON a.id = m.account_id
		WHERE m.group_name = $1 ORDER BY a.name, a.id`, []any{group}, scanAccount)
}

// Grants implements [store.AccountReader].
func (s *Store) Grants(ctx context.Context, q store.GrantQuery) ([]store.Grant, error) {
	const op = "list grants"
	var w where
	w.equal(`account_id`, q.AccountID)
	w.equal(`group_name`, q.Group)
	if w.never {
		return nil, s.fault(ctx, op, ctx.Err())
	}
	return list(ctx, s, op, `SELECT `+grantColumns+` FROM grants`+w.String()+` ORDER BY created_at, id`, w.args,
		func(row pgx.CollectableRow) (store.Grant, error) {
			var g store.Grant
			err := row.Scan(grantDest(&g)...)
			return g, err
		})
}

// InsertGroup implements [store.GroupWriter].
func (t *tx) InsertGroup(g store.Group) error {
	const op = "insert a group"
	if err := g.Check(); err != nil {
		return err
	}
	n, err := t.exec(op, `INSERT INTO groups (name, note, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		g.Name, g.Note, g.CreatedAt)
	if err == nil && n == 0 {
		return fmt.Errorf("%s: %w", op, store.ErrConflict)
	}
	return err
}

// DeleteGroup implements [store.GroupWriter].
func (t *tx) DeleteGroup(name string) error {
	const op = "delete a group"
	if err := findable(t.caller, op, name); err != nil {
		return err
	}
	return t.change(op, `DELETE FROM groups WHERE name = $1`, name)
}

// AddMember implements [store.GroupWriter].
func (t *tx) AddMember(group, accountID string) (bool, error) {
	const op = "add a member to a group"
	if err := findable(t.caller, op, group, accountID); err != nil {
		return false, err
	}
	var exist, added int
	err := t.get(op, `WITH pair AS (
			SELECT g.name, a.id FROM groups g, accounts a WHERE g.name = $1::text AND a.id = $2::text),
		added AS (
			INSERT INTO group_members (group_name, account_id) SELECT name, id FROM pair
			ON CONFLICT DO NOTHING RETURNING 1)
		SELECT (SELECT count(*) FROM pair), (SELECT count(*) FROM added)`, []any{group, accountID}, &exist, &added)
	if err == nil && exist == 0 {
		return false, fmt.Errorf("%s: %w", op, store.ErrNotFound)
	}
	return added > 0, err
}

// RemoveMember implements [store.GroupWriter].
func (t *tx) RemoveMember(group, accountID string) (bool, error) {
	if !store.Storable(group, accountID) {
		return false, t.ready()
	}
	n, err := t.exec("remove a member from a group",
		`DELETE FROM group_members WHERE group_name = $1 AND account_id = $2`, group, accountID)
	return n > 0, err
}

// InsertGrant implements [store.GroupWriter].
func (t *tx) InsertGrant(g store.Grant) error {
	const op = "insert a grant"
	if err := g.Check(); err != nil {
		return err
	}
	var holders, added int
	err := t.get(op, `WITH holder AS (
			SELECT id AS account_id, NULL AS group_name FROM accounts WHERE id = $2::text AND $2::text <> ''
			UNION ALL SELECT NULL, name FROM groups WHERE name = $3::text AND $3::text <> ''),
		added AS (
			INSERT INTO grants (id, account_id, group_name, scope, created_at, created_by)
			SELECT $1::text, account_id, group_name, $4::text, $5::timestamptz, $6::text FROM holder
			ON CONFLICT DO NOTHING RETURNING 1)
		SELECT (SELECT count(*) FROM holder), (SELECT count(*) FROM added)`,
		[]any{g.ID, g.AccountID, g.Group, g.Scope, g.CreatedAt, g.CreatedBy}, &holders, &added)
	switch {
	case err != nil:
		return err
	case holders == 0:
		return fmt.Errorf("%s: %w: its holder", op, store.ErrNotFound)
	case added == 0:
		return fmt.Errorf("%s: %w", op, store.ErrConflict)
	}
	return nil
}

// DeleteGrant implements [store.GroupWriter].
func (t *tx) DeleteGrant(id string) (store.Grant, error) {
	const op = "delete a grant"
	if err := findable(t.caller, op, id); err != nil {
		return store.Grant{}, err
	}
	var g store.Grant
	err := t.get(op, `DELETE FROM grants WHERE id = $1 RETURNING `+grantColumns, []any{id}, grantDest(&g)...)
	if err != nil {
		return store.Grant{}, err
	}
	return g, nil
}
