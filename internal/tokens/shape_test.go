package tokens_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// dialectShape is a shape with refresh and sliding tokens, as a dialect has.
func dialectShape() tokens.Shape {
	return tokens.Shape{
		Name: "dialect", Profile: jose.Profile{Type: "JWT", Required: []string{"sid", "kind"}},
		Claims: func(t tokens.Signed) any {
			c := map[string]any{"kind": t.Kind, "jti": t.ID, "sid": t.FamilyID, "user": t.AccountID, "exp": t.ExpiresAt.Unix(), "iat": t.IssuedAt.Unix()}
			if !t.RefreshUntil.IsZero() {
				c["until"] = t.RefreshUntil.Format(time.RFC3339)
			}
			return c
		},
		Read: func(c jose.Claims) (tokens.Signed, error) {
			said := tokens.Signed{Kind: tokens.SignedKind(c.Text("kind")), ID: c.Text("jti"), FamilyID: c.Text("sid"), AccountID: c.Text("user")}
			if text := c.Text("until"); text != "" {
				var err error
				if said.RefreshUntil, err = time.Parse(time.RFC3339, text); err != nil {
					return said, errors.New("no time")
				}
			}
			return said, nil
		},
	}
}

func newDialect(t *testing.T) *coretest.Core {
	t.Helper()
	c := newSigning(t, nil)
	if err := c.Tokens.SignWith(c.Signing, tokens.AccessShape(coretest.Issuer), dialectShape()); err != nil {
		t.Fatalf("SignWith() = %v", err)
	}
	return c
}

func dialectUse(c *coretest.Core, text secret.Text) (tokens.Pair, error) {
	return c.Tokens.RefreshPair(context.Background(), tokens.RefreshRequest{Presented: tokens.Presented{Token: text, Addr: somewhere}, Shape: "dialect"})
}

func inspected(t *testing.T, c *coretest.Core, text secret.Text, want tokens.Reason) tokens.Signed {
	t.Helper()
	said, err := c.Tokens.Inspect(bg, text.Reveal())
	if got := reason(err); got != want || want == "" && err != nil {
		t.Fatalf("Inspect() = %+v, %v, want the refusal %q", said, err, want)
	}
	return said
}

// Signed refresh tokens rotate as opaque ones do, open no door, and are of no
// use by another form's endpoint.
func TestSignedRefresh(t *testing.T) {
	c := newDialect(t)
	terms := tokens.Terms{Shape: "dialect", Access: 5 * time.Minute, Refresh: hour, SignedRefresh: true}
	p := pair(t, c, c.User(t, "ann"), tokens.PairRequest{Terms: &terms, Request: tokens.Request{ExpiresIn: of(10 * hour)}})
	mustPass(t, c.Tokens, p.Access)
	mustRefuse(t, c.Tokens, p.Refresh, tokens.ReasonKind) // S38
	mustNotRefresh(t, c.Tokens, p.Refresh, tokens.ReasonKind)
	if said := inspected(t, c, p.Refresh, ""); said.Kind != tokens.SignedRefresh || said.FamilyID != p.Family.ID {
		t.Errorf("Inspect(refresh) = %+v", said)
	}
	next, err := dialectUse(c, p.Refresh)
	if err != nil {
		t.Fatalf("RefreshPair() = %v", err)
	}
	mustPass(t, c.Tokens, next.Access)
	inspected(t, c, p.Refresh, tokens.ReasonReused)
	inspected(t, c, next.Refresh, "")
	if _, err := dialectUse(c, p.Refresh); reason(err) != tokens.ReasonReused { // no leeway was asked for
		t.Errorf("RefreshPair(used) = %v, want the refusal %q", err, tokens.ReasonReused)
	}
	inspected(t, c, next.Access, tokens.ReasonRevoked)

	late := pair(t, c, c.Admin, tokens.PairRequest{Terms: &terms, Request: tokens.Request{ExpiresIn: of(10 * hour)}})
	c.Clock.Advance(hour)
	if _, err := dialectUse(c, late.Refresh); reason(err) != tokens.ReasonExpired {
		t.Errorf("RefreshPair(expired) = %v, want the refusal %q", err, tokens.ReasonExpired)
	}
}

// A refresh token that is kept can be used again and again until it ends.
func TestKeptRefresh(t *testing.T) {
	c := newDialect(t)
	terms := tokens.Terms{Shape: "dialect", Access: 5 * time.Minute, Refresh: hour, SignedRefresh: true, KeepRefresh: true}
	p := pair(t, c, c.User(t, "ann"), tokens.PairRequest{Terms: &terms, Request: tokens.Request{ExpiresIn: of(hour)}})
	for range 3 {
		c.Clock.Advance(10 * time.Minute)
		next, err := dialectUse(c, p.Refresh)
		if err != nil || !next.Refresh.Empty() {
			t.Fatalf("RefreshPair() = %+v, %v, want an access token alone", next, err)
		}
		mustPass(t, c.Tokens, next.Access)
	}
	if err := c.Tokens.RevokeSecret(bg, p.Refresh.Reveal()); err != nil {
		t.Fatalf("RevokeSecret() = %v", err)
	}
	if _, err := dialectUse(c, p.Refresh); reason(err) != tokens.ReasonRevoked {
		t.Errorf("RefreshPair(revoked) = %v, want the refusal %q", err, tokens.ReasonRevoked)
	}
}

// A sliding token gets its successor until a time that does not move.
func TestSliding(t *testing.T) {
	c := newDialect(t)
	terms := tokens.Terms{Shape: "dialect", Access: 5 * time.Minute, Refresh: 12 * time.Minute, Sliding: true}
	p := pair(t, c, c.User(t, "ann"), tokens.PairRequest{Terms: &terms, Request: tokens.Request{ExpiresIn: of(hour)}})
	first := inspected(t, c, p.Access, "")
	for range 2 {
		mustPass(t, c.Tokens, p.Access)
		c.Clock.Advance(4 * time.Minute)
		next, err := dialectUse(c, p.Access)
		if err != nil {
			t.Fatalf("RefreshPair() = %v", err)
		}
		said := inspected(t, c, next.Access, "")
		if said.ID != first.ID || !said.RefreshUntil.Equal(first.RefreshUntil) || !said.ExpiresAt.After(first.ExpiresAt) {
			t.Errorf("the successor says %+v, want the id and the last end of %+v", said, first)
		}
		p = next
	}
	c.Clock.Advance(4 * time.Minute)
	if _, err := dialectUse(c, p.Access); reason(err) != tokens.ReasonExpired {
		t.Errorf("RefreshPair(too late) = %v, want the refusal %q", err, tokens.ReasonExpired)
	}
}

// A warm check of a signed token allocates nothing, and leaves that of an
// opaque one as it was.
func TestSignedCheckAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	c := newSigning(t, nil)
	p := pair(t, c, c.User(t, "ann"), tokens.PairRequest{})
	for name, text := range map[string]secret.Text{"signed": p.Access, "opaque": issue(t, c, c.Admin, tokens.Request{}).Secret} {
		mustPass(t, c.Tokens, text)
		presented := tokens.Presented{Token: text, Addr: somewhere, Agent: "test"}
		n := testing.AllocsPerRun(100, func() {
			if _, err := c.Tokens.Check(bg, presented); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("Check(%s) allocates %v times, want 0", name, n)
		}
	}
}
