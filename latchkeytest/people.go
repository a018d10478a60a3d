package latchkeytest

import (
	"errors"
	"slices"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// ServiceRight is what a service needs that checks the tokens of others.
const ServiceRight = "latchkey:check:read"

// User makes a user with these grants, beside those that everybody has. When
// there is one of the name, they are added.
func (s *Server) User(t testing.TB, name string, grants ...string) api.Account {
	t.Helper()
	return s.account(t, "user", name, grants)
}

// Robot makes a robot with these grants, as [Server.User] does a user.
func (s *Server) Robot(t testing.TB, name string, grants ...string) api.Account {
	t.Helper()
	return s.account(t, "robot", name, grants)
}

func (s *Server) account(t testing.TB, kind, name string, grants []string) api.Account {
	t.Helper()
	a, err := s.Admin.Accounts.Get(t.Context(), name)
	if errors.Is(err, client.ErrNotFound) {
		a, err = s.Admin.Accounts.Create(t.Context(), api.CreateAccount{Kind: kind, Name: name})
	}
	if err != nil {
		t.Fatalf("latchkeytest: the account %s: %v", name, err)
	}
	for _, rule := range grants {
		if slices.Contains(a.Grants, rule) {
			continue
		}
		_, err := s.Admin.Grants.Create(t.Context(), api.CreateGrant{Account: name, Scope: rule})
		if err != nil && !errors.Is(err, client.ErrConflict) {
			t.Fatalf("latchkeytest: granting %s to %s: %v", rule, name, err)
		}
	}
	return a
}

// Token makes a token for an account and returns its secret. The token may do
// what the rules say, or without any all that the account may. The account is
// made if there is none, a user, and gets what the rules need as grants.
func (s *Server) Token(t testing.TB, account string, rules ...string) string {
	t.Helper()
	return s.NewToken(t, account, api.CreateToken{Scope: rules}).Secret
}

// NewToken is [Server.Token] with everything that can be asked of a token.
func (s *Server) NewToken(t testing.TB, account string, r api.CreateToken) api.NewToken {
	t.Helper()
	s.account(t, "user", account, r.Scope)
	r.Owner = account
	if r.Name == "" {
		r.Name = "made for " + t.Name()
	}
	if runes := []rune(r.Name); len(runes) > 100 {
		r.Name = string(runes[:100])
	}
	made, err := s.Admin.Tokens.Create(t.Context(), r)
	if err != nil {
		t.Fatalf("latchkeytest: a token for %s: %v", account, err)
	}
	return made
}

// Pair makes a signed access token and a refresh token for an account, as
// [Server.Token] makes a token.
func (s *Server) Pair(t testing.TB, account string, rules ...string) api.TokenPair {
	t.Helper()
	s.account(t, "user", account, rules)
	made, err := s.Admin.Tokens.CreatePair(t.Context(), api.CreateTokenPair{Name: "made for a test", Owner: account, Scope: rules})
	if err != nil {
		t.Fatalf("latchkeytest: a pair for %s: %v", account, err)
	}
	return made
}

// Service makes a robot and returns a token for it that may check the tokens
// of others and nothing else: what a service that uses package guard needs.
func (s *Server) Service(t testing.TB, name string) string {
	t.Helper()
	s.Robot(t, name, ServiceRight)
	return s.Token(t, name, ServiceRight)
}

// Revoke ends a token, given its secret.
func (s *Server) Revoke(t testing.TB, token string) {
	t.Helper()
	if err := s.Admin.Tokens.RevokeSecret(t.Context(), token); err != nil {
		t.Fatalf("latchkeytest: revoking a token: %v", err)
	}
}
