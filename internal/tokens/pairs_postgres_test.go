package tokens_test

import (
	"os"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/store/postgres"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// Pairs live on PostgreSQL as they do on SQLite, with two nodes on it: one
// successor of many uses (S21, S28), the leeway and the end of a family behind
// it (S22, S23), and the end on all nodes at once (S27, S47).
func TestPairsOnPostgreSQL(t *testing.T) {
	db, err := postgres.Open(bg, postgres.Options{DSN: pgtest.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	policy := keyring.Policy{Longest: longest}
	quick := func(o *tokens.Options) { o.PollEvery = time.Millisecond }
	c := coretest.New(t, coretest.Options{Database: db, Signing: policy, Tokens: quick})
	other, ring := c.SigningNode(t, quick, policy)
	for _, r := range []*keyring.Service{c.Signing, ring} {
		if err := r.Start(bg); err != nil {
			t.Fatalf("Start() = %v", err)
		}
	}
	c.Ready(t, other)

	t.Run("at once", func(t *testing.T) { refreshAtOnce(t, c, other) })
	t.Run("an answer is lost", func(t *testing.T) { refreshAnswerLost(t, c, "bob") })
	for i, tt := range reuses {
		t.Run(tt.name, func(t *testing.T) {
			node, ring := c.SigningNode(t, func(o *tokens.Options) { o.Policy = tt.policy }, policy)
			if err := ring.Start(bg); err != nil {
				t.Fatalf("Start() = %v", err)
			}
			c.Ready(t, node)
			refreshReuse(t, c, node, i)
		})
	}
	t.Run("ended on the other node", func(t *testing.T) {
		eve := c.User(t, "eve")
		p := pair(t, c, eve, tokens.PairRequest{})
		mustPass(t, c.Tokens, p.Access)
		mustPass(t, other, p.Access)
		if err := other.RevokeSecret(bg, p.Access.Reveal()); err != nil {
			t.Fatalf("RevokeSecret() = %v", err)
		}
		mustRefuse(t, other, p.Access, tokens.ReasonRevoked)
		mustNotRefresh(t, c.Tokens, p.Refresh, tokens.ReasonRevoked)
		eventually(t, "the first node refuses the access token", func() bool {
			_, err := present(c.Tokens, p.Access)
			return reason(err) == tokens.ReasonRevoked
		})
	})
	t.Run("narrowed", func(t *testing.T) {
		zoe := c.User(t, "zoe", "path:/a/*:read")
		p := pair(t, c, zoe, tokens.PairRequest{Request: tokens.Request{Scope: []string{"path:/a/*:read"}}})
		next, err := other.RefreshPair(bg, tokens.RefreshRequest{Presented: tokens.Presented{Token: p.Refresh}, Scope: []string{"path:/a/b:read"}})
		if err != nil {
			t.Fatalf("RefreshPair(less) = %v", err)
		}
		if id := mustPass(t, c.Tokens, next.Access); id.EffectiveText != "path:/a/b:read" {
			t.Errorf("the narrowed token may %q, want %q", id.EffectiveText, "path:/a/b:read")
		}
		c.Clock.Advance(6 * time.Minute)
		mustRefuse(t, other, next.Access, tokens.ReasonExpired)
		mustRefresh(t, c.Tokens, next.Refresh)
	})
}
