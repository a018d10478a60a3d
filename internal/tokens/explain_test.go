package tokens_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/explain"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// explained is an explanation that must be given.
func explained(t testing.TB, c *coretest.Core, who *identity.Identity, q tokens.Subject) tokens.Explained {
	t.Helper()
	x, err := c.Tokens.Explain(bg, who, q)
	if err != nil {
		t.Fatalf("Explain() = %v", err)
	}
	return x
}

// step returns the step about something.
func step(t testing.TB, x tokens.Explained, check string) explain.Step {
	t.Helper()
	for _, s := range x.Steps {
		if s.Check == check {
			return s
		}
	}
	t.Fatalf("there is no step about %q in %+v", check, x.Steps)
	return explain.Step{}
}

// S80: whatever has become of a token, the explanation has the reason that the
// check has, and a step says so exactly when it is refused.
func TestExplainIsWhatACheckSays(t *testing.T) {
	c := newCore(t)
	d := rand.New(rand.NewPCG(5, 6))
	seen := map[tokens.Reason]int{}
	for i := range 250 {
		ann := c.User(t, fmt.Sprint("ann", i))
		r := tokens.Request{}
		if d.IntN(2) == 0 {
			r.ExpiresIn = of(time.Duration(1+d.IntN(3)) * hour)
		}
		if d.IntN(2) == 0 {
			r.IdleAfter = of(time.Duration(1+d.IntN(3)) * hour)
		}
		if d.IntN(3) == 0 {
			r.CIDRs = prefixes("10.0.0.0/8")
		}
		issued := issue(t, c, ann, r)
		text := issued.Secret
		if d.IntN(4) == 0 {
			if _, err := c.Tokens.Rotate(bg, ann, issued.Token.ID, tokens.Overlap{For: 2 * hour}); err != nil {
				t.Fatal(err)
			}
		}
		c.Clock.Advance(time.Duration(d.IntN(4)) * hour)
		var err error
		switch d.IntN(8) {
		case 0:
			err = c.Tokens.Revoke(bg, ann, issued.Token.ID, "lost")
		case 1:
			_, err = c.Tokens.RevokeAll(bg, ann, ann.AccountID, "")
		case 2:
			_, err = c.Accounts.Update(bg, c.Admin, ann.AccountID, accounts.Change{Disabled: of(true), DisabledReason: of("left")})
		}
		if err != nil {
			t.Fatal(err)
		}
		addr := netip.MustParseAddr([]string{"10.1.2.3", "192.0.2.7"}[d.IntN(2)])
		x := explained(t, c, c.Admin, tokens.Subject{Secret: text.Reveal(), Addr: addr})
		_, err = c.Tokens.Check(bg, tokens.Presented{Token: text, Addr: addr})
		want := reason(err)
		if err != nil && want == "" {
			t.Fatalf("Check() = %v", err)
		}
		if got := reason(x.Err); got != want {
			t.Fatalf("Explain() has the reason %q, Check() %q; steps %+v", got, want, x.Steps)
		}
		if failed, no := explain.Failed(x.Steps); no != (want != "") {
			t.Fatalf("Check() says %q, the first step that stands in the way is %+v", want, failed)
		}
		seen[want]++
	}
	for _, why := range []tokens.Reason{"", tokens.ReasonExpired, tokens.ReasonIdle, tokens.ReasonRotated, tokens.ReasonRevoked, tokens.ReasonDisabled, tokens.ReasonAddress} {
		if seen[why] == 0 {
			t.Errorf("no token was refused for %q", why)
		}
	}
}

func TestExplainSaysWhoWhenAndWhy(t *testing.T) {
	c := newCore(t)
	ann := c.User(t, "ann")
	issued := issue(t, c, ann, tokens.Request{Name: "laptop", CIDRs: prefixes("10.0.0.0/8"), Scope: []string{"path:/a/*:read", "latchkey:tokens:read"}})
	by := tokens.Subject{TokenID: issued.Token.ID}
	if x := explained(t, c, c.Admin, by); x.Err != nil || !strings.Contains(step(t, x, explain.Address).Text, "10.0.0.0/8") {
		t.Errorf("without an address, Explain() = %v, %+v, want one of the token's to be supposed", x.Err, x.Steps)
	}
	by.Addr = somewhere
	if s := step(t, explained(t, c, c.Admin, by), explain.Address); s.Result != explain.No || s.Fix != `latchkey token create laptop --owner ann --scope 'path:/a/*:read' --scope latchkey:tokens:read --cidr 192.0.2.7` {
		t.Errorf("from elsewhere = %+v, want a command for a token that may be used from there", s)
	}
	if err := c.Tokens.Revoke(bg, c.Admin, issued.Token.ID, "left on a train"); err != nil {
		t.Fatal(err)
	}
	if s := step(t, explained(t, c, c.Admin, by), explain.Revoked); s.Text != "the token was revoked at 2026-03-01T12:00:00Z by admin: left on a train" {
		t.Errorf("the revoked token = %q", s.Text)
	}
	if s := step(t, explained(t, c, ann, by), explain.Revoked); s.Text != "the token was revoked at 2026-03-01T12:00:00Z by an administrator: left on a train" {
		t.Errorf("the revoked token, to its owner = %q, want no name of another account (S82)", s.Text)
	}
	// Nothing of it counts as a use.
	if got, err := c.Tokens.Token(bg, ann, issued.Token.ID); err != nil || !got.LastUse.At.IsZero() {
		t.Errorf("the last use after being explained is %+v, %v, want none", got.LastUse, err)
	}
}

func TestExplainWhatIsNoToken(t *testing.T) {
	c := newCore(t)
	foreign, _ := tokens.Generate(coretest.NewKeys(t))
	gone, _ := tokens.Generate(c.Keys)
	for name, tt := range map[string]struct {
		q     tokens.Subject
		check string
		want  tokens.Reason
	}{
		"nonsense":          {tokens.Subject{Secret: "lkp_nonsense"}, explain.Form, tokens.ReasonMalformed},
		"of another server": {tokens.Subject{Secret: foreign.Reveal()}, explain.Form, tokens.ReasonMalformed},
		"forgotten":         {tokens.Subject{Secret: gone.Reveal()}, explain.Known, tokens.ReasonUnknown},
		"no such id":        {tokens.Subject{TokenID: "tok_none"}, explain.Known, tokens.ReasonUnknown},
	} {
		x := explained(t, c, c.Admin, tt.q)
		if failed, _ := explain.Failed(x.Steps); reason(x.Err) != tt.want || failed.Check != tt.check || x.Identity != nil {
			t.Errorf("Explain(%s) = %v, %+v, want %q by the step %q", name, x.Err, x.Steps, tt.want, tt.check)
		}
		if tt.q.Secret != "" {
			mustRefuse(t, c.Tokens, secret.New(tt.q.Secret), tt.want)
		}
	}
}

// S82: whoever may ask about their own only cannot tell what exists from what
// does not.
func TestExplainOthersIsAsUnknown(t *testing.T) {
	c := newCore(t)
	ann, bob := c.User(t, "ann"), c.User(t, "bob")
	hers := issue(t, c, ann, tokens.Request{})
	gone, _ := tokens.Generate(c.Keys)
	_, unknown := c.Tokens.Explain(bg, bob, tokens.Subject{TokenID: "tok_0000000000000000000000"})
	wantFault(t, "Explain() of what does not exist", unknown, fault.NotFound)
	for name, q := range map[string]tokens.Subject{
		"her id": {TokenID: hers.Token.ID}, "her secret": {Secret: hers.Secret.Reveal()}, "her account": {AccountID: ann.AccountID},
		"no secret": {Secret: gone.Reveal()}, "nonsense": {Secret: "lkp_x"}, "no account": {AccountID: "none"}, "an odd id": {TokenID: "\x00"},
	} {
		_, err := c.Tokens.Explain(bg, bob, q)
		if err == nil || err.Error() != unknown.Error() {
			t.Errorf("Explain(%s) = %v, want %v", name, err, unknown)
		}
	}
	explained(t, c, ann, tokens.Subject{TokenID: hers.Token.ID})
	helper := c.User(t, "helper", "latchkey:explain:read")
	explained(t, c, helper, tokens.Subject{TokenID: hers.Token.ID})
	narrow := mustPass(t, c.Tokens, issue(t, c, ann, tokens.Request{Scope: []string{"path:/*:*"}}).Secret)
	_, err := c.Tokens.Explain(bg, narrow, tokens.Subject{TokenID: hers.Token.ID})
	wantFault(t, "Explain() by a token without the right (S78)", err, fault.Forbidden)
	_, err = c.Tokens.Explain(bg, nil, tokens.Subject{TokenID: hers.Token.ID})
	wantFault(t, "Explain() by nobody", err, fault.Unauthenticated)
	refused := 0
	for _, e := range c.Events(t, "token.explain") {
		refused += e.Count
	}
	if refused < 4 {
		t.Errorf("%d refusals are in the audit log, want one for each thing of hers", refused)
	}
}

// S83: a grant that is gone is missing from the next explanation.
func TestExplainRules(t *testing.T) {
	c := newCore(t)
	ann := c.User(t, "ann", "repository:hers/*:pull")
	if _, err := c.Accounts.CreateGroup(bg, c.Admin, "builders", ""); err != nil {
		t.Fatal(err)
	}
	grant, err := c.Accounts.AddGrant(bg, c.Admin, "", "builders", "repository:prod/*:push")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Accounts.AddMember(bg, c.Admin, "builders", ann.AccountID); err != nil {
		t.Fatal(err)
	}
	issued := issue(t, c, ann, tokens.Request{Name: "ci", Scope: []string{"repository:*:*", "path:/a/*:read"}})
	rules := func(q req) string {
		t.Helper()
		x := explained(t, c, ann, tokens.Subject{TokenID: issued.Token.ID})
		steps, err := c.Tokens.ExplainRequest(bg, x.Identity, q)
		if err != nil {
			t.Fatal(err)
		}
		failed, no := explain.Failed(steps)
		if x.Identity.Allows(q) == no {
			t.Errorf("Allows(%s) = %v, and the steps are %+v", q, x.Identity.Allows(q), steps)
		}
		text := failed.Text + " | " + failed.Fix
		if !no {
			text = steps[0].Rule + " | " + steps[1].Text
		}
		return text
	}
	for _, tt := range []struct {
		q    req
		want string
	}{
		{req{Type: "repository", Name: "hers/x", Action: "pull"}, "repository:*:* | ann may, by the grant repository:hers/*:pull of the account itself"},
		{req{Type: "repository", Name: "prod/x", Action: "push"}, "repository:*:* | ann may, by the grant repository:prod/*:push of the group builders"},
		{pathRequest("GET", "/a/x"), "path:/a/*:read | ann may, by the grant path:/*:* of the group everyone"},
		{pathRequest("POST", "/a/x"), "no rule of the token's own allows path:/a/x:write; it has repository:*:* path:/a/*:read | " +
			"latchkey token create ci --owner ann --scope 'repository:*:*' --scope 'path:/a/*:read' --scope path:/a/x:write"},
		{req{Type: "repository", Name: "prod/x", Action: "pull"}, "neither ann nor a group of theirs has been granted repository:prod/x:pull | " +
			"latchkey grant add repository:prod/x:pull --account ann"},
	} {
		if got := rules(tt.q); got != tt.want {
			t.Errorf("ExplainRequest(%s) =\n%s\nwant\n%s", tt.q, got, tt.want)
		}
	}
	if err := c.Accounts.RemoveGrant(bg, c.Admin, grant.ID); err != nil {
		t.Fatal(err)
	}
	if got := rules(req{Type: "repository", Name: "prod/x", Action: "push"}); !strings.HasPrefix(got, "neither ann") {
		t.Errorf("without the grant of the group = %s, want it missing", got)
	}
}

// Then finds what was decided, one's own or with the right to all (S82).
func TestThen(t *testing.T) {
	c := newCore(t)
	ann, bob := c.User(t, "ann"), c.User(t, "bob")
	at := func(id string) ctx {
		return audit.NewContext(bg, audit.Request{RequestID: id, Addr: somewhere})
	}
	issued := issue(t, c, ann, tokens.Request{})
	if err := c.Tokens.Revoke(bg, ann, issued.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Tokens.Check(at("r1"), tokens.Presented{Token: issued.Secret}); err == nil {
		t.Fatal("a revoked token is good")
	}
	_, unknown := c.Tokens.Then(bg, bob, "none")
	wantFault(t, "Then() of no request", unknown, fault.NotFound)
	_, err := c.Tokens.Then(bg, bob, "r1")
	if err == nil || err.Error() != unknown.Error() {
		t.Errorf("Then() of another's request = %v, want %v", err, unknown)
	}
	for _, who := range []*identity.Identity{ann, c.Admin} {
		got, err := c.Tokens.Then(bg, who, "r1")
		if err != nil || got.Reason != "revoked" || got.TokenID != issued.Token.ID || got.AccountName != "ann" || got.Addr != somewhere {
			t.Errorf("Then() for %s = %+v, %v, want the refusal of ann's token", who.Name, got, err)
		}
	}
}

// The events of one request are put together: the refusal decides.
func TestThenOfSeveralEvents(t *testing.T) {
	c := newCore(t)
	for i, e := range []store.Event{
		{Action: "login", Outcome: "ok", ActorID: "a1", ActorName: "ann"},
		{Action: "gateway.request", Outcome: "refused", Reason: "forbidden", ActorID: "a1", ActorName: "ann", TokenID: "tok_1",
			Target: "GET /x y", Detail: map[string]string{"missing": "path:/x y:read", "status": "403"}},
	} {
		e.ID, e.At, e.RequestID = fmt.Sprint(i), c.Clock.Now().Add(time.Duration(i)*time.Second), "r1"
		c.Audit.Record(e)
	}
	got, err := c.Tokens.Then(bg, c.Admin, "r1")
	want := tokens.Then{
		At: c.Clock.Now().Add(time.Second), Action: "gateway.request", Outcome: "refused", Reason: "forbidden", Missing: "path:/x y:read", Status: "403",
		Door: "gateway", Method: "GET", Path: "/x y", TokenID: "tok_1", AccountID: "a1", AccountName: "ann",
	}
	if err != nil || got != want {
		t.Errorf("Then() = %+v, %v, want %+v", got, err, want)
	}
}
