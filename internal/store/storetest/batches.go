package storetest

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var batchTests = []test{
	{"Uses", batchUses},
	{"ManyUses", batchManyUses},
	{"BadUse", batchBadUse},
	{"Sweep", batchSweep},
	{"SweepIsBounded", batchSweepBounded},
	{"SweepSecrets", batchSweepSecrets},
	{"SweepOldEpoch", batchSweepEpoch},
	{"SweepImported", batchSweepImported},
}

func (f fixture) recordUses(uses ...store.Use) {
	f.Helper()
	if err := f.RecordUses(f.ctx, uses); err != nil {
		f.Fatalf("RecordUses() = %v, want no error", err)
	}
}

func second(n int) time.Time { return start.Truncate(time.Second).Add(time.Duration(n) * time.Second) }

func batchUses(f fixture) {
	f.accounts("a")
	f.tokens(newToken("t1", "a"), newToken("t2", "a"))
	use := func(id string, at int) store.Use {
		return store.Use{TokenID: id, At: second(at), Addr: netip.MustParseAddr("192.0.2.7"), Agent: fmt.Sprint("agent ", at)}
	}
	steps := []struct {
		uses   []store.Use
		t1, t2 store.Use
	}{
		{nil, store.Use{}, store.Use{}},
		{[]store.Use{use("t1", 10), use("gone", 10)}, use("t1", 10), store.Use{}},
		{[]store.Use{use("t1", 9), use("t2", 5)}, use("t1", 10), use("t2", 5)},
		{[]store.Use{use("t2", 7), use("t2", 30), use("t2", 8), use("t1", 11)}, use("t1", 11), use("t2", 30)},
		{[]store.Use{{TokenID: "t1", At: second(40)}}, store.Use{TokenID: "t1", At: second(40)}, use("t2", 30)},
	}
	for i, s := range steps {
		f.recordUses(s.uses...)
		same(f, fmt.Sprintf("last use of t1 after step %d", i), f.token("t1").LastUse, s.t1)
		same(f, fmt.Sprintf("last use of t2 after step %d", i), f.found("t2").Token.LastUse, s.t2)
	}
}

func batchManyUses(f fixture) {
	f.accounts("a")
	const tokens, n = 100, 10_000
	for i := range tokens {
		f.tokens(newToken(fmt.Sprint("t", i), "a"))
	}
	uses := make([]store.Use, n)
	for i := range uses {
		uses[i] = store.Use{TokenID: fmt.Sprint("t", i%(2*tokens)), At: second(i), Agent: fmt.Sprint("agent ", i)}
	}
	f.recordUses(uses...)
	for i := range tokens {
		same(f, fmt.Sprintf("last use of t%d", i), f.token(fmt.Sprint("t", i)).LastUse, uses[n-2*tokens+i])
	}
	slices.Reverse(uses) // nothing of it is news
	f.recordUses(uses...)
	same(f, "last use of t0", f.token("t0").LastUse, uses[2*tokens-1])
}

func batchBadUse(f fixture) {
	f.accounts("a")
	f.tokens(newToken("t1", "a"), newToken("t2", "a"))
	f.recordUses(
		store.Use{TokenID: "t1", At: second(1), Agent: "\x00\xff", Addr: netip.MustParseAddr("fe80::1%\x00")},
		store.Use{TokenID: "\x00", At: second(1)},
		store.Use{TokenID: "t2", At: second(1), Agent: "good"})
	if got := f.token("t1").LastUse.At; !got.Equal(second(1)) {
		f.Errorf("last use of t1 = %v, want %v", got, second(1))
	}
	if got := f.token("t2").LastUse.Agent; got != "good" {
		f.Errorf("last agent of t2 = %q, want good", got)
	}
}

func batchSweep(f fixture) {
	livingAndDead(f)
	f.recordUses(store.Use{TokenID: "revoked", At: second(1)})
	for _, tt := range []struct {
		before time.Time
		gone   []string
	}{
		{minute(1), []string{"expired-1970"}}, // revoked at minute 1 is not before it
		{minute(2), []string{"revoked", "revoked-expired"}},
		{minute(9), []string{"idle-out-used"}},
		{minute(10), []string{"expired", "idle-out"}},
		{minute(11), []string{"expired-now", "idle-now"}},
	} {
		n, err := f.Sweep(f.ctx, tt.before, 100)
		if n != len(tt.gone) || err != nil {
			f.Errorf("Sweep(%v) = %d, %v, want %q gone", tt.before, n, err, tt.gone)
		}
		f.gone(tt.gone...)
	}
}

func batchSweepBounded(f fixture) {
	f.accounts("a")
	for i := range 25 {
		t := newToken(fmt.Sprint("t", i), "a")
		switch i % 3 {
		case 0:
			t.RevokedAt = minute(1)
		case 1:
			t.ExpiresAt = minute(1)
		case 2:
			t.IdleAfter = time.Minute
		}
		f.tokens(t)
	}
	f.tokens(newToken("live", "a"))
	total := 0
	for range 3 {
		n, err := f.Sweep(f.ctx, minute(2), 10)
		if n > 10 || err != nil {
			f.Errorf("Sweep(limit 10) = %d, %v, want at most 10", n, err)
		}
		total += n
	}
	if total != 25 {
		f.Errorf("three sweeps of 10 removed %d, want 25", total)
	}
	if n, err := f.Sweep(f.ctx, minute(2), 10); n != 0 || err != nil {
		f.Errorf("Sweep() of nothing = %d, %v, want 0", n, err)
	}
	same(f, "Tokens() after the sweep", f.listTokens(store.TokenQuery{}), []string{"live"})
	if _, err := f.Sweep(f.ctx, minute(2), 0); !errors.Is(err, store.ErrInvalid) {
		f.Errorf("Sweep(limit 0) = %v, want %v", err, store.ErrInvalid)
	}
}

func batchSweepSecrets(f fixture) {
	f.accounts("a")
	f.tokens(newToken("t", "a"))
	rotate(f, minute(5), false)
	if n, err := f.Sweep(f.ctx, minute(5), 10); n != 0 || err != nil {
		f.Errorf("Sweep() = %d, %v, want 0", n, err)
	}
	f.found("t") // ended at minute 5, not before
	if n, err := f.Sweep(f.ctx, minute(6), 10); n != 0 || err != nil {
		f.Errorf("Sweep() = %d, %v, want 0", n, err)
	}
	if _, err := f.TokenByDigest(f.ctx, digest("t")); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("TokenByDigest(old) = %v, want %v", err, store.ErrNotFound)
	}
	f.found("new")
}

func batchSweepEpoch(f fixture) {
	f.accounts("a")
	f.tokens(newToken("t", "a"))
	fresh := newToken("fresh", "a")
	fresh.Epoch = 1
	f.tokens(fresh)
	f.update(func(tx store.Tx) error {
		a, err := tx.LockAccount("a")
		if err != nil {
			return err
		}
		a.Epoch++
		return tx.UpdateAccount(a)
	})
	// When it rose is known by the clock of the store alone.
	if n, err := f.Sweep(f.ctx, time.Now().Add(-time.Hour), 10); n != 0 || err != nil {
		f.Errorf("Sweep(before the epoch rose) = %d, %v, want 0", n, err)
	}
	if n, err := f.Sweep(f.ctx, time.Now().Add(time.Hour), 10); n != 1 || err != nil {
		f.Errorf("Sweep(after the epoch rose) = %d, %v, want 1", n, err)
	}
	same(f, "Tokens() after the sweep", f.listTokens(store.TokenQuery{}), []string{"fresh"})
}

// batchSweepImported: what says that another issuer's token was used or revoked
// stays until that token has expired, whatever else has ended it.
func batchSweepImported(f fixture) {
	f.accounts("a")
	for id, change := range map[string]func(*store.Token){
		"revoked": func(t *store.Token) { t.RevokedAt = minute(1) },
		"idle":    func(t *store.Token) { t.IdleAfter = time.Minute },
		"epoch":   func(t *store.Token) { t.Epoch = -1 },
	} {
		t := newToken(store.ImportedPrefix+id, "a")
		t.ExpiresAt = minute(30)
		change(&t)
		f.tokens(t)
	}
	if n, err := f.Sweep(f.ctx, minute(29), 10); n != 0 || err != nil {
		f.Errorf("Sweep(before they expire) = %d, %v, want 0", n, err)
	}
	if n, err := f.Sweep(f.ctx, minute(31), 10); n != 3 || err != nil {
		f.Errorf("Sweep(after they expired) = %d, %v, want 3", n, err)
	}
}
