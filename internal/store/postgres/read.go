package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// get reads one row; [store.ErrNotFound] when there is none.
func (s *Store) get(ctx context.Context, op, query string, args []any, dest ...any) error {
	return s.read(ctx, op, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, query, args...).Scan(dest...)
	})
}

// list reads rows, each with scan.
func list[T any](ctx context.Context, s *Store, op, query string, args []any, scan func(pgx.CollectableRow) (T, error)) ([]T, error) {
	var all []T
	err := s.read(ctx, op, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		all, err = pgx.AppendRows(all[:0], rows, scan)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// read runs a read. When the connection turns out to be dead, which is what is
// left of all of them after the server was started anew, they are replaced and
// it is tried once more.
func (s *Store) read(ctx context.Context, op string, query func(context.Context) error) error {
	limited, cancel := s.limited(ctx)
	defer cancel()
	err := query(limited)
	if lost(err) && limited.Err() == nil {
		s.pool.Reset()
		err = query(limited)
	}
	return s.fault(ctx, op, err)
}
