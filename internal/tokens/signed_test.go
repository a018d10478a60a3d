package tokens_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// A flood of signed tokens by keys that are not ours, each another one with a
// key id of its own, asks the store for no token and no account, makes the keys
// be loaded once a second at most, and leaves nothing in memory (S56). Good
// tokens go on to pass.
func TestFloodOfUnknownKeys(t *testing.T) {
	c := newSigning(t, nil)
	good := pair(t, c, c.User(t, "ann"), tokens.PairRequest{}).Access
	mustPass(t, c.Tokens, good)
	attacker, err := jose.Generate(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	now := c.Clock.Now().Unix()
	claims := map[string]any{
		"iss": coretest.Issuer, "aud": coretest.Issuer, "sub": "acc_1", "client_id": "x", "iat": now, "exp": now + 60, "sid": "fam_1",
	}
	const most = 1000
	flood := make([]secret.Text, most)
	for i := range flood {
		claims["jti"] = fmt.Sprint(i)
		text, err := attacker.Sign(jose.Header{Type: "at+jwt", KeyID: fmt.Sprintf("key-%d", i)}, claims)
		if err != nil {
			t.Fatal(err)
		}
		flood[i] = secret.New(text)
	}
	kept, unknown := c.Tokens.CacheLen(), c.Tokens.UnknownsLen()
	c.Store.Forget()
	began := time.Now()
	for _, text := range flood {
		mustRefuse(t, c.Tokens, text, tokens.ReasonUnknown)
	}
	if n := c.Store.Calls("Token", "TokenByDigest", "Holder", "Family", "Update"); n != 0 {
		t.Errorf("%d unknown keys made the store be asked for tokens %d times, want 0", most, n)
	}
	// Besides, what was changed above may come in through the log only now.
	if n, bound := c.Store.Calls("SigningKeys"), 4+int(time.Since(began)/time.Second); n > bound {
		t.Errorf("%d unknown keys made the keys be loaded %d times, want %d at most", most, n, bound)
	}
	if got := c.Tokens.CacheLen(); got > kept {
		t.Errorf("%d entries are kept after the flood, want no more than the %d before", got, kept)
	}
	if got := c.Tokens.UnknownsLen(); got > unknown {
		t.Errorf("%d unknown tokens are remembered after the flood, want no more than the %d before", got, unknown)
	}
	mustPass(t, c.Tokens, good)
}

// What our own key has signed for another purpose opens no door and gets no
// pair: assertions, tokens for others, and whatever else has not the type, the
// issuer, the audience and the family of an access token (S38, S52).
func TestSignedForAnotherPurpose(t *testing.T) {
	c := newSigning(t, nil)
	p := pair(t, c, c.User(t, "ann"), tokens.PairRequest{})
	said, err := jose.Decode(p.Access.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]struct {
		kind   string
		change map[string]any // nil takes a claim away
	}{
		"an assertion":             {"latchkey-assertion+jwt", nil},
		"an ordinary JWT":          {"JWT", nil},
		"a token of a registry":    {"JWT", map[string]any{"access": []any{}}},
		"for another service":      {"at+jwt", map[string]any{"aud": "https://other.example"}},
		"by another issuer":        {"at+jwt", map[string]any{"iss": "https://other.example"}},
		"without a family":         {"at+jwt", map[string]any{"sid": nil}},
		"with an unknown family":   {"at+jwt", map[string]any{"sid": "fam_0"}},
		"of another account":       {"at+jwt", map[string]any{"sub": c.Admin.AccountID}},
		"without an id":            {"at+jwt", map[string]any{"jti": nil}},
		"without a client":         {"at+jwt", map[string]any{"client_id": nil}},
		"without an end":           {"at+jwt", map[string]any{"exp": nil}},
		"of a family that is none": {"at+jwt", map[string]any{"sid": issue(t, c, c.Admin, tokens.Request{}).Token.ID}},
	} {
		claims := map[string]any{}
		for k, v := range said.Claims {
			claims[k] = v
		}
		for k, v := range change.change {
			if claims[k] = v; v == nil {
				delete(claims, k)
			}
		}
		text, err := c.Signing.Sign(bg, keyring.Form{Type: change.kind}, claims, c.Clock.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if id, err := present(c.Tokens, secret.New(text)); reason(err) == "" {
			t.Errorf("%s: Check() = %+v, %v, want a refusal", name, id, err)
		}
		if _, err := use(c.Tokens, secret.New(text)); reason(err) == "" {
			t.Errorf("%s: RefreshPair() = %v, want a refusal", name, err)
		}
	}
	mustPass(t, c.Tokens, p.Access)
}

// When the keys or the family cannot be read, nobody knows whether a signed
// token counts: the answer is neither yes nor no.
func TestSignedWithoutAStore(t *testing.T) {
	c := newSigning(t, nil)
	p := pair(t, c, c.User(t, "ann"), tokens.PairRequest{})
	c.Store.Fail(store.ErrUnavailable)
	for name, do := range map[string]func() error{
		"Check":       func() error { _, err := present(c.Tokens, p.Access); return err },
		"RefreshPair": func() error { _, err := use(c.Tokens, p.Refresh); return err },
	} {
		var refusal *tokens.Refusal
		if err := do(); err == nil || errors.As(err, &refusal) {
			t.Errorf("%s() without a store = %v, want an error that is no refusal", name, err)
		}
	}
	c.Store.Heal()
	mustPass(t, c.Tokens, p.Access)
	mustRefresh(t, c.Tokens, p.Refresh)
}
