package tokens_test

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// S69: a secret where a name, a rule, a reason or an id belongs is neither kept
// nor repeated.
func TestMisplacedSecrets(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "ann")
	made := issue(t, c, user, tokens.Request{})
	text := made.Secret.Reveal()
	for field, r := range map[string]tokens.Request{
		"name":   {Name: "my " + text},
		"labels": {Name: "x", Labels: map[string]string{"key": text}},
		"scope":  {Name: "x", Scope: []string{"path:/" + text + "/*:read"}},
	} {
		_, err := c.Tokens.Issue(bg, user, r)
		if f := fault.Of(err); f.Kind != fault.Invalid || f.Field != field || strings.Contains(err.Error(), text) {
			t.Errorf("Issue() with a secret in the %s = %v, want it refused as invalid", field, err)
		}
	}
	wantFault(t, "Revoke() with a secret as the reason", c.Tokens.Revoke(bg, user, made.Token.ID, text), fault.Invalid)
	matching := tokens.RevokeMatching{Query: tokens.Query{TokenQuery: store.TokenQuery{AccountID: user.AccountID, Prefix: text}}}
	_, err := c.Tokens.RevokeMatching(bg, user, matching)
	wantFault(t, "RevokeMatching() with a secret as the prefix", err, fault.Invalid)
	_, err = c.Tokens.Matching(bg, user, matching.Query)
	wantFault(t, "Matching() with a secret as the prefix", err, fault.Invalid)
	_, err = c.Tokens.Token(bg, user, text)
	wantFault(t, "Token() of a secret", err, fault.NotFound)
	if err == nil || strings.Contains(err.Error(), text) {
		t.Errorf("Token() of a secret = %v, want an error without it", err)
	}
}
