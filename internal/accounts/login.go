package accounts

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/source"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// loginNoted is how exact the time of the last login is: a client that sends
// the password with every request must not cause a write with each.
const loginNoted = time.Minute

// errLogin is the one answer to a wrong password, an unknown user and a
// disabled one (S100).
var errLogin = fault.Unauthenticatedf("the user name or password is wrong")

// Login tells whom a user name and a password stand for, by asking the sources
// in order. The fault is Unauthenticated, Throttled, or Unavailable when a
// source could not be asked and none of the others knew the password.
func (s *Service) Login(ctx context.Context, username string, text secret.Text) (*identity.Identity, error) {
	id, err := s.login(ctx, username, text)
	s.countLogin(err)
	if err != nil {
		s.recordLogin(ctx, username, fault.Of(err).Kind)
		return nil, err
	}
	e := audit.Event(ctx, s.now(), id, "login", audit.OK)
	e.Detail = map[string]string{"source": id.Source}
	s.audit.Record(e)
	return id, nil
}

// recordLogin writes the event of a login that failed.
func (s *Service) recordLogin(ctx context.Context, username string, why fault.Kind) {
	key := audit.TallyKey{Action: "login", Reason: string(why), Addr: audit.FromContext(ctx).Addr}
	s.audit.Limited(key, func() store.Event {
		e := audit.Event(ctx, s.now(), nil, key.Action, audit.Refused)
		if why == fault.Unavailable || why == fault.Internal {
			e.Outcome = audit.Failed
		}
		e.Reason, e.ActorName, e.Detail = key.Reason, audit.Clip(username), audit.Asked(ctx, "")
		return e
	})
}

func (s *Service) login(ctx context.Context, username string, text secret.Text) (*identity.Identity, error) {
	if username == "" || text.Empty() || !audit.Printable(username) || len(username) > maxNameBytes {
		return nil, errLogin // S71; says nothing about any account
	}
	attempt, wait := s.throttle.Begin(username, audit.FromContext(ctx).Addr.String())
	if wait > 0 {
		return nil, fault.TooOften(wait)
	}
	before, err := s.epochs(ctx, username)
	if err != nil {
		attempt.Abandoned()
		return nil, fault.FromStore(err)
	}
	src, subject, guessed, err := s.ask(ctx, username, text.Reveal())
	if err == nil {
		subject, err = s.askAgain(ctx, src, subject, before, username, text.Reveal())
	}
	switch {
	case errors.Is(err, source.ErrRefused):
		attempt.Failed()
		return nil, errLogin
	case err != nil:
		if guessed {
			attempt.Failed()
		} else {
			attempt.Abandoned()
		}
		return nil, fault.Unavailablef(err, "the password cannot be checked now")
	}
	id, err := s.admit(ctx, src, subject, before)
	if errors.Is(err, errLogin) {
		attempt.Failed()
		return nil, errLogin
	}
	if err != nil {
		attempt.Abandoned()
		return nil, fault.FromStore(err)
	}
	attempt.Succeeded()
	return id, nil
}

// epochs returns the epochs that the accounts of a name have before the
// password is looked at. What is issued on its strength carries this epoch, so
// that it ends if the password is changed or all tokens are revoked meanwhile.
func (s *Service) epochs(ctx context.Context, username string) (map[string]int64, error) {
	known, err := s.store.AccountsByName(ctx, username)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	epochs := map[string]int64{}
	for _, a := range known {
		epochs[a.ID] = a.Epoch
	}
	return epochs, nil
}

// ask goes through the sources until one knows the password. All are asked
// when none does, so that the time tells nothing of which one knows the name.
// Guessed reports whether one of them has refused the password: that is a
// failed login (S99), even if another could not be asked.
func (s *Service) ask(ctx context.Context, username, text string) (src source.Source, who source.Subject, guessed bool, err error) {
	refused := source.ErrRefused
	for _, src := range s.sources {
		subject, err := src.Login(ctx, username, text)
		switch {
		case err == nil && subject.ID != "" && subject.Username != "":
			return src, subject, guessed, nil
		case errors.Is(err, source.ErrRefused):
			guessed = true
		case err == nil:
			s.log.Error("a password source named nobody", "source", src.Name())
			refused = source.ErrUnavailable
		default:
			s.log.Warn("a password source cannot be asked", "source", src.Name(), "err", err)
			refused = err
		}
	}
	return nil, source.Subject{}, guessed, refused
}

// askAgain lets a source check the password once more when the account turns
// out to be none of those whose epochs were read before: its source spells the
// name in another way, or has changed it.
func (s *Service) askAgain(ctx context.Context, src source.Source, subject source.Subject, before map[string]int64, username, text string) (source.Subject, error) {
	account, err := s.store.AccountBySubject(ctx, src.Name(), subject.ID)
	if errors.Is(err, store.ErrNotFound) {
		return subject, nil
	}
	if err != nil {
		return source.Subject{}, err
	}
	if _, read := before[account.ID]; read {
		return subject, nil
	}
	before[account.ID] = account.Epoch
	again, err := src.Login(ctx, username, text)
	if err == nil && again.ID != subject.ID {
		err = source.ErrRefused
	}
	return again, err
}

// admit finds or makes the account of a subject whose password is right.
func (s *Service) admit(ctx context.Context, src source.Source, subject source.Subject, before map[string]int64) (*identity.Identity, error) {
	account, err := s.known(ctx, src, subject, before)
	switch {
	case errors.Is(err, store.ErrNotFound):
		account, err = s.welcome(ctx, src.Name(), subject, "first login")
	case err == nil && src.Name() != Local && (account.Name != subject.Username || account.Email != subject.Email || account.Fingerprint == "" && subject.Fingerprint != ""):
		account, err = s.rename(ctx, account, subject)
	}
	if err != nil {
		return nil, err
	}
	if account.Disabled {
		return nil, errLogin
	}
	if now := s.now().UTC(); now.Sub(account.LastLoginAt) > loginNoted {
		s.noteLogin(ctx, account.ID, now)
	}
	id, err := s.tokens.IdentityOf(ctx, account.ID)
	if err != nil {
		return nil, err
	}
	if epoch, known := before[account.ID]; known {
		id.Epoch = epoch
	}
	return id, nil
}

// known finds the account of a subject. When its source has changed since this
// was last looked at, what follows from that comes first: tokens of the old
// password end before one is made by the new.
func (s *Service) known(ctx context.Context, src source.Source, subject source.Subject, before map[string]int64) (store.Account, error) {
	account, err := s.store.AccountBySubject(ctx, src.Name(), subject.ID)
	if err != nil || account.Fingerprint == "" || account.Fingerprint == string(subject.Fingerprint) {
		return account, err
	}
	w, ok := src.(source.Watcher)
	if !ok {
		return account, nil
	}
	ended, err := s.refresh(ctx, w, account)
	if err != nil {
		return store.Account{}, fault.Unavailablef(err, "the password cannot be checked now")
	}
	now, err := s.store.AccountBySubject(ctx, src.Name(), subject.ID)
	if err != nil {
		return store.Account{}, err
	}
	// What is issued now belongs to the new password, unless this one is older
	// than what the source has by now, or something else has ended all tokens.
	if ended == 1 && now.Fingerprint == string(subject.Fingerprint) && now.Epoch == before[account.ID]+1 {
		before[account.ID] = now.Epoch
	}
	return now, nil
}

// welcome makes the account of somebody who is here for the first time.
func (s *Service) welcome(ctx context.Context, sourceName string, subject source.Subject, why string) (store.Account, error) {
	now := s.now().UTC()
	a := store.Account{
		ID: newAccountID(now), Kind: store.User, Name: subject.Username,
		Source: sourceName, Subject: subject.ID, Email: subject.Email, Fingerprint: string(subject.Fingerprint), CreatedAt: now,
	}
	namesakes, err := s.namesakes(ctx, a)
	if err != nil {
		return store.Account{}, err
	}
	var changes []store.Change
	err = s.store.Update(ctx, func(tx store.Tx) error {
		changes = nil
		retired, err := retire(ctx, tx, namesakes, a.Name, now)
		if err != nil {
			return err
		}
		changes = retired
		if err := tx.InsertAccount(a); err != nil {
			return err
		}
		e := audit.Event(ctx, now, nil, "account.create", audit.OK)
		e.Target, e.ActorID, e.ActorName = a.ID, a.ID, a.Name
		e.Detail = map[string]string{"source": sourceName, "why": why}
		return tx.AppendEvent(e)
	})
	for _, c := range changes {
		s.tokens.Apply(c)
	}
	if errors.Is(err, store.ErrConflict) { // two first logins at once
		// The other one may be about to commit: whoever comes after it waits.
		if err := s.store.Update(ctx, func(store.Tx) error { return nil }); err != nil {
			return store.Account{}, err
		}
		return s.store.AccountBySubject(ctx, sourceName, subject.ID)
	}
	return a, err
}

// namesakes lists the other accounts of a's source that have its name: one at
// most.
func (s *Service) namesakes(ctx context.Context, a store.Account) ([]store.Account, error) {
	known, err := s.store.AccountsByName(ctx, a.Name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return slices.DeleteFunc(known, func(o store.Account) bool { return o.Source != a.Source || o.ID == a.ID }), nil
}

// nameless marks accounts that were disabled because their source gave their
// name away. It enables them again by telling another name for them.
const nameless = "its source gave the name to another account"

// retire makes room for an account whose name others of its source still have.
// The source gives the name to somebody else now: the old account is disabled,
// its tokens end, and nothing of it goes to the new one (S29).
func retire(ctx context.Context, tx store.Tx, namesakes []store.Account, name string, now time.Time) ([]store.Change, error) {
	var changes []store.Change
	for _, old := range namesakes {
		old, err := tx.LockAccount(old.ID)
		if errors.Is(err, store.ErrNotFound) || err == nil && old.Name != name {
			continue // it has made room in the meantime
		}
		if err != nil {
			return nil, err
		}
		old.Name += "~" + old.ID
		if !old.Disabled {
			old.Disabled, old.DisabledReason = true, nameless
		}
		old.Epoch++
		if err := tx.UpdateAccount(old); err != nil {
			return nil, err
		}
		change := changed(old.ID, now)[0]
		if _, err := tx.AppendChange(change); err != nil {
			return nil, err
		}
		changes = append(changes, change)
		if err := done(ctx, tx, now, nil, "account.retire", old.ID, map[string]string{"source": old.Source, "name": name}); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// rename takes over the name and address that a source has for an account by
// now, and the fingerprint if none was known yet.
func (s *Service) rename(ctx context.Context, account store.Account, subject source.Subject) (store.Account, error) {
	now := s.now().UTC()
	renamed := account
	renamed.Name = subject.Username
	namesakes, err := s.namesakes(ctx, renamed)
	if err != nil {
		return store.Account{}, err
	}
	var extra []store.Change
	err = s.update(ctx, changed(account.ID, now), func(tx store.Tx) error {
		var err error
		if account, err = tx.LockAccount(account.ID); err != nil {
			return err
		}
		if account.Disabled && account.DisabledReason == nameless {
			account.Disabled, account.DisabledReason = false, "" // its source has another name for it
		}
		was := account.Name
		account.Name, account.Email = subject.Username, subject.Email
		if account.Fingerprint == "" {
			account.Fingerprint = string(subject.Fingerprint)
		}
		if extra, err = retire(ctx, tx, namesakes, account.Name, now); err != nil {
			return err
		}
		if err := tx.UpdateAccount(account); err != nil || was == account.Name {
			return err
		}
		return done(ctx, tx, now, nil, "account.rename", account.ID, map[string]string{"source": account.Source, "from": was, "to": account.Name})
	})
	for _, c := range extra {
		s.tokens.Apply(c)
	}
	return account, err
}

// noteLogin stores the time of a login. A login does not fail for it.
func (s *Service) noteLogin(ctx context.Context, accountID string, now time.Time) {
	err := s.store.Update(ctx, func(tx store.Tx) error {
		a, err := tx.LockAccount(accountID)
		if err != nil {
			return err
		}
		a.LastLoginAt = now
		return tx.UpdateAccount(a)
	})
	if err != nil {
		s.log.Warn("a login could not be noted", "account", accountID, "err", err)
	}
}
