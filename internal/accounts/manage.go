package accounts

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// NewAccount is what somebody asks of a new account. Only a name is needed.
type NewAccount struct {
	Kind     store.AccountKind // default: a user
	Name     string
	Source   string // default: local
	Subject  string // the source's own id; needed for other sources than local
	Password secret.Text

	// PasswordHash is a hash that was made elsewhere, in place of Password. The
	// rules for new passwords cannot be held to it.
	PasswordHash secret.Text

	Email     string
	Note      string
	MaxTokens int
	Groups    []string
	Grants    []string
}

// Create makes an account, with groups and grants, whole or not at all.
func (s *Service) Create(ctx context.Context, caller *identity.Identity, n NewAccount) (store.Account, error) {
	a, err := s.create(ctx, caller, n)
	if err != nil {
		return store.Account{}, s.refused(ctx, caller, "account.create", n.Name, err)
	}
	return a, nil
}

func (s *Service) create(ctx context.Context, caller *identity.Identity, n NewAccount) (store.Account, error) {
	if err := needForNew(caller, n); err != nil {
		return store.Account{}, err
	}
	rules, err := parseGrants(n.Grants)
	if err != nil {
		return store.Account{}, err
	}
	if err := s.mayGive(ctx, caller, n, rules); err != nil {
		return store.Account{}, err
	}
	a, err := s.draft(ctx, n)
	if err != nil {
		return store.Account{}, err
	}
	return a, s.insert(ctx, caller, a, n.Groups, rules.Strings())
}

// needForNew refuses a caller that lacks a right which giving the account its
// groups and grants afterwards would need.
func needForNew(caller *identity.Identity, n NewAccount) error {
	err := need(caller, Accounts, scope.Write)
	if err == nil && len(n.Groups) > 0 {
		err = need(caller, Groups, scope.Write)
	}
	if err == nil && len(n.Grants) > 0 {
		err = need(caller, Grants, scope.Write)
	}
	return err
}

// insert stores a new account with its groups and grants.
func (s *Service) insert(ctx context.Context, caller *identity.Identity, a store.Account, groups, grants []string) error {
	now := a.CreatedAt
	return s.store.Update(ctx, func(tx store.Tx) error {
		if err := tx.InsertAccount(a); err != nil {
			return taken(err, "the source %s has an account %s already", a.Source, a.Name)
		}
		for _, group := range groups {
			if err := addMember(tx, group, a.ID); err != nil {
				return err
			}
		}
		for _, rule := range grants {
			if err := tx.InsertGrant(newGrant(a.ID, "", rule, caller, now)); err != nil {
				return taken(err, "the grant %s is given twice", rule)
			}
		}
		return done(ctx, tx, now, caller, "account.create", a.ID, s.createdDetail(a, groups, grants))
	})
}

// createdDetail says in an event what was made, and what it was given.
func (s *Service) createdDetail(a store.Account, groups, grants []string) map[string]string {
	detail := map[string]string{"name": a.Name, "kind": string(a.Kind), "source": a.Source}
	if len(groups) > 0 {
		detail["groups"] = strings.Join(groups, " ")
	}
	if len(grants) > 0 {
		detail["grants"] = strings.Join(grants, " ")
	}
	if kind, err := s.passwords.Kind(a.PasswordHash); err == nil && !s.passwords.Own(a.PasswordHash) {
		detail["password"] = "taken over: " + kind
	}
	return detail
}

// draft makes the account that is asked for, after all checks that need no
// transaction.
func (s *Service) draft(ctx context.Context, n NewAccount) (store.Account, error) {
	now := s.now().UTC()
	a := store.Account{
		ID: newAccountID(now), Kind: n.Kind, Name: n.Name, Source: n.Source, Subject: n.Subject,
		Email: n.Email, Note: n.Note, MaxTokens: n.MaxTokens, CreatedAt: now,
	}
	if a.Kind == "" {
		a.Kind = store.User
	}
	if a.Source == "" {
		a.Source = Local
	}
	if err := s.checkDraft(&a); err != nil {
		return store.Account{}, err
	}
	var err error
	switch local := a.Source == Local && a.Kind == store.User; {
	case n.Password.Empty() && n.PasswordHash.Empty():
	case !local && !n.Password.Empty():
		err = fault.Invalidf("password", "can only be given to local users")
	case !local:
		err = fault.Invalidf("password_hash", "can only be given to local users")
	case n.PasswordHash.Empty():
		a.PasswordHash, err = s.hash(ctx, n.Password)
	case !n.Password.Empty():
		err = fault.Invalidf("password_hash", "stands in place of a password, not beside one")
	default:
		a.PasswordHash = n.PasswordHash.Reveal()
		if _, reason := s.passwords.Foreign(a.PasswordHash); reason != nil {
			err = fault.Invalidf("password_hash", "cannot be taken over: %v", reason)
		}
	}
	return a, err
}

func (s *Service) checkDraft(a *store.Account) error {
	switch {
	case a.Kind != store.User && a.Kind != store.Robot:
		return fault.Invalidf("kind", "must be user or robot")
	case a.Source == Local && a.Subject != "":
		return fault.Invalidf("subject", "is for accounts of other sources")
	case a.Source == Local:
		a.Subject = a.ID
		if !isLocalName(a.Name) {
			return fault.Invalidf("name", "must be 1 to 150 letters, digits and @ . + - _")
		}
	case !s.knownSource(a.Source):
		return fault.Invalidf("source", "is not one of this server's password sources")
	case a.Kind == store.Robot:
		return fault.Invalidf("source", "robots are always local")
	case a.Subject == "":
		return fault.Invalidf("subject", "is needed: the source's own id for the account")
	case a.Name == "" || len(a.Name) > maxNameBytes || !audit.Printable(a.Name):
		return fault.Invalidf("name", "must be 1 to %d bytes that can be printed, and no token", maxNameBytes)
	}
	if a.MaxTokens < 0 {
		return fault.Invalidf("max_tokens", "must not be negative")
	}
	if err := checkText("email", a.Email); err != nil {
		return err
	}
	return checkText("note", a.Note)
}

func (s *Service) knownSource(name string) bool {
	for _, src := range s.sources {
		if src.Name() == name {
			return true
		}
	}
	return false
}

// mayGive refuses a caller that would give a new account more than they have.
// A password opens all that the account may do, so that counts too.
func (s *Service) mayGive(ctx context.Context, caller *identity.Identity, n NewAccount, grants scope.Set) error {
	rules := slices.Clone(grants)
	groups := n.Groups
	if !n.Password.Empty() || !n.PasswordHash.Empty() {
		groups = append([]string{store.GroupEveryone}, groups...)
	}
	for _, g := range groups {
		has, err := s.groupRules(ctx, g)
		if err != nil {
			return err
		}
		rules = append(rules, has...)
	}
	if !caller.Covers(rules) {
		return fault.Forbiddenf("the account could do more than you can: you may do %q", caller.EffectiveText)
	}
	return nil
}

func (s *Service) hash(ctx context.Context, text secret.Text) (string, error) {
	if err := password.CheckNew(text.Reveal()); err != nil {
		return "", fault.Invalidf("password", "is not good enough: %v", err)
	}
	encoded, err := s.passwords.Hash(ctx, text.Reveal())
	if err != nil {
		return "", fault.Unavailablef(err, "too many passwords are being checked")
	}
	return encoded, nil
}

// Change is what may be changed of an account; nil fields stay as they are.
type Change struct {
	Name           *string // of local accounts
	Email          *string
	Note           *string
	Disabled       *bool
	DisabledReason *string
	MaxTokens      *int
}

// Update changes an account. Disabling one ends all its tokens at once;
// enabling it again does not bring them back.
func (s *Service) Update(ctx context.Context, caller *identity.Identity, accountID string, c Change) (store.Account, error) {
	a, err := s.change(ctx, caller, accountID, "account.update", c.apply)
	if err != nil {
		return store.Account{}, s.refused(ctx, caller, "account.update", accountID, err)
	}
	return a, nil
}

// change lets do change an account that the caller may change.
func (s *Service) change(ctx context.Context, caller *identity.Identity, accountID, action string, do func(store.Tx, *store.Account, *identity.Identity, time.Time) error) (store.Account, error) {
	if err := need(caller, Accounts, scope.Write); err != nil {
		return store.Account{}, err
	}
	if err := s.outranks(ctx, caller, accountID); err != nil {
		return store.Account{}, orMissing(err, accountID)
	}
	now := s.now().UTC()
	var a store.Account
	err := s.update(ctx, changed(accountID, now), func(tx store.Tx) error {
		var err error
		if a, err = tx.LockAccount(accountID); err != nil {
			return orMissing(err, accountID)
		}
		before := a
		if err := do(tx, &a, caller, now); err != nil {
			return err
		}
		if err := tx.UpdateAccount(a); err != nil {
			return err
		}
		return done(ctx, tx, now, caller, action, accountID, changedDetail(before, a))
	})
	if err := taken(err, "the name %s is taken", a.Name); err != nil {
		return store.Account{}, err
	}
	return a, nil
}

// changedDetail says in an event what became of an account. Passwords are not
// among it: their event has an action of its own.
func changedDetail(before, after store.Account) map[string]string {
	detail := map[string]string{"name": after.Name}
	var names []string
	for _, field := range []struct {
		name    string
		changed bool
	}{
		{"name", before.Name != after.Name},
		{"email", before.Email != after.Email},
		{"note", before.Note != after.Note},
		{"max_tokens", before.MaxTokens != after.MaxTokens},
		{"disabled", !before.Disabled && after.Disabled},
		{"enabled", before.Disabled && !after.Disabled},
		{"disabled_reason", before.DisabledReason != after.DisabledReason},
	} {
		if field.changed {
			names = append(names, field.name)
		}
	}
	if len(names) > 0 {
		detail["changed"] = strings.Join(names, " ")
	}
	if before.Name != after.Name {
		detail["was"] = before.Name
	}
	if before.Epoch != after.Epoch {
		detail["tokens"] = "all ended"
	}
	return detail
}

func (c Change) apply(tx store.Tx, a *store.Account, caller *identity.Identity, now time.Time) error {
	if c.Name != nil && *c.Name != a.Name {
		if a.Source != Local {
			return fault.Invalidf("name", "of this account is its source's to change")
		}
		if !isLocalName(*c.Name) {
			return fault.Invalidf("name", "must be 1 to 150 letters, digits and @ . + - _")
		}
		a.Name = *c.Name
	}
	for _, text := range []struct {
		field string
		from  *string
		to    *string
	}{{"email", c.Email, &a.Email}, {"note", c.Note, &a.Note}, {"disabled_reason", c.DisabledReason, &a.DisabledReason}} {
		if text.from == nil {
			continue
		}
		if err := checkText(text.field, *text.from); err != nil {
			return err
		}
		*text.to = *text.from
	}
	if c.MaxTokens != nil {
		if *c.MaxTokens < 0 {
			return fault.Invalidf("max_tokens", "must not be negative")
		}
		a.MaxTokens = *c.MaxTokens
	}
	return c.enable(tx, a, caller, now)
}

func (c Change) enable(tx store.Tx, a *store.Account, caller *identity.Identity, now time.Time) error {
	if c.Disabled == nil || *c.Disabled == a.Disabled {
		return nil
	}
	a.Disabled = *c.Disabled
	if !a.Disabled {
		a.DisabledReason = ""
		return nil
	}
	if a.ID == caller.AccountID {
		return fault.Conflictf("nobody can disable their own account")
	}
	_, err := tokens.EndAll(tx, a, now, caller.AccountID, "the account was disabled")
	return err
}

// Delete removes an account with its tokens and grants. Making the name again
// makes another account (S29).
func (s *Service) Delete(ctx context.Context, caller *identity.Identity, accountID string) error {
	if err := s.delete(ctx, caller, accountID); err != nil {
		return s.refused(ctx, caller, "account.delete", accountID, err)
	}
	return nil
}

func (s *Service) delete(ctx context.Context, caller *identity.Identity, accountID string) error {
	if err := need(caller, Accounts, scope.Delete); err != nil {
		return err
	}
	if err := s.outranks(ctx, caller, accountID); err != nil {
		return orMissing(err, accountID)
	}
	if caller.AccountID == accountID {
		return fault.Conflictf("nobody can delete their own account")
	}
	now := s.now().UTC()
	return s.update(ctx, changed(accountID, now), func(tx store.Tx) error {
		a, err := tx.LockAccount(accountID)
		if err != nil {
			return orMissing(err, accountID)
		}
		if err := tx.DeleteAccount(accountID); err != nil {
			return err
		}
		return done(ctx, tx, now, caller, "account.delete", accountID, map[string]string{"name": a.Name, "source": a.Source})
	})
}

// taken words a conflict of names; other errors stay as they are.
func taken(err error, format string, args ...any) error {
	if fault.Is(fault.FromStore(err), fault.Conflict) && !fault.Is(err, fault.Conflict) {
		return fault.Conflictf(format, args...)
	}
	return err
}
