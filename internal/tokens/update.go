package tokens

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Update is what may be changed of a token; nil fields stay as they are. A
// token can be renamed, narrowed and shortened, never widened.
type Update struct {
	Name      *string
	Labels    *map[string]string
	Scope     *[]string
	CIDRs     *[]netip.Prefix
	ExpiresAt *time.Time
	ExpiresIn *time.Duration
	IdleAfter *time.Duration
}

// Update changes a token.
func (s *Service) Update(ctx context.Context, caller *identity.Identity, id string, u Update) (store.Token, error) {
	t, err := s.change(ctx, caller, id, scope.Write, "token.update", func(tx store.Tx, t *store.Token, now time.Time) error {
		if s.ended(*t, now) {
			return fault.Conflictf("the token has ended and cannot be changed")
		}
		return u.apply(t, now)
	})
	if err != nil {
		return store.Token{}, s.refused(ctx, caller, "token.update", audit.Clip(id), err)
	}
	return s.withLatestUse(t), nil
}

func (s *Service) ended(t store.Token, now time.Time) bool {
	return State(s.withLatestUse(t), 0, now) != store.TokenLive
}

// change lets do change a token that the caller has the right over, and writes
// the change and the event with it.
func (s *Service) change(ctx context.Context, caller *identity.Identity, id, verb, action string, do func(store.Tx, *store.Token, time.Time) error) (store.Token, error) {
	if _, err := s.find(ctx, caller, id); err != nil {
		return store.Token{}, err
	}
	now := s.now().UTC()
	var t store.Token
	change := store.Change{At: now, Kind: store.ChangeToken, TokenID: id}
	err := s.update(ctx, []store.Change{change}, func(tx store.Tx) error {
		var err error
		if t, err = tx.LockToken(id); errors.Is(err, store.ErrNotFound) {
			return noToken(id)
		} else if err != nil {
			return err
		}
		if err := need(caller, t.AccountID, verb); err != nil {
			return err
		}
		before := t
		if err := do(tx, &t, now); err != nil {
			return err
		}
		if err := tx.UpdateToken(t); err != nil {
			return err
		}
		e := audit.Event(ctx, now, caller, action, audit.OK)
		e.Target, e.Detail = id, changedDetail(before, t)
		return tx.AppendEvent(e)
	})
	if err != nil {
		return store.Token{}, fault.FromStore(err)
	}
	return t, nil
}

// changedDetail says in an event what became of a token.
func changedDetail(before, after store.Token) map[string]string {
	var names []string
	for _, field := range []struct {
		name    string
		changed bool
	}{
		{"name", before.Name != after.Name},
		{"labels", !maps.Equal(before.Labels, after.Labels)},
		{"scope", !slices.Equal(before.Scope, after.Scope)},
		{"cidrs", !slices.Equal(before.CIDRs, after.CIDRs)},
		{"expires_at", !before.ExpiresAt.Equal(after.ExpiresAt)},
		{"idle_timeout", before.IdleAfter != after.IdleAfter},
	} {
		if field.changed {
			names = append(names, field.name)
		}
	}
	detail := map[string]string{}
	if after.RevokeReason != "" {
		detail["reason"] = after.RevokeReason
	}
	if len(names) > 0 {
		detail["changed"] = strings.Join(names, " ")
	}
	return detail
}

func (u Update) apply(t *store.Token, now time.Time) error {
	if u.Name != nil {
		t.Name = *u.Name
	}
	if u.Labels != nil {
		t.Labels = *u.Labels
	}
	if err := u.narrowScope(t); err != nil {
		return err
	}
	if u.CIDRs != nil {
		if len(t.CIDRs) > 0 && !inside(*u.CIDRs, t.CIDRs) {
			return fault.Invalidf("cidrs", "can only be narrowed: each must lie in one of %v", t.CIDRs)
		}
		t.CIDRs = *u.CIDRs
	}
	if err := u.shorten(t, now); err != nil {
		return err
	}
	return checkTexts(t.Name, t.Labels, t.CIDRs)
}

func (u Update) narrowScope(t *store.Token) error {
	if u.Scope == nil {
		return nil
	}
	rules, err := parseScope(*u.Scope)
	if err != nil {
		return err
	}
	before, err := parseScope(t.Scope)
	if err != nil {
		return err
	}
	if before != nil && (rules == nil || !before.Covers(rules)) {
		return fault.Invalidf("scope", "can only be narrowed: it is %q", before.String())
	}
	t.Scope = rules.Strings()
	return nil
}

func (u Update) shorten(t *store.Token, now time.Time) error {
	ends, field := time.Time{}, "expires_at"
	switch {
	case u.ExpiresAt != nil:
		ends = u.ExpiresAt.UTC()
	case u.ExpiresIn != nil:
		ends, field = now.Add(*u.ExpiresIn), "expires_in"
	}
	if !ends.IsZero() {
		if strings.HasPrefix(t.ID, store.ImportedPrefix) { // its record must not go before its signature ends
			return fault.Invalidf(field, "of a token of another issuer is fixed: to end it, revoke it")
		}
		if !ends.After(now) {
			return fault.Invalidf(field, "must lie in the future: to end a token at once, revoke it")
		}
		if !t.ExpiresAt.IsZero() && ends.After(t.ExpiresAt) || ends.After(now.Add(maxLifeInDays*day)) {
			return fault.Invalidf(field, "can only be brought forward")
		}
		t.ExpiresAt = ends
	}
	if u.IdleAfter != nil {
		if *u.IdleAfter < 0 || t.IdleAfter != 0 && (*u.IdleAfter == 0 || *u.IdleAfter > t.IdleAfter) {
			return fault.Invalidf("idle_timeout", "can only be made shorter")
		}
		t.IdleAfter = *u.IdleAfter
	}
	return nil
}
