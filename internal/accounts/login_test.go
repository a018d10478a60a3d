package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/source"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/throttle"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

func TestLoginOfALocalUser(t *testing.T) {
	c := newCore(t)
	made := localUser(t, c, "ann", "repository:a:pull")
	id := mustLogin(t, c, "ann", right)
	if id.AccountID != made.AccountID || id.Method != identity.Password || id.Name != "ann" || id.Source != "local" || id.TokenID != "" || id.TokenScope != nil {
		t.Errorf("Login() = %+v, want ann of the local source by a password", id)
	}
	if got := account(t, c, id.AccountID).LastLoginAt; !got.Equal(c.Clock.Now()) {
		t.Errorf("the last login is noted at %v, want %v", got, c.Clock.Now())
	}
	e := c.Events(t, "login")
	if len(e) != 1 || e[0].Outcome != "ok" || e[0].ActorID != id.AccountID || e[0].Detail["source"] != "local" {
		t.Errorf("the events are %+v, want one login", e)
	}
}

// S100, S71, S72: whatever is wrong, the answer is the same, and a password
// was hashed for it, but for what cannot be a user name or a password at all.
func TestLoginRefusesInOneWay(t *testing.T) {
	c := newCore(t)
	localUser(t, c, "ann")
	c.User(t, "nopassword")
	c.Account(t, accounts.NewAccount{Name: "robot", Kind: store.Robot})
	disabled := localUser(t, c, "disabled")
	if _, err := c.Accounts.Update(bg, c.Admin, disabled.AccountID, accounts.Change{Disabled: of(true)}); err != nil {
		t.Fatal(err)
	}
	broken := c.User(t, "broken")
	setHash(t, c, broken.AccountID, "!not a hash")
	for _, tt := range []struct {
		name, username, password string
		hashes                   bool
	}{
		{"a wrong password", "ann", wrong, true},
		{"another case of the name", "Ann", right, true},
		{"an unknown user", "nobody", right, true},
		{"a disabled user", "disabled", right, true},
		{"a disabled user and a wrong password", "disabled", wrong, true},
		{"a user without a password", "nopassword", right, true},
		{"a user whose hash is broken", "broken", right, true},
		{"a robot", "robot", right, true},
		{"a long password", "ann", strings.Repeat("x", 5000), true},
		{"no user name", "", right, false},
		{"no password", "ann", "", false},
		{"no password for a user without one", "nopassword", "", false},
		{"a user name with a line break", "ann\n", right, false},
		{"a user name that is not UTF-8", "ann\xff", right, false},
		{"a long user name", strings.Repeat("a", 301), right, false},
	} {
		id, err := login(c, tt.username, tt.password)
		if id != nil || !fault.Is(err, fault.Unauthenticated) || err.Error() != "the user name or password is wrong" {
			t.Errorf("Login() with %s = %v, %v, want the one answer", tt.name, id, err)
		}
		c.Clock.Advance(time.Hour) // past all throttling
		if got := hashes(c, tt.username, tt.password); got != tt.hashes {
			t.Errorf("Login() with %s hashes a password: %v, want %v", tt.name, got, tt.hashes)
		}
		c.Clock.Advance(time.Hour)
	}
}

// hashes reports whether a login comes to hashing a password: with a context
// that ends just before, that fails instead of refusing.
func hashes(c *coretest.Core, username, password string) bool {
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	c.Store.After("AccountsByName", func() { // of the epochs
		c.Store.After("AccountsByName", cancel) // of the local source
	})
	_, err := c.Accounts.Login(ctx, username, secret.New(password))
	return fault.Is(err, fault.Unavailable)
}

func setHash(t testing.TB, c *coretest.Core, accountID, encoded string) {
	t.Helper()
	err := c.Store.Store.Update(bg, func(tx store.Tx) error {
		a, err := tx.LockAccount(accountID)
		if err != nil {
			return err
		}
		a.PasswordHash = encoded
		return tx.UpdateAccount(a)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Refusals are events with the name that was typed, and never a password.
func TestLoginsAreAudited(t *testing.T) {
	c := newCore(t)
	localUser(t, c, "ann")
	ctx := audit.NewContext(bg, audit.Request{Addr: netip.MustParseAddr("192.0.2.7"), Agent: "curl"})
	_, _ = c.Accounts.Login(ctx, "ann", secret.New(wrong))
	_, _ = c.Accounts.Login(ctx, "evil\r\nname", secret.New(wrong))
	events := c.Events(t, "login")
	if len(events) != 2 {
		t.Fatalf("there are %d events, want 2", len(events))
	}
	for _, e := range events {
		if e.Outcome != "refused" || e.Reason != "unauthenticated" || e.Addr != "192.0.2.7" || e.Agent != "curl" || e.ActorID != "" {
			t.Errorf("the event of a refused login is %+v", e)
		}
		if e.ActorName != "ann" && e.ActorName != "evil??name" {
			t.Errorf("the event has the name %q, want what was typed, made printable", e.ActorName)
		}
	}
	if text := fmt.Sprintf("%+v", events); strings.Contains(text, wrong) {
		t.Error("an event holds a password")
	}
}

// The sources are asked in order until one knows the password; all of them
// when none does.
func TestSourcesAreAskedInOrder(t *testing.T) {
	first, second := newDirectory("first", "ann", "bob"), newDirectory("second", "ann")
	second.set("7", "ann", other)
	c := newCore(t, first, nil, second)
	localUser(t, c, "carl")
	for _, tt := range []struct {
		username, password, source string
		asked                      [2]int
	}{
		{"ann", right, "first", [2]int{1, 0}},
		{"ann", other, "second", [2]int{1, 1}},
		{"bob", right, "first", [2]int{1, 0}},
		{"carl", right, "local", [2]int{1, 0}},
		{"ann", wrong, "", [2]int{1, 1}},
		{"nobody", wrong, "", [2]int{1, 1}},
	} {
		a, b := first.calls(), second.calls()
		id, err := login(c, tt.username, tt.password)
		got := ""
		if err == nil {
			got = id.Source
		}
		if got != tt.source || first.calls()-a != tt.asked[0] || second.calls()-b != tt.asked[1] {
			t.Errorf("Login(%q, %q) by %q, %v, sources asked %d and %d times, want %q, %v", tt.username, tt.password, got, err, first.calls()-a, second.calls()-b, tt.source, tt.asked)
		}
	}
	// Two of one name are two accounts.
	if known, err := c.Store.AccountsByName(bg, "ann"); err != nil || len(known) != 2 {
		t.Errorf("there are %d accounts named ann, %v, want 2", len(known), err)
	}
}

// A source that does not answer is no wrong password, and does not keep people
// of others out.
func TestSourceThatIsDown(t *testing.T) {
	down, up := newDirectory("down", "ann"), newDirectory("up", "bob")
	down.fail(fmt.Errorf("%w: %w", source.ErrUnavailable, errors.New("planted inner detail")))
	several := newCore(t, down, up, nil)
	mustLogin(t, several, "bob", right)
	_, err := login(several, "ann", right)
	wantFault(t, "Login() while one of several sources is down", err, fault.Unavailable)

	c := newCore(t, down)
	for range 20 { // it is not charged to anybody's budget
		_, err := login(c, "ann", right)
		wantFault(t, "Login() while the source is down", err, fault.Unavailable)
		if f := fault.Of(err); strings.Contains(f.Message, "planted") {
			t.Errorf("the message %q shows an inner detail", f.Message)
		}
	}
	down.fail(nil)
	mustLogin(t, c, "ann", right)
	down.people["ann"] = person{right, source.Subject{Username: "ann"}}
	_, err = login(c, "ann", right)
	wantFault(t, "Login() by a source that names nobody", err, fault.Unavailable)
}

// S99: a guess that one source has refused is one, even while another is down.
func TestGuessesWhileASourceIsDown(t *testing.T) {
	down := newDirectory("down")
	down.fail(source.ErrUnavailable)
	c := newCore(t, nil, down)
	localUser(t, c, "ann")
	var err error
	for range 10 {
		_, err = login(c, "ann", wrong)
	}
	wantFault(t, "Login() after ten guesses", err, fault.Throttled)
}

// Guesses are throttled; the rightful owner at a known address is not.
func TestLoginsAreThrottled(t *testing.T) {
	c := newCore(t)
	localUser(t, c, "ann")
	from := func(addr, password string) error {
		ctx := audit.NewContext(bg, audit.Request{Addr: netip.MustParseAddr(addr)})
		_, err := c.Accounts.Login(ctx, "ann", secret.New(password))
		return err
	}
	if err := from("192.0.2.1", right); err != nil {
		t.Fatal(err)
	}
	var err error
	tries := 0
	for ; tries < 100 && !fault.Is(err, fault.Throttled); tries++ {
		err = from("203.0.113.5", wrong)
	}
	if f := fault.Of(err); f.Kind != fault.Throttled || f.RetryAfter <= 0 || tries > 10 {
		t.Errorf("after %d wrong passwords Login() = %v, retry after %v, want to be throttled soon", tries, err, f.RetryAfter)
	}
	if err := from("203.0.113.5", right); !fault.Is(err, fault.Throttled) {
		t.Errorf("the right password from there = %v, want the same", err)
	}
	for i := range 200 { // S99: from everywhere
		_ = from(fmt.Sprintf("198.51.100.%d", i), wrong)
	}
	if err := from("192.0.2.1", right); err != nil {
		t.Errorf("Login() of the owner from where they were before = %v, want an identity", err)
	}
	for range 50 {
		if err := from("192.0.2.1", right); err != nil {
			t.Fatalf("Login() again and again = %v, want it never to be throttled", err)
		}
	}
}

// Errors of the store are not guesses.
func TestLoginWithoutAStore(t *testing.T) {
	for _, method := range []string{"AccountsByName", "AccountBySubject", "Holder"} {
		c := newCore(t)
		localUser(t, c, "ann")
		c.Tokens.Apply(store.Change{Kind: store.ChangeGroups})
		c.Store.Fail(store.ErrUnavailable, method)
		for range 20 {
			id, err := login(c, "ann", right)
			if id != nil || !fault.Is(err, fault.Unavailable) {
				t.Fatalf("Login() while %s fails = %v, %v, want a fault of the kind unavailable", method, id, err)
			}
		}
		c.Store.Heal()
		mustLogin(t, c, "ann", right)
		if e := c.Events(t, "login"); len(e) != 21 || e[len(e)-1].Outcome == "refused" {
			t.Errorf("there are %d events, the first %+v, want 20 that failed and one that did not", len(e), e[len(e)-1])
		}
	}
}

// A login that cannot be noted counts all the same.
func TestLoginThatCannotBeNoted(t *testing.T) {
	c := newCore(t)
	localUser(t, c, "ann")
	c.Store.Fail(store.ErrUnavailable, "Update")
	mustLogin(t, c, "ann", right)
}

// A client that sends the password with each request writes once a minute.
func TestLoginsAreNotedOnceAMinute(t *testing.T) {
	c := newCore(t)
	localUser(t, c, "ann")
	mustLogin(t, c, "ann", right)
	c.Store.Forget()
	for range 10 {
		mustLogin(t, c, "ann", right)
	}
	if n := c.Store.Calls("Update"); n != 0 {
		t.Errorf("10 logins within a minute wrote %d times, want 0", n)
	}
	c.Clock.Advance(2 * time.Minute)
	mustLogin(t, c, "ann", right)
	if n := c.Store.Calls("Update"); n != 1 {
		t.Errorf("a login after that wrote %d times, want once", n)
	}
}

// The first login makes an account, once, whatever else happens at once.
func TestFirstLoginMakesAnAccount(t *testing.T) {
	d := newDirectory("ldap", "ann")
	many := throttle.Rate{Burst: 100, Every: time.Second}
	c := coretest.New(t, coretest.Options{Sources: []source.Source{nil, d}, Logins: throttle.Options{Pair: many, Address: many}})
	c.Ready(t)
	var logins sync.WaitGroup
	ids := make([]string, 16)
	for i := range ids {
		logins.Go(func() {
			id, err := login(c, "ann", right)
			if err != nil {
				t.Errorf("Login() = %v", err)
				return
			}
			ids[i] = id.AccountID
		})
	}
	logins.Wait()
	made := c.AccountNamed(t, "ann")
	for _, id := range ids {
		if id != made.ID {
			t.Errorf("a login gave the account %q, want %q", id, made.ID)
		}
	}
	if made.Source != "ldap" || made.Subject != "1" || made.Email != "ann@ldap.example" || made.PasswordHash != "" || made.Kind != store.User {
		t.Errorf("the account is %+v", made)
	}
	if e := c.Events(t, "account.create"); len(e) != 2 || e[0].Target != made.ID && e[1].Target != made.ID {
		t.Errorf("the events are %+v, want the administrator's and this", e)
	}
}

// Who is renamed in the source keeps the account, its tokens and grants.
func TestRenamedInTheSource(t *testing.T) {
	d := newDirectory("ldap", "ann")
	c := newCore(t, nil, d)
	before := mustLogin(t, c, "ann", right)
	made := issue(t, c, before, "")
	d.remove("ann")
	d.set("1", "anna", right)
	after := mustLogin(t, c, "anna", right)
	if after.AccountID != before.AccountID || after.Name != "anna" || after.Email != "anna@ldap.example" {
		t.Errorf("Login() after the rename = %+v, want the same account with its new name", after)
	}
	id, err := c.Tokens.Check(bg, tokens.Presented{Token: made.Secret})
	if err != nil || id.Name != "anna" {
		t.Errorf("Check() after the rename = %v, %v, want anna", id, err)
	}
	if e := c.Events(t, "account.rename"); len(e) != 1 || e[0].Target != after.AccountID {
		t.Errorf("the events of the rename are %+v, want one", e)
	}
}

// S29: when a source gives a name to somebody else, nothing of the old account
// goes to the new one, and its tokens end.
func TestNameThatGoesToSomebodyElse(t *testing.T) {
	d := newDirectory("ldap", "ann")
	c := newCore(t, nil, d)
	before := mustLogin(t, c, "ann", right)
	made := issue(t, c, before, "")
	if _, err := c.Accounts.AddGrant(bg, c.Admin, before.AccountID, "", "repository:a:pull"); err != nil {
		t.Fatal(err)
	}
	d.set("2", "ann", other)
	after := mustLogin(t, c, "ann", other)
	if after.AccountID == before.AccountID {
		t.Fatal("the new ann got the old ann's account")
	}
	if after.Allows(pull) {
		t.Error("the new ann may do what was granted to the old one")
	}
	if passes(c, made) {
		t.Error("a token of the old ann still counts")
	}
	page, err := c.Tokens.List(bg, after, tokens.Query{TokenQuery: store.TokenQuery{AccountID: after.AccountID, Limit: 10}})
	if err != nil || len(page.Tokens) != 0 {
		t.Errorf("the new ann has %d tokens, %v, want 0", len(page.Tokens), err)
	}
	old := account(t, c, before.AccountID)
	if old.Name == "ann" || !old.Disabled || old.Epoch == 0 {
		t.Errorf("the old account is %+v, want it out of use and of another name", old)
	}
	if e := c.Events(t, "account.retire"); len(e) != 1 || e[0].Target != before.AccountID {
		t.Errorf("the events are %+v, want one of the retirement", e)
	}
}

// Two who swap their names, or pass one on, both keep their accounts: who has
// proved to be there still is let in again.
func TestSwappedNames(t *testing.T) {
	d := newDirectory("ldap", "ann", "bob")
	c := newCore(t, nil, d)
	ann, bob := mustLogin(t, c, "ann", right), mustLogin(t, c, "bob", right)
	d.set("2", "ann", other)
	d.set("1", "bob", right)
	if got := mustLogin(t, c, "ann", other); got.AccountID != bob.AccountID || got.Name != "ann" {
		t.Errorf("ann is the account %s named %s, want that which was bob", got.AccountID, got.Name)
	}
	if got := mustLogin(t, c, "bob", right); got.AccountID != ann.AccountID || got.Name != "bob" {
		t.Errorf("bob is the account %s named %s, want that which was ann", got.AccountID, got.Name)
	}
	mustLogin(t, c, "ann", other)
	for _, a := range []string{ann.AccountID, bob.AccountID} {
		if got := account(t, c, a); got.Disabled {
			t.Errorf("the account %s is disabled: %s", got.Name, got.DisabledReason)
		}
	}
}

// What an administrator has disabled, a rename does not enable.
func TestRenameDoesNotEnable(t *testing.T) {
	d := newDirectory("ldap", "ann")
	c := newCore(t, nil, d)
	ann := mustLogin(t, c, "ann", right)
	if _, err := c.Accounts.Update(bg, c.Admin, ann.AccountID, accounts.Change{Disabled: of(true), DisabledReason: of("left")}); err != nil {
		t.Fatal(err)
	}
	d.remove("ann")
	d.set("1", "anna", right)
	_, err := login(c, "anna", right)
	wantFault(t, "Login() of a disabled account under a new name", err, fault.Unauthenticated)
}

// S29: an account that is deleted and made again is another one.
func TestDeletedAndMadeAgain(t *testing.T) {
	d := newDirectory("ldap", "bob")
	c := newCore(t, nil, d)
	for name, again := range map[string]func() *identity.Identity{
		"ann": func() *identity.Identity { return localUser(t, c, "ann") },
		"bob": func() *identity.Identity { return mustLogin(t, c, "bob", right) },
	} {
		before := again()
		made := issue(t, c, before, "")
		if err := c.Accounts.Delete(bg, c.Admin, before.AccountID); err != nil {
			t.Fatal(err)
		}
		after := again()
		if after.AccountID == before.AccountID || passes(c, made) {
			t.Errorf("%s made again has the id %s, the old token counts: %v, want another id and no", name, after.AccountID, passes(c, made))
		}
	}
}

// A password that is changed while it is being checked leaves nothing behind.
func TestPasswordChangedDuringLogin(t *testing.T) {
	d := newDirectory("ldap", "bob")
	c := newCore(t, nil, d)
	ann := localUser(t, c, "ann")
	bob := mustLogin(t, c, "bob", right)
	for name, arrange := range map[string]func(){
		"ann": func() {
			c.Store.Before("AccountBySubject", func() { // the password was right a moment ago
				if err := c.Accounts.SetPassword(bg, c.Admin, ann.AccountID, secret.New(other), false); err != nil {
					t.Error(err)
				}
			})
		},
		"bob": func() {
			d.during = func() {
				if _, err := c.Tokens.RevokeAll(bg, c.Admin, bob.AccountID, ""); err != nil {
					t.Error(err)
				}
			}
		},
	} {
		arrange()
		id, err := login(c, name, right)
		if err != nil {
			continue // refused at once: better still
		}
		if made, err := c.Tokens.Issue(bg, id, tokens.Request{Name: "late"}); err == nil && passes(c, made) {
			t.Errorf("%s has a token on the strength of a password that was changed before", name)
		}
	}
}

// Disabled while the password is being checked is disabled.
func TestDisabledDuringLogin(t *testing.T) {
	c := newCore(t)
	ann := localUser(t, c, "ann")
	c.Store.Before("AccountBySubject", func() {
		if _, err := c.Accounts.Update(bg, c.Admin, ann.AccountID, accounts.Change{Disabled: of(true)}); err != nil {
			t.Error(err)
		}
	})
	_, err := login(c, "ann", right)
	wantFault(t, "Login() of who was disabled meanwhile", err, fault.Unauthenticated)
}

// A change that an administrator makes while somebody logs in is not undone by
// the login.
func TestLoginDoesNotUndoChanges(t *testing.T) {
	c := newCore(t)
	ann := localUser(t, c, "ann")
	c.Store.Before("AccountBySubject", func() {
		if _, err := c.Accounts.Update(bg, c.Admin, ann.AccountID, accounts.Change{Name: of("anna"), Email: of("anna@example.org")}); err != nil {
			t.Error(err)
		}
	})
	_, _ = login(c, "ann", right)
	if got := account(t, c, ann.AccountID); got.Name != "anna" || got.Email != "anna@example.org" {
		t.Errorf("after the login the account is %s <%s>, want what the administrator has written", got.Name, got.Email)
	}
}

// A hash of another kind is replaced at the next login, by one that matches.
func TestLoginHashesAnew(t *testing.T) {
	c := newCore(t)
	ann := localUser(t, c, "ann")
	old := pbkdf2(t, other)
	setHash(t, c, ann.AccountID, pbkdf2(t, right))
	mustLogin(t, c, "ann", right)
	got := account(t, c, ann.AccountID).PasswordHash
	if !strings.HasPrefix(got, "$argon2id$") {
		t.Errorf("after a login the hash is %.20q…, want one of Argon2id", got)
	}
	mustLogin(t, c, "ann", right)
	setHash(t, c, ann.AccountID, old)
	_, err := login(c, "ann", right)
	wantFault(t, "Login() with a hash of something else", err, fault.Unauthenticated)
	if got := account(t, c, ann.AccountID).PasswordHash; got != old {
		t.Error("a wrong password has replaced the hash")
	}
}

// A hash that is made anew does not undo a change of the password meanwhile.
func TestHashingAnewDoesNotUndoAChange(t *testing.T) {
	c := newCore(t)
	ann := localUser(t, c, "ann")
	setHash(t, c, ann.AccountID, pbkdf2(t, right))
	c.Store.Before("Update", func() { // of the new hash
		if err := c.Accounts.SetPassword(bg, c.Admin, ann.AccountID, secret.New(other), false); err != nil {
			t.Error(err)
		}
	})
	_, _ = login(c, "ann", right)
	mustLogin(t, c, "ann", other)
	_, err := login(c, "ann", right)
	wantFault(t, "Login() with the password from before", err, fault.Unauthenticated)
}

// A namesake that makes room by itself in the same moment is left alone.
func TestNamesakeThatMakesRoom(t *testing.T) {
	d := newDirectory("ldap", "ann")
	c := newCore(t, nil, d)
	old := mustLogin(t, c, "ann", right)
	made := issue(t, c, old, "")
	d.set("2", "ann", other)
	d.set("1", "anna", right)
	c.Store.Before("Update", func() { mustLogin(t, c, "anna", right) })
	mustLogin(t, c, "ann", other)
	if got := account(t, c, old.AccountID); got.Name != "anna" || got.Disabled || !passes(c, made) {
		t.Errorf("who was ann is %s, disabled: %v, the token counts: %v, want anna, false, true", got.Name, got.Disabled, passes(c, made))
	}
}
