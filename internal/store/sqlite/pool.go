package sqlite

import (
	"context"
	"errors"
	"sync"
)

// pool hands out connections that only read. Each serves one call at a time.
type pool struct {
	dsn    string
	slots  chan *conn // nil where none is open yet
	closed chan struct{}
	once   sync.Once
}

func newPool(dsn string, n int) *pool {
	p := &pool{dsn: dsn, slots: make(chan *conn, n), closed: make(chan struct{})}
	for range n {
		p.slots <- nil
	}
	return p
}

// with runs fn with a connection of its own.
func (p *pool) with(ctx context.Context, op string, fn func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return fault(op, err)
	}
	var c *conn
	select {
	case <-p.closed:
		return errClosed
	case <-ctx.Done():
		return fault(op, ctx.Err())
	case c = <-p.slots:
	}
	defer func() { p.slots <- c }()
	if c == nil {
		var err error
		if c, err = connect(ctx, p.dsn); err != nil {
			return fault(op, err)
		}
	}
	return fault(op, fn(c))
}

// get reads one row; [store.ErrNotFound] when there is none.
func (p *pool) get(ctx context.Context, op, query string, args []any, dest ...any) error {
	return p.with(ctx, op, func(c *conn) error { return c.first(query, args, dest) })
}

// each reads some rows, by a query that is kept, and gives each to scan.
func (p *pool) each(ctx context.Context, op, query string, args []any, scan func(row) error) error {
	return p.with(ctx, op, func(c *conn) error { return c.each(query, args, scan) })
}

// list reads rows by a query that is made up for the occasion.
func (p *pool) list(ctx context.Context, op, query string, args []any, scan func(row) error) error {
	return p.with(ctx, op, func(c *conn) error { return c.list(ctx, query, args, scan) })
}

// close waits for calls under way and closes all connections.
func (p *pool) close() error {
	var errs []error
	p.once.Do(func() {
		close(p.closed)
		for range cap(p.slots) {
			if c := <-p.slots; c != nil {
				errs = append(errs, c.close())
			}
		}
	})
	return errors.Join(errs...)
}
