//go:build e2e

package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
)

// theirTokens are what a Django project with simplejwt has given out.
type theirTokens struct{ Access, Refresh, Sliding, Second string }

// issuedBy lets the real simplejwt give out tokens, signed by the key in a
// file.
func issuedBy(t *testing.T, algorithm, signing, verifying string) theirTokens {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), simplejwtPython(t), "testdata/simplejwt_issue.py")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "ALGORITHM="+algorithm, "SIGNING_KEY="+signing)
	if verifying != "" {
		cmd.Env = append(cmd.Env, "VERIFYING_KEY="+verifying)
	}
	out, err := cmd.Output()
	if err != nil {
		var stderr []byte
		if exit, ok := err.(*exec.ExitError); ok {
			stderr = exit.Stderr
		}
		t.Fatalf("simplejwt_issue.py: %v\n%s", err, stderr)
	}
	var got theirTokens
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("simplejwt_issue.py prints %q: %v", out, err)
	}
	return got
}

// theirKeys writes a shared secret, and a private key with its public one.
func theirKeys(t *testing.T) (secret, private, public string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("secret_key", []byte("django-insecure-"+strings.Repeat("planted", 5))),
		write("private.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})),
		write("public.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
}

// ask posts JSON and returns the status and the text of the answer.
func ask(t *testing.T, target string, fields map[string]string) (int, string) {
	t.Helper()
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(target, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// Tokens that a Django project gave out with the real simplejwt open our doors
// once its key is imported, their refresh tokens go on, and what is revoked
// opens none.
func TestImportedKey(t *testing.T) {
	secret, private, public := theirKeys(t)
	for _, c := range []struct{ algorithm, signing, verifying, from string }{
		{"HS256", secret, "", secret},
		{"RS256", private, public, public},
	} {
		t.Run(c.algorithm, func(t *testing.T) {
			t.Parallel()
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "hello %s", r.Header.Get("Remoteuser"))
			}))
			defer upstream.Close()
			s := serve(t, serveOptions{config: fmt.Sprintf("routes: [{name: hello, prefix: /hello, upstream: %q, identity_header: Remoteuser}]\n", upstream.URL)})
			theirs := issuedBy(t, c.algorithm, c.signing, c.verifying)
			s.hide(theirs.Access, theirs.Refresh, theirs.Sliding, theirs.Second)
			doors := []string{"/hello/x", "/latchkey/verify?scope=path:/hello:read", "/latchkey/api/v1/whoami"}
			opens := func(when, token string, want int) {
				t.Helper()
				for _, door := range doors {
					status, body, err := shown(t.Context(), s.url+door, token)
					if err != nil || status != want {
						t.Errorf("%s: %s gives %d %s %v, want %d", when, door, status, body, err, want)
					}
				}
			}
			opens("before its key is imported", theirs.Access, http.StatusUnauthorized)

			run := func(args ...string) string {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), program(t), append(args, "--server", s.url, "--user", "admin")...)
				cmd.Env = append(os.Environ(), "HOME="+s.home, "LATCHKEY_PASSWORD="+adminPassword)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("latchkey %s: %v\n%s", strings.Join(args, " "), err, out)
				}
				return string(out)
			}
			var key api.SigningKey
			if err := json.Unmarshal([]byte(run("keys", "import", "--alg", c.algorithm, "--from", c.from, "--source", "local", "--user-id", "name", "-o", "json")), &key); err != nil {
				t.Fatal(err)
			}
			opens("the access token", theirs.Access, http.StatusOK)
			opens("the sliding token", theirs.Sliding, http.StatusOK)
			opens("the refresh token", theirs.Refresh, http.StatusUnauthorized)
			if _, body, _ := shown(t.Context(), s.url+"/hello/x", theirs.Access); body != "hello admin" {
				t.Errorf("the service behind the gateway hears %q, want who it is", body)
			}
			if _, body, _ := shown(t.Context(), s.url+"/latchkey/.well-known/jwks.json", ""); strings.Contains(body, key.ID) {
				t.Errorf("the imported key is published: %s", body)
			}

			// The client goes on as before.
			if status, body := ask(t, s.url+"/api/token/verify/", map[string]string{"token": theirs.Access}); status != http.StatusOK {
				t.Errorf("verify answers %d %s, want 200", status, body)
			}
			for range 2 { // without rotation it stays the same
				status, body := ask(t, s.url+"/api/token/refresh/", map[string]string{"refresh": theirs.Refresh})
				var next struct{ Access string }
				if err := json.Unmarshal([]byte(body), &next); err != nil || status != http.StatusOK {
					t.Fatalf("refresh answers %d %s, want 200 and an access token", status, body)
				}
				s.hide(next.Access)
				opens("the next access token", next.Access, http.StatusOK)
			}

			// What is revoked is refused.
			if status, body := ask(t, s.url+"/api/token/blacklist/", map[string]string{"refresh": theirs.Refresh}); status != http.StatusOK {
				t.Errorf("blacklist answers %d %s, want 200", status, body)
			}
			if status, body := ask(t, s.url+"/api/token/refresh/", map[string]string{"refresh": theirs.Refresh}); status != http.StatusUnauthorized || !strings.Contains(body, "Token is blacklisted") {
				t.Errorf("refresh of a blacklisted token answers %d %s, want 401 Token is blacklisted", status, body)
			}
			if status, body := ask(t, s.url+"/latchkey/api/v1/revoke", map[string]string{"token": theirs.Access}); status/100 != 2 {
				t.Errorf("revoke answers %d %s, want 204", status, body)
			}
			opens("a revoked access token", theirs.Access, http.StatusUnauthorized)
			opens("the sliding token, still", theirs.Sliding, http.StatusOK)
			run("keys", "revoke", key.ID, "--yes")
			opens("the sliding token of a revoked key", theirs.Sliding, http.StatusUnauthorized)
			if status, body := ask(t, s.url+"/api/token/refresh/", map[string]string{"refresh": theirs.Second}); status != http.StatusUnauthorized || !strings.Contains(body, "Token is invalid") {
				t.Errorf("refresh by a token of a revoked key answers %d %s, want 401 Token is invalid", status, body)
			}
		})
	}
}
