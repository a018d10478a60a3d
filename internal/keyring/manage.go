package keyring

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Resource is the part of Latchkey's own API that scopes of the type "latchkey"
// name for the signing keys.
const Resource = "keys"

// maxReason is how many bytes a reason may have.
const maxReason = 500

// Listed is a key as administrators see it. Nothing in it is secret.
type Listed struct {
	Record store.SigningKey // without what is sealed
	State  State
	Ends   time.Time // when it goes; zero: that is not known yet
	Key    *jose.Key // to write it in the forms that verifiers read
	Rules  *Rules    // of an imported key; nil: it is our own
}

func (i imported) listed(now time.Time) Listed {
	return Listed{Record: i.record, State: StateOf(i.record, now), Ends: endOf(i.record), Key: i.key, Rules: &i.rules}
}

// need refuses a caller that lacks a right on the keys.
func need(caller *identity.Identity, verb string) error {
	if caller == nil {
		return fault.Unauthenticatedf("a credential is needed")
	}
	if caller.May(Resource, verb) {
		return nil
	}
	return fault.Needs(scope.TypeLatchkey + ":" + Resource + ":" + verb)
}

func (s *Service) refused(ctx context.Context, caller *identity.Identity, action, target string, err error) error {
	return s.audit.Refused(ctx, s.now(), caller, action, target, fault.FromStore(err))
}

// List returns all keys, oldest first, and of those that were made at once the
// one that signs first.
func (s *Service) List(ctx context.Context, caller *identity.Identity) ([]Listed, error) {
	if err := need(caller, scope.Read); err != nil {
		return nil, s.refused(ctx, caller, "key.list", "", err)
	}
	have, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	now := s.now()
	list := make([]Listed, 0, len(have.keys)+len(have.imported))
	for _, h := range have.keys {
		list = append(list, Listed{Record: h.record, State: StateOf(h.record, now), Ends: endOf(h.record), Key: h.key})
	}
	for _, i := range have.imported {
		list = append(list, i.listed(now))
	}
	slices.SortStableFunc(list, func(a, b Listed) int {
		if c := a.Record.CreatedAt.Compare(b.Record.CreatedAt); c != 0 {
			return c
		}
		switch {
		case sooner(a.Record.ActiveAt, b.Record.ActiveAt):
			return -1
		case sooner(b.Record.ActiveAt, a.Record.ActiveAt):
			return 1
		}
		return 0
	})
	return list, nil
}

// Rotate lets the next key follow the one that signs: at once if it has been
// published for long enough, else as soon as it will have been. It returns the
// key that follows.
func (s *Service) Rotate(ctx context.Context, caller *identity.Identity) (Listed, error) {
	const action = "key.rotate"
	if err := need(caller, scope.Write); err != nil {
		return Listed{}, s.refused(ctx, caller, action, "", err)
	}
	var id string
	var at time.Time
	err := s.change(ctx, func(tx store.Tx, b *book) error {
		e := audit.Event(ctx, b.now, caller, action, audit.OK)
		e.Target, e.Detail = id, map[string]string{"active_at": at.Format(time.RFC3339)}
		return tx.AppendEvent(e)
	}, func(b *book) (err error) {
		id, at, err = b.rotate()
		return err
	})
	if err != nil {
		return Listed{}, s.refused(ctx, caller, action, "", err)
	}
	return s.listed(ctx, id)
}

// Revoke withdraws a key: nothing that it has signed counts any more, here
// before this returns and on other nodes within the bound. If it was the one
// that signs, the next one does from now on.
func (s *Service) Revoke(ctx context.Context, caller *identity.Identity, id, reason string) (Listed, error) {
	const action = "key.revoke"
	err := need(caller, scope.Delete)
	if err == nil && (len(reason) > maxReason || !audit.Printable(reason)) {
		err = fault.Invalidf("reason", "must be at most %d bytes that can be printed, and no token", maxReason)
	}
	if err == nil {
		err = s.change(ctx, func(tx store.Tx, b *book) error {
			e := audit.Event(ctx, b.now, caller, action, audit.OK)
			e.Target, e.Detail = id, map[string]string{"reason": reason}
			return tx.AppendEvent(e)
		}, func(b *book) error { return b.withdraw(id, caller, reason) })
	}
	if err != nil {
		return Listed{}, s.refused(ctx, caller, action, id, err)
	}
	return s.listed(ctx, id)
}

// withdraw marks a key as withdrawn.
func (b *book) withdraw(id string, caller *identity.Identity, reason string) error {
	k := b.find(id)
	if k == nil {
		return fault.NotFoundf("there is no key %s", audit.Clip(id))
	}
	if !k.WithdrawnAt.IsZero() {
		return fault.Conflictf("the key was revoked at %s already", k.WithdrawnAt.UTC().Format(time.RFC3339))
	}
	k.WithdrawnAt, k.WithdrawnBy, k.WithdrawReason = b.now, caller.AccountID, reason
	return b.settle()
}

// find returns the record of a key, of our own or not; nil if there is none.
func (b *book) find(id string) *store.SigningKey {
	for _, list := range [][]store.SigningKey{b.keys, b.foreign} {
		if i := slices.IndexFunc(list, func(k store.SigningKey) bool { return k.ID == id }); i >= 0 {
			return &list[i]
		}
	}
	return nil
}

// listed finds a key that was there a moment ago.
func (s *Service) listed(ctx context.Context, id string) (Listed, error) {
	have, err := s.load(ctx)
	if err != nil {
		return Listed{}, err
	}
	for _, h := range have.keys {
		if h.record.ID == id {
			return Listed{Record: h.record, State: StateOf(h.record, s.now()), Ends: endOf(h.record), Key: h.key}, nil
		}
	}
	for _, i := range have.imported {
		if i.record.ID == id {
			return i.listed(s.now()), nil
		}
	}
	return Listed{}, fault.NotFoundf("there is no key %s", audit.Clip(id))
}
