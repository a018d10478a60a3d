package tokens_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// S78: whatever a caller gets, by whatever operation, opens no door that the
// caller could not open: not for another request, not from another address,
// not at a later time. The doors themselves are asked, again and again, for
// random callers, requests, addresses and times.
func TestNothingReachesBeyondItsCaller(t *testing.T) {
	w := newWorld(t)
	got := map[string]int{}
	rounds := 600
	if raceEnabled {
		rounds = 150
	}
	for range rounds {
		for operation, do := range w.operations() {
			caller := w.caller()
			made, err := do(caller.id)
			if err != nil {
				if f := fault.Of(err); f.Kind == fault.Internal || f.Kind == fault.Unavailable {
					t.Fatalf("%s = %v", operation, err)
				}
				continue
			}
			got[operation]++
			w.compare(operation, caller, made)
		}
	}
	for operation := range w.operations() {
		if got[operation] < 10 {
			t.Errorf("%s was done %d times in %d rounds, too rarely to show anything", operation, got[operation], rounds)
		}
	}
	t.Logf("%d rounds gave %v", rounds, got)
}

// What a token does not ask for itself, its child has from it.
func TestChildrenInheritLimits(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	limits := tokens.Request{Scope: []string{"latchkey:tokens:write", "path:/a/*:read"}, CIDRs: prefixes("192.0.2.0/24"), ExpiresIn: of(hour), IdleAfter: of(time.Minute)}
	parent := mustPass(t, c.Tokens, issue(t, c, user, limits).Secret)
	child := issue(t, c, parent, tokens.Request{}).Token
	want := store.Token{
		ID: child.ID, AccountID: user.AccountID, Class: "personal", Name: "made for a test", Prefix: child.Prefix, ParentID: parent.TokenID,
		Scope: limits.Scope, CIDRs: limits.CIDRs, CreatedAt: c.Clock.Now(), ExpiresAt: c.Clock.Now().Add(hour), IdleAfter: time.Minute,
	}
	if diff := tokenDiff(want, child); diff != "" {
		t.Errorf("a child without wishes (-want +got):\n%s", diff)
	}
	narrow := issue(t, c, parent, tokens.Request{Scope: []string{"path:/a/b:read"}, CIDRs: prefixes("192.0.2.8/32"), ExpiresIn: of(time.Minute), IdleAfter: of(time.Second)}).Token
	if narrow.Scope[0] != "path:/a/b:read" || narrow.CIDRs[0].Bits() != 32 || narrow.IdleAfter != time.Second {
		t.Errorf("a child that wishes for less has %+v", narrow)
	}
}

// A token whose scope is all that its owner has today is still narrower than
// one without a scope, which grows with its owner.
func TestScopedTokenDoesNotHoldAnUnscopedOne(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	unscoped := issue(t, c, user, tokens.Request{})
	caller := mustPass(t, c.Tokens, issue(t, c, user, tokens.Request{Scope: user.Grants.Strings()}).Secret)
	_, err := c.Tokens.Rotate(bg, caller, unscoped.Token.ID, tokens.Overlap{})
	wantFault(t, "Rotate() of an unscoped token by a scoped one", err, fault.Forbidden)
	mustPass(t, c.Tokens, unscoped.Secret)
}

// Changing a token never opens a door that it did not open before.
func TestUpdateNeverWidens(t *testing.T) {
	w := newWorld(t)
	done := 0
	for range 400 {
		caller := w.caller()
		target := w.token(w.people[w.random.IntN(2)])
		before := mustIdentity(t, w, target)
		r := w.request()
		u := tokens.Update{}
		if w.odds(2) {
			u.Scope = &r.Scope
		}
		if w.odds(2) {
			u.CIDRs = &r.CIDRs
		}
		if w.odds(2) {
			u.ExpiresIn = r.ExpiresIn
		}
		if w.odds(2) {
			u.IdleAfter = r.IdleAfter
		}
		if _, err := w.c.Tokens.Update(bg, caller.id, target.Token.ID, u); err != nil {
			continue
		}
		done++
		after := mustIdentity(t, w, target)
		for range 50 {
			q, addr := w.question(), w.address()
			if w.lets(after, addr) && after.Allows(q) && !(w.lets(before, addr) && before.Allows(q)) {
				t.Fatalf("Update(%+v) of %+v lets %v in from %v", u, target.Token, q, addr)
			}
		}
		if longer(after.ExpiresAt, before.ExpiresAt) || before.IdleAfter != 0 && (after.IdleAfter == 0 || after.IdleAfter > before.IdleAfter) {
			t.Fatalf("Update(%+v) of %+v made its life longer: ends %v, idle %v", u, target.Token, after.ExpiresAt, after.IdleAfter)
		}
	}
	if done < 20 {
		t.Errorf("%d of 400 updates were done, too few to show anything", done)
	}
}

// world is a core with people of different rights, and dice.
type world struct {
	t      *testing.T
	c      *coretest.Core
	random *rand.Rand
	people []*identity.Identity // a plain user, one with many rights, the administrator
}

// credential is what a caller holds; without a secret it is a password.
type credential struct {
	id     *identity.Identity
	secret secret.Text
}

func newWorld(t *testing.T) *world {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := newCoreWith(t, func(o *tokens.Options) {
		o.Policy = tokens.Policy{MaxPerAccount: -1, Classes: map[tokens.Class]tokens.Life{tokens.Personal: {}}}
	})
	return &world{t: t, c: c, random: rand.New(rand.NewPCG(seed, 0)), people: []*identity.Identity{
		c.User(t, "ann", "repository:library/*:pull"),
		c.User(t, "bob", "repository:*:pull,push", "latchkey:all-tokens:*"),
		c.Admin,
	}}
}

func (w *world) odds(n int) bool { return w.random.IntN(n) == 0 }

func pick[T any](w *world, from ...T) T { return from[w.random.IntN(len(from))] }

// request is a random request for a token.
func (w *world) request() tokens.Request {
	r := tokens.Request{Name: "random"}
	for range w.random.IntN(4) {
		r.Scope = append(r.Scope, pick(w,
			"path:/*:*", "path:*:read", "path:/a/*:read", "path:/a/*:read,write", "path:/a/b:read", "path:/a/b*:*", "path:/*/b:write",
			"repository:*:pull", "repository:library/*:pull,push", "repository:library/a:*",
			"latchkey:tokens:*", "latchkey:tokens:read,write", "latchkey:*:*", "latchkey:all-tokens:write", "*:*:*"))
	}
	for range w.random.IntN(3) {
		r.CIDRs = append(r.CIDRs, pick(w, prefixes("0.0.0.0/0", "192.0.2.0/24", "192.0.2.128/25", "192.0.2.200/32", "::/0", "2001:db8::/32", "2001:db8::1/128")...))
	}
	if w.odds(2) {
		r.ExpiresIn = of(pick(w, 0, time.Minute, hour, 3*hour, tokens.Day))
	}
	if w.odds(2) {
		r.IdleAfter = of(pick(w, 0, time.Minute, hour, tokens.Day))
	}
	return r
}

// token makes a random token of somebody.
func (w *world) token(owner *identity.Identity) tokens.Issued {
	w.t.Helper()
	return issue(w.t, w.c, owner, w.request())
}

// caller is somebody with a password or a random token.
func (w *world) caller() credential {
	owner := pick(w, w.people...)
	if w.odds(4) {
		return credential{id: owner}
	}
	for {
		r := w.request()
		if len(r.Scope) > 0 && !w.odds(4) {
			r.Scope = append(r.Scope, "latchkey:tokens:write") // most can do something
		}
		made := issue(w.t, w.c, owner, r)
		addr := w.address()
		id, err := w.c.Tokens.Check(bg, tokens.Presented{Token: made.Secret, Addr: addr})
		if err == nil {
			return credential{id: id, secret: made.Secret}
		}
	}
}

// operations are all ways to a secret.
func (w *world) operations() map[string]func(*identity.Identity) (tokens.Issued, error) {
	return map[string]func(*identity.Identity) (tokens.Issued, error){
		"Issue": func(id *identity.Identity) (tokens.Issued, error) {
			r := w.request()
			if w.odds(2) { // near to what the caller has
				r.Scope, r.CIDRs = id.TokenScope.Strings(), id.CIDRs
			}
			return w.c.Tokens.Issue(bg, id, r)
		},
		"Issue for another": func(id *identity.Identity) (tokens.Issued, error) {
			r := w.request()
			r.AccountID = pick(w, w.people...).AccountID
			return w.c.Tokens.Issue(bg, id, r)
		},
		"Rotate": func(id *identity.Identity) (tokens.Issued, error) {
			return w.c.Tokens.Rotate(bg, id, w.token(pick(w, w.people...)).Token.ID, tokens.Overlap{})
		},
		"Rotate one of a kind": func(id *identity.Identity) (tokens.Issued, error) {
			r := w.request()
			r.Scope, r.CIDRs, r.ExpiresIn = id.TokenScope.Strings(), id.CIDRs, of(time.Minute)
			for _, who := range w.people {
				if who.AccountID == id.AccountID {
					return w.c.Tokens.Rotate(bg, id, issue(w.t, w.c, who, r).Token.ID, tokens.Overlap{})
				}
			}
			panic("a caller that is nobody")
		},
		"Standing": func(id *identity.Identity) (tokens.Issued, error) {
			slot := fmt.Sprint("slot", w.random.IntN(3))
			if w.odds(3) { // one stands there already
				for _, who := range w.people {
					if who.AccountID == id.AccountID {
						_, _ = w.c.Tokens.Standing(bg, who, slot, tokens.Native, w.request())
					}
				}
			}
			return w.c.Tokens.Standing(bg, id, slot, tokens.Native, w.request())
		},
	}
}

// question is a random request at a door.
func (w *world) question() scope.Request {
	switch w.random.IntN(3) {
	case 0:
		return pathRequest(pick(w, "GET", "POST", "DELETE", "PROPFIND"), pick(w, "/", "/a", "/a/", "/a/b", "/a/bc", "/x/b", "/a/../b", "/a//b", "*"))
	case 1:
		return req{Type: "repository", Name: pick(w, "library/a", "library/b/c", "other", ""), Action: pick(w, "pull", "push", "delete", "*")}
	}
	return req{Type: "latchkey", Name: pick(w, "tokens", "all-tokens", "accounts", "self"), Action: pick(w, "read", "write", "delete")}
}

func (w *world) address() netip.Addr {
	return netip.MustParseAddr(pick(w, "192.0.2.1", "192.0.2.129", "192.0.2.200", "203.0.113.1", "2001:db8::1", "2001:db8::2", "fe80::1"))
}

// compare asks the doors, now and later, about both.
func (w *world) compare(operation string, caller credential, made tokens.Issued) {
	w.t.Helper()
	for range 6 {
		addr := w.address()
		got, err := w.c.Tokens.Check(bg, tokens.Presented{Token: made.Secret, Addr: addr})
		mine := caller.id
		if !caller.secret.Empty() {
			var mineErr error
			mine, mineErr = w.c.Tokens.Check(bg, tokens.Presented{Token: caller.secret, Addr: addr})
			if err == nil && mineErr != nil {
				w.t.Fatalf("%s gave %+v, which passes from %v at %v, where the caller's (%+v) is refused: %v", operation, made.Token, addr, w.c.Clock.Now(), caller.id, mineErr)
			}
		}
		for range 20 {
			if q := w.question(); got.Allows(q) && !mine.Allows(q) {
				w.t.Fatalf("%s gave %+v, which may do %v; the caller (%q, token scope %q) may not", operation, made.Token, q, caller.id.Grants, caller.id.TokenScope)
			}
		}
		w.c.Clock.Advance(pick(w, 0, time.Second, 30*time.Second, 2*time.Minute, 40*time.Minute, 2*hour))
	}
}

// lets reports whether a token may be used from an address, by the rule that
// no network means any.
func (w *world) lets(id *identity.Identity, addr netip.Addr) bool {
	for _, n := range id.CIDRs {
		if n.Contains(addr) {
			return true
		}
	}
	return len(id.CIDRs) == 0
}

func longer(a, b time.Time) bool { return !b.IsZero() && (a.IsZero() || a.After(b)) }

// mustIdentity finds out who a token is, from wherever it may be used.
func mustIdentity(t *testing.T, w *world, made tokens.Issued) *identity.Identity {
	t.Helper()
	stored, err := w.c.Store.Token(bg, made.Token.ID)
	if err != nil {
		t.Fatal(err)
	}
	addr := somewhere
	if len(stored.CIDRs) > 0 {
		addr = stored.CIDRs[0].Addr()
	}
	id, err := w.c.Tokens.Check(bg, tokens.Presented{Token: made.Secret, Addr: addr})
	if err != nil {
		t.Fatalf("Check() of %+v = %v", stored, err)
	}
	return id
}
