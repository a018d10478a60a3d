package postgres

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/store/portable"
)

// wholeTable is a table as the database's catalog describes it.
type wholeTable struct {
	name    string
	key     []string // the columns of the primary key
	columns []wholeColumn
}

type wholeColumn struct {
	name string
	form form
}

func (t wholeTable) shown() portable.Table {
	p := portable.Table{Name: t.name}
	for _, c := range t.columns {
		p.Columns = append(p.Columns, c.name)
	}
	return p
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// names lists the tables for a statement about all of them.
func (w *whole) names() string {
	var list []string
	for _, t := range w.tables {
		list = append(list, quote(t.name))
	}
	return strings.Join(list, ", ")
}

// describe reads the catalog.
func (w *whole) describe(ctx context.Context) (err error) {
	if w.schema, err = w.version(ctx); err != nil {
		return err
	}
	w.tables = nil
	tables := map[string]*wholeTable{}
	if err := w.describeColumns(ctx, tables); err != nil {
		return err
	}
	refers := map[string][]string{}
	var from, to string
	err = w.catalog(ctx, `select t.relname, f.relname from pg_constraint as c
		join pg_class as t on t.oid = c.conrelid join pg_class as f on f.oid = c.confrelid
		where c.contype = 'f' and t.relnamespace = current_schema()::regnamespace`, []any{&from, &to}, func() error {
		refers[from] = append(refers[from], to)
		return nil
	})
	if err != nil {
		return err
	}
	var list []portable.Table
	for _, t := range tables {
		list = append(list, t.shown())
	}
	if list, err = portable.Order(list, refers); err != nil {
		return err
	}
	for _, t := range list {
		w.tables = append(w.tables, *tables[t.Name])
	}
	return nil
}

// describeColumns reads what the tables consist of. Identity columns number
// the rows of this database alone, in the order of their key.
func (w *whole) describeColumns(ctx context.Context, tables map[string]*wholeTable) error {
	var table, column, kind string
	var local bool
	var key int
	return w.catalog(ctx, `select c.relname, a.attname, format_type(a.atttypid, null), a.attidentity <> '' or a.attgenerated <> '',
			coalesce(array_position(k.conkey, a.attnum), 0)
		from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
		left join pg_constraint as k on k.conrelid = c.oid and k.contype = 'p'
		where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' order by c.relname, a.attnum`,
		[]any{&table, &column, &kind, &local, &key}, func() error {
			if portable.LeftOut(table) {
				return nil
			}
			t := tables[table]
			if t == nil {
				t = &wholeTable{name: table}
				tables[table] = t
			}
			if key > 0 {
				t.key = slices.Insert(t.key, min(key-1, len(t.key)), column)
			}
			if local {
				return nil
			}
			f, ok := forms[kind]
			if !ok {
				return fmt.Errorf("the portable form knows no %s, which %s.%s is", kind, table, column)
			}
			t.columns = append(t.columns, wholeColumn{name: column, form: f})
			return nil
		})
}

// catalog runs a query about the schema and calls each for every row, scanned.
func (w *whole) catalog(ctx context.Context, query string, dest []any, each func() error) error {
	rows, err := w.conn.Query(ctx, query)
	if err != nil {
		return w.s.fault(ctx, "read the schema", err)
	}
	_, err = pgx.ForEachRow(rows, dest, each)
	return w.s.fault(ctx, "read the schema", err)
}

func (w *whole) table(p portable.Table) (wholeTable, error) {
	if err := portable.Match(w.Tables(), p); err != nil {
		return wholeTable{}, err
	}
	t := w.tables[slices.IndexFunc(w.tables, func(o wholeTable) bool { return o.name == p.Name })]
	var columns []wholeColumn
	for _, name := range p.Columns {
		columns = append(columns, t.columns[slices.IndexFunc(t.columns, func(c wholeColumn) bool { return c.name == name })])
	}
	t.columns = columns
	return t, nil
}

// Rows implements [portable.Source].
func (w *whole) Rows(ctx context.Context, p portable.Table) portable.Rows {
	return func(yield func([]any, error) bool) {
		t, err := w.table(p)
		if err != nil {
			yield(nil, err)
			return
		}
		var columns, key []string
		for _, c := range t.columns {
			columns = append(columns, fmt.Sprintf(c.form.query, quote(c.name)))
		}
		for _, k := range t.key {
			key = append(key, quote(k))
		}
		op := "read the table " + t.name
		rows, err := w.conn.Query(ctx, fmt.Sprintf(`select %s from %s order by %s`,
			strings.Join(columns, ", "), quote(t.name), strings.Join(key, ", ")))
		if err != nil {
			yield(nil, w.s.fault(ctx, op, err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			values, err := rows.Values()
			for i := 0; err == nil && i < len(values); i++ {
				values[i], err = t.columns[i].form.shown(values[i])
			}
			if err != nil {
				yield(nil, w.s.fault(ctx, op, err))
				return
			}
			if !yield(values, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, w.s.fault(ctx, op, err))
		}
	}
}

// Insert implements [portable.Target].
func (w *whole) Insert(ctx context.Context, p portable.Table, rows portable.Rows) error {
	t, err := w.table(p)
	if err != nil {
		return err
	}
	next, stop := iter.Pull2(rows)
	defer stop()
	var failed error // of the rows, which is not the database's
	_, err = w.conn.CopyFrom(ctx, pgx.Identifier{t.name}, p.Columns, pgx.CopyFromFunc(func() ([]any, error) {
		values, err, more := next()
		if !more {
			return nil, nil
		}
		if err == nil {
			values, err = t.stored(values)
		}
		failed = err
		return values, err
	}))
	if failed != nil {
		return failed
	}
	if err != nil {
		return w.refusedRow(ctx, "fill the table "+t.name, err)
	}
	return nil
}

// stored makes values for the database out of those of the portable form.
func (t wholeTable) stored(values []any) ([]any, error) {
	if len(values) != len(t.columns) {
		return nil, fmt.Errorf("%w: a row of %s has %d values, not %d", portable.ErrForm, t.name, len(values), len(t.columns))
	}
	out := make([]any, len(values))
	for i, v := range values {
		if v == nil {
			continue
		}
		var err error
		if out[i], err = t.columns[i].form.stored(v); err != nil {
			return nil, fmt.Errorf("%w: %s.%s: %v", portable.ErrForm, t.name, t.columns[i].name, err)
		}
	}
	return out, nil
}
