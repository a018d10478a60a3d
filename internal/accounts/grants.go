package accounts

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// AddGrant gives a rule to an account or to a group. Nobody gives what they do
// not have.
func (s *Service) AddGrant(ctx context.Context, caller *identity.Identity, accountID, group, rule string) (store.Grant, error) {
	g, err := s.addGrant(ctx, caller, accountID, group, rule)
	if err != nil {
		return store.Grant{}, s.refused(ctx, caller, "grant.add", accountID+group, err)
	}
	return g, nil
}

func (s *Service) addGrant(ctx context.Context, caller *identity.Identity, accountID, group, rule string) (store.Grant, error) {
	if err := need(caller, Grants, scope.Write); err != nil {
		return store.Grant{}, err
	}
	if (accountID == "") == (group == "") {
		return store.Grant{}, fault.Invalidf("", "say either an account or a group")
	}
	if !audit.Printable(group) {
		return store.Grant{}, fault.NotFoundf("there is no such account or group")
	}
	rules, err := parseGrants([]string{rule})
	if err != nil {
		return store.Grant{}, err
	}
	if !caller.Covers(rules) {
		return store.Grant{}, fault.Forbiddenf("nobody gives what they do not have: you may do %q", caller.EffectiveText)
	}
	now := s.now().UTC()
	g := newGrant(accountID, group, rules.String(), caller, now)
	err = s.update(ctx, grantChanges(g, now), func(tx store.Tx) error {
		if err := tx.InsertGrant(g); err != nil {
			return err
		}
		return done(ctx, tx, now, caller, "grant.add", accountID+group, map[string]string{"scope": g.Scope})
	})
	if errors.Is(err, store.ErrNotFound) {
		return store.Grant{}, fault.NotFoundf("there is no such account or group")
	}
	return g, taken(err, "it has the grant %s already", g.Scope)
}

func newGrant(accountID, group, rule string, caller *identity.Identity, now time.Time) store.Grant {
	g := store.Grant{ID: "gra_" + audit.NewID(now), AccountID: accountID, Group: group, Scope: rule, CreatedAt: now}
	if caller != nil {
		g.CreatedBy = caller.AccountID
	}
	return g
}

func grantChanges(g store.Grant, now time.Time) []store.Change {
	if g.Group != "" {
		return groupsChanged(now)
	}
	return changed(g.AccountID, now)
}

// parseGrants reads rules that somebody wants to give.
func parseGrants(rules []string) (scope.Set, error) {
	set := make(scope.Set, 0, len(rules))
	for _, text := range rules {
		r, err := scope.Parse(text)
		if err != nil {
			return nil, fault.Invalidf("scope", "%v", err)
		}
		if secret.Scrub(text) != text {
			return nil, fault.Invalidf("scope", "must not have a token in it")
		}
		set = append(set, r)
	}
	return set, nil
}

// RemoveGrant takes a rule away; it counts no longer from the next check on.
func (s *Service) RemoveGrant(ctx context.Context, caller *identity.Identity, id string) error {
	if err := s.removeGrant(ctx, caller, id); err != nil {
		return s.refused(ctx, caller, "grant.remove", id, err)
	}
	return nil
}

func (s *Service) removeGrant(ctx context.Context, caller *identity.Identity, id string) error {
	if err := need(caller, Grants, scope.Delete); err != nil {
		return err
	}
	now := s.now().UTC()
	var changes []store.Change
	err := s.store.Update(ctx, func(tx store.Tx) error {
		g, err := tx.DeleteGrant(id)
		if errors.Is(err, store.ErrNotFound) {
			return fault.NotFoundf("there is no grant %s", audit.Clip(id))
		}
		if err != nil {
			return err
		}
		rules, err := scope.ParseGrants([]string{g.Scope})
		if err == nil && !caller.Covers(rules) {
			return fault.Forbiddenf("nobody takes away what they do not have: you may do %q", caller.EffectiveText)
		}
		changes = grantChanges(g, now)
		if _, err := tx.AppendChange(changes[0]); err != nil {
			return err
		}
		return done(ctx, tx, now, caller, "grant.remove", g.AccountID+g.Group, map[string]string{"scope": g.Scope})
	})
	for _, c := range changes {
		s.tokens.Apply(c)
	}
	return err
}

// ListGrants returns grants, oldest first.
func (s *Service) ListGrants(ctx context.Context, caller *identity.Identity, q store.GrantQuery) ([]store.Grant, error) {
	if err := need(caller, Grants, scope.Read); err != nil {
		return nil, s.refused(ctx, caller, "grant.list", "", err)
	}
	grants, err := s.store.Grants(ctx, q)
	return grants, fault.FromStore(err)
}
