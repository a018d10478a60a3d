package coretest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// Store is a real store that counts what it is asked and that fails, or lets a
// test do something in between, where the test says so. Methods are named as
// in the contract; calls of a transaction's own methods count as one "Update".
type Store struct {
	store.Store

	// Hints is what Changed returns, if it is not nil.
	Hints chan struct{}

	mu      sync.Mutex
	calls   map[string]int
	failing map[string]error
	losing  map[string]error
	before  map[string]func()
	after   map[string]func()
	edit    func([]store.Change) []store.Change
}

// Wrap returns a Store that passes everything on.
func Wrap(inner store.Store) *Store {
	return &Store{
		Store: inner, calls: map[string]int{}, failing: map[string]error{}, losing: map[string]error{},
		before: map[string]func(){}, after: map[string]func(){},
	}
}

// anyMethod stands for all methods in the maps of failures.
const anyMethod = ""

// Calls returns how often the named methods, or all, were called since Forget.
func (s *Store) Calls(methods ...string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for method, count := range s.calls {
		if len(methods) == 0 || slices.Contains(methods, method) {
			n += count
		}
	}
	return n
}

// Forget sets all counts to zero.
func (s *Store) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.calls)
}

// Fail makes the named methods, or all, return err without doing anything.
func (s *Store) Fail(err error, methods ...string) { s.spoil(s.failing, err, methods) }

// Lose makes the named methods, or all, return err after they have done what
// they do, as when the answer of a database gets lost.
func (s *Store) Lose(err error, methods ...string) { s.spoil(s.losing, err, methods) }

func (s *Store) spoil(kind map[string]error, err error, methods []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(methods) == 0 {
		methods = []string{anyMethod}
	}
	for _, m := range methods {
		kind[m] = err
	}
}

// Heal ends what Fail and Lose began.
func (s *Store) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.failing)
	clear(s.losing)
}

// Before runs do once, in the next call of the method, before it does
// anything.
func (s *Store) Before(method string, do func()) { s.hook(s.before, method, do) }

// After runs do once, in the next call of the method, when all is done but the
// caller does not know yet.
func (s *Store) After(method string, do func()) { s.hook(s.after, method, do) }

func (s *Store) hook(hooks map[string]func(), method string, do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hooks[method] = do
}

// EditChanges lets edit change what ChangesAfter returns; nil ends it.
func (s *Store) EditChanges(edit func([]store.Change) []store.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.edit = edit
}

// call counts a call, runs do between the hooks, and spoils the outcome.
func (s *Store) call(method string, do func() error) error {
	s.mu.Lock()
	s.calls[method]++
	s.mu.Unlock()
	s.take(s.before, method)
	if err := s.spoilt(s.failing, method); err != nil {
		return err
	}
	err := do()
	s.take(s.after, method)
	if lost := s.spoilt(s.losing, method); lost != nil {
		return lost
	}
	return err
}

func (s *Store) take(hooks map[string]func(), method string) {
	s.mu.Lock()
	do := hooks[method]
	delete(hooks, method)
	s.mu.Unlock()
	if do != nil {
		do()
	}
}

func (s *Store) spoilt(kind map[string]error, method string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := kind[method]; err != nil {
		return err
	}
	return kind[anyMethod]
}

func get[T any](s *Store, method string, do func() (T, error)) (T, error) {
	var v T
	err := s.call(method, func() (err error) { v, err = do(); return err })
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

// TokenByDigest implements [store.TokenReader].
func (s *Store) TokenByDigest(ctx context.Context, digest []byte) (store.FoundToken, error) {
	return get(s, "TokenByDigest", func() (store.FoundToken, error) { return s.Store.TokenByDigest(ctx, digest) })
}

// Token implements [store.TokenReader].
func (s *Store) Token(ctx context.Context, id string) (store.Token, error) {
	return get(s, "Token", func() (store.Token, error) { return s.Store.Token(ctx, id) })
}

// Tokens implements [store.TokenReader].
func (s *Store) Tokens(ctx context.Context, q store.TokenQuery) ([]store.Token, error) {
	return get(s, "Tokens", func() ([]store.Token, error) { return s.Store.Tokens(ctx, q) })
}

// SecretOfSlot implements [store.TokenReader].
func (s *Store) SecretOfSlot(ctx context.Context, accountID, slot string) (store.FoundToken, error) {
	return get(s, "SecretOfSlot", func() (store.FoundToken, error) { return s.Store.SecretOfSlot(ctx, accountID, slot) })
}

// Holder implements [store.AccountReader].
func (s *Store) Holder(ctx context.Context, accountID string) (store.Holder, error) {
	return get(s, "Holder", func() (store.Holder, error) { return s.Store.Holder(ctx, accountID) })
}

// Account implements [store.AccountReader].
func (s *Store) Account(ctx context.Context, id string) (store.Account, error) {
	return get(s, "Account", func() (store.Account, error) { return s.Store.Account(ctx, id) })
}

// AccountBySubject implements [store.AccountReader].
func (s *Store) AccountBySubject(ctx context.Context, source, subject string) (store.Account, error) {
	return get(s, "AccountBySubject", func() (store.Account, error) { return s.Store.AccountBySubject(ctx, source, subject) })
}

// AccountsByName implements [store.AccountReader].
func (s *Store) AccountsByName(ctx context.Context, name string) ([]store.Account, error) {
	return get(s, "AccountsByName", func() ([]store.Account, error) { return s.Store.AccountsByName(ctx, name) })
}

// Accounts implements [store.AccountReader].
func (s *Store) Accounts(ctx context.Context, q store.AccountQuery) ([]store.Account, error) {
	return get(s, "Accounts", func() ([]store.Account, error) { return s.Store.Accounts(ctx, q) })
}

// Groups implements [store.AccountReader].
func (s *Store) Groups(ctx context.Context) ([]store.Group, error) {
	return get(s, "Groups", func() ([]store.Group, error) { return s.Store.Groups(ctx) })
}

// Members implements [store.AccountReader].
func (s *Store) Members(ctx context.Context, group string) ([]store.Account, error) {
	return get(s, "Members", func() ([]store.Account, error) { return s.Store.Members(ctx, group) })
}

// Grants implements [store.AccountReader].
func (s *Store) Grants(ctx context.Context, q store.GrantQuery) ([]store.Grant, error) {
	return get(s, "Grants", func() ([]store.Grant, error) { return s.Store.Grants(ctx, q) })
}

// LastChange implements [store.ChangeReader].
func (s *Store) LastChange(ctx context.Context) (int64, error) {
	return get(s, "LastChange", func() (int64, error) { return s.Store.LastChange(ctx) })
}

// ChangesAfter implements [store.ChangeReader].
func (s *Store) ChangesAfter(ctx context.Context, seq int64, limit int) ([]store.Change, error) {
	return get(s, "ChangesAfter", func() ([]store.Change, error) {
		changes, err := s.Store.ChangesAfter(ctx, seq, limit)
		s.mu.Lock()
		edit := s.edit
		s.mu.Unlock()
		if edit != nil {
			changes = edit(changes)
		}
		return changes, err
	})
}

// Changed implements [store.ChangeReader].
func (s *Store) Changed() <-chan struct{} {
	if s.Hints != nil {
		return s.Hints
	}
	return s.Store.Changed()
}

// Events implements [store.EventReader].
func (s *Store) Events(ctx context.Context, q store.EventQuery) ([]store.Event, error) {
	return get(s, "Events", func() ([]store.Event, error) { return s.Store.Events(ctx, q) })
}

// Update implements [store.Updater].
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error) error {
	return s.call("Update", func() error { return s.Store.Update(ctx, fn) })
}

// Issue implements [store.Issuer]. It counts as one "Update", which is what it
// is to whoever does not care how it is done.
func (s *Store) Issue(ctx context.Context, i store.Issue) error {
	return s.call("Update", func() error { return s.Store.Issue(ctx, i) })
}

// RecordUses implements [store.Batcher].
func (s *Store) RecordUses(ctx context.Context, uses []store.Use) error {
	return s.call("RecordUses", func() error { return s.Store.RecordUses(ctx, uses) })
}

// AppendEvents implements [store.Batcher].
func (s *Store) AppendEvents(ctx context.Context, events []store.Event) error {
	return s.call("AppendEvents", func() error { return s.Store.AppendEvents(ctx, events) })
}

// Sweep implements [store.Batcher].
func (s *Store) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	return get(s, "Sweep", func() (int, error) { return s.Store.Sweep(ctx, before, limit) })
}

// SigningKeys implements [store.SigningKeyReader].
func (s *Store) SigningKeys(ctx context.Context) ([]store.SigningKey, error) {
	return get(s, "SigningKeys", func() ([]store.SigningKey, error) { return s.Store.SigningKeys(ctx) })
}

// SweepChanges implements [store.Batcher].
func (s *Store) SweepChanges(ctx context.Context, before time.Time, keep, limit int) (int, error) {
	return get(s, "SweepChanges", func() (int, error) { return s.Store.SweepChanges(ctx, before, keep, limit) })
}
