package tokens_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

const maxOverlap = 7 * tokens.Day

func rotate(t testing.TB, c *coretest.Core, caller *identity.Identity, id string, o tokens.Overlap) secret.Text {
	t.Helper()
	next, err := c.Tokens.Rotate(bg, caller, id, o)
	if err != nil {
		t.Fatalf("Rotate(%+v) = %v", o, err)
	}
	return next.Secret
}

// The id, the scope and the end stay; the secret, its prefix and the time of
// rotation are new.
func TestRotateKeepsWhatTheTokenIs(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{Scope: []string{"path:/a/*:read"}, Labels: map[string]string{"k": "v"}, CIDRs: prefixes("192.0.2.0/24")})
	c.Clock.Advance(hour)
	next, err := c.Tokens.Rotate(bg, user, made.Token.ID, tokens.Overlap{})
	if err != nil {
		t.Fatal(err)
	}
	if next.Secret.Reveal() == made.Secret.Reveal() || !strings.HasPrefix(next.Secret.Reveal(), next.Token.Prefix) {
		t.Error("the secret is the old one, or the shown prefix is not its own")
	}
	want := made.Token
	want.RotatedAt, want.Prefix = c.Clock.Now(), next.Token.Prefix
	if diff := tokenDiff(want, next.Token); diff != "" {
		t.Errorf("Rotate() changed the token (-want +got):\n%s", diff)
	}
	mustRefuse(t, c.Tokens, made.Secret, tokens.ReasonUnknown)
	if id := mustPass(t, c.Tokens, next.Secret); id.TokenID != made.Token.ID {
		t.Errorf("the new secret stands for %s, want %s", id.TokenID, made.Token.ID)
	}
}

// The old secret lives as long as was asked for and no moment longer.
func TestRotateOverlap(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	for _, tt := range []struct {
		name    string
		o       tokens.Overlap
		use     bool          // the new secret, at once
		lives   time.Duration // the old one
		refused tokens.Reason
	}{
		{"none", tokens.Overlap{}, false, 0, tokens.ReasonUnknown},
		{"a time", tokens.Overlap{For: hour}, false, hour, tokens.ReasonRotated},
		{"a time, the new one is used", tokens.Overlap{For: hour}, true, hour, tokens.ReasonRotated},
		{"until used", tokens.Overlap{UntilUsed: true}, true, 0, tokens.ReasonUnknown},
		{"until used, which it is not", tokens.Overlap{UntilUsed: true}, false, maxOverlap, tokens.ReasonRotated},
		{"until used or a time", tokens.Overlap{UntilUsed: true, For: hour}, false, hour, tokens.ReasonRotated},
		{"until used within a time", tokens.Overlap{UntilUsed: true, For: hour}, true, 0, tokens.ReasonUnknown},
		{"the longest", tokens.Overlap{For: maxOverlap}, true, maxOverlap, tokens.ReasonRotated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			made := issue(t, c, user, tokens.Request{})
			mustPass(t, c.Tokens, made.Secret)
			next := rotate(t, c, user, made.Token.ID, tt.o)
			if tt.lives > 0 {
				mustPass(t, c.Tokens, made.Secret)
			}
			if tt.use {
				mustPass(t, c.Tokens, next)
			}
			if tt.lives > 0 {
				c.Clock.Advance(tt.lives - time.Second)
				mustPass(t, c.Tokens, made.Secret)
				c.Clock.Advance(time.Second)
			}
			mustRefuse(t, c.Tokens, made.Secret, tt.refused)
			mustPass(t, c.Tokens, next)
		})
	}
}

// The first use of the newest secret ends all predecessors that wait for it,
// on the node that sees it before its answer and on others within the bound.
func TestUntilUsedWithSeveralPredecessors(t *testing.T) {
	twoNodes(t, bounded, func(t *testing.T, c *coretest.Core, other *tokens.Service) {
		user := c.User(t, "ann")
		made := issue(t, c, user, tokens.Request{})
		secrets := []secret.Text{made.Secret}
		for range 3 {
			secrets = append(secrets, rotate(t, c, user, made.Token.ID, tokens.Overlap{UntilUsed: true}))
		}
		newest := secrets[3]
		for range 2 {
			for _, old := range secrets[:3] { // using an old one ends nothing
				mustPass(t, c.Tokens, old)
				mustPass(t, other, old)
			}
		}
		mustPass(t, c.Tokens, newest)
		for _, old := range secrets[:3] {
			mustRefuse(t, c.Tokens, old, tokens.ReasonUnknown)
		}
		time.Sleep(bound)
		for _, old := range secrets[:3] {
			mustRefuse(t, other, old, tokens.ReasonUnknown)
		}
		mustPass(t, other, newest)
		if n := len(c.Events(t, "token.rotated")); n != 1 {
			t.Errorf("there are %d events of an ended predecessor, want 1", n)
		}
	})
}

// A secret that was itself replaced ends nobody: above all not its successor.
func TestReplacedSecretDoesNotEndItsSuccessor(t *testing.T) {
	for _, o := range []tokens.Overlap{{For: hour}, {UntilUsed: true}, {UntilUsed: true, For: hour}} {
		c := newCore(t)
		user := c.User(t, "ann")
		made := issue(t, c, user, tokens.Request{})
		second := rotate(t, c, user, made.Token.ID, tokens.Overlap{UntilUsed: true})
		third := rotate(t, c, user, made.Token.ID, o)
		mustPass(t, c.Tokens, second)
		mustPass(t, c.Tokens, second)
		mustPass(t, c.Tokens, third)
		mustRefuse(t, c.Tokens, made.Secret, tokens.ReasonUnknown)
	}
}

// The same when the check has begun before the rotation, and on a node that
// has not heard of the rotation yet.
func TestFirstUseRacesWithRotation(t *testing.T) {
	twoNodes(t, bounded, func(t *testing.T, c *coretest.Core, other *tokens.Service) {
		user := c.User(t, "ann")
		made := issue(t, c, user, tokens.Request{})
		second := rotate(t, c, user, made.Token.ID, tokens.Overlap{UntilUsed: true})
		var third secret.Text
		c.Store.Before("Update", func() { // the check has found a predecessor, and is about to end it
			third = rotate(t, c, user, made.Token.ID, tokens.Overlap{For: hour})
		})
		mustPass(t, other, second)
		mustPass(t, c.Tokens, third)
		mustPass(t, other, third)
	})
}

// Everybody may be the first at once.
func TestFirstUseInParallel(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	next := rotate(t, c, user, made.Token.ID, tokens.Overlap{UntilUsed: true})
	var users sync.WaitGroup
	for range 32 {
		users.Go(func() {
			if _, err := present(c.Tokens, next); err != nil {
				t.Errorf("Check() of the new secret = %v", err)
			}
		})
	}
	users.Wait()
	mustRefuse(t, c.Tokens, made.Secret, tokens.ReasonUnknown)
}

// The first use is not answered before the old secret has ended for good.
func TestFirstUseWaitsForTheStore(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	next := rotate(t, c, user, made.Token.ID, tokens.Overlap{UntilUsed: true})
	c.Store.Fail(store.ErrUnavailable, "Update")
	_, err := present(c.Tokens, next)
	wantFault(t, "Check() of a new secret that cannot end the old one", err, fault.Unavailable)
	mustPass(t, c.Tokens, made.Secret)
	c.Store.Heal()
	mustPass(t, c.Tokens, next)
	mustRefuse(t, c.Tokens, made.Secret, tokens.ReasonUnknown)
}

// Parallel rotations without overlap leave one secret that counts.
func TestParallelRotations(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	secrets := make([]secret.Text, 16)
	var callers sync.WaitGroup
	for i := range secrets {
		callers.Go(func() {
			next, err := c.Tokens.Rotate(bg, user, made.Token.ID, tokens.Overlap{})
			if err != nil {
				t.Errorf("Rotate() = %v", err)
			}
			secrets[i] = next.Secret
		})
	}
	callers.Wait()
	good := 0
	for _, text := range secrets {
		if _, err := present(c.Tokens, text); err == nil {
			good++
		}
	}
	if good != 1 {
		t.Errorf("after 16 rotations at once %d secrets count, want 1", good)
	}
	stored, err := c.Tokens.Token(bg, user, made.Token.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range secrets {
		if _, err := present(c.Tokens, text); err == nil && !strings.HasPrefix(text.Reveal(), stored.Prefix) {
			t.Errorf("the shown prefix %q is not that of the secret that counts", stored.Prefix)
		}
	}
}

func TestRotateRefuses(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	stranger := c.User(t, "bob")
	live := issue(t, c, user, tokens.Request{}).Token.ID
	revoked := issue(t, c, user, tokens.Request{}).Token.ID
	expired := issue(t, c, user, tokens.Request{ExpiresIn: of(time.Minute)}).Token.ID
	idle := issue(t, c, user, tokens.Request{IdleAfter: of(time.Minute)}).Token.ID
	if err := c.Tokens.Revoke(bg, user, revoked, ""); err != nil {
		t.Fatal(err)
	}
	c.Clock.Advance(hour)
	for _, tt := range []struct {
		name   string
		caller *identity.Identity
		id     string
		o      tokens.Overlap
		want   fault.Kind
	}{
		{"too long an overlap", user, live, tokens.Overlap{For: maxOverlap + 1}, fault.Invalid},
		{"a negative overlap", user, live, tokens.Overlap{For: -1}, fault.Invalid},
		{"a token that does not exist", user, "tok_nothing", tokens.Overlap{}, fault.NotFound},
		{"somebody else's", stranger, live, tokens.Overlap{}, fault.NotFound},
		{"nobody", nil, live, tokens.Overlap{}, fault.NotFound},
		{"revoked", user, revoked, tokens.Overlap{}, fault.Conflict},
		{"expired", user, expired, tokens.Overlap{}, fault.Conflict},
		{"idle", user, idle, tokens.Overlap{}, fault.Conflict},
	} {
		_, err := c.Tokens.Rotate(bg, tt.caller, tt.id, tt.o)
		wantFault(t, "Rotate() of "+tt.name, err, tt.want)
	}
}

// A token whose secret is being replaced by somebody else ends by the clock of
// its overlap even when nobody looks at the store in between.
func TestOverlapEndsInTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t)
		user := c.User(t, "ann")
		made := issue(t, c, user, tokens.Request{})
		rotate(t, c, user, made.Token.ID, tokens.Overlap{For: hour})
		mustPass(t, c.Tokens, made.Secret)
		c.Store.Forget()
		c.Clock.Advance(hour)
		mustRefuse(t, c.Tokens, made.Secret, tokens.ReasonRotated)
		if n := c.Store.Calls(); n != 0 {
			t.Errorf("the end of an overlap asked the store %d times, want 0", n)
		}
	})
}
