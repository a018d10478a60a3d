package accounts_test

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/scope"
)

// Rights come by the name of a group and by nothing that only looks like it,
// and an e-mail address, which people choose themselves, never brings any.
// S93
func TestNamesAreMatchedExactly(t *testing.T) {
	c := coretest.New(t, coretest.Options{})
	ctx := t.Context()
	if _, err := c.Accounts.CreateGroup(ctx, c.Admin, "pullers", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Accounts.AddGrant(ctx, c.Admin, "", "pullers", "repository:planted/*:pull"); err != nil {
		t.Fatal(err)
	}
	may := func(accountID string) bool {
		return c.Identity(t, accountID).Allows(scope.Request{Type: "repository", Name: "planted/x", Action: "pull"})
	}
	outsider := c.User(t, "outsider")
	for _, name := range []string{
		"", " ", "Pullers", "PULLERS", "pullers ", " pullers", "pullers\n", "pullers\x00", "pul\x00lers", "pullers,everyone", "puller", "pullerss", "*", "pull*",
		"ｐullers", "рullers", "pullers\u200b", "pullers@example.org", "a@pullers@b", strings.Repeat("p", 5000), "\xff",
	} {
		if err := c.Accounts.AddMember(ctx, c.Admin, name, outsider.AccountID); err == nil {
			t.Errorf("AddMember(%.40q) = nil, want an error: there is no such group", name)
		}
		if may(outsider.AccountID) {
			t.Fatalf("AddMember(%.40q) gave the rights of the group pullers", name)
		}
	}
	for i, email := range []string{
		"pullers", "insider@example.org", "INSIDER@example.org", "a@b@example.org", "@", "insider@example.org\u200b", "admin@example.org",
	} {
		a, err := c.Accounts.Create(ctx, c.Admin, accounts.NewAccount{Name: "mail" + string(rune('a'+i)), Email: email})
		if err != nil {
			continue // refused is fine too
		}
		if may(a.ID) {
			t.Errorf("the e-mail address %q gave rights", email)
		}
	}
	insider := c.User(t, "insider")
	if err := c.Accounts.AddMember(ctx, c.Admin, "pullers", insider.AccountID); err != nil {
		t.Fatal(err)
	}
	if !may(insider.AccountID) {
		t.Error("a member of the group pullers does not have its rights")
	}
	for _, email := range []string{"two\nlines@example.org", "nul\x00@example.org", "\x1b[31m@example.org", "\xff@example.org", strings.Repeat("a", 5000) + "@example.org"} {
		if _, err := c.Accounts.Create(ctx, c.Admin, accounts.NewAccount{Name: "odd", Email: email}); err == nil {
			t.Errorf("Create() with the e-mail address %.40q = nil, want an error", email)
		}
	}
}
