package accounts

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/internal/source"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

const (
	watchEvery  = 30 * time.Second
	watchAtOnce = 1000

	// bySource marks accounts that their source, not an administrator here,
	// has disabled, so that it can enable them again.
	bySource = "disabled by its source"
)

// Run asks the sources that can tell, again and again until ctx ends, what has
// become of their accounts: who was disabled or removed there loses all tokens
// here, and so does who got another password.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, src := range s.sources {
			if w, ok := src.(source.Watcher); ok {
				s.watch(ctx, w)
			}
		}
	}
}

// watch goes through all accounts of a source once.
func (s *Service) watch(ctx context.Context, w source.Watcher) {
	q := store.AccountQuery{Source: w.Name(), Limit: watchAtOnce}
	for ctx.Err() == nil {
		page, err := s.store.Accounts(ctx, q)
		if err != nil {
			s.log.Warn("the accounts of a password source cannot be read", "source", w.Name(), "err", err)
			return
		}
		if _, err := s.refresh(ctx, w, page...); err != nil {
			s.log.Warn("what has changed at a password source is not known or could not be stored", "source", w.Name(), "err", err)
			if errors.Is(err, source.ErrUnavailable) || errors.Is(err, store.ErrUnavailable) {
				return
			}
		}
		if len(page) < watchAtOnce {
			return
		}
		last := page[len(page)-1]
		q.AfterName, q.AfterID = last.Name, last.ID
	}
}

// refresh asks a source about accounts and takes over what has changed. It
// returns for how many accounts that ended all tokens. An account that cannot
// be brought up to date does not hold up the others.
func (s *Service) refresh(ctx context.Context, w source.Watcher, list ...store.Account) (ended int, err error) {
	known := make(map[string]source.Fingerprint, len(list))
	bySubject := make(map[string]store.Account, len(list))
	for _, a := range list {
		if a.Fingerprint != "" {
			known[a.Subject] = source.Fingerprint(a.Fingerprint)
			bySubject[a.Subject] = a
		}
	}
	if len(known) == 0 {
		return 0, nil
	}
	changes, err := w.Changed(ctx, known)
	if err != nil {
		return 0, err
	}
	for _, c := range changes {
		a, ok := bySubject[c.ID]
		if !ok || c.Gone && a.Disabled {
			continue
		}
		did, failed := s.takeOver(ctx, a, c)
		if errors.Is(failed, store.ErrNotFound) {
			continue // deleted here in the meantime
		}
		if did {
			ended++
		}
		err = errors.Join(err, failed)
	}
	return ended, err
}

// takeOver brings an account up to what its source says, and reports whether
// that ended all its tokens. A hash that the source may only have computed
// anew, from the same password, ends nothing.
func (s *Service) takeOver(ctx context.Context, a store.Account, c source.Change) (ended bool, err error) {
	if c.Renamed {
		if _, err := s.rename(ctx, a, c.Now); err != nil {
			return false, err
		}
	}
	now := s.now().UTC()
	err = s.update(ctx, changed(a.ID, now), func(tx store.Tx) error {
		ended = false
		account, err := tx.LockAccount(a.ID)
		if err != nil || account.Fingerprint != a.Fingerprint {
			return err // somebody else has taken over this, or more, already
		}
		what, ends := follow(&account, c)
		if ends {
			if _, err := tokens.EndAll(tx, &account, now, "", "changed at its source: "+what); err != nil {
				return err
			}
		}
		ended = ends
		if err := tx.UpdateAccount(account); err != nil {
			return err
		}
		detail := map[string]string{"source": account.Source}
		if what != "" {
			detail["what"] = what
		}
		if ends {
			detail["tokens"] = "all ended"
		}
		return done(ctx, tx, now, nil, "account.follow", account.ID, detail)
	})
	return ended && err == nil, err
}

// follow changes an account as its source has, says what that was, and whether
// it ends all tokens. What an administrator has disabled stays disabled.
func follow(account *store.Account, c source.Change) (what string, ends bool) {
	if !c.Gone {
		account.Fingerprint = string(c.Now.Fingerprint)
	}
	switch {
	case c.Gone || c.Disabled || c.Unknown && !c.Active:
		if !account.Disabled {
			account.Disabled, account.DisabledReason = true, bySource
		}
		return "disabled or removed", true
	case c.Password && !c.Rehashed:
		what, ends = "password changed", true
	}
	if c.Enabled && account.Disabled && account.DisabledReason == bySource {
		account.Disabled, account.DisabledReason = false, ""
		if what == "" {
			what = "enabled"
		}
	}
	return what, ends
}
