package accounts_test

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/fault"
)

// S69: what could be a token is no rule, no group and no account.
func TestMisplacedSecrets(t *testing.T) {
	c := newCore(t)
	ann := localUser(t, c, "ann").AccountID
	text := "lkp_abc123" + strings.Repeat("Z", 32)
	want := func(what string, err error, kind fault.Kind) {
		t.Helper()
		if fault.Of(err).Kind != kind || strings.Contains(err.Error(), text) {
			t.Errorf("%s = %v, want the kind %s, and not the secret", what, err, kind)
		}
	}
	_, err := c.Accounts.AddGrant(bg, c.Admin, ann, "", "path:/"+text+"/*:read")
	want("AddGrant() of a secret", err, fault.Invalid)
	_, err = c.Accounts.AddGrant(bg, c.Admin, "", text, "path:/x/*:read")
	want("AddGrant() to a secret", err, fault.NotFound)
	_, err = c.Accounts.CreateGroup(bg, c.Admin, text, "")
	want("CreateGroup() of a secret", err, fault.Invalid)
	_, err = c.Accounts.Resolve(bg, text)
	want("Resolve() of a secret", err, fault.NotFound)
}
