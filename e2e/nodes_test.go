//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/pgtest"
)

// twoNodes runs two servers on one PostgreSQL with one secret.
func twoNodes(t *testing.T) (one, two *latchkey) {
	t.Helper()
	cluster, err := pgtest.Start(pgtest.Options{})
	if err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	dsn, err := cluster.CreateDatabase(t.Context(), "latchkey")
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("database: %q\nsecret: \"shared %s\"\n", dsn, strings.Repeat("5a", 32))
	return serve(t, serveOptions{config: config}), serve(t, serveOptions{config: config})
}

// TestNodes: what is made on one node works on the other, and what is revoked
// on one is refused by the other within the bound.
func TestNodes(t *testing.T) {
	one, two := twoNodes(t)
	made := one.token(t, one.admin(), api.CreateToken{})
	two.hide(made.Secret)
	if got := verify(t, two, made.Secret); got != http.StatusOK {
		t.Fatalf("a token of the first node at the second: %d, want 200", got)
	}
	if err := one.admin().Tokens.Revoke(t.Context(), made.ID, ""); err != nil {
		t.Fatal(err)
	}
	if got := verify(t, one, made.Secret); got != http.StatusUnauthorized {
		t.Errorf("the node that revoked it: %d, want 401 at once", got)
	}
	within(t, 2*time.Second, "the other node to refuse it", func(context.Context) error {
		if got := verify(t, two, made.Secret); got != http.StatusUnauthorized {
			return fmt.Errorf("it answers %d", got)
		}
		return nil
	})
}

// verifyPath asks the door about a request that is described by a scope.
const verifyPath = "/latchkey/verify?scope=path:/x:read"

// verify asks a server's door about a token.
func verify(t *testing.T, s *latchkey, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+verifyPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}
