package auditchain

import (
	"context"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Attest returns the store with a code on every event that is written through
// it. An event whose action is not in the table of [audit.Actions] is refused
// with [audit.ErrUnknownAction].
func Attest(inner store.Store, keys *Keys) store.Store { return &attesting{inner, keys} }

type attesting struct {
	store.Store
	keys *Keys
}

func (s *attesting) Update(ctx context.Context, fn func(store.Tx) error) error {
	return s.Store.Update(ctx, func(tx store.Tx) error { return fn(attestingTx{tx, s.keys}) })
}

func (s *attesting) Issue(ctx context.Context, i store.Issue) error {
	admit := i.Admit
	i.Admit = func(a store.Admission) (store.Event, error) {
		e, err := admit(a)
		if err != nil {
			return e, err
		}
		return s.keys.attest(e)
	}
	return s.Store.Issue(ctx, i)
}

func (s *attesting) AppendEvents(ctx context.Context, events []store.Event) error {
	coded := make([]store.Event, len(events))
	for i, e := range events {
		var err error
		if coded[i], err = s.keys.attest(e); err != nil {
			return err
		}
	}
	return s.Store.AppendEvents(ctx, coded)
}

type attestingTx struct {
	store.Tx
	keys *Keys
}

func (t attestingTx) AppendEvent(e store.Event) error {
	coded, err := t.keys.attest(e)
	if err != nil {
		return err
	}
	return t.Tx.AppendEvent(coded)
}

// attest gives an event its code, over the form in which stores keep it.
func (k *Keys) attest(e store.Event) (store.Event, error) {
	if err := audit.Check(e.Action); err != nil {
		return e, err
	}
	e = e.Clean()
	e.MAC = k.code(Digest(e))
	return e, nil
}
