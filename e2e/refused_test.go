//go:build e2e && linux

package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/pulptest"
)

// reading asks for a token with a scope.
func reading(scope ...string) api.CreateToken { return api.CreateToken{Scope: scope} }

// testRefusedAtOnce ends tokens in each way there is. The very next request
// with one is refused, in each form and at each of Pulp's doors.
func testRefusedAtOnce(t *testing.T, b *behind) {
	victim := b.person(t, "victim", publisherRoles...)
	path := b.pulp.Publish(t, pulptest.File{
		BasePath: "refused", Name: "file.txt", Content: "for readers\n", Guarded: true, Readers: []string{"victim"},
	})
	for _, test := range []struct {
		name string
		end  func(t *testing.T, made api.NewToken)
	}{
		{"revoked", func(t *testing.T, made api.NewToken) {
			must(t, victim.Tokens.Revoke(t.Context(), made.ID, "a test"))
		}},
		{"revoked by its secret", func(t *testing.T, made api.NewToken) {
			must(t, b.client(client.Options{}).Tokens.RevokeSecret(t.Context(), made.Secret))
		}},
		{"rotated", func(t *testing.T, made api.NewToken) {
			again, err := victim.Tokens.Rotate(t.Context(), made.ID, api.RotateToken{})
			must(t, err)
			b.hide(again.Secret)
			b.wantGood(t, again.Secret, path)
		}},
		{"all of the account revoked", func(t *testing.T, _ api.NewToken) {
			_, err := b.latchkey.admin().Accounts.RevokeTokens(t.Context(), "victim", "a test")
			must(t, err)
		}},
		{"account disabled", func(t *testing.T, _ api.NewToken) {
			off := true
			_, err := b.latchkey.admin().Accounts.Update(t.Context(), "victim", api.UpdateAccount{Disabled: &off})
			must(t, err)
		}},
	} { // the last leaves the account disabled
		t.Run(test.name, func(t *testing.T) {
			made := b.token(t, victim, api.CreateToken{})
			b.wantGood(t, made.Secret, path)
			test.end(t, made)
			b.wantRefused(t, made.Secret, path)
		})
	}
	t.Run("expired", func(t *testing.T) { testExpired(t, b, path) })
	t.Run("wrong", func(t *testing.T) { testWrong(t, b, path) })
}

// wantGood checks that a token opens the doors.
func (b *behind) wantGood(t *testing.T, secret, path string) {
	t.Helper()
	for _, way := range ways(secret) {
		b.get(t, apiRoot+"login/", way.args...).want(t, way.name+" at login/ before", http.StatusOK, `"username":`)
	}
	b.get(t, path, bearer(secret)...).want(t, "the file before", http.StatusOK, "for readers")
}

// wantRefused checks that a token opens none of the doors.
func (b *behind) wantRefused(t *testing.T, secret, path string) {
	t.Helper()
	for _, way := range ways(secret) {
		for _, to := range []string{apiRoot + "login/", path} {
			a := b.get(t, to, way.args...)
			a.want(t, way.name+" at "+to, http.StatusUnauthorized, "")
			a.wantChallenge(t, way.name+" at "+to)
		}
	}
}

// testExpired waits for the end of a token's second.
func testExpired(t *testing.T, b *behind, path string) {
	second := int64(1)
	made := b.token(t, b.person(t, "ephemeral"), api.CreateToken{ExpiresIn: &second})
	a := b.get(t, apiRoot+"login/", bearer(made.Secret)...)
	if time.Now().Before(*made.ExpiresAt) { // else the machine was too slow to see it good
		a.want(t, "the token before its end", http.StatusOK, `"ephemeral"`)
	}
	time.Sleep(time.Until(*made.ExpiresAt)) // its end is what is waited for
	b.wantRefused(t, made.Secret, path)
}

// testWrong tries what never was a token, and what nearly is one. Behind Basic
// that is a wrong password, and there must be few of those.
func testWrong(t *testing.T, b *behind, path string) {
	good := b.secret(t, b.person(t, "careful"))
	for name, secret := range map[string]string{
		"junk":       "junk",
		"made up":    "lkp_" + strings.Repeat("0", len(good)-4),
		"cut":        good[:len(good)-1],
		"longer":     good + "0",
		"other case": strings.ToUpper(good),
		"hex40":      strings.Repeat("0123456789", 4),
	} {
		t.Run(name, func(t *testing.T) {
			for _, scheme := range []string{"Bearer ", "Token "} {
				for _, to := range []string{apiRoot + "login/", path} {
					a := b.get(t, to, "--header", "Authorization: "+scheme+secret)
					a.want(t, scheme+"at "+to, http.StatusUnauthorized, "")
					a.wantChallenge(t, scheme+"at "+to)
				}
			}
			a := b.get(t, path, "--user", name+":"+secret)
			a.want(t, "Basic at "+path, http.StatusUnauthorized, "")
			a.wantChallenge(t, "Basic at "+path)
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
