package tokens_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// checks returns the counts of checks that are not 0, as "result place".
func checks(s *tokens.Service) map[string]int64 {
	counts := map[string]int64{}
	for i, row := range s.Stats().Checks {
		for j, n := range row {
			if n != 0 {
				counts[tokens.Results()[i]+" "+tokens.Places()[j]] = n
			}
		}
	}
	return counts
}

func TestStatsOfChecks(t *testing.T) {
	c := newCore(t)
	c.Ready(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	revoked := issue(t, c, user, tokens.Request{})
	unknown, _ := tokens.Generate(c.Keys)
	for range 2 {
		_, _ = present(c.Tokens, made.Secret)
		_, _ = present(c.Tokens, unknown)
		_, _ = present(c.Tokens, secret.New("lkp_nonsense"))
	}
	if err := c.Tokens.Revoke(bg, user, revoked.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
	_, _ = present(c.Tokens, revoked.Secret)
	want := map[string]int64{
		"ok store": 1, "ok cache": 1, "unknown store": 1, "unknown cache": 1, "malformed form": 2, "revoked store": 1,
	}
	if diff := cmp.Diff(want, checks(c.Tokens)); diff != "" {
		t.Errorf("Stats().Checks, -want +got:\n%s", diff)
	}
	st := c.Tokens.Stats()
	if st.CacheEntries != 2 || st.CacheMost < 2 || st.Unknown != 1 || st.Lag < 0 || st.Lag > time.Hour || st.Bound != time.Hour || st.UsesWaiting != 1 {
		t.Errorf("Stats() = %+v, want two entries, one unknown token, one use and a log that is followed", st)
	}
}

func TestStatsOfTokens(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	first := issue(t, c, user, tokens.Request{})
	second := issue(t, c, user, tokens.Request{})
	issue(t, c, user, tokens.Request{})
	if _, err := c.Tokens.Rotate(bg, user, first.Token.ID, tokens.Overlap{}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time changes nothing
		if err := c.Tokens.Revoke(bg, user, first.Token.ID, ""); err != nil {
			t.Fatal(err)
		}
		if err := c.Tokens.RevokeSecret(bg, second.Secret.Reveal()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Tokens.RevokeAll(bg, c.Admin, user.AccountID, ""); err != nil {
		t.Fatal(err)
	}
	for range 2 { // one token, shown twice
		if _, err := c.Tokens.Standing(bg, user, "slot", tokens.Hex40, tokens.Request{Name: "standing"}); err != nil {
			t.Logf("Standing() = %v", err)
		}
		user = c.Identity(t, user.AccountID)
	}
	personal := slices.Index(tokens.Classes(), "personal")
	got := map[string]int64{}
	for i, event := range tokens.Events() {
		got[event], got[event+" of all"] = c.Tokens.Stats().Tokens[i][personal], c.Tokens.Stats().Tokens[i][0]
	}
	want := map[string]int64{"issued": 4, "issued of all": 0, "rotated": 1, "rotated of all": 0, "revoked": 2, "revoked of all": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Stats().Tokens, -want +got:\n%s", diff)
	}
}

func TestStatsNameAllReasons(t *testing.T) {
	for _, name := range append(tokens.Results(), slices.Concat(tokens.Places(), tokens.Events(), tokens.Classes())...) {
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("%q cannot be a value of a label", name)
		}
	}
	st := newCore(t).Tokens.Stats()
	if len(st.Checks) != len(tokens.Results()) || len(st.Checks[0]) != len(tokens.Places()) ||
		len(st.Tokens) != len(tokens.Events()) || len(st.Tokens[0]) != len(tokens.Classes()) {
		t.Errorf("Stats() has %d×%d and %d×%d counts, want as many as there are names", len(st.Checks), len(st.Checks[0]), len(st.Tokens), len(st.Tokens[0]))
	}
}

func TestSetPolicy(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	if err := c.Tokens.SetPolicy(tokens.Policy{Classes: map[tokens.Class]tokens.Life{tokens.Personal: {Default: time.Hour, Max: 2 * time.Hour}}}); err != nil {
		t.Fatal(err)
	}
	if made := issue(t, c, user, tokens.Request{}); !made.Token.ExpiresAt.Equal(c.Clock.Now().Add(time.Hour)) {
		t.Errorf("Issue() after SetPolicy() ends at %v, want in an hour", made.Token.ExpiresAt)
	}
	before := c.Tokens.Policy()
	if err := c.Tokens.SetPolicy(tokens.Policy{MaxOverlap: -1}); err == nil {
		t.Error("SetPolicy() with a negative overlap succeeded")
	}
	if diff := cmp.Diff(before, c.Tokens.Policy()); diff != "" {
		t.Errorf("a policy that is refused changed something, -before +after:\n%s", diff)
	}
}
