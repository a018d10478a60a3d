package storetest

import (
	"errors"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var familyTests = []test{
	{"Keep", familyKeep},
	{"Spent", familySpent},
	{"Missing", familyMissing},
	{"GoWithTheirToken", familyGone},
}

// family adds a token with one secret, digest(id), and a family to it.
func (f fixture) family(id string) store.Family {
	f.Helper()
	made := store.Family{TokenID: id, Terms: `{"leeway": 10, "имя": "🔑"}`}
	t := newToken(id, "a")
	t.Class = "refresh"
	f.update(func(tx store.Tx) error {
		return errors.Join(tx.InsertToken(t, newSecret(id, id)), tx.InsertFamily(made))
	})
	return made
}

func familyKeep(f fixture) {
	f.accounts("a")
	made := f.family("fam")
	got, err := f.Family(f.ctx, "fam")
	if err != nil {
		f.Fatalf("Family() = %v", err)
	}
	same(f, "Family()", got, made)
	if _, err := f.Family(f.ctx, "other"); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("Family(of no token) = %v, want %v", err, store.ErrNotFound)
	}
	f.update(func(tx store.Tx) error {
		if err := tx.InsertFamily(made); !errors.Is(err, store.ErrConflict) {
			f.Errorf("InsertFamily(once more) = %v, want %v", err, store.ErrConflict)
		}
		return nil
	})
}

func familySpent(f fixture) {
	f.accounts("a")
	f.family("fam")
	first := store.Spent{Digest: digest("1"), TokenID: "fam", At: minute(1), Successor: []byte{0, 1, 0xff}, Replays: 2}
	second := store.Spent{Digest: digest("2"), TokenID: "fam", At: minute(2)}
	third := store.Spent{Digest: digest("3"), TokenID: "fam", At: minute(3), Successor: []byte("3")}
	f.update(func(tx store.Tx) error {
		if _, err := tx.Spent(digest("1")); !errors.Is(err, store.ErrNotFound) {
			f.Errorf("Spent(not used) = %v, want %v", err, store.ErrNotFound)
		}
		err := errors.Join(tx.InsertSpent(first), tx.InsertSpent(second), tx.InsertSpent(third), tx.CountReplay(digest("1")))
		if conflict := tx.InsertSpent(second); !errors.Is(conflict, store.ErrConflict) {
			f.Errorf("InsertSpent(once more) = %v, want %v", conflict, store.ErrConflict)
		}
		got, getErr := tx.Spent(digest("2"))
		same(f, "Spent() in the same transaction", got, second)
		return errors.Join(err, getErr)
	})
	first.Replays = 3
	for _, want := range []store.Spent{first, second, third} {
		f.spent(want)
	}

	f.update(func(tx store.Tx) error { return tx.ForgetSuccessors("fam", minute(3)) })
	first.Successor = nil
	for _, want := range []store.Spent{first, second, third} {
		f.spent(want)
	}
}

// spent checks what a mark says.
func (f fixture) spent(want store.Spent) {
	f.Helper()
	got, err := f.SpentSecret(f.ctx, want.Digest)
	if err != nil {
		f.Fatalf("SpentSecret() = %v", err)
	}
	same(f, "SpentSecret()", got, want)
}

func familyMissing(f fixture) {
	f.accounts("a")
	f.family("fam")
	for _, tt := range []struct {
		call string
		do   func(tx store.Tx) error
		want error
	}{
		{"InsertFamily(of no token)", func(tx store.Tx) error { return tx.InsertFamily(store.Family{TokenID: "none"}) }, store.ErrNotFound},
		{"InsertFamily(without a token)", func(tx store.Tx) error { return tx.InsertFamily(store.Family{}) }, store.ErrInvalid},
		{"InsertFamily(no text)", func(tx store.Tx) error { return tx.InsertFamily(store.Family{TokenID: "fam", Terms: "\xff"}) }, store.ErrInvalid},
		{"InsertSpent(of no token)", func(tx store.Tx) error {
			return tx.InsertSpent(store.Spent{Digest: digest("1"), TokenID: "none", At: start})
		}, store.ErrNotFound},
		{"InsertSpent(without a digest)", func(tx store.Tx) error { return tx.InsertSpent(store.Spent{TokenID: "fam", At: start}) }, store.ErrInvalid},
		{"CountReplay(of none)", func(tx store.Tx) error { return tx.CountReplay(digest("1")) }, store.ErrNotFound},
	} {
		f.update(func(tx store.Tx) error {
			if err := tt.do(tx); !errors.Is(err, tt.want) {
				f.Errorf("%s = %v, want %v", tt.call, err, tt.want)
			}
			return nil
		})
	}
}

func familyGone(f fixture) {
	f.accounts("a")
	f.family("fam")
	f.update(func(tx store.Tx) error {
		return tx.InsertSpent(store.Spent{Digest: digest("1"), TokenID: "fam", At: start, Successor: []byte("s")})
	})
	f.update(func(tx store.Tx) error { return tx.DeleteAccount("a") })
	if _, err := f.Family(f.ctx, "fam"); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("Family() of a deleted account = %v, want %v", err, store.ErrNotFound)
	}
	if _, err := f.SpentSecret(f.ctx, digest("1")); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("SpentSecret() of a deleted account = %v, want %v", err, store.ErrNotFound)
	}
}
