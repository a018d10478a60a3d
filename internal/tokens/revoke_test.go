package tokens_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

func TestRevokeIsWrittenDown(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	for _, why := range []string{"lost my laptop", "another reason"} { // the second changes nothing
		if err := c.Tokens.Revoke(bg, user, made.Token.ID, why); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.Tokens.Token(bg, user, made.Token.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.RevokeReason != "lost my laptop" || got.RevokedBy != user.AccountID || !got.RevokedAt.Equal(c.Clock.Now()) {
		t.Errorf("the revoked token is %+v, want the first reason, its owner and the time", got)
	}
	e := c.Events(t, "token.revoke")
	if len(e) == 0 || e[0].Target != made.Token.ID || e[0].ActorID != user.AccountID || e[0].Detail["reason"] != "lost my laptop" {
		t.Errorf("the events are %+v, want one about the token with the reason", e)
	}
}

func TestRevokeRefuses(t *testing.T) {
	c := newCore(t)
	user, stranger := c.User(t, "ann"), c.User(t, "bob")
	reader := c.User(t, "eve", "latchkey:all-tokens:read")
	made := issue(t, c, user, tokens.Request{})
	for _, tt := range []struct {
		name   string
		caller *identity.Identity
		id     string
		reason string
		want   fault.Kind
	}{
		{"no such token", user, "tok_nothing", "", fault.NotFound},
		{"an id that is no id", user, "\x00\xff'--", "", fault.NotFound},
		{"an empty id", user, "", "", fault.NotFound},
		{"somebody else's", stranger, made.Token.ID, "", fault.NotFound},
		{"nobody", nil, made.Token.ID, "", fault.NotFound},
		{"somebody else's that one may only see", reader, made.Token.ID, "", fault.Forbidden},
		{"a reason with a line break", user, made.Token.ID, "a\nb", fault.Invalid},
		{"too long a reason", user, made.Token.ID, strings.Repeat("x", 300), fault.Invalid},
	} {
		wantFault(t, "Revoke() of "+tt.name, c.Tokens.Revoke(bg, tt.caller, tt.id, tt.reason), tt.want)
	}
	mustPass(t, c.Tokens, made.Secret)
}

// A token may end itself, whatever else it may do, and nothing but itself.
func TestTokenRevokesItself(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	narrow := issue(t, c, user, tokens.Request{Scope: []string{"path:/a:read"}})
	other := issue(t, c, user, tokens.Request{})
	itself := mustPass(t, c.Tokens, narrow.Secret)
	wantFault(t, "Revoke() of another token", c.Tokens.Revoke(bg, itself, other.Token.ID, ""), fault.Forbidden)
	if err := c.Tokens.Revoke(bg, itself, narrow.Token.ID, "done"); err != nil {
		t.Fatalf("Revoke() of itself = %v", err)
	}
	mustRefuse(t, c.Tokens, narrow.Secret, tokens.ReasonRevoked)
	mustPass(t, c.Tokens, other.Secret)
}

func TestRevokeSecret(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	unknown, _ := tokens.Generate(c.Keys)
	for _, text := range []string{"", "lkp_nonsense", unknown.Reveal(), strings.Repeat("a", 40), made.Secret.Reveal() + "0"} {
		if err := c.Tokens.RevokeSecret(bg, text); err != nil {
			t.Errorf("RevokeSecret() of what is no token = %v, want nil", err)
		}
	}
	mustPass(t, c.Tokens, made.Secret)
	for range 2 {
		if err := c.Tokens.RevokeSecret(bg, made.Secret.Reveal()); err != nil {
			t.Errorf("RevokeSecret() = %v", err)
		}
		mustRefuse(t, c.Tokens, made.Secret, tokens.ReasonRevoked)
	}
	got, err := c.Tokens.Token(bg, user, made.Token.ID)
	if err != nil || got.RevokedBy != "" || got.RevokeReason == "" {
		t.Errorf("the token is %+v, %v, want revoked by nobody, with a reason", got, err)
	}
	if e := c.Events(t, "token.revoke"); len(e) == 0 || e[0].Target != made.Token.ID || e[0].ActorID != user.AccountID {
		t.Errorf("the events are %+v, want one about the token", e)
	}
}

// S46: a revocation that the store did not take is not reported as done.
func TestRevokeWithoutAStore(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	for _, methods := range [][]string{nil, {"Update"}} {
		c.Store.Fail(store.ErrUnavailable, methods...)
		_, all := c.Tokens.RevokeAll(bg, user, user.AccountID, "")
		for call, err := range map[string]error{
			"Revoke()":       c.Tokens.Revoke(bg, user, made.Token.ID, ""),
			"RevokeSecret()": c.Tokens.RevokeSecret(bg, made.Secret.Reveal()),
			"RevokeAll()":    all,
		} {
			wantFault(t, call, err, fault.Unavailable)
		}
		c.Store.Heal()
	}
	if n := len(c.Events(t, "token.revoke")); n != 4 {
		t.Errorf("there are %d events of revocations that failed, want 4", n)
	}
	mustPass(t, c.Tokens, made.Secret)
}

func TestRevokeAll(t *testing.T) {
	c := newCore(t)
	user, other := c.User(t, "ann"), c.User(t, "bob")
	var all []tokens.Issued
	for range 3 {
		all = append(all, issue(t, c, user, tokens.Request{}))
	}
	all = append(all, issue(t, c, user, tokens.Request{ExpiresIn: of(hour)}))
	kept := issue(t, c, other, tokens.Request{})
	c.Clock.Advance(hour)
	for i, want := range []int{3, 0} {
		n, err := c.Tokens.RevokeAll(bg, user, user.AccountID, "left")
		if err != nil || n != want {
			t.Errorf("call %d: RevokeAll() = %d, %v, want %d", i, n, err, want)
		}
	}
	for _, made := range all {
		mustRefuse(t, c.Tokens, made.Secret, tokens.ReasonRevoked)
	}
	mustPass(t, c.Tokens, kept.Secret)
	_, err := c.Tokens.RevokeAll(bg, other, user.AccountID, "")
	wantFault(t, "RevokeAll() of somebody else's", err, fault.Forbidden)
	_, err = c.Tokens.RevokeAll(bg, c.Admin, "acc_nobody", "")
	wantFault(t, "RevokeAll() of nobody's", err, fault.NotFound)

	mustPass(t, c.Tokens, issue(t, c, c.Identity(t, user.AccountID), tokens.Request{}).Secret)
}

// Nothing that is asked for with a credential from before RevokeAll survives
// it, however the two fall together.
func TestIssueRacesWithRevokeAll(t *testing.T) {
	c := newCoreWith(t, func(o *tokens.Options) { o.Policy.MaxPerAccount = -1 })
	user := c.User(t, "ann")
	parent := issue(t, c, user, tokens.Request{})
	token := mustPass(t, c.Tokens, parent.Secret)
	for range 10 {
		caller := c.Identity(t, user.AccountID)
		var mu sync.Mutex
		var made []secret.Text
		var callers sync.WaitGroup
		begin := make(chan struct{})
		for i := range 8 {
			who := []*identity.Identity{caller, token}[i%2]
			callers.Go(func() {
				<-begin
				for range 5 {
					issued, err := c.Tokens.Issue(bg, who, tokens.Request{Name: "racing"})
					if err == nil {
						mu.Lock()
						made = append(made, issued.Secret)
						mu.Unlock()
					}
				}
			})
		}
		callers.Go(func() {
			<-begin
			if _, err := c.Tokens.RevokeAll(bg, c.Admin, user.AccountID, ""); err != nil {
				t.Error(err)
			}
		})
		close(begin)
		callers.Wait()
		for _, text := range made {
			mustRefuse(t, c.Tokens, text, tokens.ReasonRevoked)
		}
	}
}

// What a credential asks for while it is revoked leaves nothing behind.
func TestRevokedCredentialLeavesNothingBehind(t *testing.T) {
	c := newCore(t)
	for i, tt := range []struct {
		name string
		end  func(c *coretest.Core, user *identity.Identity, parent tokens.Issued) error
		ask  func(c *coretest.Core, token *identity.Identity, sibling tokens.Issued) error
	}{
		{"issue while all are revoked", revokeAll, issueChild},
		{"issue while it is revoked", revokeParent, issueChild},
		{"rotate itself while it is revoked", revokeParent, func(c *coretest.Core, token *identity.Identity, _ tokens.Issued) error {
			_, err := c.Tokens.Rotate(bg, token, token.TokenID, tokens.Overlap{})
			return err
		}},
		{"rotate another while it is revoked", revokeParent, func(c *coretest.Core, token *identity.Identity, sibling tokens.Issued) error {
			_, err := c.Tokens.Rotate(bg, token, sibling.Token.ID, tokens.Overlap{})
			return err
		}},
		{"take the standing one while it is revoked", revokeParent, func(c *coretest.Core, token *identity.Identity, _ tokens.Issued) error {
			_, err := c.Tokens.Standing(bg, token, "drf", tokens.Hex40, tokens.Request{Name: "standing"})
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			user := c.User(t, fmt.Sprint("ann", i))
			parent, sibling := issue(t, c, user, tokens.Request{}), issue(t, c, user, tokens.Request{})
			token := mustPass(t, c.Tokens, parent.Secret)
			c.Store.Before("Update", func() {
				if err := tt.end(c, user, parent); err != nil {
					t.Error(err)
				}
			})
			if err := tt.ask(c, token, sibling); err == nil {
				t.Error("it was done, want a refusal")
			}
			list, err := listed(c, user, store.TokenQuery{AccountID: user.AccountID, State: store.TokenLive, Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			for _, made := range list {
				if made.ID != sibling.Token.ID {
					t.Errorf("the token %q was left behind", made.Name)
				}
			}
		})
	}
}

// The same for a password: who asks with what it was is told so.
func TestPasswordThatWasRevokedMeanwhile(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	c.Store.Before("Update", func() {
		if _, err := c.Tokens.RevokeAll(bg, c.Admin, user.AccountID, ""); err != nil {
			t.Error(err)
		}
	})
	_, err := c.Tokens.Issue(bg, user, tokens.Request{Name: "late"})
	wantFault(t, "Issue() on a password from before the end of all", err, fault.Unauthenticated)
}

func issueChild(c *coretest.Core, token *identity.Identity, _ tokens.Issued) error {
	_, err := c.Tokens.Issue(bg, token, tokens.Request{Name: "child"})
	return err
}

func revokeParent(c *coretest.Core, user *identity.Identity, parent tokens.Issued) error {
	return c.Tokens.Revoke(bg, user, parent.Token.ID, "")
}

func revokeAll(c *coretest.Core, user *identity.Identity, _ tokens.Issued) error {
	_, err := c.Tokens.RevokeAll(bg, user, user.AccountID, "")
	return err
}
