package tokens_test

import (
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

func TestUpdate(t *testing.T) {
	whole := tokens.Request{
		Scope: []string{"path:/a/*:read,write"}, CIDRs: prefixes("192.0.2.0/24"), ExpiresIn: of(2 * hour), IdleAfter: of(hour),
		Labels: map[string]string{"k": "v"},
	}
	free := tokens.Request{}
	c := newCore(t)
	user := c.User(t, "ann")
	for _, tt := range []struct {
		name  string
		made  tokens.Request
		do    tokens.Update
		want  func(*store.Token) // nil: refused
		field string
	}{
		{"nothing", whole, tokens.Update{}, func(*store.Token) {}, ""},
		{"a name", whole, tokens.Update{Name: of("new")}, func(s *store.Token) { s.Name = "new" }, ""},
		{"a bad name", whole, tokens.Update{Name: of("")}, nil, "name"},
		{"labels", whole, tokens.Update{Labels: of(map[string]string{"a": "b"})}, func(s *store.Token) { s.Labels = map[string]string{"a": "b"} }, ""},
		{"no labels", whole, tokens.Update{Labels: of(map[string]string{})}, func(s *store.Token) { s.Labels = nil }, ""},
		{"bad labels", whole, tokens.Update{Labels: of(map[string]string{"": "b"})}, nil, "labels"},
		{"a narrower scope", whole, tokens.Update{Scope: of([]string{"path:/a/b:read"})}, func(s *store.Token) { s.Scope = []string{"path:/a/b:read"} }, ""},
		{"the same scope", whole, tokens.Update{Scope: of([]string{"path:/a/*:write,read"})}, func(*store.Token) {}, ""},
		{"a wider scope", whole, tokens.Update{Scope: of([]string{"path:/*:read"})}, nil, "scope"},
		{"another action", whole, tokens.Update{Scope: of([]string{"path:/a/*:delete"})}, nil, "scope"},
		{"no scope", whole, tokens.Update{Scope: of([]string{})}, nil, "scope"},
		{"a bad scope", whole, tokens.Update{Scope: of([]string{"?"})}, nil, "scope"},
		{"a first scope", free, tokens.Update{Scope: of([]string{"path:/x:read"})}, func(s *store.Token) { s.Scope = []string{"path:/x:read"} }, ""},
		{"fewer addresses", whole, tokens.Update{CIDRs: of(prefixes("192.0.2.8/29"))}, func(s *store.Token) { s.CIDRs = prefixes("192.0.2.8/29") }, ""},
		{"more addresses", whole, tokens.Update{CIDRs: of(prefixes("192.0.2.0/23"))}, nil, "cidrs"},
		{"one more network", whole, tokens.Update{CIDRs: of(prefixes("192.0.2.0/24", "10.0.0.0/8"))}, nil, "cidrs"},
		{"all addresses", whole, tokens.Update{CIDRs: of(prefixes())}, nil, "cidrs"},
		{"first addresses", free, tokens.Update{CIDRs: of(prefixes("10.0.0.0/8"))}, func(s *store.Token) { s.CIDRs = prefixes("10.0.0.0/8") }, ""},
		{"an earlier end", whole, tokens.Update{ExpiresIn: of(hour)}, func(s *store.Token) { s.ExpiresAt = at(hour) }, ""},
		{"an earlier end as a time", whole, tokens.Update{ExpiresAt: of(at(hour))}, func(s *store.Token) { s.ExpiresAt = at(hour) }, ""},
		{"a later end", whole, tokens.Update{ExpiresIn: of(3 * hour)}, nil, "expires_in"},
		{"a later end as a time", whole, tokens.Update{ExpiresAt: of(at(3 * hour))}, nil, "expires_at"},
		{"the end now", whole, tokens.Update{ExpiresIn: of(time.Duration(0))}, nil, "expires_in"},
		{"an end in the past", whole, tokens.Update{ExpiresAt: of(at(-hour))}, nil, "expires_at"},
		{"a shorter idle time", whole, tokens.Update{IdleAfter: of(time.Minute)}, func(s *store.Token) { s.IdleAfter = time.Minute }, ""},
		{"a longer idle time", whole, tokens.Update{IdleAfter: of(2 * hour)}, nil, "idle_timeout"},
		{"no idle time", whole, tokens.Update{IdleAfter: of(time.Duration(0))}, nil, "idle_timeout"},
		{"a negative idle time", free, tokens.Update{IdleAfter: of(-hour)}, nil, "idle_timeout"},
		{"a first idle time", free, tokens.Update{IdleAfter: of(hour)}, func(s *store.Token) { s.IdleAfter = hour }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			made := issue(t, c, user, tt.made)
			before := stored(t, c, made)
			got, err := c.Tokens.Update(bg, user, made.Token.ID, tt.do)
			want := before
			if tt.want == nil {
				if f := fault.Of(err); f.Kind != fault.Invalid || f.Field != tt.field {
					t.Errorf("Update() = %v, want a fault about %s", err, tt.field)
				}
			} else {
				if err != nil {
					t.Fatalf("Update() = %v", err)
				}
				tt.want(&want)
				if len(got.Labels) == 0 {
					got.Labels = nil
				}
				if diff := tokenDiff(want, got); diff != "" {
					t.Errorf("Update() returned (-want +got):\n%s", diff)
				}
			}
			if diff := tokenDiff(want, stored(t, c, made)); diff != "" {
				t.Errorf("Update() left (-want +got):\n%s", diff)
			}
		})
	}
}

func stored(t testing.TB, c *coretest.Core, made tokens.Issued) store.Token {
	t.Helper()
	got, err := c.Store.Token(bg, made.Token.ID)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// What has ended is not brought back by being changed.
func TestUpdateOfEndedTokens(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	revoked := issue(t, c, user, tokens.Request{})
	expired := issue(t, c, user, tokens.Request{ExpiresIn: of(time.Minute)})
	idle := issue(t, c, user, tokens.Request{IdleAfter: of(time.Minute)})
	if err := c.Tokens.Revoke(bg, user, revoked.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
	c.Clock.Advance(hour)
	for _, made := range []tokens.Issued{revoked, expired, idle} {
		_, err := c.Tokens.Update(bg, user, made.Token.ID, tokens.Update{Name: of("new")})
		wantFault(t, "Update() of an ended token", err, fault.Conflict)
	}
}

func TestUpdateNeedsTheScope(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	for name, caller := range map[string]*identity.Identity{
		"a token that may only read":          mustPass(t, c.Tokens, issue(t, c, user, tokens.Request{Scope: []string{"latchkey:tokens:read"}}).Secret),
		"somebody who may see all tokens":     c.User(t, "eve", "latchkey:all-tokens:read"),
		"somebody who may end others' tokens": c.User(t, "bob", "latchkey:all-tokens:read,delete"),
	} {
		_, err := c.Tokens.Update(bg, caller, made.Token.ID, tokens.Update{Name: of("new")})
		if f := fault.Of(err); f.Kind != fault.Forbidden || !strings.HasSuffix(f.Missing, "tokens:write") {
			t.Errorf("Update() by %s = %v, want that a right to write is missing", name, err)
		}
	}
}
