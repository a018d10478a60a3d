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
