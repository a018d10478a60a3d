package accounts_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/throttle"
)

func TestLoginsAreCounted(t *testing.T) {
	c := coretest.New(t, coretest.Options{Logins: throttle.Options{Pair: throttle.Rate{Burst: 1, Every: 1e12}}})
	try := func(name, password string) { _, _ = c.Accounts.Login(context.Background(), name, secret.New(password)) }
	try(accounts.AdminName, coretest.Password)
	try("nobody", "wrong")
	try("nobody", "wrong")
	c.Store.Fail(store.ErrUnavailable)
	try("somebody", "wrong")
	c.Store.Heal()
	want := map[string]int64{"ok": 1, "refused": 1, "throttled": 1, "unavailable": 1}
	got := map[string]int64{}
	for i, n := range c.Accounts.Logins() {
		got[accounts.LoginOutcomes()[i]] = n
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Logins(), -want +got:\n%s", diff)
	}
}
