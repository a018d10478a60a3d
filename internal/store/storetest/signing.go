package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var signingTests = []test{
	{"Keep", signingKeep},
	{"Missing", signingMissing},
	{"Rivals", signingRivals},
}

func newSigningKey(id string) store.SigningKey {
	return store.SigningKey{ID: id, Algorithm: "ES256", CreatedAt: start}
}

func (f fixture) signingKeys() []store.SigningKey {
	f.Helper()
	keys, err := f.SigningKeys(f.ctx)
	if err != nil {
		f.Fatalf("SigningKeys() = %v, want no error", err)
	}
	return keys
}

func signingKeep(f fixture) {
	same(f, "SigningKeys() of an empty store", f.signingKeys(), nil)
	bare, full := newSigningKey("b"), newSigningKey("a")
	full.CreatedAt, full.ActiveAt, full.RetireAt, full.WithdrawnAt = minute(1), minute(2), minute(3), minute(4)
	full.Public, full.Certificate, full.Sealed = []byte{0, 1}, []byte{2, 0}, []byte{0xff, 0, 3}
	full.Imported = `{"source":"django"}`
	full.Longest, full.WithdrawnBy, full.WithdrawReason = 90*time.Minute+time.Microsecond, "acc", "утечка 🔑"
	f.update(func(tx store.Tx) error { return errors.Join(tx.InsertSigningKey(full), tx.InsertSigningKey(bare)) })
	same(f, "SigningKeys()", f.signingKeys(), []store.SigningKey{bare, full})

	f.update(func(tx store.Tx) error {
		locked, err := tx.LockSigningKeys()
		same(f, "LockSigningKeys()", locked, []store.SigningKey{bare, full})
		return err
	})
	changed := newSigningKey("a")
	changed.Imported = full.Imported
	changed.Public, changed.Certificate, changed.CreatedAt = full.Public, full.Certificate, full.CreatedAt
	fixed := changed
	fixed.Algorithm, fixed.Public, fixed.Certificate, fixed.CreatedAt = "RS256", nil, nil, minute(9)
	fixed.Imported = ""
	f.update(func(tx store.Tx) error { return tx.UpdateSigningKey(fixed) })
	same(f, "SigningKeys() after an update", f.signingKeys(), []store.SigningKey{bare, changed})

	f.update(func(tx store.Tx) error { return tx.DeleteSigningKey("b") })
	same(f, "SigningKeys() after a delete", f.signingKeys(), []store.SigningKey{changed})
}

func signingMissing(f fixture) {
	f.update(func(tx store.Tx) error { return tx.InsertSigningKey(newSigningKey("k")) })
	bad := newSigningKey("x")
	bad.WithdrawReason = "\xff"
	for _, tt := range []struct {
		call string
		want error
		do   func(tx store.Tx) error
	}{
		{"InsertSigningKey(again)", store.ErrConflict, func(tx store.Tx) error { return tx.InsertSigningKey(newSigningKey("k")) }},
		{"InsertSigningKey(without id)", store.ErrInvalid, func(tx store.Tx) error { return tx.InsertSigningKey(store.SigningKey{}) }},
		{"InsertSigningKey(bad text)", store.ErrInvalid, func(tx store.Tx) error { return tx.InsertSigningKey(bad) }},
		{"UpdateSigningKey(bad text)", store.ErrInvalid, func(tx store.Tx) error { return tx.UpdateSigningKey(bad) }},
		{"UpdateSigningKey(none)", store.ErrNotFound, func(tx store.Tx) error { return tx.UpdateSigningKey(newSigningKey("none")) }},
		{"DeleteSigningKey(none)", store.ErrNotFound, func(tx store.Tx) error { return tx.DeleteSigningKey("none") }},
		{"DeleteSigningKey(zero byte)", store.ErrNotFound, func(tx store.Tx) error { return tx.DeleteSigningKey("\x00") }},
	} {
		f.fails(tt.call, tt.want, tt.do)
		f.update(func(tx store.Tx) error { // and the transaction can go on
			if err := tt.do(tx); !errors.Is(err, tt.want) {
				f.Errorf("%s = %v, want %v", tt.call, err, tt.want)
			}
			_, err := tx.LockSigningKeys()
			return err
		})
	}
	same(f, "SigningKeys()", f.signingKeys(), []store.SigningKey{newSigningKey("k")})
}

// signingRivals lets many nodes make the first key at once: one does.
func signingRivals(f fixture) {
	together(16, func(i int) {
		err := f.Update(f.ctx, func(tx store.Tx) error {
			keys, err := tx.LockSigningKeys()
			if err != nil || len(keys) > 0 {
				return err
			}
			if err := tx.InsertSigningKey(newSigningKey(fmt.Sprint("key-", i))); err != nil {
				return err
			}
			_, err = tx.AppendChange(store.Change{At: start, Kind: store.ChangeKeys})
			return err
		})
		if err != nil {
			f.Errorf("Update(%d) = %v, want no error", i, err)
		}
	})
	if got := f.signingKeys(); len(got) != 1 {
		f.Errorf("%d keys were made, want 1", len(got))
	}
}
