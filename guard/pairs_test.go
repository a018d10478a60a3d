package guard_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/guard"
	"github.com/latchkey-auth/latchkey/latchkeytest"
)

// counting counts the questions about tokens that go to a server.
type counting struct{ checks atomic.Int64 }

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/check") {
		c.checks.Add(1)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// The real server and its real pairs: the next access token of a family costs no
// question, and all are refused in time once the family, the account or the key
// is ended.
// S58, S83
func TestPairs(t *testing.T) {
	t.Parallel()
	srv := latchkeytest.Start(t)
	var asked counting
	g := newGuard(t, srv.URL, srv.Service(t, "service"), func(o *guard.Options) { o.Transport = &asked })
	fresh(t, g)
	// next refreshes a pair and returns the access token once it stands for alice
	// without a question. Changes that are being told of just then may cost one.
	next := func(pair api.TokenPair) string {
		t.Helper()
		var access string
		eventually(t, "the next token of the family costs no question", func() bool {
			var err error
			if pair, err = srv.Admin.Tokens.RefreshPair(t.Context(), api.RefreshTokenPair{RefreshToken: pair.RefreshToken}); err != nil {
				t.Fatal(err)
			}
			access = pair.AccessToken
			before := asked.checks.Load()
			id, err := as(g, access)
			if errors.Is(err, guard.ErrUnavailable) { // a machine that has much else to do
				return false
			}
			if err != nil || id.Account != "alice" || id.TokenID != pair.Family.ID || !id.Allows("path:/a/b:read") || id.Allows("path:/b:read") || id.ExpiresAt.After(pair.ExpiresAt) {
				t.Fatalf("Check() of the next token = %+v, %v", id, err)
			}
			return asked.checks.Load() == before
		})
		return access
	}
	for what, end := range map[string]func(api.TokenPair) error{
		"family": func(p api.TokenPair) error { return srv.Admin.Tokens.Revoke(t.Context(), p.Family.ID, "") },
		"key": func(api.TokenPair) error {
			keys, err := srv.Admin.Keys.List(t.Context())
			if err != nil {
				return err
			}
			_, err = srv.Admin.Keys.Revoke(t.Context(), keys[0].ID, "for a test")
			return err
		},
		"account": func(api.TokenPair) error {
			yes := true
			_, err := srv.Admin.Accounts.Update(t.Context(), "alice", api.UpdateAccount{Disabled: &yes})
			return err
		},
	} {
		no := false
		srv.User(t, "alice")
		if _, err := srv.Admin.Accounts.Update(t.Context(), "alice", api.UpdateAccount{Disabled: &no}); err != nil {
			t.Fatal(err)
		}
		pair := srv.Pair(t, "alice", "path:/a/*:read")
		eventually(t, "the first token of the family counts", func() bool {
			_, err := as(g, pair.AccessToken)
			return err == nil
		})
		access := next(pair)
		if err := end(pair); err != nil {
			t.Fatalf("ending the %s: %v", what, err)
		}
		endsInTime(t, g, access, guard.ErrRefused)
		endsInTime(t, g, pair.AccessToken, guard.ErrRefused)
	}
}
