package accounts

import (
	"context"
	"errors"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// List returns accounts by name.
func (s *Service) List(ctx context.Context, caller *identity.Identity, q store.AccountQuery) ([]store.Account, error) {
	if err := need(caller, Accounts, scope.Read); err != nil {
		return nil, s.refused(ctx, caller, "account.list", "", err)
	}
	list, err := s.store.Accounts(ctx, q)
	return list, fault.FromStore(err)
}

// Account returns an account with its groups and grants: the caller's own, or
// anybody's with the right to read them all.
func (s *Service) Account(ctx context.Context, caller *identity.Identity, accountID string) (store.Holder, error) {
	err := need(caller, Accounts, scope.Read)
	if err != nil && caller != nil && caller.AccountID == accountID {
		err = need(caller, Self, scope.Read)
	}
	if err != nil {
		return store.Holder{}, s.refused(ctx, caller, "account.read", accountID, err)
	}
	held, err := s.store.Holder(ctx, accountID)
	return held, orMissing(err, accountID)
}

// Holder returns an account that the caller just made or changed.
func (s *Service) Holder(ctx context.Context, accountID string) (store.Holder, error) {
	held, err := s.store.Holder(ctx, accountID)
	return held, orMissing(err, accountID)
}

// GroupGrants returns the rules of a group that the caller may read.
func (s *Service) GroupGrants(ctx context.Context, group string) ([]string, error) {
	rules, err := s.groupRules(ctx, group)
	return rules.Strings(), err
}

// ByID returns accounts by their ids, for showing what belongs to them. Those
// that are gone are left out.
func (s *Service) ByID(ctx context.Context, ids ...string) (map[string]store.Account, error) {
	found := make(map[string]store.Account, len(ids))
	for _, id := range ids {
		if _, known := found[id]; known || id == "" {
			continue
		}
		a, err := s.store.Account(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fault.FromStore(err)
		}
		found[id] = a
	}
	return found, nil
}
