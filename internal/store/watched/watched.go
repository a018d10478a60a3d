// Package watched puts somebody who watches around a store: each call is told
// of before it is made and after it has returned. It is for metrics and traces,
// and changes nothing about what a store does.
package watched

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// Kind says what sort of work a call is for the database.
type Kind int

// Kinds of calls.
const (
	Lookup Kind = iota // what a check needs that the cache has not: a token by its digest, a holder
	Read               // a record by its id or name
	List               // many records
	Follow             // the change log
	Update             // a transaction
	Batch              // last uses and audit events, of which nobody waits for
	Sweep              // removal of what ended long ago
	Probe              // whether the database works, and whose it is
	kinds
)

// String names the kind as metrics have it.
func (k Kind) String() string {
	return [...]string{"lookup", "read", "list", "follow", "update", "batch", "sweep", "probe"}[k]
}

// Kinds lists all kinds.
func Kinds() []Kind {
	list := make([]Kind, kinds)
	for i := range list {
		list[i] = Kind(i)
	}
	return list
}

// Observer watches.
type Observer interface {
	// Call is told that the method of that name begins. The call is made with
	// the context that it returns, and the function is called with the outcome.
	Call(ctx context.Context, kind Kind, method string) (context.Context, func(error))
}

// Store is a store that is watched. Methods that this package does not know are
// the inner store's, unwatched.
type Store struct {
	store.Store
	by Observer
}

// New returns the store with somebody who watches it.
func New(inner store.Store, by Observer) *Store { return &Store{inner, by} }

// ask makes a call that returns something.
func ask[T any](ctx context.Context, s *Store, kind Kind, method string, call func(context.Context) (T, error)) (T, error) {
	ctx, done := s.by.Call(ctx, kind, method)
	result, err := call(ctx)
	done(err)
	return result, err
}

// tell makes a call that returns nothing but its outcome.
func tell(ctx context.Context, s *Store, kind Kind, method string, call func(context.Context) error) error {
	ctx, done := s.by.Call(ctx, kind, method)
	err := call(ctx)
	done(err)
	return err
}
