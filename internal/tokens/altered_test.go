package tokens_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// TestAlteredTokensAreRefused alters live tokens of both forms at every position
// and presents them to a core that has the genuine ones in its store and in its
// cache.
// S68
func TestAlteredTokensAreRefused(t *testing.T) {
	c := newCore(t)
	user := c.User(t, "alice")
	for i := range 6 {
		made := issue(t, c, user, tokens.Request{})
		if i%2 == 1 {
			var err error
			if made, err = c.Tokens.Standing(bg, user, fmt.Sprint("altered", i), tokens.Hex40, tokens.Request{Name: "standing"}); err != nil {
				t.Fatal(err)
			}
		}
		text := made.Secret.Reveal()
		refused := func(how, altered string) {
			t.Helper()
			if altered == text {
				return
			}
			id, err := present(c.Tokens, secret.New(altered))
			if r := (*tokens.Refusal)(nil); id != nil || !errors.As(err, &r) {
				t.Fatalf("a token %s passes: %v, %v", how, id, err)
			}
		}
		mustPass(t, c.Tokens, made.Secret)
		for at := range len(text) {
			refused("cut at the end", text[:at])
			refused("cut at the start", text[at+1:])
			refused("without a character", text[:at]+text[at+1:])
			refused("with a character twice", text[:at+1]+text[at:])
			for bit := range 8 {
				flipped := []byte(text)
				flipped[at] ^= 1 << bit
				refused("with a flipped bit", string(flipped))
			}
			other := strings.ToUpper(text[at : at+1])
			if other == text[at:at+1] {
				other = strings.ToLower(other)
			}
			refused("with a character of the other case", text[:at]+other+text[at+1:])
		}
		for _, more := range []string{"0", " ", "\n", "\x00", "=", text} {
			refused("with more behind it", text+more)
			refused("with more before it", more+text)
		}
		refused("in upper case", strings.ToUpper(text))
		mustPass(t, c.Tokens, made.Secret)
	}
}
