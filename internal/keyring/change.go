package keyring

import (
	"context"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// change lets decide change the keys, in one transaction that no other node has
// at the same time, and puts the outcome into force here before it returns. Of
// nothing to write nothing is written. also, if not nil, adds to the
// transaction what its caller has to say.
func (s *Service) change(ctx context.Context, also func(store.Tx, *book) error, decide func(*book) error) error {
	now := s.now().UTC()
	known, err := s.store.SigningKeys(ctx)
	if err != nil {
		return fault.FromStore(err)
	}
	// A first look without a lock, since keys take time to make.
	var spare []store.SigningKey
	look := newBook(s.policy, now, known)
	look.strip = s.strip
	look.create = func(activeAt time.Time) (store.SigningKey, error) {
		k, err := s.create(activeAt, now)
		spare = append(spare, k)
		return k, err
	}
	if err := decide(look); err != nil {
		return err
	}
	if added, changed, removed := look.writes(); also == nil && len(added)+len(changed)+len(removed) == 0 {
		return nil
	}
	err = s.store.Update(ctx, func(tx store.Tx) error { return s.write(ctx, tx, now, spare, also, decide) })
	s.Changed() // whatever came of it
	s.follower.Apply(store.Change{At: now, Kind: store.ChangeKeys})
	return fault.FromStore(err)
}

// write is the transaction of change.
func (s *Service) write(ctx context.Context, tx store.Tx, now time.Time, spare []store.SigningKey, also func(store.Tx, *book) error, decide func(*book) error) error {
	locked, err := tx.LockSigningKeys()
	if err != nil {
		return err
	}
	b := newBook(s.policy, now, locked)
	b.strip = s.strip
	b.create = func(activeAt time.Time) (store.SigningKey, error) {
		if len(spare) == 0 {
			return s.create(activeAt, now)
		}
		k := spare[0]
		spare = spare[1:]
		k.ActiveAt = activeAt
		return k, nil
	}
	if err := decide(b); err != nil {
		return err
	}
	added, changed, removed := b.writes()
	for _, k := range added {
		if err := tx.InsertSigningKey(k); err != nil {
			return err
		}
		if k.Imported != "" {
			continue // which has an event of its own
		}
		if err := s.note(ctx, tx, now, "key.create", k.ID, map[string]string{"algorithm": k.Algorithm}); err != nil {
			return err
		}
	}
	for _, k := range changed {
		if err := tx.UpdateSigningKey(k); err != nil {
			return err
		}
	}
	for _, id := range removed {
		if err := tx.DeleteSigningKey(id); err != nil {
			return err
		}
		if err := s.note(ctx, tx, now, "key.remove", id, nil); err != nil {
			return err
		}
	}
	if also != nil {
		if err := also(tx, b); err != nil {
			return err
		}
	}
	if len(added)+len(changed)+len(removed) == 0 {
		return nil
	}
	_, err = tx.AppendChange(store.Change{At: now, Kind: store.ChangeKeys})
	return err
}

// note appends an event about something that the server does by itself.
func (s *Service) note(ctx context.Context, tx store.Tx, now time.Time, action, id string, detail map[string]string) error {
	e := audit.Event(ctx, now, nil, action, audit.OK)
	e.Target, e.Detail = id, detail
	return tx.AppendEvent(e)
}

// create makes a key that comes into use at the given time.
func (s *Service) create(activeAt, now time.Time) (store.SigningKey, error) {
	key, err := jose.Generate(s.policy.Algorithm)
	for err == nil && strings.HasPrefix(key.ID(), "-") { // which command lines take for a flag
		key, err = jose.Generate(s.policy.Algorithm)
	}
	if err != nil {
		return store.SigningKey{}, err
	}
	certificate, err := key.Certificate("Latchkey "+key.ID(), now)
	if err != nil {
		return store.SigningKey{}, err
	}
	der, err := key.Private()
	if err != nil {
		return store.SigningKey{}, err
	}
	defer clear(der)
	return store.SigningKey{
		ID: key.ID(), Algorithm: string(key.Algorithm()), Public: key.Public(), Certificate: certificate,
		Sealed: s.secrets.Seal(privateOf(key.ID()), der), CreatedAt: now, ActiveAt: activeAt, Longest: s.policy.Longest,
	}, nil
}
