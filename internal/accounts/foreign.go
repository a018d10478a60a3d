package accounts

import (
	"context"
	"errors"
	"slices"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/source"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// finder is a source that can tell who has a name, without a password.
type finder interface {
	source.Source
	// Find returns the active user of that exact name; [source.ErrRefused] when
	// there is none, else [source.ErrUnavailable].
	Find(ctx context.Context, username string) (source.Subject, error)
}

// AccountOf finds the account that another issuer's token names: by the id that
// a source has for it, by its login name there, or by its id here, as
// [keyring.Rules] say. Somebody whom the source knows and who was never here
// gets an account, as at a first login. The error is [store.ErrNotFound] when
// there is nobody, and a fault of kind Unavailable when that is not known.
func (s *Service) AccountOf(ctx context.Context, sourceName, userIs, value string) (store.Account, error) {
	if value == "" || len(value) > maxNameBytes || !audit.Printable(value) {
		return store.Account{}, store.ErrNotFound
	}
	switch userIs {
	case keyring.UserSubject:
		a, err := s.store.AccountBySubject(ctx, sourceName, value)
		if !errors.Is(err, store.ErrNotFound) {
			return a, fault.FromStore(err)
		}
		return s.arrive(ctx, sourceName, func(src source.Source) (source.Subject, error) { return bySubject(ctx, src, value) })
	case keyring.UserName:
		known, err := s.named(ctx, value)
		if err != nil {
			return store.Account{}, err
		}
		if i := slices.IndexFunc(known, func(a store.Account) bool { return a.Source == sourceName }); i >= 0 {
			return known[i], nil
		}
		return s.arrive(ctx, sourceName, func(src source.Source) (source.Subject, error) { return byName(ctx, src, value) })
	case keyring.UserID:
		a, err := s.store.Account(ctx, value)
		if err == nil && a.Source != sourceName {
			err = store.ErrNotFound
		}
		if errors.Is(err, store.ErrNotFound) {
			return store.Account{}, err
		}
		return a, fault.FromStore(err)
	}
	return store.Account{}, store.ErrNotFound
}

// arrive makes the account of somebody whom a source knows.
func (s *Service) arrive(ctx context.Context, sourceName string, find func(source.Source) (source.Subject, error)) (store.Account, error) {
	i := slices.IndexFunc(s.sources, func(src source.Source) bool { return src.Name() == sourceName })
	if i < 0 {
		return store.Account{}, store.ErrNotFound
	}
	subject, err := find(s.sources[i])
	switch {
	case errors.Is(err, source.ErrRefused):
		return store.Account{}, store.ErrNotFound
	case err != nil:
		return store.Account{}, fault.Unavailablef(err, "it cannot be looked up now whom a token is for")
	case subject.ID == "" || subject.Username == "":
		return store.Account{}, store.ErrNotFound
	}
	a, err := s.store.AccountBySubject(ctx, sourceName, subject.ID) // known under another name
	if errors.Is(err, store.ErrNotFound) {
		a, err = s.welcome(ctx, sourceName, subject, "a token of another issuer")
	}
	return a, fault.FromStore(err)
}

// bySubject asks a source who has an id.
func bySubject(ctx context.Context, src source.Source, id string) (source.Subject, error) {
	w, ok := src.(source.Watcher)
	if !ok {
		return source.Subject{}, source.ErrRefused
	}
	changes, err := w.Changed(ctx, map[string]source.Fingerprint{id: ""})
	if err != nil {
		return source.Subject{}, err
	}
	for _, c := range changes {
		if c.ID == id && !c.Gone && c.Active && c.Now.ID == id {
			return c.Now, nil
		}
	}
	return source.Subject{}, source.ErrRefused
}

// byName asks a source who has a login name.
func byName(ctx context.Context, src source.Source, name string) (source.Subject, error) {
	f, ok := src.(finder)
	if !ok {
		return source.Subject{}, source.ErrRefused
	}
	return f.Find(ctx, name)
}

// HasSource refuses the name of a source that is not configured.
func (s *Service) HasSource(name string) error {
	names := make([]string, len(s.sources))
	for i, src := range s.sources {
		names[i] = src.Name()
	}
	if !slices.Contains(names, name) {
		return fault.Invalidf("source", "is not one of the password sources: %q", names)
	}
	return nil
}
