package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"modernc.org/sqlite"
)

// sqliteConn is what is used of the driver's connections. They are used as
// they are and not through database/sql, which takes as long over a look-up
// as SQLite does.
type sqliteConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
}

// sqliteStmt is what is used of the driver's prepared statements.
type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// conn is a connection with its prepared statements, for one user at a time.
type conn struct {
	inner    sqliteConn
	prepared map[string]sqliteStmt
	args     []driver.NamedValue // kept to be used again
	row      row
}

func connect(ctx context.Context, dsn string) (*conn, error) {
	c, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	inner, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := inner.(sqliteConn)
	if !ok {
		inner.Close()
		return nil, fmt.Errorf("the driver's connection %T lacks a method", inner)
	}
	return &conn{inner: full, prepared: make(map[string]sqliteStmt)}, nil
}

func (c *conn) close() error { return errors.Join(c.forget(), c.inner.Close()) }

// forget closes the prepared statements and leaves the connection open.
func (c *conn) forget() error {
	var errs []error
	for _, s := range c.prepared {
		errs = append(errs, s.Close())
	}
	clear(c.prepared)
	return errors.Join(errs...)
}

// statement prepares query for the life of the connection.
func (c *conn) statement(query string) (sqliteStmt, error) {
	if s, ok := c.prepared[query]; ok {
		return s, nil
	}
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	c.prepared[query] = s
	return s, nil
}

func (c *conn) prepare(query string) (sqliteStmt, error) {
	s, err := c.inner.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	full, ok := s.(sqliteStmt)
	if !ok {
		s.Close()
		return nil, fmt.Errorf("the driver's statement %T lacks a method", s)
	}
	return full, nil
}

// bind puts args into the form that the driver wants. It is good until the
// next call.
func (c *conn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		if n, ok := a.(int); ok {
			a = int64(n)
		}
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// exec runs a prepared statement. It takes no context: to interrupt a write
// would roll back what others have in the same transaction.
func (c *conn) exec(query string, args []any) (driver.Result, error) {
	s, err := c.statement(query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(context.Background(), c.bind(args))
}

// first reads the first row that a prepared statement gives; [sql.ErrNoRows]
// when there is none. It takes no context: to watch one, the driver starts a
// goroutine for every query, which takes longer than most of them.
func (c *conn) first(query string, args []any, dest []any) error {
	err := c.each(query, args, func(r row) error {
		if err := r.scan(dest...); err != nil {
			return err
		}
		return io.EOF
	})
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return sql.ErrNoRows
	}
	return err
}

// each gives every row of a prepared statement to scan.
func (c *conn) each(query string, args []any, scan func(row) error) error {
	s, err := c.statement(query)
	if err != nil {
		return err
	}
	return c.walk(context.Background(), s, args, scan)
}

// list is each for a query that is made up for the occasion and may take long.
// It ends with ctx.
func (c *conn) list(ctx context.Context, query string, args []any, scan func(row) error) (err error) {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return c.walk(ctx, s, args, scan)
}

func (c *conn) walk(ctx context.Context, s sqliteStmt, args []any, scan func(row) error) (err error) {
	rows, err := s.QueryContext(ctx, c.bind(args))
	if err != nil {
		return err
	}
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	if n := len(rows.Columns()); cap(c.row) < n {
		c.row = make(row, n)
	} else {
		c.row = c.row[:n]
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch err := rows.Next(c.row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := scan(c.row); err != nil {
			return err
		}
	}
}

// row is what the driver gives of a row. Its values may be kept, itself not.
type row []driver.Value

// scan copies the columns to where dest points. NULL leaves it as it is.
func (r row) scan(dest ...any) error {
	if len(dest) != len(r) {
		return fmt.Errorf("a row has %d columns, not %d", len(r), len(dest))
	}
	for i, v := range r {
		if err := assign(v, dest[i]); err != nil { //nolint:gosec // G602: the lengths are equal
			return fmt.Errorf("column %d: %w", i, err)
		}
	}
	return nil
}

func assign(v driver.Value, dest any) error {
	if s, ok := dest.(sql.Scanner); ok {
		return s.Scan(v)
	}
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		if d, ok := dest.(*string); ok {
			*d = v
			return nil
		}
	case []byte:
		if d, ok := dest.(*[]byte); ok {
			*d = v
			return nil
		}
	case int64:
		switch d := dest.(type) {
		case *int64:
			*d = v
			return nil
		case *int:
			*d = int(v)
			return nil
		case *bool:
			*d = v != 0
			return nil
		}
	}
	return fmt.Errorf("%T does not go into %T", v, dest)
}
