//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
)

// TestRevokeManyOnTwoNodes ends what a query selects on one node, while the
// other issues and checks: what was there before is refused by both within the
// bound, what does not match goes on, and the refusal is explained by its id on
// either node.
func TestRevokeManyOnTwoNodes(t *testing.T) {
	one, two := twoNodes(t)
	admin := one.admin()
	if _, err := admin.Accounts.Create(t.Context(), api.CreateAccount{Kind: "robot", Name: "ci"}); err != nil {
		t.Fatal(err)
	}
	var gone []api.NewToken
	for i := range 250 {
		gone = append(gone, one.token(t, admin, api.CreateToken{Owner: "ci", Name: fmt.Sprint("old-", i)}))
		two.hide(gone[i].Secret)
	}
	kept := one.token(t, admin, api.CreateToken{Owner: "ci", Name: "new"})
	two.hide(kept.Secret)
	for _, made := range append(gone[:20:20], kept) { // in the caches of both
		for _, node := range []*latchkey{one, two} {
			if got := verify(t, node, made.Secret); got != http.StatusOK {
				t.Fatalf("a token before: %d, want 200", got)
			}
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	busy.Go(func() { // others are at work meanwhile
		for i := 0; ctx.Err() == nil; i++ {
			made, err := two.admin().Tokens.Create(ctx, api.CreateToken{Owner: "ci", Name: fmt.Sprint("meanwhile-", i)})
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				t.Errorf("a token made meanwhile: %v", err)
				return
			}
			two.hide(made.Secret)
			one.hide(made.Secret)
			if got := verify(t, two, made.Secret); got != http.StatusOK {
				t.Errorf("a token made meanwhile: %d, want 200", got)
			}
		}
	})
	query := api.RevokeTokens{Query: api.TokenFilter{Owner: "ci", Name: "old-"}, DryRun: true, Reason: "end to end"}
	found, err := admin.Tokens.RevokeMatching(t.Context(), query)
	if err != nil || found.Matched != len(gone) {
		t.Fatalf("the dry run = %+v, %v, want %d", found, err, len(gone))
	}
	query.DryRun, query.Expect = false, &found.Matched
	done, err := admin.Tokens.RevokeMatching(t.Context(), query)
	cancel()
	busy.Wait()
	if err != nil || done.Revoked != len(gone) || !done.Complete {
		t.Fatalf("the run = %+v, %v, want %d ended", done, err, len(gone))
	}
	for _, made := range gone {
		if got := verify(t, one, made.Secret); got != http.StatusUnauthorized {
			t.Fatalf("the node that ended it: %d, want 401 at once", got)
		}
	}
	within(t, 2*time.Second, "the other node to refuse them", func(context.Context) error {
		for _, made := range gone[:20] {
			if got := verify(t, two, made.Secret); got != http.StatusUnauthorized {
				return fmt.Errorf("it answers %d", got)
			}
		}
		return nil
	})
	for _, node := range []*latchkey{one, two} {
		if got := verify(t, node, kept.Secret); got != http.StatusOK {
			t.Errorf("a token that does not match: %d, want 200", got)
		}
	}
	explainRefusal(t, two, one, gone[0])
}

// explainRefusal has a token refused at one node, and explained at another by
// the request's id.
func explainRefusal(t *testing.T, at, by *latchkey, token api.NewToken) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at.url+verifyPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Secret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	id := res.Header.Get("Latchkey-Request-Id")
	within(t, 10*time.Second, "the refusal to be in the log", func(ctx context.Context) error {
		x, err := by.admin().Explain(ctx, api.Explain{RequestID: id})
		if err != nil {
			return err
		}
		if x.Allowed || x.Then == nil || x.Then.Reason != "revoked" || x.Then.Token != token.ID || !strings.Contains(x.Verdict, "end to end") {
			return fmt.Errorf("it is explained as %+v, then %+v", x, x.Then)
		}
		return nil
	})
}
