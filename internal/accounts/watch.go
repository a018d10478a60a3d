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
		if err := s.refresh(ctx, w, page...); err != nil {
			s.log.Warn("a password source cannot tell what has changed", "source", w.Name(), "err", err)
			return
		}
		if len(page) < watchAtOnce {
			return
		}
		last := page[len(page)-1]
		q.AfterName, q.AfterID = last.Name, last.ID
	}
}

// refresh asks a source about accounts and takes over what has changed.
func (s *Service) refresh(ctx context.Context, w source.Watcher, list ...store.Account) error {
	known := make(map[string]source.Fingerprint, len(list))
	bySubject := make(map[string]store.Account, len(list))
	for _, a := range list {
		if a.Fingerprint != "" {
			known[a.Subject] = source.Fingerprint(a.Fingerprint)
			bySubject[a.Subject] = a
		}
	}
	if len(known) == 0 {
		return nil
	}
	changes, err := w.Changed(ctx, known)
	if err != nil {
		return err
	}
	for _, c := range changes {
		a, ok := bySubject[c.ID]
		if !ok || c.Gone && a.Disabled {
			continue
		}
		if err := s.takeOver(ctx, a, c); err != nil {
			return err
		}
	}
	return nil
}

// takeOver brings an account up to what its source says. A hash that the
// source may only have computed anew, from the same password, ends nothing.
func (s *Service) takeOver(ctx context.Context, a store.Account, c source.Change) error {
	if c.Renamed {
		var err error
		if a, err = s.rename(ctx, a, c.Now); err != nil {
			return err
		}
	}
	now := s.now().UTC()
	err := s.update(ctx, changed(a.ID, now), func(tx store.Tx) error {
		account, err := tx.LockAccount(a.ID)
		if err != nil {
			return err
		}
		detail := map[string]string{"source": account.Source}
		switch {
		case c.Gone || c.Disabled:
			detail["what"] = "disabled or removed"
			account.Disabled = true
			if account.DisabledReason == "" {
				account.DisabledReason = bySource
			}
		case c.Enabled && account.DisabledReason == bySource:
			detail["what"] = "enabled"
			account.Disabled, account.DisabledReason = false, ""
		case c.Password && !c.Rehashed:
			detail["what"] = "password changed"
		}
		if c.Gone || c.Disabled || c.Password && !c.Rehashed {
			if _, err := tokens.EndAll(tx, &account, now, "", "changed at its source: "+detail["what"]); err != nil {
				return err
			}
		}
		if !c.Gone {
			account.Fingerprint = string(c.Now.Fingerprint)
		}
		if err := tx.UpdateAccount(account); err != nil {
			return err
		}
		return done(ctx, tx, now, nil, "account.follow", account.ID, detail)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil // deleted here in the meantime
	}
	return err
}
