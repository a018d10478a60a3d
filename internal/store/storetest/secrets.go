package storetest

import (
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var secretTests = []test{
	{"Rotation", secretRotation},
	{"NewestInSlot", secretNewestInSlot},
	{"SlotWithoutSecret", secretSlotWithout},
	{"Retire", secretRetire},
	{"RetireAtOnce", secretRetireAtOnce},
	{"EmptySealed", secretEmptySealed},
}

// rotate gives token t the secret "new" beside its first one, "t".
func rotate(f fixture, until time.Time, untilSuccessor bool) {
	f.Helper()
	f.update(func(tx store.Tx) error {
		fresh := newSecret("t", "new")
		fresh.CreatedAt = minute(1)
		if err := tx.InsertSecret(fresh); err != nil {
			return err
		}
		return tx.RetireSecrets("t", digest("new"), until, untilSuccessor)
	})
}

func secretRotation(f fixture) {
	f.accounts("a")
	f.tokens(newToken("t", "a"), newToken("other", "a"))
	rotate(f, minute(10), true)

	old, fresh, other := f.found("t"), f.found("new"), f.found("other")
	if !old.Secret.UntilSuccessor || !old.Secret.ExpiresAt.Equal(minute(10)) || old.HasPredecessor {
		f.Errorf("the old secret is %+v with predecessor %v, want one until its successor and %v",
			old.Secret, old.HasPredecessor, minute(10))
	}
	if fresh.Secret.UntilSuccessor || !fresh.Secret.ExpiresAt.IsZero() || !fresh.HasPredecessor {
		f.Errorf("the new secret is %+v with predecessor %v, want an endless one with a predecessor",
			fresh.Secret, fresh.HasPredecessor)
	}
	if other.HasPredecessor || !other.Secret.ExpiresAt.IsZero() {
		f.Errorf("the secret of another token is %+v, want it untouched", other)
	}

	// The first use of the new one ends the old one.
	f.update(func(tx store.Tx) error { return tx.RetireSecrets("t", digest("new"), time.Time{}, false) })
	if _, err := f.TokenByDigest(f.ctx, digest("t")); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("TokenByDigest(old) = %v, want %v", err, store.ErrNotFound)
	}
	if f.found("new").HasPredecessor {
		f.Error("TokenByDigest(new) has a predecessor still")
	}
}

func secretNewestInSlot(f fixture) {
	f.accounts("a")
	t := newToken("t", "a")
	t.Slot = "drf"
	f.tokens(t)
	rotate(f, minute(10), true)
	found, err := f.SecretOfSlot(f.ctx, "a", "drf")
	if err != nil {
		f.Fatalf("SecretOfSlot(a, drf) = %v, want no error", err)
	}
	same(f, "SecretOfSlot(a, drf)", found, f.found("new"))
	f.update(func(tx store.Tx) error {
		found, err := tx.LockSlot("a", "drf")
		same(f, "LockSlot(a, drf)", found, f.found("new"))
		return err
	})
}

func secretSlotWithout(f fixture) {
	f.accounts("a")
	t := newToken("t", "a")
	t.Slot = "drf"
	f.tokens(t)
	f.update(func(tx store.Tx) error { return tx.RetireSecrets("t", nil, time.Time{}, false) })
	found, err := f.SecretOfSlot(f.ctx, "a", "drf")
	if err != nil {
		f.Errorf("SecretOfSlot(a, drf) = %v, want no error", err)
	}
	same(f, "SecretOfSlot(a, drf)", found, store.FoundToken{Token: t})
}

func secretRetire(f fixture) {
	f.accounts("a")
	f.tokens(newToken("t", "a"))
	f.update(func(tx store.Tx) error {
		soon, late := newSecret("t", "soon"), newSecret("t", "late")
		soon.ExpiresAt, late.ExpiresAt = minute(1), minute(99)
		return errors.Join(tx.InsertSecret(soon), tx.InsertSecret(late),
			tx.RetireSecrets("t", nil, minute(10), false), tx.RetireSecrets("none", nil, minute(10), false))
	})
	for of, want := range map[string]time.Time{"t": minute(10), "soon": minute(1), "late": minute(10)} {
		if got := f.found(of).Secret; !got.ExpiresAt.Equal(want) || got.UntilSuccessor {
			f.Errorf("secret %q is %+v after RetireSecrets, want its end at %v", of, got, want)
		}
	}
	f.update(func(tx store.Tx) error { return tx.RetireSecrets("t", nil, minute(20), true) })
	f.update(func(tx store.Tx) error { return tx.RetireSecrets("t", nil, minute(20), false) })
	if got := f.found("t").Secret; !got.ExpiresAt.Equal(minute(10)) || !got.UntilSuccessor {
		f.Errorf("secret is %+v, want its earlier end and its mark kept", got)
	}
}

func secretRetireAtOnce(f fixture) {
	f.accounts("a")
	f.tokens(newToken("t", "a"), newToken("other", "a"))
	f.update(func(tx store.Tx) error { return tx.RetireSecrets("t", nil, time.Time{}, false) })
	if _, err := f.TokenByDigest(f.ctx, digest("t")); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("TokenByDigest(t) = %v, want %v", err, store.ErrNotFound)
	}
	f.token("t") // it is only locked out
	f.found("other")
}

func secretEmptySealed(f fixture) {
	f.accounts("a")
	s := newSecret("t", "t")
	s.Sealed = []byte{}
	f.update(func(tx store.Tx) error { return tx.InsertToken(newToken("t", "a"), s) })
	if got := f.found("t").Secret.Sealed; got != nil {
		f.Errorf("TokenByDigest(t) has sealed %v, want nil", got)
	}
}
