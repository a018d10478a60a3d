package tokens_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// asking returns a context of a request, as a door has it.
func asking(id, method, path string) context.Context {
	return audit.NewContext(context.Background(), audit.Request{Addr: somewhere, RequestID: id, Method: method, Path: path})
}

// S109: how many successful checks are events is the operator's choice; all
// refused ones are, with what was asked for and the request's id.
func TestChecksAreEvents(t *testing.T) {
	for mode, rows := range map[audit.Checks]int{audit.ChecksNone: 0, audit.ChecksSampled: 1, "": 1, audit.ChecksAll: 3} {
		t.Run(string(mode), func(t *testing.T) {
			c := coretest.New(t, coretest.Options{Tokens: func(o *tokens.Options) { o.Checks = mode }})
			c.Ready(t)
			made, err := c.Tokens.Issue(t.Context(), c.Admin, tokens.Request{Name: "n"})
			if err != nil {
				t.Fatal(err)
			}
			check := func(id string) error {
				_, err := c.Tokens.Check(asking(id, "GET", "/latchkey/verify"), tokens.Presented{Token: made.Secret, Addr: somewhere})
				return err
			}
			for range 3 {
				if err := check("good"); err != nil {
					t.Fatalf("Check() = %v", err)
				}
				c.Clock.Advance(time.Second)
			}
			c.Tokens.FlushUses(t.Context())
			c.Audit.FinishUsage()
			events := c.Events(t, audit.ActionCheck)
			if len(events) != rows {
				t.Errorf("%d events of 3 checks, want %d: %+v", len(events), rows, events)
			}
			n := 0
			for _, e := range events {
				n += e.Count
				if e.Outcome != audit.OK || e.TokenID != made.Token.ID || e.ActorName != "admin" || e.Detail["door"] != "verify" || e.Addr != somewhere.String() {
					t.Errorf("event %+v, want who used which token where", e)
				}
			}
			if rows > 0 && n != 3 {
				t.Errorf("the events stand for %d checks, want 3", n)
			}
			if err := c.Tokens.Revoke(t.Context(), c.Admin, made.Token.ID, ""); err != nil {
				t.Fatal(err)
			}
			if err := check("bad"); err == nil {
				t.Fatal("Check() of a revoked token = nil")
			}
			e := c.Events(t, audit.ActionCheck)[0]
			want := map[string]string{"door": "verify", "method": "GET", "path": "/latchkey/verify"}
			if e.Outcome != audit.Refused || e.Reason != "revoked" || e.TokenID != made.Token.ID || e.RequestID != "bad" || !cmp.Equal(e.Detail, want) {
				t.Errorf("event %+v, want the refusal with %v", e, want)
			}
		})
	}
	c := coretest.New(t, coretest.Options{})
	if _, err := tokens.New(tokens.Options{Store: c.Store, Keys: c.Keys, Audit: c.Audit, Log: c.Log, Checks: "some"}); err == nil {
		t.Error("New() with an odd amount of events = nil, want an error")
	}
}

// S109: a check that cannot be made is a failed one.
func TestFailedChecksAreEvents(t *testing.T) {
	c := coretest.New(t, coretest.Options{})
	made, err := c.Tokens.Issue(t.Context(), c.Admin, tokens.Request{Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	c.Store.Fail(fmt.Errorf("planted: %w", store.ErrUnavailable), "TokenByDigest")
	if _, err := c.Tokens.Check(asking("r", "GET", "/x"), tokens.Presented{Token: made.Secret}); err == nil {
		t.Fatal("Check() without a store = nil")
	}
	c.Store.Heal()
	if got := c.Events(t, audit.ActionCheck); len(got) != 1 || got[0].Outcome != audit.Failed || got[0].Reason != "unavailable" {
		t.Errorf("events = %+v, want one that failed", got)
	}
}

// S109: asking for others' tokens, and ending what nobody knows, are recorded.
func TestProbesAreEvents(t *testing.T) {
	c := coretest.New(t, coretest.Options{})
	bob := c.User(t, "bob")
	made, err := c.Tokens.Issue(t.Context(), c.Admin, tokens.Request{Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Tokens.Token(t.Context(), bob, made.Token.ID); err == nil {
		t.Fatal("Token() of somebody else's = nil")
	}
	if _, err := c.Tokens.Token(t.Context(), bob, "tok_none"); err == nil {
		t.Fatal("Token() of none = nil")
	}
	if got := c.Events(t, "token.read"); len(got) != 1 || got[0].Reason != "forbidden" || got[0].Target != made.Token.ID || got[0].ActorName != "bob" {
		t.Errorf("events = %+v, want one refusal about %s", got, made.Token.ID)
	}
	for range 3 {
		if err := c.Tokens.RevokeSecret(asking("r", "POST", "/latchkey/api/v1/revoke"), "lkp_none"); err != nil {
			t.Fatalf("RevokeSecret() = %v", err)
		}
	}
	if got := c.Events(t, "token.revoke"); len(got) != 1 || got[0].Outcome != audit.Refused || got[0].Reason != "unknown" || got[0].Count != 3 {
		t.Errorf("events = %+v, want one row of three unknown secrets", got)
	}
}

// S109: a standing token leaves an event each time its secret is handed out,
// and one for its predecessor's end.
func TestStandingLeavesEvents(t *testing.T) {
	c := coretest.New(t, coretest.Options{})
	life := time.Hour
	get := func() tokens.Issued {
		t.Helper()
		issued, err := c.Tokens.Standing(t.Context(), c.Admin, "drf", tokens.Native, tokens.Request{Name: "n", ExpiresIn: &life})
		if err != nil {
			t.Fatalf("Standing() = %v", err)
		}
		return issued
	}
	first := get()
	get()
	c.Clock.Advance(2 * time.Hour)
	second := get()
	type line struct{ action, target, reason string }
	var got []line
	for _, e := range c.Events(t, "token.") {
		got = append(got, line{e.Action, e.Target, e.Detail["reason"]})
	}
	want := []line{
		{"token.issue", second.Token.ID, ""}, {"token.revoke", first.Token.ID, "replaced at login"},
		{"token.show", first.Token.ID, ""}, {"token.issue", first.Token.ID, ""},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(line{})); diff != "" {
		t.Errorf("events, newest first, -want +got:\n%s", diff)
	}
}

// S69, S109: nothing of a secret is in any event, whatever is tried with it.
func TestEventsHoldNoSecret(t *testing.T) {
	c := coretest.New(t, coretest.Options{Tokens: func(o *tokens.Options) { o.Checks = audit.ChecksAll }})
	made, err := c.Tokens.Issue(t.Context(), c.Admin, tokens.Request{Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	text := made.Secret.Reveal()
	ctx := asking("r", "GET", "/x")
	for _, s := range []string{text, text[:len(text)-1] + "~", text + "x"} {
		_, _ = c.Tokens.Check(ctx, tokens.Presented{Token: secret.New(s), Addr: netip.MustParseAddr("2001:db8::1"), Agent: "a"})
	}
	_, _ = c.Tokens.Rotate(ctx, c.Admin, made.Token.ID, tokens.Overlap{})
	_ = c.Tokens.RevokeSecret(ctx, text)
	_, _ = c.Accounts.Login(ctx, "admin", secret.New(text))
	_, _ = c.Accounts.Login(ctx, "admin", secret.New(coretest.Password))
	events := fmt.Sprint(c.Events(t, ""))
	for _, part := range []string{text[4:20], text[14:], coretest.Password} {
		if strings.Contains(events, part) {
			t.Errorf("the events hold %q: %s", part, events)
		}
	}
}
