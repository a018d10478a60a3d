package storetest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var revokeEachTests = []test{
	{"Each", revokeEach},
	{"EachAtOnce", revokeEachAtOnce},
}

func revokeEach(f fixture) {
	f.accounts("a", "b")
	before := newToken("before", "a")
	before.RevokedAt, before.RevokedBy, before.RevokeReason = minute(1), "owner", "lost"
	slot := newToken("slot", "a")
	slot.Slot = "drf"
	f.tokens(newToken("t1", "a"), newToken("t2", "b"), newToken("other", "a"), before, slot)
	f.update(func(tx store.Tx) error {
		got, err := tx.RevokeEach([]string{"t2", "before", "none", "\x00", "slot", "t1", "t1"}, minute(2), "admin", "left")
		slices.Sort(got)
		same(f, "RevokeEach()", got, []string{"slot", "t1", "t2"})
		return err
	})
	for _, id := range []string{"t1", "t2", "slot"} {
		if t := f.token(id); !t.RevokedAt.Equal(minute(2)) || t.RevokedBy != "admin" || t.RevokeReason != "left" {
			f.Errorf("Token(%q) is revoked at %v by %q for %q, want %v, admin, left", id, t.RevokedAt, t.RevokedBy, t.RevokeReason, minute(2))
		}
	}
	same(f, "Token(before), which was revoked before", f.token("before"), before)
	same(f, "Token(other), which was not named", f.token("other"), newToken("other", "a"))
	f.update(func(tx store.Tx) error { // the slot is free
		again := newToken("again", "a")
		again.Slot = "drf"
		return tx.InsertToken(again, newSecret("again", "again"))
	})
	f.update(func(tx store.Tx) error {
		got, err := tx.RevokeEach(nil, minute(3), "admin", "")
		if len(got) != 0 {
			f.Errorf("RevokeEach(none) = %q, want none", got)
		}
		return err
	})
}

// revokeEachAtOnce lets several callers revoke the same tokens in different
// orders: each token is revoked by one of them.
func revokeEachAtOnce(f fixture) {
	f.accounts("a")
	const n = 60
	var all []string
	for i := range n {
		t := newToken(fmt.Sprintf("t%02d", i), "a")
		f.tokens(t)
		all = append(all, t.ID)
	}
	var mu sync.Mutex
	times := map[string]int{}
	var callers sync.WaitGroup
	for i := range 4 {
		callers.Go(func() {
			list := slices.Clone(all)
			if i%2 == 1 {
				slices.Reverse(list)
			}
			for part := range slices.Chunk(list, 15) {
				var got []string
				err := f.Update(f.ctx, func(tx store.Tx) (err error) {
					got, err = tx.RevokeEach(part, minute(1), fmt.Sprint(i), "")
					return err
				})
				if err != nil {
					f.Errorf("RevokeEach() = %v, want no error", err)
				}
				mu.Lock()
				for _, id := range got {
					times[id]++
				}
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	for _, id := range all {
		if times[id] != 1 {
			f.Errorf("token %s was revoked %d times, want once", id, times[id])
		}
	}
}
