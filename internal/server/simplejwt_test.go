package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/dialect/simplejwt"
	"github.com/latchkey-auth/latchkey/internal/server"
)

// send posts JSON and returns the status and the members of the answer.
func send(t *testing.T, target string, fields map[string]string) (int, map[string]any) {
	t.Helper()
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(target, "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%s answers %d %s: %v", target, res.StatusCode, text, err)
	}
	return res.StatusCode, answer
}

// A pair of simplejwt's form opens every door, until it is blacklisted. The
// refresh token opens none (S52).
func TestSimpleJWT(t *testing.T) {
	s := start(t, open(t, t.TempDir()+"/l.db"), coretest.NewKeys(t), func(o *server.Options) {
		o.SimpleJWT = &simplejwt.Options{Rotate: true}
	})
	opens := func(token any) int {
		text, _ := token.(string)
		status, _, _ := get(t, s.url+"/latchkey/api/v1/whoami", "Authorization", "Bearer "+text)
		return status
	}
	credentials := map[string]string{"username": "admin", "password": adminPassword}
	status, sliding := send(t, s.url+"/api/token/sliding/", credentials)
	if status != http.StatusOK || opens(sliding["token"]) != http.StatusOK {
		t.Errorf("the sliding login gives %d, and the token %d; want 200 and 200", status, opens(sliding["token"]))
	}
	status, pair := send(t, s.url+"/api/token", credentials)
	if status != http.StatusOK {
		t.Fatalf("the login answers %d %v, want 200", status, pair)
	}
	if a, r := opens(pair["access"]), opens(pair["refresh"]); a != http.StatusOK || r != http.StatusUnauthorized {
		t.Errorf("the access token gives %d and the refresh token %d, want 200 and 401", a, r)
	}
	status, next := send(t, s.url+"/api/token/refresh/", map[string]string{"refresh": pair["refresh"].(string)})
	if status != http.StatusOK || opens(next["access"]) != http.StatusOK || next["refresh"] == pair["refresh"] {
		t.Fatalf("refreshing answers %d %v, want 200 and a new pair", status, next)
	}
	if status, body := send(t, s.url+"/api/token/blacklist/", map[string]string{"refresh": next["refresh"].(string)}); status != http.StatusOK {
		t.Fatalf("blacklist answers %d %v, want 200", status, body)
	}
	for _, token := range []any{pair["access"], next["access"]} {
		if got := opens(token); got != http.StatusUnauthorized {
			t.Errorf("an access token whose family has ended gives %d, want 401", got)
		}
		if status, body := send(t, s.url+"/api/token/verify/", map[string]string{"token": token.(string)}); status != http.StatusBadRequest {
			t.Errorf("verify answers %d %v to a token whose family has ended, want 400", status, body)
		}
	}
	if got := opens(sliding["token"]); got != http.StatusOK {
		t.Errorf("the token of another login gives %d, want 200", got)
	}
}

// Tokens are sent by the schemes that the settings name (AUTH_HEADER_TYPES), at
// every door, and a reload changes them; the first is in the challenges.
func TestSimpleJWTHeaderTypes(t *testing.T) {
	var options server.Options
	var srv *server.Server
	s := start(t, open(t, t.TempDir()+"/l.db"), coretest.NewKeys(t), func(o *server.Options) {
		o.SimpleJWT = &simplejwt.Options{HeaderTypes: []string{"JWT", "Bearer"}}
		options = *o
	}, &srv)
	_, pair := send(t, s.url+"/api/token/", map[string]string{"username": "admin", "password": adminPassword})
	access, _ := pair["access"].(string)
	doors := []string{"/latchkey/api/v1/whoami", "/latchkey/verify?scope=latchkey:self:read"}
	check := func(when, scheme string, want int) {
		t.Helper()
		for _, door := range doors {
			if status, _, _ := get(t, s.url+door, "Authorization", scheme+" "+access); status != want {
				t.Errorf("%s: %s with %s gives %d, want %d", when, door, scheme, status, want)
			}
		}
	}
	check("at first", "JWT", http.StatusOK)
	check("at first", "Bearer", http.StatusOK)
	check("at first", "Other", http.StatusUnauthorized)
	challenge := func(want string) {
		t.Helper()
		res, err := http.Post(s.url+"/api/token/verify/", "application/json", strings.NewReader(`{"token":"none"}`))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("WWW-Authenticate"); got != want {
			t.Errorf("the challenge is %q, want %q", got, want)
		}
	}
	challenge(`JWT realm="api"`)
	options.SimpleJWT = &simplejwt.Options{HeaderTypes: []string{"Other"}}
	if err := srv.Reload(options); err != nil {
		t.Fatalf("Reload() = %v", err)
	}
	check("after a reload", "JWT", http.StatusUnauthorized)
	check("after a reload", "Bearer", http.StatusOK)
	check("after a reload", "Other", http.StatusOK)
	challenge(`Other realm="api"`)
}
