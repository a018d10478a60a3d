package storetest

import (
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var keyTests = []test{
	{"Register", keyRegister},
	{"Rivals", keyRivals},
}

func keyRegister(f fixture) {
	ids, err := f.Keys(f.ctx)
	if err != nil || len(ids) != 0 {
		f.Errorf("Keys() of an empty store = %q, %v, want none", ids, err)
	}
	for _, tt := range []struct {
		id, check string
		want      error
	}{
		{"z", "one", nil}, {"z", "one", nil}, {"z", "two", store.ErrConflict}, {"a", "two", nil}, {"z", "one", nil},
		{"\x00", "one", store.ErrInvalid}, {"b", "", store.ErrInvalid},
	} {
		if err := f.RegisterKey(f.ctx, tt.id, []byte(tt.check)); !errors.Is(err, tt.want) {
			f.Errorf("RegisterKey(%q, %q) = %v, want %v", tt.id, tt.check, err, tt.want)
		}
	}
	ids, err = f.Keys(f.ctx)
	if err != nil {
		f.Errorf("Keys() = %v, want no error", err)
	}
	same(f, "Keys()", ids, []string{"z", "a"})
}

// keyRivals starts many servers with secrets of their own on one database:
// only one secret can be the one of that id.
func keyRivals(f fixture) {
	errs := make([]error, 16)
	together(len(errs), func(i int) { errs[i] = f.RegisterKey(f.ctx, "k", fmt.Append(nil, "check ", i)) })
	winners := 0
	for i, err := range errs {
		if err == nil {
			winners++
		} else if !errors.Is(err, store.ErrConflict) {
			f.Errorf("RegisterKey(%d) = %v, want nil or %v", i, err, store.ErrConflict)
		}
	}
	if winners != 1 {
		f.Errorf("%d secrets were registered under one id, want 1", winners)
	}
}
