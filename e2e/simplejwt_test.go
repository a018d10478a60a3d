//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// simplejwtPrograms is the folder of a Python that has the real package.
var simplejwtPrograms = sync.OnceValues(func() (string, error) {
	var stderr strings.Builder
	cmd := exec.Command("../scripts/simplejwt-venv.sh")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("scripts/simplejwt-venv.sh: %w: %s", err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
})

func simplejwtPython(t *testing.T) string {
	t.Helper()
	folder, err := simplejwtPrograms()
	if err != nil {
		proctest.Missing(t, err.Error())
	}
	return filepath.Join(folder, "python")
}

// The real package still answers what is recorded of it. That our own dialect
// answers the same, with each difference and its reason, is what TestRecorded
// of internal/dialect/simplejwt shows.
func TestSimpleJWTRecorded(t *testing.T) {
	const folder = "../internal/dialect/simplejwt/testdata"
	target := filepath.Join(t.TempDir(), "recorded.json")
	cmd := exec.CommandContext(t.Context(), simplejwtPython(t), filepath.Join(folder, "record.py"), target)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("record.py: %v\n%s", err, out)
	}
	type recorded struct{ Parts any }
	var got, want recorded
	for path, into := range map[string]*recorded{target: &got, filepath.Join(folder, "recorded.json"): &want} {
		if err := json.Unmarshal([]byte(readFile(t, path)), into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the original answers otherwise than recorded (-recorded +now):\n%s", diff)
	}
}

// djangoService starts e2e/testdata/simplejwt_service.py, and returns where
// its protected page is.
func djangoService(t *testing.T, key string) string {
	t.Helper()
	file, err := filepath.Abs("testdata/simplejwt_service.py")
	if err != nil {
		t.Fatal(err)
	}
	on := reserve(t)
	folder := t.TempDir()
	on.release()
	p := start(t, command{path: simplejwtPython(t), args: []string{file}, dir: folder, env: []string{
		"HOME=" + folder, "DATABASE=" + filepath.Join(folder, "db.sqlite3"), "USERS=admin", "ADDRESS=" + on.address,
		"PYTHONDONTWRITEBYTECODE=1", key,
	}})
	page := "http://" + on.address + "/protected/"
	within(t, time.Minute, "the Django service", func(context.Context) error {
		if p.ended() {
			t.Fatalf("the Django service ended: %s", p.stderr(t))
		}
		_, _, err := shown(t.Context(), page, "")
		return err
	})
	return page
}

// shown asks for a page with an access token.
func shown(ctx context.Context, page, access string) (status int, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return 0, "", err
	}
	if access != "" {
		r.Header.Set("Authorization", "Bearer "+access)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// pairOf logs the administrator in.
func pairOf(t *testing.T, s *latchkey) (access, refresh string) {
	t.Helper()
	body := fmt.Sprintf(`{"username":"admin","password":%q}`, adminPassword)
	res, err := http.Post(s.url+"/api/token/", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var pair struct{ Access, Refresh string }
	if err := json.NewDecoder(res.Body).Decode(&pair); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("the login answers %s and %v, want 200 and a pair", res.Status, err)
	}
	s.hide(pair.Access, pair.Refresh)
	return pair.Access, pair.Refresh
}

// A Django service with simplejwt takes our access tokens by our public key,
// from a file and from the JWKS, and refuses them once they have expired.
func TestSimpleJWTService(t *testing.T) {
	const life = 15 * time.Second // longer than two services take for an answer
	s := serve(t, serveOptions{config: "dialects: {simplejwt: {user_id: name, access_lifetime: " + life.String() + "}}\n"})
	res, err := http.Get(s.url + "/latchkey/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the JWKS answers %s, want 200", res.Status)
	}
	export := exec.CommandContext(t.Context(), program(t), "keys", "export", "--server", s.url, "--user", "admin")
	export.Env = append(os.Environ(), "HOME="+s.home, "LATCHKEY_PASSWORD="+adminPassword)
	pem, err := export.Output()
	if err != nil {
		t.Fatalf("keys export: %v", err)
	}
	first, _, _ := strings.Cut(string(pem), "-----END PUBLIC KEY-----\n")
	file := filepath.Join(t.TempDir(), "latchkey.pem")
	if err := os.WriteFile(file, []byte(first+"-----END PUBLIC KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{
		"by a file":   djangoService(t, "PUBLIC_KEY="+file),
		"by the JWKS": djangoService(t, "JWK_URL="+s.url+"/latchkey/.well-known/jwks.json"),
	}
	access, refresh := pairOf(t, s)
	tampered := access[:len(access)-20] + strings.Repeat("A", 20)
	for way, page := range pages {
		for _, c := range []struct {
			name, token string
			status      int
			text        string
		}{
			{"the access token", access, http.StatusOK, `{"user":"admin"}`},
			{"the refresh token", refresh, http.StatusUnauthorized, "Token has wrong type"},
			{"a tampered token", tampered, http.StatusUnauthorized, "Token is invalid"},
			{"no token", "", http.StatusUnauthorized, "not provided"},
		} {
			status, body, err := shown(t.Context(), page, c.token)
			if err != nil || status != c.status || !strings.Contains(body, c.text) {
				t.Errorf("%s: %s gives %d %s %v, want %d with %s", way, c.name, status, body, err, c.status, c.text)
			}
		}
	}
	for way, page := range pages {
		within(t, 3*life, "the token to expire "+way, func(ctx context.Context) error {
			status, body, err := shown(ctx, page, access)
			if err == nil && (status != http.StatusUnauthorized || !strings.Contains(body, "Token is expired")) {
				err = errors.New(body)
			}
			return err
		})
	}
}
