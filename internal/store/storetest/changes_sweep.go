package storetest

import (
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

// changesAt appends a change for each time and returns the number of the first.
func (f fixture) changesAt(times ...time.Time) (first int64) {
	f.Helper()
	f.update(func(tx store.Tx) error {
		for i, at := range times {
			seq, err := tx.AppendChange(store.Change{At: at, Kind: store.ChangeGroups})
			if err != nil {
				return err
			}
			if i == 0 {
				first = seq
			}
		}
		return nil
	})
	return first
}

func (f fixture) sweepChanges(before time.Time, keep, limit, want int) {
	f.Helper()
	n, err := f.SweepChanges(f.ctx, before, keep, limit)
	if n != want || err != nil {
		f.Errorf("SweepChanges(%v, keep %d, limit %d) = %d, %v, want %d", before, keep, limit, n, err, want)
	}
}

// numbers lists the numbers of the changes that are left.
func (f fixture) numbers() []int64 {
	f.Helper()
	var list []int64
	for _, c := range f.changesAfter(0, 1000) {
		list = append(list, c.Seq)
	}
	return list
}

func changeSweepByAge(f fixture) {
	f.sweepChanges(minute(100), 1, 10, 0) // an empty log
	first := f.changesAt(minute(1), minute(2), minute(3), minute(9), minute(4), minute(5))
	f.sweepChanges(minute(1), 100, 10, 0) // none is older
	f.sweepChanges(minute(3), 100, 1, 1)
	f.sweepChanges(minute(3), 100, 10, 1)
	same(f, "changes after two of them aged", f.numbers(), []int64{first + 2, first + 3, first + 4, first + 5})

	// A clock that was ahead holds up what comes behind: the log is only cut
	// at its beginning.
	f.sweepChanges(minute(8), 100, 10, 1)
	f.sweepChanges(minute(8), 100, 10, 0)
	same(f, "changes behind a young one", f.numbers(), []int64{first + 3, first + 4, first + 5})

	f.sweepChanges(minute(100), 100, 10, 2)
	f.sweepChanges(minute(100), 0, 10, 0)
	same(f, "changes when all are old", f.numbers(), []int64{first + 5})
	if n := f.lastChange(); n != first+5 {
		f.Errorf("LastChange() after a sweep = %d, want %d", n, first+5)
	}
	if next := f.changesAt(minute(6)); next != first+6 {
		f.Errorf("AppendChange() after a sweep = %d, want %d", next, first+6)
	}
	if _, err := f.SweepChanges(f.ctx, start, 1, 0); !errors.Is(err, store.ErrInvalid) {
		f.Errorf("SweepChanges() without a limit = %v, want %v", err, store.ErrInvalid)
	}
}

func changeSweepByNumber(f fixture) {
	times := make([]time.Time, 10)
	for i := range times {
		times[i] = minute(50)
	}
	first := f.changesAt(times...)
	f.sweepChanges(start, 10, 100, 0)
	f.sweepChanges(start, 6, 3, 3)
	f.sweepChanges(start, 6, 3, 1)
	f.sweepChanges(start, 6, 3, 0)
	same(f, "changes when six are kept", f.numbers(), []int64{first + 4, first + 5, first + 6, first + 7, first + 8, first + 9})
	f.sweepChanges(start, -1, 100, 5)
	same(f, "changes when none is kept", f.numbers(), []int64{first + 9})
}

// Whoever had not read what was removed can see it: the next number is not the
// one after the last that they read, even when everything was old enough.
func changeSweepGap(f fixture) {
	first := f.changesAt(minute(1), minute(1), minute(1))
	f.sweepChanges(minute(100), 1, 100, 2)
	rest := f.changesAfter(first, 10)
	if len(rest) != 1 || rest[0].Seq != first+2 {
		f.Errorf("ChangesAfter(%d) behind a sweep = %v, want only change %d", first, rest, first+2)
	}
}
