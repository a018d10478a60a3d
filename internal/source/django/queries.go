package django

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// user is one row.
type user struct {
	id, username, password, email string
	active, superuser             bool
}

// queries are the statements for one table.
type queries struct {
	table   string // quoted
	columns Columns
	byName  string // $1: the name
	sample  string
	idType  string // $1: the table, $2: the column
	byID    string // with %s for the condition on $1, an array of ids as text
}

// newQueries quotes all names: they come from a configuration file, and they
// may be anything that PostgreSQL allows.
func newQueries(opts Options) (queries, error) {
	c := opts.Columns
	for _, name := range []struct {
		to    *string
		value string
	}{
		{&opts.Table, "auth_user"},
		{&c.ID, "id"}, {&c.Username, "username"}, {&c.Password, "password"},
		{&c.Active, "is_active"}, {&c.Superuser, "is_superuser"}, {&c.Email, "email"},
	} {
		if *name.to == "" {
			*name.to = name.value
		}
		if !storable(*name.to) {
			return queries{}, errors.New("the name of the table or of a column is not text")
		}
	}
	if c.ID == Absent || c.Username == Absent || c.Password == Absent {
		return queries{}, errors.New("there is no doing without the columns for id, user name and password")
	}
	table := pgx.Identifier{opts.Table}
	if opts.Schema != "" {
		table = pgx.Identifier{opts.Schema, opts.Table}
	}
	q := queries{table: table.Sanitize(), columns: c}
	active := "true"
	if c.Active != Absent {
		active = fmt.Sprintf("coalesce(%s, false)", quote(c.Active))
	}
	superuser := "false"
	if c.Superuser != Absent {
		superuser = fmt.Sprintf("coalesce(%s, false)", quote(c.Superuser))
	}
	email := "''"
	if c.Email != Absent {
		email = fmt.Sprintf("coalesce(%s::text, '')", quote(c.Email))
	}
	all := fmt.Sprintf("SELECT %s::text, coalesce(%s::text, ''), coalesce(%s::text, ''), %s, %s, %s FROM %s",
		quote(c.ID), quote(c.Username), quote(c.Password), email, active, superuser, q.table)
	q.byName = fmt.Sprintf("%s WHERE %s = $1 LIMIT 2", all, quote(c.Username))
	q.byID = all + " WHERE %s"
	// By chance, since the oldest rows have the oldest kinds of hashes.
	q.sample = fmt.Sprintf("SELECT %s::text FROM %s WHERE %s AND %s NOT LIKE '!%%' ORDER BY random() LIMIT 200",
		quote(c.Password), q.table, active, quote(c.Password))
	q.idType = "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = $2"
	return q, nil
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// db is what the queries need of a connection pool.
type db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// users reads the rows of byName or of byID.
func (q queries) users(ctx context.Context, on db, sql string, argument any) ([]user, error) {
	rows, err := on.Query(ctx, sql, argument)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (u user, err error) {
		err = row.Scan(&u.id, &u.username, &u.password, &u.email, &u.active, &u.superuser)
		return u, err
	})
}

// hashes reads the stored hashes of some users, by chance.
func (q queries) hashes(ctx context.Context, on db) ([]string, error) {
	rows, err := on.Query(ctx, q.sample)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// condition returns the statement for an array of ids, and which ids can be in
// the column at all. The ids are converted to the type of the column rather
// than the column to text, so that its index is used; an id that has not the
// form of that type would make the whole statement fail.
func (q queries) condition(ctx context.Context, on db) (sql string, possible func(id string) bool, err error) {
	var kind string
	if err := on.QueryRow(ctx, q.idType, q.table, q.columns.ID).Scan(&kind); err != nil {
		if errors.Is(err, pgx.ErrNoRows) {
			err = fmt.Errorf("there is no table %s with a column %s", q.table, quote(q.columns.ID))
		}
		return "", nil, err
	}
	column := quote(q.columns.ID)
	possible, known := idForms[kind]
	if !known {
		return fmt.Sprintf(q.byID, column+"::text = ANY($1::text[])"), storable, nil
	}
	// The parameter is text on the wire in any case; kind is one of our own
	// list by now.
	return fmt.Sprintf(q.byID, fmt.Sprintf("%s = ANY($1::text[]::%s[])", column, kind)), possible, nil
}

// idForms has the types of primary keys that Django makes, as PostgreSQL
// names them, and the canonical form of each.
var idForms = map[string]func(id string) bool{
	"smallint":          isInt(16),
	"integer":           isInt(32),
	"bigint":            isInt(64),
	"uuid":              isUUID,
	"text":              storable,
	"character varying": storable,
}

func isUUID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i, c := range []byte(id) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') {
			return false
		}
		if !strings.ContainsRune("0123456789abcdef-", rune(c)) {
			return false
		}
	}
	return true
}
