package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var rivalTests = []test{
	{"OneWinnerOfASlot", rivalSlot},
	{"SlotIsHandedOver", rivalHandOver},
	{"NoEpochIsLost", rivalEpoch},
	{"LimitHolds", rivalLimit},
	{"OppositeLocks", rivalOppositeLocks},
	{"RotationsLoseNothing", rivalRotations},
	{"OneSpendsASecret", rivalSpend},
}

// together runs n callers at once and waits for them.
func together(n int, call func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() { <-begin; call(i) })
	}
	close(begin)
	wg.Wait()
}

func rivalSlot(f fixture) {
	f.accounts("a")
	var winners, losers atomic.Int32
	together(32, func(i int) {
		t := newToken(fmt.Sprint("t", i), "a")
		t.Slot = "drf"
		err := f.Update(f.ctx, func(tx store.Tx) error {
			_, err := tx.LockSlot("a", "drf")
			if errors.Is(err, store.ErrNotFound) {
				return tx.InsertToken(t, newSecret(t.ID, t.ID))
			}
			if err == nil {
				return store.ErrConflict
			}
			return err
		})
		switch {
		case err == nil:
			winners.Add(1)
		case errors.Is(err, store.ErrConflict):
			losers.Add(1)
		default:
			f.Errorf("Update(t%d) = %v, want nil or %v", i, err, store.ErrConflict)
		}
	})
	if w, l := winners.Load(), losers.Load(); w != 1 || l != 31 {
		f.Errorf("%d callers got the slot and %d did not, want 1 and 31", w, l)
	}
	if tokens := f.listTokens(store.TokenQuery{}); len(tokens) != 1 {
		f.Errorf("Tokens() = %q, want one", tokens)
	}
}

// rivalHandOver lets callers revoke whoever is in the slot and take it: each
// of them must see who was there just before.
func rivalHandOver(f fixture) {
	f.accounts("a")
	first := newToken("first", "a")
	first.Slot = "drf"
	f.tokens(first)
	var retries atomic.Int32
	together(16, func(i int) {
		t := newToken(fmt.Sprint("t", i), "a")
		t.Slot = "drf"
		for {
			err := f.Update(f.ctx, func(tx store.Tx) error {
				found, err := tx.LockSlot("a", "drf")
				if err != nil {
					return err
				}
				if !found.Token.RevokedAt.IsZero() || found.Secret.TokenID != found.Token.ID {
					return fmt.Errorf("LockSlot() = token %+v with a secret of %q", found.Token, found.Secret.TokenID)
				}
				found.Token.RevokedAt = minute(1)
				return errors.Join(tx.UpdateToken(found.Token), tx.InsertToken(t, newSecret(t.ID, t.ID)))
			})
			if err == nil {
				return
			}
			// Between the end of one and the beginning of the next a caller may
			// find the slot empty or taken; it asks again.
			if retries.Add(1) > 1000 || !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrConflict) {
				f.Errorf("Update(t%d) = %v, want no error", i, err)
				return
			}
		}
	})
	unrevoked := 0
	tokens, err := f.Tokens(f.ctx, store.TokenQuery{Limit: 100})
	for _, t := range tokens {
		if t.RevokedAt.IsZero() {
			unrevoked++
		}
	}
	if err != nil || len(tokens) != 17 || unrevoked != 1 {
		f.Errorf("Tokens() = %d with %d unrevoked, %v, want 17 with 1", len(tokens), unrevoked, err)
	}
}

func rivalEpoch(f fixture) {
	f.accounts("a")
	const callers, times = 16, 10
	together(callers, func(int) {
		for range times {
			if err := f.Update(f.ctx, func(tx store.Tx) error {
				a, err := tx.LockAccount("a")
				if err != nil {
					return err
				}
				a.Epoch++
				return tx.UpdateAccount(a)
			}); err != nil {
				f.Errorf("Update() = %v, want no error", err)
			}
		}
	})
	a, err := f.Account(f.ctx, "a")
	if err != nil || a.Epoch != callers*times {
		f.Errorf("Account(a) has epoch %d, %v, want %d", a.Epoch, err, callers*times)
	}
}

// rivalLimit shows that a limit which is counted behind the lock on the
// account is never passed.
func rivalLimit(f fixture) {
	f.accounts("a")
	const most = 5
	together(32, func(i int) {
		id := fmt.Sprint("t", i)
		err := f.Update(f.ctx, func(tx store.Tx) error {
			if _, err := tx.LockAccount("a"); err != nil {
				return err
			}
			n, err := tx.CountLive("a", start, most)
			if err != nil || n >= most {
				return errors.Join(err, errFailed)
			}
			return tx.InsertToken(newToken(id, "a"), newSecret(id, id))
		})
		if err != nil && !errors.Is(err, errFailed) {
			f.Errorf("Update(%s) = %v, want nil or %v", id, err, errFailed)
		}
	})
	if got := f.listTokens(store.TokenQuery{}); len(got) != most {
		f.Errorf("Tokens() = %d, want %d", len(got), most)
	}
}

// rivalOppositeLocks takes two locks in both orders: nobody hangs or fails.
func rivalOppositeLocks(f fixture) {
	f.accounts("a", "b")
	together(2, func(i int) {
		order := [2]string{"a", "b"}
		if i%2 == 1 {
			order = [2]string{"b", "a"}
		}
		for range 3 {
			if err := f.Update(f.ctx, func(tx store.Tx) error {
				for _, id := range order {
					a, err := tx.LockAccount(id)
					if err != nil {
						return err
					}
					a.Epoch++
					if err := tx.UpdateAccount(a); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				f.Errorf("Update() = %v, want no error", err)
			}
		}
	})
	for _, id := range []string{"a", "b"} {
		a, err := f.Account(f.ctx, id)
		if err != nil || a.Epoch != 6 {
			f.Errorf("Account(%s) has epoch %d, %v, want 6", id, a.Epoch, err)
		}
	}
}

// rivalRotations replaces the secret of a token in a slot again and again;
// whoever holds the lock must see the newest secret.
func rivalRotations(f fixture) {
	f.accounts("a")
	t := newToken("t", "a")
	t.Slot = "drf"
	f.tokens(t)
	together(16, func(i int) {
		of := fmt.Sprint("secret ", i)
		err := f.Update(f.ctx, func(tx store.Tx) error {
			found, err := tx.LockSlot("a", "drf")
			if err != nil {
				return err
			}
			fresh := newSecret("t", of)
			fresh.CreatedAt = found.Secret.CreatedAt.Add(1000) // a chain without branches
			if err := tx.InsertSecret(fresh); err != nil {
				return err
			}
			return tx.RetireSecrets("t", fresh.Digest, minute(1), false)
		})
		if err != nil {
			f.Errorf("Update(%d) = %v, want no error", i, err)
			return
		}
	})
	found, err := f.SecretOfSlot(f.ctx, "a", "drf")
	if want := start.Add(16_000); err != nil || !found.Secret.CreatedAt.Equal(want) {
		f.Errorf("the newest secret is of %v, %v, want %v: each rotation on top of the one before",
			found.Secret.CreatedAt, err, want)
	}
}

// rivalSpend lets many use the same refresh token: one has spent it, and all
// others see that (S21, S28).
func rivalSpend(f fixture) {
	f.accounts("a")
	f.family("fam")
	var first, later atomic.Int32
	together(200, func(i int) {
		err := f.Update(f.ctx, func(tx store.Tx) error {
			if _, err := tx.LockToken("fam"); err != nil {
				return err
			}
			if _, err := tx.Spent(digest("fam")); err == nil {
				return errors.Join(tx.CountReplay(digest("fam")), store.ErrConflict)
			} else if !errors.Is(err, store.ErrNotFound) {
				return err
			}
			next := fmt.Sprint("next", i)
			return errors.Join(
				tx.InsertSpent(store.Spent{Digest: digest("fam"), TokenID: "fam", At: start}),
				tx.InsertSecret(newSecret("fam", next)),
			)
		})
		switch {
		case err == nil:
			first.Add(1)
		case errors.Is(err, store.ErrConflict):
			later.Add(1)
		default:
			f.Errorf("Update(%d) = %v, want nil or %v", i, err, store.ErrConflict)
		}
	})
	if n, l := first.Load(), later.Load(); n != 1 || l != 199 {
		f.Errorf("%d callers spent the secret and %d saw that it was, want 1 and 199", n, l)
	}
	successors := 0
	for i := range 200 {
		if _, err := f.TokenByDigest(f.ctx, digest(fmt.Sprint("next", i))); err == nil {
			successors++
		}
	}
	if successors != 1 {
		f.Errorf("there are %d successors, want 1", successors)
	}
}
