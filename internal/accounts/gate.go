package accounts

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
	"unicode"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Parts of Latchkey's own API that scopes of the type "latchkey" name.
const (
	Self     = "self"     // one's own account
	Accounts = "accounts" // everybody's
	Groups   = "groups"
	Grants   = "grants"
)

const (
	maxNameBytes = 300
	maxText      = 500 // bytes of notes and reasons
)

// maxName bounds a name given here, in characters.
const maxName = 150

// isLocalName reports whether a text may be a name given here: Django's rule
// for user names, which keeps them free of what separates things in URLs and
// scopes. As a regular expression it would take 4 MiB for good.
func isLocalName(s string) bool {
	n := 0
	for _, r := range s { // a byte that is not UTF-8 is read as U+FFFD, which is neither
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) && !strings.ContainsRune("@.+_-", r) {
			return false
		}
		n++
	}
	return n > 0 && n <= maxName
}

// NameFits reports whether a name can be that of a local account.
func NameFits(name string) bool { return isLocalName(name) }

// need refuses a caller that lacks the right to act on a part of the API.
func need(caller *identity.Identity, part, verb string) error {
	if caller == nil {
		return fault.Unauthenticatedf("a credential is needed")
	}
	if caller.May(part, verb) {
		return nil
	}
	return fault.Needs(scope.TypeLatchkey + ":" + part + ":" + verb)
}

// outranks refuses a caller that would change an account that may do more than
// they may: nobody gets rights, or takes them from others, by a detour (S78).
func (s *Service) outranks(ctx context.Context, caller *identity.Identity, accountID string) error {
	held, err := s.store.Holder(ctx, accountID)
	if err != nil {
		return err
	}
	rules, err := scope.ParseGrants(held.Grants)
	if err != nil {
		s.log.Warn("a grant cannot be read and grants nothing", "account", held.Account.Name, "err", err)
	}
	if !caller.Covers(rules) {
		return fault.Forbiddenf("the account %s may do more than you: only somebody who may do as much can change it", held.Account.Name)
	}
	return nil
}

// Resolve finds the account that somebody means: by "id:" and its id, by
// "source:name", or by its name where only one has it. A name that looks like
// one of the first two is found in full only, so that nobody can call
// themselves somebody else.
func (s *Service) Resolve(ctx context.Context, ref string) (store.Account, error) {
	if id, ok := strings.CutPrefix(ref, "id:"); ok {
		a, err := s.store.Account(ctx, id)
		return a, orMissing(err, ref)
	}
	if src, name, ok := strings.Cut(ref, ":"); ok {
		known, err := s.named(ctx, name)
		if err != nil {
			return store.Account{}, err
		}
		for _, a := range known {
			if a.Source == src {
				return a, nil
			}
		}
	}
	known, err := s.named(ctx, ref)
	switch {
	case err != nil:
		return store.Account{}, err
	case len(known) == 0:
		return store.Account{}, orMissing(store.ErrNotFound, ref)
	case len(known) > 1:
		names := make([]string, len(known))
		for i, a := range known {
			names[i] = a.Source + ":" + a.Name
		}
		return store.Account{}, fault.Conflictf("several accounts have this name, say which one: %s", strings.Join(names, ", "))
	}
	return known[0], nil
}

// named lists the accounts of a name, which may be none. What cannot be a name,
// such as a token, is not even looked up: databases log what they are asked.
func (s *Service) named(ctx context.Context, name string) ([]store.Account, error) {
	if !audit.Printable(name) {
		return nil, nil
	}
	known, err := s.store.AccountsByName(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return known, fault.FromStore(err)
}

func orMissing(err error, ref string) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.NotFoundf("there is no account %s", audit.Clip(ref))
	}
	return fault.FromStore(err)
}

// refused writes the event of an operation that was not done, and returns the
// error.
func (s *Service) refused(ctx context.Context, caller *identity.Identity, action, target string, err error) error {
	return s.audit.Refused(ctx, s.now(), caller, action, target, fault.FromStore(err))
}

// done appends the event of an operation to its transaction.
func done(ctx context.Context, tx store.Tx, now time.Time, caller *identity.Identity, action, target string, detail map[string]string) error {
	e := audit.Event(ctx, now, caller, action, audit.OK)
	e.Target, e.Detail = target, detail
	return tx.AppendEvent(e)
}

func checkText(field, text string) error {
	if len(text) > maxText || !audit.Printable(text) {
		return fault.Invalidf(field, "must be at most %d bytes that can be printed, and no token", maxText)
	}
	return nil
}

// newAccountID returns an id that is never given out again.
func newAccountID(now time.Time) string { return "acc_" + audit.NewID(now) }

// NewPassword makes a password of 24 characters that can be typed: 24 of 32
// possible ones, 120 bits.
func NewPassword() string {
	const letters = "abcdefghijkmnpqrstuvwxyz23456789"
	var b strings.Builder
	for i := range 24 {
		if i > 0 && i%6 == 0 {
			b.WriteByte('-')
		}
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			panic(fmt.Sprintf("no random bytes: %v", err)) // crypto/rand never fails
		}
		b.WriteByte(letters[n.Int64()])
	}
	return b.String()
}
