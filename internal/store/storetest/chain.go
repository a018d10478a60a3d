package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var chainTests = []test{
	{"Places", chainPlaces},
	{"PlacesTogether", chainPlacesTogether},
	{"Seals", chainSeals},
	{"Trim", chainTrim},
}

func placedID(e store.PlacedEvent) string { return e.ID }

func (f fixture) placed(above int64, limit int) []store.PlacedEvent {
	f.Helper()
	events, err := f.EventsByPlace(f.ctx, above, limit)
	if err != nil {
		f.Fatalf("EventsByPlace(%d, %d) = %v, want no error", above, limit, err)
	}
	return events
}

// chainPlaces shows that events keep the order of their writing and their
// proof, however their times are.
func chainPlaces(f fixture) {
	if got := f.placed(0, 10); got != nil {
		f.Errorf("EventsByPlace() of nothing = %v, want nil", got)
	}
	var want []string
	for i := range 10 {
		e := fullEvent(fmt.Sprintf("e%d", i))
		e.At, e.MAC = minute(-i), []byte{byte(i), 0, 0xff}
		if i%2 == 0 {
			f.appendEvents(e, e)
		} else {
			f.update(func(tx store.Tx) error { return tx.AppendEvent(e) })
		}
		want = append(want, e.ID)
	}
	f.appendEvents(store.Event{ID: "bare", At: start})
	want = append(want, "bare")
	all := f.placed(0, 100)
	same(f, "EventsByPlace()", ids(all, placedID), want)
	for i, e := range all {
		if i > 0 && e.Place <= all[i-1].Place {
			f.Errorf("place of %s = %d after %d, want a greater one", e.ID, e.Place, all[i-1].Place)
		}
	}
	first := fullEvent("e0")
	first.At, first.MAC = start, []byte{0, 0, 0xff}
	same(f, "EventsByPlace()[0]", all[0].Event, first)
	if len(all[10].MAC) != 0 {
		f.Errorf("MAC of an event without = %v, want none", all[10].MAC)
	}
	for _, e := range f.events(store.EventQuery{}) {
		if e.MAC != nil {
			f.Errorf("Events() gives %s with its proof, want it left out", e.ID)
		}
	}
	same(f, "EventsByPlace() above the third", ids(f.placed(all[2].Place, 2), placedID), want[3:5])
	some, err := f.EventsAt(f.ctx, []int64{all[7].Place, all[1].Place, all[10].Place + 1000})
	if err != nil {
		f.Fatalf("EventsAt() = %v, want no error", err)
	}
	same(f, "EventsAt()", ids(some, placedID), []string{"e1", "e7"})
	if none, err := f.EventsAt(f.ctx, nil); err != nil || none != nil {
		f.Errorf("EventsAt() of nothing = %v, %v, want nil", none, err)
	}
	if _, err := f.EventsByPlace(f.ctx, 0, 0); !errors.Is(err, store.ErrInvalid) {
		f.Errorf("EventsByPlace() without a limit = %v, want %v", err, store.ErrInvalid)
	}
}

// chainPlacesTogether shows that each event has a place of its own when many
// are written at once, also when what was to be written comes to nothing.
func chainPlacesTogether(f fixture) {
	const writers, each = 8, 20
	together(writers, func(w int) {
		for i := range each {
			e := store.Event{ID: fmt.Sprintf("w%d-%d", w, i), At: minute(i)}
			err := f.Update(f.ctx, func(tx store.Tx) error {
				if err := tx.AppendEvent(e); err != nil {
					return err
				}
				if i%5 == 4 {
					return errors.New("changed its mind")
				}
				return nil
			})
			if (err != nil) != (i%5 == 4) {
				f.Errorf("Update() = %v", err)
			}
		}
	})
	seen := map[int64]bool{}
	for _, e := range f.placed(0, 1000) {
		if seen[e.Place] {
			f.Errorf("two events have the place %d", e.Place)
		}
		seen[e.Place] = true
	}
	if len(seen) != writers*each*4/5 {
		f.Errorf("%d events, want %d", len(seen), writers*each*4/5)
	}
}

func newSeal(number int64) store.Seal {
	return store.Seal{
		Number: number, At: minute(int(number)), Previous: []byte{byte(number), 0}, Members: "1-3,7", Count: 4,
		First: minute(int(number) - 1), Last: minute(int(number)), Root: digest("root"), Tags: []byte("tags"), Adopted: number == 1,
		KeyID: "key-1", Signature: []byte{1, 2, 3},
	}
}

func (f fixture) seals(q store.SealQuery) []store.Seal {
	f.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	seals, err := f.Seals(f.ctx, q)
	if err != nil {
		f.Fatalf("Seals(%+v) = %v, want no error", q, err)
	}
	return seals
}

func chainSeals(f fixture) {
	if _, err := f.LastSeal(f.ctx); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("LastSeal() of nothing = %v, want %v", err, store.ErrNotFound)
	}
	for n := int64(1); n <= 5; n++ {
		if err := f.AppendSeal(f.ctx, newSeal(n)); err != nil {
			f.Fatalf("AppendSeal(%d) = %v, want no error", n, err)
		}
	}
	other := newSeal(3)
	other.Members = "99"
	if err := f.AppendSeal(f.ctx, other); !errors.Is(err, store.ErrConflict) {
		f.Errorf("AppendSeal() of a number that is taken = %v, want %v", err, store.ErrConflict)
	}
	want := []store.Seal{newSeal(1), newSeal(2), newSeal(3), newSeal(4), newSeal(5)}
	same(f, "Seals()", f.seals(store.SealQuery{}), want)
	same(f, "Seals(after 2, limit 2)", f.seals(store.SealQuery{After: 2, Limit: 2}), want[2:4])
	same(f, "Seals(since)", f.seals(store.SealQuery{Since: minute(4)}), want[3:])
	same(f, "Seals(until)", f.seals(store.SealQuery{Until: minute(1)}), want[:1])
	if last, err := f.LastSeal(f.ctx); err != nil || last.Number != 5 {
		f.Errorf("LastSeal() = %d, %v, want 5", last.Number, err)
	}
	if _, err := f.Seals(f.ctx, store.SealQuery{}); !errors.Is(err, store.ErrInvalid) {
		f.Errorf("Seals() without a limit = %v, want %v", err, store.ErrInvalid)
	}

	// Of many who append the same number, one does.
	won := make(chan int, 8)
	together(cap(won), func(i int) {
		l := newSeal(6)
		l.Count = i
		if err := f.AppendSeal(f.ctx, l); err == nil {
			won <- i
		} else if !errors.Is(err, store.ErrConflict) {
			f.Errorf("AppendSeal() at once = %v, want %v", err, store.ErrConflict)
		}
	})
	close(won)
	if last, err := f.LastSeal(f.ctx); err != nil || len(won) != 1 || last.Count != <-won {
		f.Errorf("LastSeal() = %+v, %v, want that of the one who could append it", last, err)
	}
}

func chainTrim(f fixture) {
	if _, err := f.TrimmedTo(f.ctx); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("TrimmedTo() of nothing = %v, want %v", err, store.ErrNotFound)
	}
	for i := range 10 {
		f.appendEvents(store.Event{ID: fmt.Sprintf("e%d", i), At: minute(i)})
	}
	for n := int64(1); n <= 5; n++ {
		if err := f.AppendSeal(f.ctx, newSeal(n)); err != nil {
			f.Fatal(err)
		}
	}
	all := f.placed(0, 100)
	m := store.Trimmed{Number: 2, Hash: []byte{7}, Through: minute(3), Removed: 4, At: minute(20), KeyID: "key-1", Signature: []byte{8}}
	if err := f.Trim(f.ctx, m, [][2]int64{{all[0].Place, all[2].Place}, {all[4].Place, all[4].Place}}); err != nil {
		f.Fatalf("Trim() = %v, want no error", err)
	}
	same(f, "events after Trim()", ids(f.placed(0, 100), placedID), []string{"e3", "e5", "e6", "e7", "e8", "e9"})
	same(f, "seals after Trim()", ids(f.seals(store.SealQuery{}), sealNumber), []string{"3", "4", "5"})
	got, err := f.TrimmedTo(f.ctx)
	if diff := cmp.Diff(m, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		f.Errorf("TrimmedTo() = %v, -want +got:\n%s", err, diff)
	}
	if err := f.Trim(f.ctx, m, [][2]int64{{0, 1 << 60}}); !errors.Is(err, store.ErrConflict) {
		f.Errorf("Trim() to where it is = %v, want %v", err, store.ErrConflict)
	}
	if got := f.placed(0, 100); len(got) != 6 {
		f.Errorf("%d events after a trim that failed, want 6", len(got))
	}
	m.Number, m.Removed = 5, 10
	if err := f.Trim(f.ctx, m, [][2]int64{{0, 1 << 60}}); err != nil {
		f.Fatalf("Trim() = %v, want no error", err)
	}
	if got, err := f.TrimmedTo(f.ctx); err != nil || got.Number != 5 || len(f.placed(0, 1)) != 0 || len(f.seals(store.SealQuery{})) != 0 {
		f.Errorf("TrimmedTo() = %+v, %v, want all gone", got, err)
	}
	f.appendEvents(store.Event{ID: "next", At: minute(30)})
	if got := f.placed(all[9].Place, 1); len(got) != 1 {
		f.Error("an event has the place of one that was removed")
	}
}

func sealNumber(l store.Seal) string { return fmt.Sprint(l.Number) }

// RunCopied shows that places rise on in a database that was filled with the
// rows of another, whose counters are not copied. write puts an event with this
// place into the database behind the store's back; open opens it again.
func RunCopied(t *testing.T, open func() store.Store, write func(place int64)) {
	s := open()
	if err := s.AppendEvents(t.Context(), []store.Event{{ID: "first", At: start}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	write(500)
	s = open()
	defer s.Close()
	if err := s.AppendEvents(t.Context(), []store.Event{{ID: "next", At: start}}); err != nil {
		t.Fatalf("AppendEvents() = %v, want no error", err)
	}
	events, err := s.EventsByPlace(t.Context(), 500, 10)
	if err != nil || len(events) != 1 || events[0].ID != "next" {
		t.Errorf("EventsByPlace(500) = %+v, %v, want the one written last", events, err)
	}
}
