package watched

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// TokenByDigest implements [store.TokenReader].
func (s *Store) TokenByDigest(ctx context.Context, digest []byte) (store.FoundToken, error) {
	return ask(ctx, s, Lookup, "TokenByDigest", func(ctx context.Context) (store.FoundToken, error) {
		return s.Store.TokenByDigest(ctx, digest)
	})
}

// Token implements [store.TokenReader].
func (s *Store) Token(ctx context.Context, id string) (store.Token, error) {
	return ask(ctx, s, Read, "Token", func(ctx context.Context) (store.Token, error) { return s.Store.Token(ctx, id) })
}

// Tokens implements [store.TokenReader].
func (s *Store) Tokens(ctx context.Context, q store.TokenQuery) ([]store.Token, error) {
	return ask(ctx, s, List, "Tokens", func(ctx context.Context) ([]store.Token, error) { return s.Store.Tokens(ctx, q) })
}

// Family implements [store.FamilyReader].
func (s *Store) Family(ctx context.Context, tokenID string) (store.Family, error) {
	return ask(ctx, s, Read, "Family", func(ctx context.Context) (store.Family, error) { return s.Store.Family(ctx, tokenID) })
}

// SpentSecret implements [store.FamilyReader].
func (s *Store) SpentSecret(ctx context.Context, digest []byte) (store.Spent, error) {
	return ask(ctx, s, Read, "SpentSecret", func(ctx context.Context) (store.Spent, error) { return s.Store.SpentSecret(ctx, digest) })
}

// SecretOfSlot implements [store.TokenReader].
func (s *Store) SecretOfSlot(ctx context.Context, accountID, slot string) (store.FoundToken, error) {
	return ask(ctx, s, Read, "SecretOfSlot", func(ctx context.Context) (store.FoundToken, error) {
		return s.Store.SecretOfSlot(ctx, accountID, slot)
	})
}

// Holder implements [store.AccountReader].
func (s *Store) Holder(ctx context.Context, accountID string) (store.Holder, error) {
	return ask(ctx, s, Lookup, "Holder", func(ctx context.Context) (store.Holder, error) { return s.Store.Holder(ctx, accountID) })
}

// Account implements [store.AccountReader].
func (s *Store) Account(ctx context.Context, id string) (store.Account, error) {
	return ask(ctx, s, Read, "Account", func(ctx context.Context) (store.Account, error) { return s.Store.Account(ctx, id) })
}

// AccountBySubject implements [store.AccountReader].
func (s *Store) AccountBySubject(ctx context.Context, source, subject string) (store.Account, error) {
	return ask(ctx, s, Read, "AccountBySubject", func(ctx context.Context) (store.Account, error) {
		return s.Store.AccountBySubject(ctx, source, subject)
	})
}

// AccountsByName implements [store.AccountReader].
func (s *Store) AccountsByName(ctx context.Context, name string) ([]store.Account, error) {
	return ask(ctx, s, Read, "AccountsByName", func(ctx context.Context) ([]store.Account, error) {
		return s.Store.AccountsByName(ctx, name)
	})
}

// Accounts implements [store.AccountReader].
func (s *Store) Accounts(ctx context.Context, q store.AccountQuery) ([]store.Account, error) {
	return ask(ctx, s, List, "Accounts", func(ctx context.Context) ([]store.Account, error) { return s.Store.Accounts(ctx, q) })
}

// Groups implements [store.AccountReader].
func (s *Store) Groups(ctx context.Context) ([]store.Group, error) {
	return ask(ctx, s, List, "Groups", s.Store.Groups)
}

// Members implements [store.AccountReader].
func (s *Store) Members(ctx context.Context, group string) ([]store.Account, error) {
	return ask(ctx, s, List, "Members", func(ctx context.Context) ([]store.Account, error) { return s.Store.Members(ctx, group) })
}

// Grants implements [store.AccountReader].
func (s *Store) Grants(ctx context.Context, q store.GrantQuery) ([]store.Grant, error) {
	return ask(ctx, s, List, "Grants", func(ctx context.Context) ([]store.Grant, error) { return s.Store.Grants(ctx, q) })
}

// LastChange implements [store.ChangeReader].
func (s *Store) LastChange(ctx context.Context) (int64, error) {
	return ask(ctx, s, Follow, "LastChange", s.Store.LastChange)
}

// ChangesAfter implements [store.ChangeReader].
func (s *Store) ChangesAfter(ctx context.Context, seq int64, limit int) ([]store.Change, error) {
	return ask(ctx, s, Follow, "ChangesAfter", func(ctx context.Context) ([]store.Change, error) {
		return s.Store.ChangesAfter(ctx, seq, limit)
	})
}

// Events implements [store.EventReader].
func (s *Store) Events(ctx context.Context, q store.EventQuery) ([]store.Event, error) {
	return ask(ctx, s, List, "Events", func(ctx context.Context) ([]store.Event, error) { return s.Store.Events(ctx, q) })
}

// SigningKeys implements [store.SigningKeyReader].
func (s *Store) SigningKeys(ctx context.Context) ([]store.SigningKey, error) {
	return ask(ctx, s, Read, "SigningKeys", s.Store.SigningKeys)
}

// Update implements [store.Updater].
func (s *Store) Update(ctx context.Context, fn func(tx store.Tx) error) error {
	return tell(ctx, s, Update, "Update", func(ctx context.Context) error { return s.Store.Update(ctx, fn) })
}

// Issue implements [store.Issuer].
func (s *Store) Issue(ctx context.Context, i store.Issue) error {
	return tell(ctx, s, Update, "Issue", func(ctx context.Context) error { return s.Store.Issue(ctx, i) })
}

// RecordUses implements [store.Batcher].
func (s *Store) RecordUses(ctx context.Context, uses []store.Use) error {
	return tell(ctx, s, Batch, "RecordUses", func(ctx context.Context) error { return s.Store.RecordUses(ctx, uses) })
}

// AppendEvents implements [store.Batcher].
func (s *Store) AppendEvents(ctx context.Context, events []store.Event) error {
	return tell(ctx, s, Batch, "AppendEvents", func(ctx context.Context) error { return s.Store.AppendEvents(ctx, events) })
}

// Sweep implements [store.Batcher].
func (s *Store) Sweep(ctx context.Context, endedBefore time.Time, limit int) (int, error) {
	return ask(ctx, s, Sweep, "Sweep", func(ctx context.Context) (int, error) { return s.Store.Sweep(ctx, endedBefore, limit) })
}

// EventsByPlace implements [store.EventChain].
func (s *Store) EventsByPlace(ctx context.Context, above int64, limit int) ([]store.PlacedEvent, error) {
	return ask(ctx, s, List, "EventsByPlace", func(ctx context.Context) ([]store.PlacedEvent, error) {
		return s.Store.EventsByPlace(ctx, above, limit)
	})
}

// EventsAt implements [store.EventChain].
func (s *Store) EventsAt(ctx context.Context, places []int64) ([]store.PlacedEvent, error) {
	return ask(ctx, s, List, "EventsAt", func(ctx context.Context) ([]store.PlacedEvent, error) { return s.Store.EventsAt(ctx, places) })
}

// Seals implements [store.EventChain].
func (s *Store) Seals(ctx context.Context, q store.SealQuery) ([]store.Seal, error) {
	return ask(ctx, s, List, "Seals", func(ctx context.Context) ([]store.Seal, error) { return s.Store.Seals(ctx, q) })
}

// LastSeal implements [store.EventChain].
func (s *Store) LastSeal(ctx context.Context) (store.Seal, error) {
	return ask(ctx, s, List, "LastSeal", s.Store.LastSeal)
}

// AppendSeal implements [store.EventChain].
func (s *Store) AppendSeal(ctx context.Context, l store.Seal) error {
	return tell(ctx, s, Batch, "AppendSeal", func(ctx context.Context) error { return s.Store.AppendSeal(ctx, l) })
}

// TrimmedTo implements [store.EventChain].
func (s *Store) TrimmedTo(ctx context.Context) (store.Trimmed, error) {
	return ask(ctx, s, List, "TrimmedTo", s.Store.TrimmedTo)
}

// Trim implements [store.EventChain].
func (s *Store) Trim(ctx context.Context, m store.Trimmed, places [][2]int64) error {
	return tell(ctx, s, Sweep, "Trim", func(ctx context.Context) error { return s.Store.Trim(ctx, m, places) })
}

// SweepChanges implements [store.Batcher].
func (s *Store) SweepChanges(ctx context.Context, before time.Time, keep, limit int) (int, error) {
	return ask(ctx, s, Sweep, "SweepChanges", func(ctx context.Context) (int, error) { return s.Store.SweepChanges(ctx, before, keep, limit) })
}

// RegisterKey implements [store.KeyRegistry].
func (s *Store) RegisterKey(ctx context.Context, id string, check []byte) error {
	return tell(ctx, s, Probe, "RegisterKey", func(ctx context.Context) error { return s.Store.RegisterKey(ctx, id, check) })
}

// Keys implements [store.KeyRegistry].
func (s *Store) Keys(ctx context.Context) ([]string, error) {
	return ask(ctx, s, Probe, "Keys", s.Store.Keys)
}

// Ping implements [store.Store].
func (s *Store) Ping(ctx context.Context) error {
	return tell(ctx, s, Probe, "Ping", s.Store.Ping)
}
