package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/store/portable"
	"github.com/latchkey-auth/latchkey/internal/store/schema"
)

// wholeTable is a table as the schema describes it.
type wholeTable struct {
	name    string
	key     []string // the columns of the primary key
	columns []wholeColumn
}

// wholeColumn is a column of the portable form. Rows of some tables are
// referred to by an integer of this file alone, seq, where the portable form
// has the id beside it.
type wholeColumn struct {
	name   string
	shown  string
	refers string // the table whose seq it is
}

// computed are columns that follow from the rest, with the reason. They are
// not part of the portable form.
var computed = map[string]string{
	"tokens.secrets": "counts the rows of token_secrets, for the speed of look-ups",
}

// surrogate is the integer key that rows are referred to by.
const surrogate = "seq"

func (t wholeTable) shown() portable.Table {
	p := portable.Table{Name: t.name}
	for _, c := range t.columns {
		p.Columns = append(p.Columns, c.shown)
	}
	return p
}

// quote makes an SQL name of what the schema calls something.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// describe reads the schema.
func (w *whole) describe(ctx context.Context) error {
	return w.raw(ctx, func(c *conn) error {
		names, err := texts(c, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`)
		if err != nil {
			return fault("read the schema", err)
		}
		w.tables, w.schema = nil, 0
		refers := map[string][]string{}
		tables := map[string]wholeTable{}
		var list []portable.Table
		for _, name := range names {
			if portable.LeftOut(name) {
				continue
			}
			t, to, err := describeTable(c, name)
			if err != nil {
				return fault("read the schema of "+name, err)
			}
			tables[name], refers[name] = t, to
			list = append(list, t.shown())
		}
		if list, err = portable.Order(list, refers); err != nil {
			return err
		}
		for _, t := range list {
			w.tables = append(w.tables, tables[t.Name])
		}
		if !slices.Contains(names, schema.Table) {
			return nil
		}
		return fault("read the schema version", c.first(`SELECT ifnull(max(version_id), 0) FROM `+schema.Table+` WHERE is_applied`, nil, []any{&w.schema}))
	})
}

func texts(c *conn, query string, args ...any) (list []string, err error) {
	err = c.each(query, args, func(r row) error {
		var s string
		err := r.scan(&s)
		list = append(list, s)
		return err
	})
	return list, err
}

// describeTable reads the columns of a table, and what it refers to.
func describeTable(c *conn, name string) (t wholeTable, refers []string, err error) {
	t.name = name
	integers := map[string]string{} // columns that hold another table's seq
	err = c.each(`SELECT "table", "from", ifnull("to", '') FROM pragma_foreign_key_list(?)`, []any{name}, func(r row) error {
		var table, from, to string
		err := r.scan(&table, &from, &to)
		refers = append(refers, table)
		if to == surrogate {
			integers[from] = table
		}
		return err
	})
	if err != nil {
		return t, nil, err
	}
	names, err := texts(c, `SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid`, name)
	if err != nil {
		return t, nil, err
	}
	if t.key, err = texts(c, `SELECT name FROM pragma_table_xinfo(?) WHERE pk > 0 ORDER BY pk`, name); err != nil {
		return t, nil, err
	}
	for _, n := range names {
		col := wholeColumn{name: n, shown: n, refers: integers[n]}
		switch {
		case computed[name+"."+n] != "":
			continue
		case n == surrogate && slices.Equal(t.key, []string{n}) && slices.Contains(names, "id"):
			continue
		case col.refers != "":
			col.shown = n + "_id"
		}
		t.columns = append(t.columns, col)
	}
	return t, refers, nil
}

func (w *whole) table(t portable.Table) (wholeTable, error) {
	if err := portable.Match(w.Tables(), t); err != nil {
		return wholeTable{}, err
	}
	return w.tables[slices.IndexFunc(w.tables, func(o wholeTable) bool { return o.name == t.Name })], nil
}

// column finds one by its name in the portable form.
func (t wholeTable) column(shown string) wholeColumn {
	return t.columns[slices.IndexFunc(t.columns, func(c wholeColumn) bool { return c.shown == shown })]
}

// errEnough ends a walk over rows of which no more are wanted.
var errEnough = errors.New("enough rows")

// Rows implements [portable.Source].
func (w *whole) Rows(ctx context.Context, p portable.Table) portable.Rows {
	return func(yield func([]any, error) bool) {
		t, err := w.table(p)
		if err != nil {
			yield(nil, err)
			return
		}
		var columns, key []string
		for _, shown := range p.Columns {
			c := t.column(shown)
			if c.refers != "" {
				columns = append(columns, fmt.Sprintf("(SELECT r.id FROM %s AS r WHERE r.%s = t.%s)", quote(c.refers), surrogate, quote(c.name)))
				continue
			}
			columns = append(columns, "t."+quote(c.name))
		}
		for _, k := range t.key {
			key = append(key, "t."+quote(k))
		}
		query := fmt.Sprintf(`SELECT %s FROM %s AS t ORDER BY %s`, strings.Join(columns, ", "), quote(t.name), strings.Join(key, ", "))
		values := make([]any, len(columns))
		err = w.raw(ctx, func(c *conn) error {
			return c.list(ctx, query, nil, func(r row) error {
				if err := portableValues(r, values); err != nil {
					return err
				}
				if !yield(values, nil) {
					return errEnough
				}
				return nil
			})
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(nil, fault("read the table "+t.name, err))
		}
	}
}

func portableValues(r row, values []any) error {
	for i, v := range r {
		switch v := v.(type) {
		case []byte:
			values[i] = bytesOf(v) // the driver gives no bytes as nil, which would become NULL
		case nil, int64, string:
			values[i] = v
		default:
			return fmt.Errorf("a column has a %T, which the portable form does not know", v)
		}
	}
	return nil
}

// Insert implements [portable.Target].
func (w *whole) Insert(ctx context.Context, p portable.Table, rows portable.Rows) error {
	t, err := w.table(p)
	if err != nil {
		return err
	}
	var columns, places []string
	for _, shown := range p.Columns {
		c := t.column(shown)
		columns = append(columns, quote(c.name))
		if c.refers != "" {
			places = append(places, fmt.Sprintf("(SELECT %s FROM %s WHERE id = ?)", surrogate, quote(c.refers)))
			continue
		}
		places = append(places, "?")
	}
	query := fmt.Sprintf(`INSERT INTO %s (%s) VALUES (%s)`, quote(t.name), strings.Join(columns, ", "), strings.Join(places, ", "))
	if err := w.insert(ctx, t.name, query, len(places), rows); err != nil {
		return err
	}
	if t.name != "token_secrets" {
		return nil
	}
	return w.exec(ctx, "count the secrets of tokens", `UPDATE tokens SET secrets = 2
		WHERE seq IN (SELECT token FROM token_secrets GROUP BY token HAVING count(*) > 1)`)
}

func (w *whole) insert(ctx context.Context, table, query string, columns int, rows portable.Rows) error {
	op := "fill the table " + table
	return w.raw(ctx, func(c *conn) (err error) {
		s, err := c.prepare(query)
		if err != nil {
			return fault(op, err)
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		for values, err := range rows {
			if err != nil {
				return err
			}
			if len(values) != columns {
				return fmt.Errorf("%s: %w: a row has %d values, not %d", op, portable.ErrForm, len(values), columns)
			}
			if _, err := s.ExecContext(ctx, c.bind(values)); err != nil {
				return refusedRow(op, err)
			}
			if err := ctx.Err(); err != nil {
				return fault(op, err)
			}
		}
		return nil
	})
}

// refusedRow is [fault], except that what breaks a rule of the schema is not
// in order for the database either.
func refusedRow(op string, err error) error {
	if broken(err) != nil || isConstraint(err) {
		return fmt.Errorf("%s: %w: %v", op, portable.ErrForm, err)
	}
	return fault(op, err)
}
