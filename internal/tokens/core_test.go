package tokens_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

var bg = context.Background()

type ctx = context.Context

// newCore returns a core that takes answers from its cache.
func newCore(t testing.TB) *coretest.Core { return newCoreWith(t, nil) }

func newCoreWith(t testing.TB, change func(*tokens.Options)) *coretest.Core {
	t.Helper()
	c := coretest.New(t, coretest.Options{Tokens: change})
	c.Ready(t)
	return c
}

// issue makes a token that must be given.
func issue(t testing.TB, c *coretest.Core, caller *identity.Identity, r tokens.Request) tokens.Issued {
	t.Helper()
	if r.Name == "" {
		r.Name = "made for a test"
	}
	issued, err := c.Tokens.Issue(bg, caller, r)
	if err != nil {
		t.Fatalf("Issue(%s, %+v) = %v", caller.Name, r, err)
	}
	return issued
}

// present checks a token from an ordinary address.
func present(s *tokens.Service, text secret.Text) (*identity.Identity, error) {
	return s.Check(bg, tokens.Presented{Token: text, Addr: somewhere, Agent: "test"})
}

// mustPass checks a token that is good.
func mustPass(t testing.TB, s *tokens.Service, text secret.Text) *identity.Identity {
	t.Helper()
	id, err := present(s, text)
	if err != nil {
		t.Fatalf("Check() = %v, want an identity", err)
	}
	return id
}

// mustRefuse checks a token that must be refused for this reason.
func mustRefuse(t testing.TB, s *tokens.Service, text secret.Text, want tokens.Reason) {
	t.Helper()
	id, err := present(s, text)
	if got := reason(err); got != want || id != nil {
		t.Fatalf("Check() = %v, %v, want the refusal %q", id, err, want)
	}
}

// reason returns why a token was refused, "" when err is no refusal.
func reason(err error) tokens.Reason {
	var r *tokens.Refusal
	if !errors.As(err, &r) {
		return ""
	}
	return r.Reason
}

// wantFault fails unless err is a fault of this kind.
func wantFault(t testing.TB, call string, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("%s = %v, want a fault of the kind %q", call, err, kind)
	}
}

func of[T any](v T) *T { return &v }

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

const hour = time.Hour

func pathRequest(method, path string) scope.Request { return scope.PathRequest(method, path) }

type req = scope.Request

// tokenDiff compares tokens, with addresses by what they are.
func tokenDiff(want, got store.Token) string {
	return cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }))
}

// listed lists tokens that a store can select.
func listed(c *coretest.Core, who *identity.Identity, q store.TokenQuery) ([]store.Token, error) {
	page, err := c.Tokens.List(bg, who, tokens.Query{TokenQuery: q})
	return page.Tokens, err
}
