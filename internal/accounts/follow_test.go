package accounts_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/source"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

const bySource = "disabled by its source"

// eve is on the roster as number 1.
var eve = entry{id: "1", name: "eve", password: right}

// follower returns a core with a roster on which eve is, who has logged in and
// made a token.
func follower(t *testing.T) (c *coretest.Core, r *roster, id string, made tokens.Issued) {
	t.Helper()
	r = newRoster(eve)
	c = newCore(t, nil, r)
	who := mustLogin(t, c, "eve", right)
	return c, r, who.AccountID, issue(t, c, who, "")
}

func becomes(r *roster, change func(*entry)) { r.set("1", change) }

// What has become of somebody in their source is in force here after the next
// look.
func TestFollow(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*roster)
		lives  bool   // the token
		reason string // why the account is disabled
		events int    // of what was followed
	}{
		{"nothing", func(*roster) {}, true, "", 0},
		{"removed", func(r *roster) { r.remove("1") }, false, bySource, 1},
		{"disabled", func(r *roster) { becomes(r, func(p *entry) { p.inactive = true }) }, false, bySource, 1},
		{"disabled with a new password", func(r *roster) {
			becomes(r, func(p *entry) { p.inactive, p.password = true, other })
		}, false, bySource, 1},
		{"another password", func(r *roster) { becomes(r, func(p *entry) { p.password = other }) }, false, "", 1},
		{"hashed anew", func(r *roster) { becomes(r, func(p *entry) { p.hash++ }) }, true, "", 1},
		{"renamed", func(r *roster) { becomes(r, func(p *entry) { p.name = "eva" }) }, true, "", 1},
		{"renamed with a new password", func(r *roster) {
			becomes(r, func(p *entry) { p.name, p.password = "eva", other })
		}, false, "", 1},
		{"told in another version", func(r *roster) { becomes(r, func(p *entry) { p.old = true }) }, true, "", 1},
		{"not active, told in another version", func(r *roster) {
			becomes(r, func(p *entry) { p.old, p.inactive = true, true })
		}, false, bySource, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, r, id, made := follower(t)
			tt.change(r)
			c.Accounts.Watch(bg, r)
			if got := passes(c, made); got != tt.lives {
				t.Errorf("the token counts: %v, want %v", got, tt.lives)
			}
			a := account(t, c, id)
			if a.DisabledReason != tt.reason || a.Disabled != (tt.reason != "") {
				t.Errorf("the account is disabled: %v, %q, want for the reason %q", a.Disabled, a.DisabledReason, tt.reason)
			}
			if p, there := r.people["1"]; there && (a.Name != p.name || a.Fingerprint != string(p.fingerprint())) {
				t.Errorf("the account is named %q with the fingerprint %q, want what the source has", a.Name, a.Fingerprint)
			}
			c.Store.Forget()
			c.Accounts.Watch(bg, r)
			if n := c.Store.Calls("Update"); n != 0 {
				t.Errorf("another look wrote %d times, want never: nothing has changed since", n)
			}
			if e := c.Events(t, "account.follow"); len(e) != tt.events || len(e) > 0 && (e[0].Target != id || e[0].Detail["source"] != "roster") {
				t.Errorf("the events are %+v, want %d", e, tt.events)
			}
		})
	}
}

// A source enables again whom it has disabled, and nobody else; what has ended
// stays ended.
func TestFollowEnables(t *testing.T) {
	disable := func(reason string) func(*testing.T, *coretest.Core, string) {
		return func(t *testing.T, c *coretest.Core, id string) {
			t.Helper()
			if _, err := c.Accounts.Update(bg, c.Admin, id, accounts.Change{Disabled: of(true), DisabledReason: of(reason)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name          string
		before, after func(*testing.T, *coretest.Core, string) // the source disables
		enabled       bool
	}{
		{"the source alone", nil, nil, true},
		{"an administrator before", disable("left"), nil, false},
		{"an administrator before, without a reason", disable(""), nil, false},
		{"an administrator after", nil, disable("left"), false},
		{"a note about somebody who is enabled", func(t *testing.T, c *coretest.Core, id string) {
			if _, err := c.Accounts.Update(bg, c.Admin, id, accounts.Change{DisabledReason: of("once was")}); err != nil {
				t.Fatal(err)
			}
		}, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, r, id, made := follower(t)
			if tt.before != nil {
				tt.before(t, c, id)
			}
			becomes(r, func(p *entry) { p.inactive = true })
			c.Accounts.Watch(bg, r)
			if !account(t, c, id).Disabled || passes(c, made) {
				t.Fatal("the source disabled the account, and it or its token still counts")
			}
			if tt.after != nil {
				tt.after(t, c, id)
			}
			becomes(r, func(p *entry) { p.inactive = false })
			c.Accounts.Watch(bg, r)
			if got := !account(t, c, id).Disabled; got != tt.enabled {
				t.Errorf("after the source enabled it, the account is enabled: %v, want %v", got, tt.enabled)
			}
			if passes(c, made) {
				t.Error("a token of before counts again")
			}
			if _, err := login(c, "eve", right); (err == nil) != tt.enabled {
				t.Errorf("Login() = %v, want a success: %v", err, tt.enabled)
			}
		})
	}
}

// Who has been enabled in the source need not wait for the next look.
func TestFollowEnablesAtLogin(t *testing.T) {
	c, r, _, made := follower(t)
	becomes(r, func(p *entry) { p.inactive = true })
	c.Accounts.Watch(bg, r)
	becomes(r, func(p *entry) { p.inactive = false })
	mustLogin(t, c, "eve", right)
	if passes(c, made) {
		t.Error("a token of before counts again")
	}
}

// Nobody is gone because a source, or the store, could not be asked.
func TestFollowWithoutAnswers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(*coretest.Core, *roster)
	}{
		{"the source is down", func(_ *coretest.Core, r *roster) { r.fail(source.ErrUnavailable) }},
		{"the accounts cannot be listed", func(c *coretest.Core, _ *roster) { c.Store.Fail(store.ErrUnavailable, "Accounts") }},
		{"nothing can be written", func(c *coretest.Core, _ *roster) { c.Store.Fail(store.ErrUnavailable, "Update") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, r, _, made := follower(t)
			r.remove("1")
			before := state(t, c)
			tt.spoil(c, r)
			c.Accounts.Watch(bg, r)
			c.Store.Heal()
			if diff := cmp.Diff(before, state(t, c)); diff != "" || !passes(c, made) {
				t.Errorf("something has changed, or the token counts no more:\n%s", diff)
			}
			r.fail(nil)
			c.Accounts.Watch(bg, r)
			if passes(c, made) {
				t.Error("the look after that did not find out")
			}
		})
	}
}

// One account that cannot be brought up to date does not hold up the others,
// and neither does one that is deleted here meanwhile.
func TestFollowGoesOn(t *testing.T) {
	c, r, id, _ := follower(t)
	r.set("2", func(p *entry) { p.name, p.password = "zoe", right })
	last := mustLogin(t, c, "zoe", right)
	made := issue(t, c, last, "")
	becomes(r, func(p *entry) { p.name = "bad\x00name" })
	r.remove("2")
	c.Accounts.Watch(bg, r)
	if passes(c, made) {
		t.Error("behind an account that cannot be stored another was not looked at")
	}
	r.set("3", func(p *entry) { p.name, p.password = "zoa", right })
	made = issue(t, c, mustLogin(t, c, "zoa", right), "")
	becomes(r, func(p *entry) { p.name = "eva" })
	r.remove("3")
	r.changed = func() {
		if err := c.Accounts.Delete(bg, c.Admin, id); err != nil {
			t.Error(err)
		}
	}
	c.Accounts.Watch(bg, r)
	if passes(c, made) {
		t.Error("behind an account that was deleted another was not looked at")
	}
}

// A login with the new password ends what the old one made, before it makes
// anything itself.
func TestNewPasswordBeforeTheLook(t *testing.T) {
	c, r, id, old := follower(t)
	becomes(r, func(p *entry) { p.password = other })
	who := mustLogin(t, c, "eve", other)
	if passes(c, old) {
		t.Error("after a login with the new password a token of the old one counts")
	}
	made := issue(t, c, who, "")
	c.Accounts.Watch(bg, r)
	if !passes(c, made) {
		t.Error("the next look has ended a token of the new password")
	}
	if e := c.Events(t, "account.follow"); len(e) != 1 || e[0].Target != id {
		t.Errorf("the events are %+v, want one", e)
	}
	becomes(r, func(p *entry) { p.password = right })
	r.fail(nil)
	c.Store.Before("Update", func() { c.Store.Fail(store.ErrUnavailable, "Update") })
	_, err := login(c, "eve", right)
	wantFault(t, "Login() when the old tokens cannot be ended", err, fault.Unavailable)
}

// A look that a login has overtaken does not end what that made.
func TestLoginOvertakesTheLook(t *testing.T) {
	c, r, _, old := follower(t)
	becomes(r, func(p *entry) { p.password = other })
	var made tokens.Issued
	r.changed = func() { made = issue(t, c, mustLogin(t, c, "eve", other), "") }
	c.Accounts.Watch(bg, r)
	if passes(c, old) || !passes(c, made) {
		t.Errorf("the old token counts: %v, the new one: %v, want only that", passes(c, old), passes(c, made))
	}
}

// What is issued on the strength of a password that counts no more, or of a
// time before all tokens were ended, is dead.
func TestNothingOutlivesItsPassword(t *testing.T) {
	revoke := func(t *testing.T, c *coretest.Core, id string) func() {
		return func() {
			if _, err := c.Tokens.RevokeAll(bg, c.Admin, id, ""); err != nil {
				t.Error(err)
			}
		}
	}
	for _, tt := range []struct {
		name    string
		typed   string
		arrange func(t *testing.T, c *coretest.Core, r *roster, id string)
		logins  int // questions to the source
	}{
		{"ended during the check", "eve", func(t *testing.T, c *coretest.Core, r *roster, id string) {
			r.login = []func(){revoke(t, c, id)}
		}, 1},
		{"ended before the identity", "eve", func(t *testing.T, c *coretest.Core, r *roster, id string) {
			c.Store.Before("Holder", revoke(t, c, id))
		}, 1},
		{"ended during the check of a password that was hashed anew", "eve", func(t *testing.T, c *coretest.Core, r *roster, id string) {
			becomes(r, func(p *entry) { p.hash++ })
			r.login = []func(){revoke(t, c, id)}
		}, 1},
		{"ended during the check of a password that is new", "eve", func(t *testing.T, c *coretest.Core, r *roster, id string) {
			becomes(r, func(p *entry) { p.password = other })
			c.Accounts.Watch(bg, r)
			becomes(r, func(p *entry) { p.password = right })
			r.login = []func(){revoke(t, c, id)}
		}, 1},
		{"ended while the source is asked again", "eve", func(t *testing.T, c *coretest.Core, r *roster, id string) {
			becomes(r, func(p *entry) { p.hash++ })
			r.changed = revoke(t, c, id)
		}, 1},
		{"replaced during the check", "eve", func(t *testing.T, c *coretest.Core, r *roster, id string) {
			r.login = []func(){func() {
				becomes(r, func(p *entry) { p.password = other })
				c.Accounts.Watch(bg, r)
			}}
		}, 1},
		{"replaced twice", "eve", func(t *testing.T, c *coretest.Core, r *roster, id string) {
			becomes(r, func(p *entry) { p.hash++ }) // differs from what is known
			r.login = []func(){func() { becomes(r, func(p *entry) { p.password = other; p.hash-- }) }}
		}, 1},
		{"ended during the check of a name spelt in another way", "EVE", func(t *testing.T, c *coretest.Core, r *roster, id string) {
			r.login = []func(){nil, revoke(t, c, id)}
		}, 2},
		{"ended during the check of a new name", "eva", func(t *testing.T, c *coretest.Core, r *roster, id string) {
			becomes(r, func(p *entry) { p.name = "eva" })
			r.login = []func(){nil, revoke(t, c, id)}
		}, 2},
		{"replaced between two checks", "EVE", func(t *testing.T, c *coretest.Core, r *roster, id string) {
			r.login = []func(){func() { becomes(r, func(p *entry) { p.password = other }) }}
		}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, r, id, _ := follower(t)
			tt.arrange(t, c, r, id)
			asked := r.logins
			who, err := login(c, tt.typed, right)
			if n := r.logins - asked; n != tt.logins {
				t.Errorf("the source was asked %d times, want %d", n, tt.logins)
			}
			wantDead(t, c, who, err)
		})
	}
	t.Run("ended between the login and the issue", func(t *testing.T) {
		c, _, id, _ := follower(t)
		who := mustLogin(t, c, "eve", right)
		revoke(t, c, id)()
		wantDead(t, c, who, nil)
	})
	t.Run("ended within the issue", func(t *testing.T) {
		c, _, id, _ := follower(t)
		who := mustLogin(t, c, "eve", right)
		c.Store.Before("Update", revoke(t, c, id))
		wantDead(t, c, who, nil)
	})
	t.Run("none of that", func(t *testing.T) {
		c, _, _, _ := follower(t)
		for _, typed := range []string{"eve", "EVE"} {
			if made := issue(t, c, mustLogin(t, c, typed, right), ""); !passes(c, made) {
				t.Errorf("a token issued to %s does not count", typed)
			}
		}
	})
}

// wantDead fails if a login gave something that makes a token which counts.
func wantDead(t *testing.T, c *coretest.Core, who *identity.Identity, err error) {
	t.Helper()
	if err != nil {
		wantFault(t, "Login()", err, fault.Unauthenticated)
		return
	}
	made, err := c.Tokens.Issue(bg, who, tokens.Request{Name: "late"})
	if err == nil && passes(c, made) {
		t.Error("a token that was issued late counts")
	}
	if err != nil {
		wantFault(t, "Issue()", err, fault.Unauthenticated)
	}
}

// S29: who gets somebody's name by being renamed gets nothing else of theirs.
func TestRenamedIntoANameThatWasAnothers(t *testing.T) {
	for _, way := range []string{"at login", "at a look"} {
		t.Run(way, func(t *testing.T) {
			c, r, id, made := follower(t)
			r.set("2", func(p *entry) { p.name, p.password = "bob", other })
			bob := mustLogin(t, c, "bob", other)
			if _, err := c.Accounts.AddGrant(bg, c.Admin, id, "", "repository:a:pull"); err != nil {
				t.Fatal(err)
			}
			if !passes(c, made) {
				t.Fatal("a token has ended though nothing was changed")
			}
			r.set("1", func(p *entry) { p.inactive = true }) // and keeps the name
			r.set("2", func(p *entry) { p.name = "eve" })
			if way == "at a look" {
				c.Accounts.Watch(bg, r)
			} else {
				mustLogin(t, c, "eve", other)
			}
			who := c.Identity(t, bob.AccountID)
			if who.Name != "eve" || who.Allows(pull) {
				t.Errorf("who was bob is named %q and may do %q, want the name alone", who.Name, who.Grants)
			}
			if passes(c, made) {
				t.Error("a token of who had the name before counts")
			}
			if old := account(t, c, id); !old.Disabled || old.Name == "eve" {
				t.Errorf("the account that had the name is %+v, want it disabled under another", old)
			}
		})
	}
}
