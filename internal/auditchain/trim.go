package auditchain

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

const trimAtOnce = 20

// Trim removes whole seals whose events are all older than the given time, with
// the events, and notes under its signature where the log begins now. It
// returns how many events went.
func (c *Chain) Trim(ctx context.Context, before time.Time) (int64, error) {
	var removed int64
	for ctx.Err() == nil {
		n, more, err := c.trimSome(ctx, before)
		removed += n
		if err != nil || !more {
			return removed, err
		}
	}
	return removed, ctx.Err()
}

// trimSome removes a few seals. The newest one always stays.
func (c *Chain) trimSome(ctx context.Context, before time.Time) (removed int64, more bool, err error) {
	old, err := c.Store.TrimmedTo(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, false, err
	}
	seals, err := c.Store.Seals(ctx, store.SealQuery{After: old.Number, Limit: trimAtOnce + 1})
	if err != nil || len(seals) < 2 {
		return 0, false, err
	}
	seals, more = seals[:len(seals)-1], len(seals) > trimAtOnce
	n := 0
	for n < len(seals) && seals[n].Last.Before(before) {
		n++
	}
	if n == 0 {
		return 0, false, nil
	}
	if err := c.vouched(seals); err != nil {
		return 0, false, err
	}
	removed, err = c.trimTo(ctx, old, seals[:n])
	if errors.Is(err, store.ErrConflict) { // another node was first
		return 0, true, nil
	}
	return removed, more && n == len(seals), err
}

// vouched refuses to remove what somebody may have changed: the times of a
// seal are believed only under its signature. Where the key of that is not known
// any more, a change is still seen afterwards, as the next seal does not fit.
func (c *Chain) vouched(seals []store.Seal) error {
	public := c.Keys.Public()
	by := true // whether the seal behind vouches for this one, as far as is known
	for i := len(seals) - 1; i >= 0; i-- {
		l := seals[i]
		if i+1 < len(seals) {
			by = by && bytes.Equal(seals[i+1].Previous, hashOf(l))
		}
		if key, known := public[l.KeyID]; known {
			by = ed25519.Verify(key, signed(l), l.Signature)
		}
		if !by {
			return fmt.Errorf("seal %d of the audit log cannot be verified, so nothing is removed: run 'latchkey audit verify'", l.Number)
		}
	}
	return nil
}

func (c *Chain) trimTo(ctx context.Context, old store.Trimmed, seals []store.Seal) (int64, error) {
	last := seals[len(seals)-1]
	m := store.Trimmed{
		Number: last.Number, Hash: hashOf(last), Through: old.Through, Removed: old.Removed,
		At: c.Now().UTC().Truncate(time.Microsecond), KeyID: c.Keys.current.id,
	}
	var ranges [][2]int64
	for _, l := range seals {
		some, err := parseRanges(l.Members)
		if err != nil {
			return 0, fmt.Errorf("seal %d of the audit log: %w", l.Number, err)
		}
		ranges = append(ranges, some...)
		m.Removed += int64(l.Count)
		if l.Last.After(m.Through) {
			m.Through = l.Last
		}
	}
	m.Signature = ed25519.Sign(c.Keys.current.signer, signedTrim(m))
	return m.Removed - old.Removed, c.Store.Trim(ctx, m, ranges)
}

// Sweep trims what is older than keep, now and then every hour until ctx ends.
// A keep of 0 is for ever.
func (c *Chain) Sweep(ctx context.Context, keep time.Duration) {
	if keep <= 0 {
		return
	}
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		n, err := c.Trim(ctx, c.Now().Add(-keep))
		if err != nil && ctx.Err() == nil {
			c.Log.Warn("old audit events cannot be removed", "err", err)
		}
		if n > 0 {
			c.Report("audit.trim", "", fmt.Sprintf("%d events older than %s were removed", n, keep))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
