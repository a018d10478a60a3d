package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var changeTests = []test{
	{"Numbers", changeNumbers},
	{"RolledBack", changeRolledBack},
	{"Invalid", changeInvalid},
	{"CommitOrder", changeCommitOrder},
	{"Hint", changeHint},
	{"SweepByAge", changeSweepByAge},
	{"SweepByNumber", changeSweepByNumber},
	{"SweepLeavesAGap", changeSweepGap},
}

func (f fixture) lastChange() int64 {
	f.Helper()
	n, err := f.LastChange(f.ctx)
	if err != nil {
		f.Fatalf("LastChange() = %v, want no error", err)
	}
	return n
}

func (f fixture) changesAfter(seq int64, limit int) []store.Change {
	f.Helper()
	changes, err := f.ChangesAfter(f.ctx, seq, limit)
	if err != nil {
		f.Fatalf("ChangesAfter(%d) = %v, want no error", seq, err)
	}
	return changes
}

func changeNumbers(f fixture) {
	if n := f.lastChange(); n != 0 {
		f.Errorf("LastChange() of an empty store = %d, want 0", n)
	}
	if got := f.changesAfter(0, 10); len(got) != 0 {
		f.Errorf("ChangesAfter(0) of an empty store = %v, want none", got)
	}
	want := []store.Change{
		{At: start, Kind: store.ChangeToken, TokenID: "t"},
		{At: minute(1), Kind: store.ChangeAccount, AccountID: "a"},
		{At: minute(1), Kind: store.ChangeGroups},
	}
	f.update(func(tx store.Tx) error {
		for i := range want {
			seq, err := tx.AppendChange(want[i])
			if err != nil {
				return err
			}
			if i > 0 && seq <= want[i-1].Seq {
				f.Errorf("AppendChange() = %d after %d, want more", seq, want[i-1].Seq)
			}
			want[i].Seq = seq
		}
		return nil
	})
	same(f, "ChangesAfter(0)", f.changesAfter(0, 10), want)
	same(f, "ChangesAfter(0) with limit 2", f.changesAfter(0, 2), want[:2])
	same(f, "ChangesAfter(1st)", f.changesAfter(want[0].Seq, 10), want[1:])
	same(f, "ChangesAfter(last)", f.changesAfter(want[2].Seq, 10), nil)
	if n := f.lastChange(); n != want[2].Seq {
		f.Errorf("LastChange() = %d, want %d", n, want[2].Seq)
	}
}

func changeRolledBack(f fixture) {
	f.update(func(tx store.Tx) error { _, err := tx.AppendChange(store.Change{Kind: "token"}); return err })
	before := f.lastChange()
	wrong := errors.New("wrong")
	f.fails("Update", wrong, func(tx store.Tx) error {
		_, err := tx.AppendChange(store.Change{Kind: "token"})
		return errors.Join(err, wrong)
	})
	if n := f.lastChange(); n != before {
		f.Errorf("LastChange() after a rollback = %d, want %d", n, before)
	}
	f.update(func(tx store.Tx) error { _, err := tx.AppendChange(store.Change{Kind: "token"}); return err })
	if n := f.lastChange(); n != before+1 {
		f.Errorf("LastChange() = %d, want %d: numbers without gaps", n, before+1)
	}
}

func changeInvalid(f fixture) {
	f.fails("AppendChange with bad text", store.ErrInvalid, func(tx store.Tx) error {
		_, err := tx.AppendChange(store.Change{Kind: "token", TokenID: "\xff"})
		return err
	})
	if _, err := f.ChangesAfter(f.ctx, 0, 0); !errors.Is(err, store.ErrInvalid) {
		f.Errorf("ChangesAfter() without a limit = %v, want %v", err, store.ErrInvalid)
	}
}

// changeCommitOrder lets a reader follow the log while many write. It reads
// only what is behind the last number it has seen, as a node does: a number
// that becomes visible after a higher one would be missed for ever.
func changeCommitOrder(f fixture) {
	const writers, each = 8, 40
	ctx, cancel := context.WithTimeout(f.ctx, time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", w, i)
				err := f.Update(ctx, func(tx store.Tx) error {
					if _, err := tx.AppendChange(store.Change{Kind: store.ChangeToken, TokenID: id}); err != nil {
						return err
					}
					if i%5 == 4 { // some take longer, some fail
						return errFailed
					}
					return tx.AppendEvent(store.Event{ID: id, At: start})
				})
				if (i%5 == 4) != errors.Is(err, errFailed) || (i%5 != 4 && err != nil) {
					f.Errorf("Update(%s) = %v", id, err)
				}
			}
		})
	}
	const total = writers * each * 4 / 5
	seen := make(map[string]bool)
	var last int64
	for len(seen) < total && ctx.Err() == nil && !f.Failed() {
		known, err := f.LastChange(ctx)
		if err != nil {
			f.Errorf("LastChange() = %v, want no error", err)
			break
		}
		changes, err := f.ChangesAfter(ctx, last, 7)
		if err != nil {
			f.Errorf("ChangesAfter(%d) = %v, want no error", last, err)
			break
		}
		if len(changes) == 0 && known > last {
			f.Errorf("LastChange() = %d, but nothing is behind %d", known, last)
		}
		for _, c := range changes {
			if c.Seq != last+1 {
				f.Errorf("change %d follows %d, want no gap", c.Seq, last)
			}
			last, seen[c.TokenID] = c.Seq, true
		}
	}
	wg.Wait()
	if len(seen) != total {
		f.Errorf("the reader saw %d changes, want %d", len(seen), total)
	}
}

var errFailed = errors.New("failed on purpose")

func changeHint(f fixture) {
	hint := f.Changed()
	if hint == nil {
		return // the database has no such thing
	}
	ctx, cancel := context.WithTimeout(f.ctx, time.Minute)
	defer cancel()
	for range 3 {
		for drained := false; !drained; {
			select {
			case <-hint:
			default:
				drained = true
			}
		}
		f.update(func(tx store.Tx) error { _, err := tx.AppendChange(store.Change{Kind: "token"}); return err })
		select {
		case <-hint:
		case <-ctx.Done():
			f.Fatal("Changed() gave no hint of a change")
		}
	}
}
