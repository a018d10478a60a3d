//go:build e2e && linux

package e2e

import (
	"net/http"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/pulptest"
)

// testGuarded asks for a file under an RBAC content guard, where Pulp itself
// answers 403 without a challenge to who has said nothing yet.
func testGuarded(t *testing.T, b *behind) {
	reader, stranger := b.person(t, "reader"), b.person(t, "stranger")
	guarded := b.pulp.Publish(t, pulptest.File{
		BasePath: "guarded", Name: "file.txt", Content: "for readers\n", Guarded: true, Readers: []string{"reader"},
	})
	open := b.pulp.Publish(t, pulptest.File{BasePath: "open", Name: "file.txt", Content: "for all\n"})

	made := b.token(t, reader, reading("path:/pulp/content/guarded/*:read"))
	for _, way := range ways(made.Secret) {
		b.get(t, guarded, way.args...).want(t, way.name, http.StatusOK, "for readers")
		b.get(t, guarded, with(way.args, "--head")...).want(t, way.name+" HEAD", http.StatusOK, "")
		part := b.get(t, guarded, with(way.args, "--range", "4-10")...)
		part.want(t, way.name+" of a part", http.StatusPartialContent, "readers")
	}
	b.get(t, guarded, "--user", "reader:"+passwordOf("reader")).want(t, "the password", http.StatusOK, "for readers")

	none := b.get(t, guarded)
	none.want(t, "no credential", http.StatusUnauthorized, "")
	none.wantChallenge(t, "no credential")
	// pip with a keyring, apt and wget do this: they wait for the challenge.
	b.get(t, guarded, "--anyauth", "--user", "x:"+made.Secret).want(t, "a client that waits for a challenge", http.StatusOK, "for readers")

	b.get(t, guarded, bearer(b.secret(t, stranger))...).want(t, "a user without the role", http.StatusForbidden, "")
	b.get(t, open).want(t, "no credential, no guard", http.StatusOK, "for all")
	for name, args := range map[string][]string{
		"a wrong token":        bearer("junk"),
		"a wrong Basic token":  {"--user", "x:" + made.Secret[:len(made.Secret)-1]},
		"a wrong password":     {"--user", "reader:wrong"},
		"two credentials":      with(bearer(made.Secret), "--header", "Authorization: Token "+made.Secret),
		"a token out of scope": bearer(made.Secret),
	} {
		want := map[string]int{"two credentials": http.StatusBadRequest, "a token out of scope": http.StatusForbidden}[name]
		if want == 0 {
			want = http.StatusUnauthorized
		}
		b.get(t, open, args...).want(t, name+", no guard", want, "")
	}

	must(t, reader.Tokens.Revoke(t.Context(), made.ID, "a test"))
	for _, way := range ways(made.Secret) {
		a := b.get(t, guarded, way.args...)
		a.want(t, way.name+" after it was revoked", http.StatusUnauthorized, "")
		a.wantChallenge(t, way.name+" after it was revoked")
	}
	b.get(t, open, bearer(made.Secret)...).want(t, "a revoked token, no guard", http.StatusUnauthorized, "")
}
