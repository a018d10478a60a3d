package accounts

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

var groupName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

// CreateGroup makes an empty group.
func (s *Service) CreateGroup(ctx context.Context, caller *identity.Identity, name, note string) (store.Group, error) {
	now := s.now().UTC()
	g := store.Group{Name: name, Note: note, CreatedAt: now}
	err := s.changeGroups(ctx, caller, "group.create", name, scope.Write, now, func(tx store.Tx) error {
		if !groupName.MatchString(name) {
			return fault.Invalidf("name", "must be 1 to 100 lower-case letters, digits and . - _, beginning with a letter or digit")
		}
		if err := checkText("note", note); err != nil {
			return err
		}
		return taken(tx.InsertGroup(g), "there is a group %s already", name)
	})
	return g, err
}

// DeleteGroup removes a group; its members lose what it granted at once.
func (s *Service) DeleteGroup(ctx context.Context, caller *identity.Identity, name string) error {
	return s.changeGroups(ctx, caller, "group.delete", name, scope.Delete, s.now().UTC(), func(tx store.Tx) error {
		if name == store.GroupEveryone || name == store.GroupAnonymous {
			return fault.Conflictf("the group %s always exists: take its grants away instead", name)
		}
		return orNoGroup(tx.DeleteGroup(name), name)
	})
}

// changeGroups runs a change that may touch what any account may do.
func (s *Service) changeGroups(ctx context.Context, caller *identity.Identity, action, name, verb string, now time.Time, do func(store.Tx) error) error {
	err := need(caller, Groups, verb)
	if err == nil && !audit.Printable(name) { // a token, say: it is not looked up, as databases log what they are asked
		err = fault.Invalidf("name", "is none that a group can have")
	}
	if err == nil {
		err = s.mayHandle(ctx, caller, name)
	}
	if err == nil {
		err = s.update(ctx, groupsChanged(now), func(tx store.Tx) error {
			if err := do(tx); err != nil {
				return err
			}
			return done(ctx, tx, now, caller, action, name, nil)
		})
	}
	if err != nil {
		return s.refused(ctx, caller, action, name, err)
	}
	return nil
}

// mayHandle refuses a caller who may do less than a group's members.
func (s *Service) mayHandle(ctx context.Context, caller *identity.Identity, group string) error {
	rules, err := s.groupRules(ctx, group)
	if err != nil {
		return err
	}
	if !caller.Covers(rules) {
		return fault.Forbiddenf("the group %s may do more than you: only somebody who may do as much can change it", group)
	}
	return nil
}

// groupRules returns the grants of a group; none for one that does not exist.
func (s *Service) groupRules(ctx context.Context, group string) (scope.Set, error) {
	return tokens.GroupGrants(ctx, s.store, group)
}

// AddMember puts an account into a group.
func (s *Service) AddMember(ctx context.Context, caller *identity.Identity, group, accountID string) error {
	return s.member(ctx, caller, "group.add", group, accountID, func(tx store.Tx) error {
		return addMember(tx, group, accountID)
	})
}

func addMember(tx store.Tx, group, accountID string) error {
	if group == store.GroupEveryone || group == store.GroupAnonymous {
		return fault.Conflictf("the group %s has no list of members", group)
	}
	_, err := tx.AddMember(group, accountID)
	return orNoGroup(err, group)
}

// RemoveMember takes an account out of a group.
func (s *Service) RemoveMember(ctx context.Context, caller *identity.Identity, group, accountID string) error {
	return s.member(ctx, caller, "group.remove", group, accountID, func(tx store.Tx) error {
		was, err := tx.RemoveMember(group, accountID)
		if err == nil && !was {
			return fault.NotFoundf("the account is not in the group %s", group)
		}
		return orNoGroup(err, group)
	})
}

func (s *Service) member(ctx context.Context, caller *identity.Identity, action, group, accountID string, do func(store.Tx) error) error {
	now := s.now().UTC()
	err := need(caller, Groups, scope.Write)
	if err == nil {
		err = s.mayHandle(ctx, caller, group)
	}
	if err == nil {
		err = orMissing(s.outranks(ctx, caller, accountID), accountID)
	}
	if err == nil {
		err = s.update(ctx, changed(accountID, now), func(tx store.Tx) error {
			if err := do(tx); err != nil {
				return err
			}
			return done(ctx, tx, now, caller, action, accountID, map[string]string{"group": group})
		})
	}
	if err != nil {
		return s.refused(ctx, caller, action, group, err)
	}
	return nil
}

func orNoGroup(err error, name string) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.NotFoundf("there is no group %s", audit.Clip(name))
	}
	return err
}

// ListGroups returns all groups by name.
func (s *Service) ListGroups(ctx context.Context, caller *identity.Identity) ([]store.Group, error) {
	if err := need(caller, Groups, scope.Read); err != nil {
		return nil, s.refused(ctx, caller, "group.list", "", err)
	}
	groups, err := s.store.Groups(ctx)
	return groups, fault.FromStore(err)
}

// Group returns a group with its members.
func (s *Service) Group(ctx context.Context, caller *identity.Identity, name string) (store.Group, []store.Account, error) {
	groups, err := s.ListGroups(ctx, caller)
	if err != nil {
		return store.Group{}, nil, err
	}
	i := slices.IndexFunc(groups, func(g store.Group) bool { return g.Name == name })
	if i < 0 {
		return store.Group{}, nil, orNoGroup(store.ErrNotFound, name)
	}
	members, err := s.store.Members(ctx, name)
	return groups[i], members, fault.FromStore(err)
}
