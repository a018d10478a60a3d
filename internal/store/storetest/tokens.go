package storetest

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var tokenTests = []test{
	{"RoundTrip", tokenRoundTrip},
	{"NotFound", tokenNotFound},
	{"Conflict", tokenConflict},
	{"ConflictLeavesTransactionUsable", tokenConflictGoesOn},
	{"Invalid", tokenInvalid},
	{"Update", tokenUpdate},
	{"RevokedLeavesSlot", tokenRevokedLeavesSlot},
	{"CountLive", tokenCountLive},
	{"CountUnrevoked", tokenCountUnrevoked},
	{"RevokeAll", tokenRevokeAll},
}

// oddTokens are tokens that are hard to keep.
func oddTokens() []store.Token {
	full := newToken("full", "a")
	full.Class, full.Slot, full.ParentID, full.Epoch = "refresh", "drf", "parent", 7
	full.Scope = []string{"repository:prod/*:pull", "path:/x y/\"q\"\\:read"}
	full.Labels = map[string]string{"env": "prod", "": "empty key", "empty": ""}
	full.CIDRs = []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8"), netip.MustParsePrefix("2001:db8::/32")}
	full.ExpiresAt, full.IdleAfter = minute(60), 90*time.Minute+time.Microsecond
	full.RevokedAt, full.RevokedBy, full.RevokeReason = minute(5), "admin", "lost laptop"
	full.RotatedAt = minute(3)
	full.LastUse = store.Use{TokenID: "full", At: minute(4).Truncate(time.Second),
		Addr: netip.MustParseAddr("2001:db8::1"), Agent: "curl/8.0"}

	odd := newToken("odd-ключ-🔑", "a")
	odd.Name = "e\u0301 \u202e \u2028 <b>&amp;</b> \\ \" ' % _ \t\r\n \U0010ffff"
	odd.Scope = []string{odd.Name, ""}
	odd.Labels = map[string]string{odd.Name: odd.Name}

	large := newToken("large", "a")
	large.Labels = map[string]string{}
	for i := range 200 {
		large.Labels[fmt.Sprintf("label-%d", i)] = strings.Repeat("ä", 1000)
	}

	old := newToken("old", "a")
	old.CreatedAt, old.ExpiresAt = time.Unix(-1, 0).UTC(), time.Unix(0, 0).UTC()

	far := newToken("far", "a")
	far.CreatedAt = time.Time{}
	far.ExpiresAt = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)

	used := newToken("used", "a") // from nowhere, by nobody
	used.LastUse = store.Use{TokenID: "used", At: minute(1).Truncate(time.Second)}

	return []store.Token{newToken("plain", "a"), full, odd, large, old, far, used}
}

func tokenRoundTrip(f fixture) {
	f.accounts("a")
	for _, want := range oddTokens() {
		secret := newSecret(want.ID, want.ID)
		secret.Sealed, secret.ExpiresAt = []byte{0, 1, 255}, minute(9)
		f.update(func(tx store.Tx) error { return tx.InsertToken(want, secret) })

		same(f, "Token("+want.ID+")", f.token(want.ID), want)
		same(f, "TokenByDigest("+want.ID+")", f.found(want.ID), store.FoundToken{Token: want, Secret: secret})
		f.update(func(tx store.Tx) error {
			got, err := tx.LockToken(want.ID)
			same(f, "LockToken("+want.ID+")", got, want)
			return err
		})
	}
	got, err := f.Tokens(f.ctx, store.TokenQuery{Limit: 100})
	if err != nil || len(got) != len(oddTokens()) {
		f.Errorf("Tokens() = %d tokens, %v, want %d", len(got), err, len(oddTokens()))
	}

	slot := newToken("slot", "a")
	slot.Slot, slot.Scope, slot.Labels, slot.CIDRs = "drf", []string{}, map[string]string{}, []netip.Prefix{}
	f.tokens(slot)
	slot.Scope, slot.Labels, slot.CIDRs = nil, nil, nil // empty comes back as nil
	want := store.FoundToken{Token: slot, Secret: newSecret("slot", "slot")}
	found, err := f.SecretOfSlot(f.ctx, "a", "drf")
	same(f, "SecretOfSlot(a, drf)", found, want)
	if err != nil {
		f.Errorf("SecretOfSlot(a, drf) = %v, want no error", err)
	}
	f.update(func(tx store.Tx) error {
		found, err := tx.LockSlot("a", "drf")
		same(f, "LockSlot(a, drf)", found, want)
		return err
	})
}

func tokenNotFound(f fixture) {
	f.accounts("a")
	f.tokens(newToken("t", "a"))
	calls := map[string]func() error{
		"Token":             func() error { _, err := f.Token(f.ctx, "none"); return err },
		"Token of odd text": func() error { _, err := f.Token(f.ctx, "\x00\xff"); return err },
		"TokenByDigest":     func() error { _, err := f.TokenByDigest(f.ctx, digest("none")); return err },
		"TokenByDigest nil": func() error { _, err := f.TokenByDigest(f.ctx, nil); return err },
		"SecretOfSlot":      func() error { _, err := f.SecretOfSlot(f.ctx, "a", "drf"); return err },
		"SecretOfSlot none": func() error { _, err := f.SecretOfSlot(f.ctx, "a", ""); return err },
		"SecretOfSlot odd":  func() error { _, err := f.SecretOfSlot(f.ctx, "a", "\x00"); return err },
	}
	inside := map[string]func(tx store.Tx) error{
		"LockToken":     func(tx store.Tx) error { _, err := tx.LockToken("none"); return err },
		"LockToken odd": func(tx store.Tx) error { _, err := tx.LockToken("\xff"); return err },
		"LockSlot":      func(tx store.Tx) error { _, err := tx.LockSlot("a", "drf"); return err },
		"LockSlot none": func(tx store.Tx) error { _, err := tx.LockSlot("a", ""); return err },
		"UpdateToken":   func(tx store.Tx) error { return tx.UpdateToken(newToken("none", "a")) },
		"InsertSecret":  func(tx store.Tx) error { return tx.InsertSecret(newSecret("none", "x")) },
		"InsertToken":   func(tx store.Tx) error { return tx.InsertToken(newToken("x", "none"), newSecret("x", "x")) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, store.ErrNotFound) {
			f.Errorf("%s = %v, want %v", name, err, store.ErrNotFound)
		}
	}
	for name, call := range inside {
		f.fails(name, store.ErrNotFound, call)
	}
}

func tokenConflict(f fixture) {
	f.accounts("a", "b")
	inSlot := newToken("t", "a")
	inSlot.Slot = "drf"
	f.tokens(inSlot)

	otherSlot := newToken("t2", "a")
	otherSlot.Slot = "drf"
	f.fails("InsertToken with a taken id", store.ErrConflict, func(tx store.Tx) error {
		return tx.InsertToken(newToken("t", "a"), newSecret("t", "new"))
	})
	f.fails("InsertToken with a taken digest", store.ErrConflict, func(tx store.Tx) error {
		return tx.InsertToken(newToken("t2", "a"), newSecret("t2", "t"))
	})
	f.fails("InsertToken with a taken slot", store.ErrConflict, func(tx store.Tx) error {
		return tx.InsertToken(otherSlot, newSecret("t2", "t2"))
	})
	f.fails("InsertSecret with a taken digest", store.ErrConflict, func(tx store.Tx) error {
		return tx.InsertSecret(newSecret("t", "t"))
	})
	f.gone("t2")

	otherSlot.AccountID = "b" // its own slot of that name
	f.tokens(otherSlot)
}

func tokenConflictGoesOn(f fixture) {
	f.accounts("a")
	inSlot, same2 := newToken("t", "a"), newToken("t2", "a")
	inSlot.Slot, same2.Slot = "drf", "drf"
	f.tokens(inSlot)
	f.update(func(tx store.Tx) error {
		for name, err := range map[string]error{
			"slot":    tx.InsertToken(same2, newSecret("t2", "t2")),
			"digest":  tx.InsertToken(newToken("t3", "a"), newSecret("t3", "t")),
			"id":      tx.InsertToken(newToken("t", "a"), newSecret("t", "t4")),
			"secret":  tx.InsertSecret(newSecret("t", "t")),
			"account": tx.InsertAccount(newAccount("a")),
			"group":   tx.InsertGroup(store.Group{Name: store.GroupEveryone}),
		} {
			if !errors.Is(err, store.ErrConflict) {
				f.Errorf("conflict of %s = %v, want %v", name, err, store.ErrConflict)
			}
		}
		if _, err := tx.LockToken("none"); !errors.Is(err, store.ErrNotFound) {
			f.Errorf("LockToken(none) = %v, want %v", err, store.ErrNotFound)
		}
		return tx.InsertToken(newToken("t5", "a"), newSecret("t5", "t5"))
	})
	f.gone("t2", "t3")
	same(f, "TokenByDigest(t)", f.found("t").Token.ID, "t")
	same(f, "TokenByDigest(t5)", f.found("t5").Token.ID, "t5")
	if _, err := f.TokenByDigest(f.ctx, digest("t4")); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("TokenByDigest(t4) = %v, want %v", err, store.ErrNotFound)
	}
}

func tokenInvalid(f fixture) {
	f.accounts("a")
	bad := newToken("t", "a")
	bad.Name = "zero\x00byte"
	f.fails("InsertToken with a zero byte", store.ErrInvalid, func(tx store.Tx) error {
		return tx.InsertToken(bad, newSecret("t", "t"))
	})
	f.fails("UpdateToken with a zero byte", store.ErrInvalid, func(tx store.Tx) error {
		return tx.UpdateToken(bad)
	})
	f.fails("InsertToken without a digest", store.ErrInvalid, func(tx store.Tx) error {
		return tx.InsertToken(newToken("t", "a"), store.Secret{TokenID: "t"})
	})
	f.fails("RevokeTokens with bad text", store.ErrInvalid, func(tx store.Tx) error {
		_, err := tx.RevokeEach([]string{"t1"}, start, "", "\xff")
		if !errors.Is(err, store.ErrInvalid) {
			f.Errorf("RevokeEach with bad text = %v, want %v", err, store.ErrInvalid)
		}
		_, err = tx.RevokeTokens("a", start, "\xff", "")
		return err
	})
	if _, err := f.Tokens(f.ctx, store.TokenQuery{}); !errors.Is(err, store.ErrInvalid) {
		f.Errorf("Tokens() without a limit = %v, want %v", err, store.ErrInvalid)
	}
	f.gone("t")
}

func tokenUpdate(f fixture) {
	f.accounts("a", "b")
	before := newToken("t", "a")
	before.Slot, before.ParentID = "drf", "parent"
	before.LastUse = store.Use{TokenID: "t", At: minute(1).Truncate(time.Second), Agent: "curl"}
	f.tokens(before)

	change := oddTokens()[1]
	change.ID, change.AccountID, change.Slot, change.ParentID, change.Class = "t", "b", "knox", "other", "other"
	change.CreatedAt, change.LastUse = minute(-5), store.Use{At: minute(50)}
	f.update(func(tx store.Tx) error { return tx.UpdateToken(change) })

	want := change
	want.AccountID, want.Slot, want.ParentID, want.Class = before.AccountID, before.Slot, before.ParentID, before.Class
	want.CreatedAt, want.LastUse = before.CreatedAt, before.LastUse
	same(f, "Token(t) after UpdateToken", f.token("t"), want)

	f.update(func(tx store.Tx) error { return tx.UpdateToken(before) })
	same(f, "Token(t) after UpdateToken back", f.token("t"), before)
}

func tokenRevokedLeavesSlot(f fixture) {
	f.accounts("a")
	first, second := newToken("t1", "a"), newToken("t2", "a")
	first.Slot, second.Slot = "drf", "drf"
	f.tokens(first)
	revoked := first
	revoked.RevokedAt = minute(1)
	f.update(func(tx store.Tx) error { return tx.UpdateToken(revoked) })
	f.tokens(second)

	found, err := f.SecretOfSlot(f.ctx, "a", "drf")
	if err != nil || found.Token.ID != "t2" {
		f.Errorf("SecretOfSlot(a, drf) = %q, %v, want t2", found.Token.ID, err)
	}
	f.update(func(tx store.Tx) error {
		if err := tx.UpdateToken(first); !errors.Is(err, store.ErrConflict) {
			f.Errorf("UpdateToken back into a taken slot = %v, want %v", err, store.ErrConflict)
		}
		return tx.AppendEvent(store.Event{ID: "e", At: start, Action: "token.revive", Outcome: "refused"})
	})
	same(f, "Token(t1)", f.token("t1"), revoked)
}

// livingAndDead adds tokens of account a, which has epoch 2, and returns the
// ids of those that are live at minute 10.
func livingAndDead(f fixture) []string {
	a := newAccount("a")
	a.Epoch = 2
	f.update(func(tx store.Tx) error { return tx.InsertAccount(a) })
	add := func(id string, change func(*store.Token)) {
		t := newToken(id, "a")
		t.Epoch = 2
		change(&t)
		f.tokens(t)
	}
	add("endless", func(t *store.Token) {})
	add("later", func(t *store.Token) { t.ExpiresAt = minute(11) })
	add("ahead", func(t *store.Token) { t.Epoch, t.ExpiresAt = 3, minute(11) })
	add("idle-new", func(t *store.Token) { t.IdleAfter = 11 * time.Minute })
	add("idle-now", func(t *store.Token) { t.IdleAfter = 10 * time.Minute })
	add("idle-used", func(t *store.Token) {
		t.IdleAfter, t.LastUse = 5*time.Minute, store.Use{At: minute(6)}
	})
	add("idle-rotated", func(t *store.Token) { t.IdleAfter, t.RotatedAt = 5*time.Minute, minute(6) })

	add("expired", func(t *store.Token) { t.ExpiresAt = minute(9) })
	add("expired-1970", func(t *store.Token) { t.ExpiresAt = time.Unix(0, 0) })
	add("expired-now", func(t *store.Token) { t.ExpiresAt = minute(10) })
	add("idle-out", func(t *store.Token) { t.IdleAfter = 9 * time.Minute })
	add("idle-out-used", func(t *store.Token) {
		t.IdleAfter, t.LastUse = 2*time.Minute, store.Use{At: minute(6)}
	})

	add("revoked", func(t *store.Token) { t.RevokedAt = minute(1) })
	add("revoked-expired", func(t *store.Token) { t.RevokedAt, t.ExpiresAt = minute(1), minute(2) })
	add("old-epoch", func(t *store.Token) { t.Epoch = 1 })
	return []string{"endless", "later", "ahead", "idle-new", "idle-now", "idle-used", "idle-rotated"}
}

func tokenCountLive(f fixture) {
	live := len(livingAndDead(f))
	f.accounts("b")
	for _, tt := range []struct {
		account    string
		most, want int
	}{
		{"a", 100, live}, {"a", live, live}, {"a", live - 1, live - 1}, {"a", 1, 1}, {"a", 0, 0}, {"a", -1, 0},
		{"b", 100, 0}, {"none", 100, 0},
	} {
		f.update(func(tx store.Tx) error {
			n, err := tx.CountLive(tt.account, minute(10), tt.most)
			if n != tt.want {
				f.Errorf("CountLive(%q, %d) = %d, want %d", tt.account, tt.most, n, tt.want)
			}
			return err
		})
	}
}

func tokenCountUnrevoked(f fixture) {
	f.accounts("a", "b")
	count := func(after string, want int) {
		f.Helper()
		f.update(func(tx store.Tx) error {
			n, err := tx.CountUnrevoked("a")
			if n != want {
				f.Errorf("CountUnrevoked(a) after %s = %d, want %d", after, n, want)
			}
			return err
		})
	}
	count("nothing", 0)
	gone := newToken("gone", "a")
	gone.RevokedAt = minute(1)
	expired := newToken("expired", "a")
	expired.ExpiresAt = minute(2)
	f.tokens(newToken("one", "a"), newToken("two", "a"), newToken("three", "a"), gone, expired, newToken("other", "b"))
	count("some were made", 4)

	one := f.token("one")
	one.RevokedAt, one.Name = minute(3), "changed"
	f.update(func(tx store.Tx) error { return tx.UpdateToken(one) })
	count("one was revoked", 3)
	one.Name = "changed again"
	f.update(func(tx store.Tx) error { return tx.UpdateToken(one) })
	count("that one was changed", 3)

	err := f.Update(f.ctx, func(tx store.Tx) error {
		return errors.Join(tx.InsertToken(newToken("undone", "a"), newSecret("undone", "undone")), errFailed)
	})
	if !errors.Is(err, errFailed) {
		f.Errorf("Update() = %v, want %v", err, errFailed)
	}
	count("an insert was undone", 3)

	if _, err := f.Sweep(f.ctx, minute(10), 100); err != nil {
		f.Errorf("Sweep() = %v, want no error", err)
	}
	count("the expired one was swept", 2)
	f.update(func(tx store.Tx) error {
		_, err := tx.RevokeTokens("a", minute(10), "admin", "left")
		return err
	})
	count("all were revoked", 0)
}

func tokenRevokeAll(f fixture) {
	live := len(livingAndDead(f))
	f.accounts("b")
	f.tokens(newToken("other", "b"))
	earlier := f.token("revoked")
	f.update(func(tx store.Tx) error {
		n, err := tx.RevokeTokens("a", minute(10), "admin", "left")
		// Those that ended by not being used or by epoch had not expired.
		if want := live + 3; n != want {
			f.Errorf("RevokeTokens(a) = %d, want %d", n, want)
		}
		return err
	})
	for _, id := range []string{"endless", "expired", "old-epoch"} {
		t := f.token(id)
		if !t.RevokedAt.Equal(minute(10)) || t.RevokedBy != "admin" || t.RevokeReason != "left" {
			f.Errorf("Token(%q) is revoked at %v by %q for %q, want %v, admin, left",
				id, t.RevokedAt, t.RevokedBy, t.RevokeReason, minute(10))
		}
	}
	same(f, "Token(revoked), which was so before", f.token("revoked"), earlier)
	same(f, "Token(other), of another account", f.token("other"), newToken("other", "b"))
}
