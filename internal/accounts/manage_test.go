package accounts_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

func TestCreateStoresWhatItIsGiven(t *testing.T) {
	c := newCore(t, nil, newDirectory("ldap"))
	if _, err := c.Accounts.CreateGroup(bg, c.Admin, "staff", "who works here"); err != nil {
		t.Fatal(err)
	}
	for _, n := range []accounts.NewAccount{
		{Name: "Ann.O'Nym@example.org"[:3], Email: "ann@example.org", Note: "a note", MaxTokens: 3, Groups: []string{"staff"}, Grants: []string{"path:/a:write,read"}, Password: secret.New(right)},
		{Name: "jürgen+ci@example.org", Kind: store.User},
		{Name: "ci", Kind: store.Robot},
		{Name: "carl of ldap", Source: "ldap", Subject: "uuid-1"},
	} {
		a, err := c.Accounts.Create(bg, c.Admin, n)
		if err != nil {
			t.Errorf("Create(%+v) = %v", n, err)
			continue
		}
		held, err := c.Accounts.Account(bg, c.Admin, a.ID)
		if err != nil {
			t.Fatal(err)
		}
		got := held.Account
		if got.Name != n.Name || got.Email != n.Email || got.Note != n.Note || got.MaxTokens != n.MaxTokens || got.Disabled || !got.CreatedAt.Equal(c.Clock.Now()) {
			t.Errorf("Create(%+v) made %+v", n, got)
		}
		if wantKind := map[bool]store.AccountKind{true: store.Robot, false: store.User}[n.Kind == store.Robot]; got.Kind != wantKind {
			t.Errorf("Create(%+v) made a %s", n, got.Kind)
		}
		if n.Source == "" && (got.Source != "local" || got.Subject != got.ID) || n.Source != "" && got.Subject != n.Subject {
			t.Errorf("Create(%+v) is known as %s:%s", n, got.Source, got.Subject)
		}
		if n.Password.Empty() != (got.PasswordHash == "") || strings.Contains(got.PasswordHash, right) {
			t.Errorf("Create(%+v) keeps %q of the password", n, got.PasswordHash)
		}
		if diff := cmp.Diff(n.Groups, held.Groups, cmp.Transformer("nil", func(s []string) int { return len(s) })); diff != "" {
			t.Errorf("Create(%+v) is in groups (-want +got):\n%s", n, diff)
		}
		grants, err := c.Accounts.ListGrants(bg, c.Admin, store.GrantQuery{AccountID: a.ID})
		if err != nil || len(grants) != len(n.Grants) || len(grants) == 1 && grants[0].Scope != "path:/a:read,write" {
			t.Errorf("Create(%+v) has the grants %+v, %v", n, grants, err)
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	c := newCore(t, nil, newDirectory("ldap"))
	localUser(t, c, "ann")
	before := state(t, c)
	for _, tt := range []struct {
		name  string
		n     accounts.NewAccount
		want  fault.Kind
		field string
	}{
		{"no name", accounts.NewAccount{}, fault.Invalid, "name"},
		{"a space in the name", accounts.NewAccount{Name: "a b"}, fault.Invalid, "name"},
		{"a slash in the name", accounts.NewAccount{Name: "a/b"}, fault.Invalid, "name"},
		{"a colon in the name", accounts.NewAccount{Name: "local:ann"}, fault.Invalid, "name"},
		{"a line break in the name", accounts.NewAccount{Name: "a\n"}, fault.Invalid, "name"},
		{"a NUL in the name", accounts.NewAccount{Name: "a\x00"}, fault.Invalid, "name"},
		{"a long name", accounts.NewAccount{Name: strings.Repeat("a", 151)}, fault.Invalid, "name"},
		{"an unknown kind", accounts.NewAccount{Name: "x", Kind: "group"}, fault.Invalid, "kind"},
		{"an unknown source", accounts.NewAccount{Name: "x", Source: "nowhere"}, fault.Invalid, "source"},
		{"a robot of a source", accounts.NewAccount{Name: "x", Source: "ldap", Subject: "1", Kind: store.Robot}, fault.Invalid, "source"},
		{"a source without a subject", accounts.NewAccount{Name: "x", Source: "ldap"}, fault.Invalid, "subject"},
		{"a local one with a subject", accounts.NewAccount{Name: "x", Subject: "1"}, fault.Invalid, "subject"},
		{"a password of a source", accounts.NewAccount{Name: "x", Source: "ldap", Subject: "1", Password: secret.New(right)}, fault.Invalid, "password"},
		{"a password of a robot", accounts.NewAccount{Name: "x", Kind: store.Robot, Password: secret.New(right)}, fault.Invalid, "password"},
		{"a short password", accounts.NewAccount{Name: "x", Password: secret.New("short")}, fault.Invalid, "password"},
		{"a common password", accounts.NewAccount{Name: "x", Password: secret.New("Password123")}, fault.Invalid, "password"},
		{"a negative limit", accounts.NewAccount{Name: "x", MaxTokens: -1}, fault.Invalid, "max_tokens"},
		{"a long note", accounts.NewAccount{Name: "x", Note: strings.Repeat("x", 501)}, fault.Invalid, "note"},
		{"an unprintable address", accounts.NewAccount{Name: "x", Email: "a\r\nBcc: b"}, fault.Invalid, "email"},
		{"a grant that does not parse", accounts.NewAccount{Name: "x", Grants: []string{"all"}}, fault.Invalid, "scope"},
		{"a grant twice", accounts.NewAccount{Name: "x", Grants: []string{"path:/a:read", "path:/a:read"}}, fault.Conflict, ""},
		{"a group that does not exist", accounts.NewAccount{Name: "x", Groups: []string{"nobody"}}, fault.NotFound, ""},
		{"a group without a list", accounts.NewAccount{Name: "x", Groups: []string{"everyone"}}, fault.Conflict, ""},
		{"a name that is taken", accounts.NewAccount{Name: "ann"}, fault.Conflict, ""},
		{"a name that a robot would take", accounts.NewAccount{Name: "ann", Kind: store.Robot}, fault.Conflict, ""},
	} {
		_, err := c.Accounts.Create(bg, c.Admin, tt.n)
		if f := fault.Of(err); f.Kind != tt.want || f.Field != tt.field {
			t.Errorf("Create() with %s = %v, want a fault of the kind %q about %q", tt.name, err, tt.want, tt.field)
		}
	}
	if diff := cmp.Diff(before, state(t, c)); diff != "" {
		t.Errorf("after refusals something has changed:\n%s", diff)
	}
}

func TestUpdate(t *testing.T) {
	c := newCore(t, nil, newDirectory("ldap", "bob"))
	ann, bob := localUser(t, c, "ann"), mustLogin(t, c, "bob", right)
	got, err := c.Accounts.Update(bg, c.Admin, ann.AccountID, accounts.Change{Name: of("anna"), Email: of("a@example.org"), Note: of("n"), MaxTokens: of(5)})
	if err != nil || got.Name != "anna" || got.Email != "a@example.org" || got.Note != "n" || got.MaxTokens != 5 {
		t.Errorf("Update() = %+v, %v", got, err)
	}
	mustLogin(t, c, "anna", right)
	for _, tt := range []struct {
		name string
		id   string
		ch   accounts.Change
		want fault.Kind
	}{
		{"a bad name", ann.AccountID, accounts.Change{Name: of("a b")}, fault.Invalid},
		{"a taken name", ann.AccountID, accounts.Change{Name: of("admin")}, fault.Conflict},
		{"the name of an outside account", bob.AccountID, accounts.Change{Name: of("bobby")}, fault.Invalid},
		{"a negative limit", ann.AccountID, accounts.Change{MaxTokens: of(-1)}, fault.Invalid},
		{"an unprintable note", ann.AccountID, accounts.Change{Note: of("\x1b")}, fault.Invalid},
		{"an unprintable reason", ann.AccountID, accounts.Change{Disabled: of(true), DisabledReason: of("\n")}, fault.Invalid},
		{"one's own account disabled", c.Admin.AccountID, accounts.Change{Disabled: of(true)}, fault.Conflict},
		{"nobody's account", "acc_nobody", accounts.Change{Note: of("x")}, fault.NotFound},
	} {
		_, err := c.Accounts.Update(bg, c.Admin, tt.id, tt.ch)
		wantFault(t, "Update() with "+tt.name, err, tt.want)
	}
	wantFault(t, "Delete() of one's own account", c.Accounts.Delete(bg, c.Admin, c.Admin.AccountID), fault.Conflict)
	wantFault(t, "Delete() of nobody's", c.Accounts.Delete(bg, c.Admin, "acc_nobody"), fault.NotFound)
}

// Disabling ends all tokens, and enabling brings none of them back.
func TestDisable(t *testing.T) {
	c := newCore(t)
	ann := localUser(t, c, "ann")
	made := issue(t, c, ann, "")
	for _, disabled := range []bool{true, false} {
		if _, err := c.Accounts.Update(bg, c.Admin, ann.AccountID, accounts.Change{Disabled: &disabled, DisabledReason: of("why")}); err != nil {
			t.Fatal(err)
		}
		if passes(c, made) {
			t.Errorf("with Disabled = %v the old token counts", disabled)
		}
		if _, err := login(c, "ann", right); (err == nil) == disabled {
			t.Errorf("with Disabled = %v Login() = %v", disabled, err)
		}
	}
	if got := account(t, c, ann.AccountID); got.DisabledReason != "" {
		t.Errorf("an enabled account has the reason %q", got.DisabledReason)
	}
}

// A password is changed by who knows the old one, and by administrators; the
// tokens end or stay as was asked.
func TestPasswords(t *testing.T) {
	for _, keep := range []bool{false, true} {
		c := newCore(t)
		for name, change := range map[string]func(*identity.Identity) error{
			"ann": func(who *identity.Identity) error {
				return c.Accounts.ChangePassword(bg, who, secret.New(right), secret.New(other), keep)
			},
			"bob": func(who *identity.Identity) error {
				return c.Accounts.SetPassword(bg, c.Admin, who.AccountID, secret.New(other), keep)
			},
		} {
			who := localUser(t, c, name)
			made := issue(t, c, who, "")
			if err := change(who); err != nil {
				t.Fatal(err)
			}
			if passes(c, made) != keep {
				t.Errorf("%s: after the change the old token counts: %v, want %v", name, !keep, keep)
			}
			mustLogin(t, c, name, other)
			_, err := login(c, name, right)
			wantFault(t, name+": Login() with the old password", err, fault.Unauthenticated)
		}
	}
}

func TestPasswordsAreRefused(t *testing.T) {
	d := newDirectory("ldap", "bob")
	c := newCore(t, nil, d)
	ann, bob := localUser(t, c, "ann"), mustLogin(t, c, "bob", right)
	robot := c.Account(t, accounts.NewAccount{Name: "ci", Kind: store.Robot})
	nothing := c.User(t, "nothing")
	for _, tt := range []struct {
		name       string
		who        *identity.Identity
		first, new string
		want       fault.Kind
	}{
		{"a wrong password", ann, wrong, other, fault.Forbidden},
		{"no password", ann, "", other, fault.Forbidden},
		{"too short a new one", ann, right, "short", fault.Invalid},
		{"no new one", ann, right, "", fault.Invalid},
		{"an account of another source", bob, right, other, fault.Conflict},
		{"an account without a password", nothing, "", other, fault.Forbidden},
		{"nobody", nil, right, other, fault.Unauthenticated},
	} {
		wantFault(t, "ChangePassword() with "+tt.name, c.Accounts.ChangePassword(bg, tt.who, secret.New(tt.first), secret.New(tt.new), false), tt.want)
	}
	for name, id := range map[string]string{"of another source": bob.AccountID, "of a robot": robot.AccountID} {
		wantFault(t, "SetPassword() "+name, c.Accounts.SetPassword(bg, c.Admin, id, secret.New(other), false), fault.Conflict)
	}
	wantFault(t, "SetPassword() of nobody", c.Accounts.SetPassword(bg, c.Admin, "acc_nobody", secret.New(other), false), fault.NotFound)
	mustLogin(t, c, "ann", right)
}

// S99: who holds a session cannot try out passwords without end.
func TestChangingPasswordsIsThrottled(t *testing.T) {
	c := newCore(t)
	ann := localUser(t, c, "ann")
	var err error
	for range 20 {
		err = c.Accounts.ChangePassword(bg, ann, secret.New(wrong), secret.New(other), false)
	}
	wantFault(t, "ChangePassword() after 20 guesses", err, fault.Throttled)
	wantFault(t, "ChangePassword() with the right one then", c.Accounts.ChangePassword(bg, ann, secret.New(right), secret.New(other), false), fault.Throttled)
}

// Of two changes at once that know the same old password, one counts.
func TestPasswordChangedInTheMeantime(t *testing.T) {
	c := newCore(t)
	ann := localUser(t, c, "ann")
	c.Store.Before("Update", func() {
		if err := c.Accounts.SetPassword(bg, c.Admin, ann.AccountID, secret.New(other), false); err != nil {
			t.Error(err)
		}
	})
	err := c.Accounts.ChangePassword(bg, ann, secret.New(right), secret.New("planted third password"), false)
	wantFault(t, "ChangePassword() with a password that was just changed", err, fault.Conflict)
	mustLogin(t, c, "ann", other)
}

func TestGroupsAndGrants(t *testing.T) {
	c := newCore(t)
	ann := localUser(t, c, "ann").AccountID
	if _, err := c.Accounts.CreateGroup(bg, c.Admin, "staff", "a note"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second time changes nothing
		if err := c.Accounts.AddMember(bg, c.Admin, "staff", ann); err != nil {
			t.Errorf("AddMember() = %v", err)
		}
	}
	g, err := c.Accounts.AddGrant(bg, c.Admin, "", "staff", "repository:a:push,pull,pull")
	if err != nil || g.Scope != "repository:a:pull,push" || g.CreatedBy != c.Admin.AccountID {
		t.Errorf("AddGrant() = %+v, %v, want it in its canonical form", g, err)
	}
	if group, members, err := c.Accounts.Group(bg, c.Admin, "staff"); err != nil || group.Note != "a note" || len(members) != 1 || members[0].Name != "ann" {
		t.Errorf("Group() = %+v, %+v, %v", group, members, err)
	}
	if held, err := c.Accounts.Account(bg, c.Admin, ann); err != nil || !cmp.Equal(held.Groups, []string{"staff"}) {
		t.Errorf("Account() has the groups %v, %v", held.Groups, err)
	}
	if !c.Identity(t, ann).Allows(pull) {
		t.Error("a member may not what the group may")
	}
	for _, tt := range []struct {
		name string
		err  error
		want fault.Kind
	}{
		{"a group of a taken name", second(c.Accounts.CreateGroup(bg, c.Admin, "staff", "")), fault.Conflict},
		{"a group of a bad name", second(c.Accounts.CreateGroup(bg, c.Admin, "Staff", "")), fault.Invalid},
		{"a group without a name", second(c.Accounts.CreateGroup(bg, c.Admin, "", "")), fault.Invalid},
		{"a group with a bad note", second(c.Accounts.CreateGroup(bg, c.Admin, "x", "\x00")), fault.Invalid},
		{"a group that exists from the start", second(c.Accounts.CreateGroup(bg, c.Admin, "everyone", "")), fault.Conflict},
		{"a member of no group", c.Accounts.AddMember(bg, c.Admin, "none", ann), fault.NotFound},
		{"a member that does not exist", c.Accounts.AddMember(bg, c.Admin, "staff", "acc_nobody"), fault.NotFound},
		{"a member of everyone", c.Accounts.AddMember(bg, c.Admin, "everyone", ann), fault.Conflict},
		{"a member of anonymous", c.Accounts.AddMember(bg, c.Admin, "anonymous", ann), fault.Conflict},
		{"taking out who is not in", c.Accounts.RemoveMember(bg, c.Admin, "staff", c.Admin.AccountID), fault.NotFound},
		{"a grant twice", second(c.Accounts.AddGrant(bg, c.Admin, "", "staff", "repository:a:pull,push")), fault.Conflict},
		{"a grant that does not parse", second(c.Accounts.AddGrant(bg, c.Admin, "", "staff", "all")), fault.Invalid},
		{"a grant to no group", second(c.Accounts.AddGrant(bg, c.Admin, "", "none", "path:/a:read")), fault.NotFound},
		{"a grant to no account", second(c.Accounts.AddGrant(bg, c.Admin, "acc_nobody", "", "path:/a:read")), fault.NotFound},
		{"a grant to both", second(c.Accounts.AddGrant(bg, c.Admin, ann, "staff", "path:/a:read")), fault.Invalid},
		{"a grant to neither", second(c.Accounts.AddGrant(bg, c.Admin, "", "", "path:/a:read")), fault.Invalid},
		{"taking away no grant", c.Accounts.RemoveGrant(bg, c.Admin, "gra_none"), fault.NotFound},
		{"deleting no group", c.Accounts.DeleteGroup(bg, c.Admin, "none"), fault.NotFound},
		{"deleting everyone", c.Accounts.DeleteGroup(bg, c.Admin, "everyone"), fault.Conflict},
		{"deleting anonymous", c.Accounts.DeleteGroup(bg, c.Admin, "anonymous"), fault.Conflict},
	} {
		wantFault(t, tt.name, tt.err, tt.want)
	}
	if err := c.Accounts.DeleteGroup(bg, c.Admin, "staff"); err != nil {
		t.Fatal(err)
	}
	if c.Identity(t, ann).Allows(pull) {
		t.Error("a member of a deleted group may still what it might")
	}
}

func second[T any](_ T, err error) error { return err }

func TestResolve(t *testing.T) {
	ldap := newDirectory("ldap", "ann", "local:bob", "id:x", "carl")
	c := newCore(t, nil, ldap)
	local := map[string]string{}
	for _, name := range []string{"ann", "bob"} {
		local[name] = localUser(t, c, name).AccountID
	}
	outside := map[string]string{}
	for _, name := range []string{"local:bob", "id:x", "carl"} {
		outside[name] = mustLogin(t, c, name, right).AccountID
	}
	ldap.set("1", "ann", other)
	outside["ann"] = mustLogin(t, c, "ann", other).AccountID
	for ref, want := range map[string]string{
		"id:" + local["ann"]: local["ann"], "local:ann": local["ann"], "ldap:ann": outside["ann"],
		"bob": local["bob"], "carl": outside["carl"], "ldap:carl": outside["carl"],
		"local:bob": local["bob"], "ldap:local:bob": outside["local:bob"], "ldap:id:x": outside["id:x"],
	} {
		if got, err := c.Accounts.Resolve(bg, ref); err != nil || got.ID != want {
			t.Errorf("Resolve(%q) = %s:%s, %v, want %s", ref, got.Source, got.Name, err, want)
		}
	}
	for ref, want := range map[string]fault.Kind{
		"ann": fault.Conflict, "nobody": fault.NotFound, "": fault.NotFound, "id:": fault.NotFound, "id:x": fault.NotFound,
		"nowhere:ann": fault.NotFound, "local:": fault.NotFound, ":ann": fault.NotFound,
	} {
		got, err := c.Accounts.Resolve(bg, ref)
		if !fault.Is(err, want) {
			t.Errorf("Resolve(%q) = %s:%s, %v, want a fault of the kind %q", ref, got.Source, got.Name, err, want)
		}
	}
}

func TestByID(t *testing.T) {
	c := newCore(t)
	ann := localUser(t, c, "ann").AccountID
	got, err := c.Accounts.ByID(bg, ann, "", "acc_nobody", ann, c.Admin.AccountID)
	if err != nil || len(got) != 2 || got[ann].Name != "ann" || got[c.Admin.AccountID].Name != "admin" {
		t.Errorf("ByID() = %+v, %v, want the two that there are", got, err)
	}
}

// A grant that cannot be read, as after a downgrade, grants nothing, and can
// still be taken away.
func TestUnreadableGrant(t *testing.T) {
	c := newCore(t)
	ann := localUser(t, c, "ann").AccountID
	err := c.Store.Store.Update(bg, func(tx store.Tx) error {
		return tx.InsertGrant(store.Grant{ID: "gra_odd", AccountID: ann, Scope: "future:thing:{a}", CreatedAt: c.Clock.Now()})
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Tokens.Apply(store.Change{Kind: store.ChangeAccount, AccountID: ann})
	if got := c.Identity(t, ann).Grants.String(); strings.Contains(got, "future") {
		t.Errorf("the identity has the grants %q", got)
	}
	if err := c.Accounts.RemoveGrant(bg, c.Admin, "gra_odd"); err != nil {
		t.Errorf("RemoveGrant() = %v", err)
	}
}

// Whatever is changed of an account reaches identities at once.
func TestChangesReachIdentities(t *testing.T) {
	c := newCore(t)
	ann := localUser(t, c, "ann")
	made := issue(t, c, ann, "")
	if _, err := c.Accounts.Update(bg, c.Admin, ann.AccountID, accounts.Change{Name: of("anna"), Email: of("anna@example.org")}); err != nil {
		t.Fatal(err)
	}
	if id := check(t, c, made); id.Name != "anna" || id.Email != "anna@example.org" {
		t.Errorf("Check() = %s <%s>, want the new name and address", id.Name, id.Email)
	}
}

func TestNewNeedsItsParts(t *testing.T) {
	if _, err := accounts.New(accounts.Options{}); err == nil {
		t.Error("New() without anything = nil, want an error")
	}
}

var (
	_ accounts.Tokens = (*tokens.Service)(nil)
	_ accounts.Store  = (*coretest.Store)(nil)
)
