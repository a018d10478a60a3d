//go:build e2e && linux

package e2e

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pulptest"
)

// forgeries are ways to send a name of one's own to a Pulp that believes the
// gateway, as lines of a request's head (S86).
func forgeries() map[string][]string {
	return map[string][]string{
		"as it is":        {"Latchkeyuser: admin"},
		"lower case":      {"latchkeyuser: admin"},
		"upper case":      {"LATCHKEYUSER: admin"},
		"mixed case":      {"lAtChKeYuSeR: admin"},
		"hyphen":          {"Latchkey-User: admin", "Latchkey-user: admin", "L-atchkeyuser: admin"},
		"underscore":      {"Latchkey_user: admin", "LATCHKEY_USER: admin", "_Latchkeyuser: admin", "Latchkeyuser_: admin"},
		"as a variable":   {"HTTP_LATCHKEYUSER: admin", "Http-Latchkeyuser: admin", "REMOTE_USER: admin", "Remote-User: admin"},
		"repeated":        {"Latchkeyuser: admin", "Latchkeyuser: admin"},
		"all at once":     {"latchkeyuser: admin", "LATCHKEYUSER: admin", "Latchkey_user: admin", "Latchkey-User: admin"},
		"a list":          {"Latchkeyuser: mallory,admin"},
		"hop by hop":      {"Latchkeyuser: admin", "Connection: Latchkeyuser"},
		"taken off ours":  {"Connection: close, Latchkeyuser"},
		"behind spaces":   {"Latchkeyuser:    admin  "},
		"empty":           {"Latchkeyuser:"},
		"another proxy's": {"X-Remote-User: admin", "X-Forwarded-User: admin", "Remoteuser: admin"},
		"path of another": {"SCRIPT_NAME: /pulp/api/v3/users/1", "X-Script-Name: /pulp/api/v3/users/1", "PATH_INFO: /pulp/api/v3/users/1/"},
		"path override":   {"X-Original-URL: /pulp/api/v3/users/1/", "X-Rewrite-URL: /pulp/api/v3/users/1/", "X-HTTP-Method-Override: DELETE"},
	}
}

// testForged sends forged names without a credential and with somebody else's
// token. Nothing may come of them: not at the API, not at the content app, and
// not where the gateway looks at no credential.
func testForged(t *testing.T, b *behind) {
	token := b.secret(t, b.person(t, "mallory"))
	path := b.pulp.Publish(t, pulptest.File{BasePath: "forged", Name: "secret.txt", Content: "for admins\n", Guarded: true})
	authorization := "Authorization: Bearer " + token
	for name, lines := range forgeries() {
		t.Run(name, func(t *testing.T) {
			own := append([]string{authorization}, lines...)
			b.rawGet(t, apiRoot+"login/", lines).want(t, "login/ without a token", http.StatusUnauthorized, "")
			b.rawGet(t, apiRoot+"login/", own).want(t, "login/ with mallory's token", http.StatusOK, `"username":"mallory"`)
			b.rawGet(t, path, lines).want(t, "the file without a token", http.StatusUnauthorized, "")
			b.rawGet(t, path, own).want(t, "the file with mallory's token", http.StatusForbidden, "")
			if sub := b.registrySubject(t, lines); sub != "" {
				t.Errorf("/token/ without a credential gives a token for %q, want nobody", sub)
			}
		})
	}
	t.Run("malformed", func(t *testing.T) { testMalformed(t, b, authorization) })
	t.Run("trailer", func(t *testing.T) { testForgedTrailer(t, b, token) })
	t.Run("nobody was admin", func(t *testing.T) {
		var admin struct {
			Results []pulptest.User `json:"results"`
		}
		b.ask(t, http.MethodGet, "users/?username=admin", nil, &admin)
		if len(admin.Results) != 1 {
			t.Errorf("Pulp has %d users admin, want one, as ever", len(admin.Results))
		}
	})
}

// testMalformed sends heads that servers disagree about (RFC 9112 sections 5.1
// and 5.2; S90). They are refused, or mean nothing.
func testMalformed(t *testing.T, b *behind, authorization string) {
	for _, lines := range [][]string{
		{"Latchkeyuser : admin"}, {"Latchkeyuser\t: admin"}, {" Latchkeyuser: admin"}, {"Latchkeyuser\x00: admin"},
		{"X-Other: x", " Latchkeyuser: admin"}, {"X-Other: x\rLatchkeyuser: admin"}, {"X-Other: x\nLatchkeyuser: admin"},
	} {
		a := b.rawGet(t, apiRoot+"login/", lines)
		if a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized {
			t.Errorf("login/ with %q = %d %s, want 400 or 401", lines, a.status, a.body)
		}
		a = b.rawGet(t, apiRoot+"login/", append([]string{authorization}, lines...))
		if a.status != http.StatusBadRequest && !strings.Contains(a.body, `"username":"mallory"`) {
			t.Errorf("login/ with mallory's token and %q = %d %s, want 400, or that it is mallory", lines, a.status, a.body)
		}
	}
}

// testForgedTrailer sends the name behind the body, where some servers merge it
// into the head (RFC 9110 section 6.5.1).
func testForgedTrailer(t *testing.T, b *behind, token string) {
	const body = "2\r\n{}\r\n0\r\nLatchkeyuser: admin\r\n\r\n"
	for _, lines := range [][]string{
		{"Authorization: Bearer " + token},
		{"Authorization: Bearer " + token, "Trailer: Latchkeyuser"},
		{"Trailer: Latchkeyuser"},
	} {
		lines = append(lines, "Transfer-Encoding: chunked", "Content-Type: application/json")
		a := b.raw(t, "PUT", apiRoot+"login/", lines, body)
		// Pulp has no PUT here. Who asks is settled before that.
		want := http.StatusMethodNotAllowed
		if !strings.HasPrefix(lines[0], "Authorization") {
			want = http.StatusUnauthorized
		}
		if a.status != want || strings.Contains(a.body, "admin") {
			t.Errorf("PUT login/ with %q = %d %s, want %d", lines, a.status, a.body, want)
		}
	}
	// The same where a write would show: only who may create a user can.
	a := b.raw(t, "POST", apiRoot+"users/", []string{
		"Authorization: Bearer " + token, "Trailer: Latchkeyuser", "Transfer-Encoding: chunked", "Content-Type: application/json",
	}, "15\r\n{\"username\":\"forged\"}\r\n0\r\nLatchkeyuser: admin\r\n\r\n")
	a.want(t, "POST users/ as mallory", http.StatusForbidden, "permission")
}

// rawGet sends a GET with lines in its head that no client would write so.
func (b *behind) rawGet(t *testing.T, path string, lines []string) answer {
	t.Helper()
	return b.raw(t, http.MethodGet, path, lines, "")
}

// raw sends a request as it stands.
func (b *behind) raw(t *testing.T, method, path string, lines []string, body string) answer {
	t.Helper()
	host := strings.TrimPrefix(b.url, "http://")
	conn, err := net.DialTimeout("tcp", host, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", method, path, host, strings.Join(lines, "\r\n"))
	if _, err := io.WriteString(conn, head+body); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(content)}
}

// registrySubject asks for a registry token and returns whom it is for. Pulp
// gives one to everybody, with what they may do in it.
func (b *behind) registrySubject(t *testing.T, lines []string) string {
	t.Helper()
	a := b.rawGet(t, "/token/?service=x&scope=registry:catalog:*", lines)
	var given struct{ Token string }
	if err := json.Unmarshal([]byte(a.body), &given); err != nil || a.status != http.StatusOK {
		t.Fatalf("GET /token/ = %d %s, want a token", a.status, a.body)
	}
	parts := strings.Split(given.Token, ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[len(parts)/2])
	var is struct {
		Subject string `json:"sub"`
		Access  []any  `json:"access"`
	}
	if err == nil {
		err = json.Unmarshal(claims, &is)
	}
	if err != nil {
		t.Fatalf("the claims of a registry token are %q: %v", claims, err)
	}
	return is.Subject
}
