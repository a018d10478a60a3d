//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// pairs gets signed tokens and refresh tokens in every way, uses them rightly
// and wrongly, and leaves some of each state behind: in use, used within the
// leeway, with its family burnt or ended.
// S69
func (m *mine) pairs(t *testing.T, ann *client.Client, name string) {
	t.Helper()
	first, err := ann.Tokens.CreatePair(t.Context(), api.CreateTokenPair{Name: "pair of " + name})
	must(t, err)
	plant := func(access, refresh string) {
		m.plant("a token of a pair, for access", access)
		m.plant("a token of a pair, for refreshing", refresh)
	}
	plant(first.AccessToken, first.RefreshToken)
	next, err := ann.Tokens.RefreshPair(t.Context(), api.RefreshTokenPair{RefreshToken: first.RefreshToken})
	must(t, err)
	plant(next.AccessToken, next.RefreshToken)
	tampered := m.plant("a token of a pair, tampered with", next.AccessToken[:len(next.AccessToken)-8]+"AAAAAAAA")
	for _, token := range []string{next.AccessToken, next.RefreshToken, tampered} {
		m.everywhere(t, token)
	}
	const asJSON = "application/json"
	for _, body := range []string{
		`{"refresh_token": "` + tampered + `"}`, `{"refresh_token": "` + next.AccessToken + `"}`, `{"refresh_token": ["` + next.RefreshToken + `"]}`,
		`{"refresh_token": "` + next.RefreshToken + `", "client_id": "another"}`, `{"refresh_token": "` + next.RefreshToken + `", "scope": ["` + next.RefreshToken + `"]}`,
		`{"refresh_token": "` + next.RefreshToken + `", "` + next.RefreshToken + `": 1}`, `{"refresh_token": "` + next.RefreshToken,
	} {
		m.ask(t, "POST", apiPath+"/token-pairs/refresh", body, "Content-Type", asJSON)
	}
	m.ask(t, "POST", apiPath+"/revoke", `{"token": "`+tampered+`"}`, "Content-Type", asJSON)

	var simple struct{ Access, Refresh string }
	m.given(t, "/api/token/", fmt.Sprintf(`{"username": %q, "password": %q}`, name, "third-sentence-of-"+name), &simple)
	plant(simple.Access, simple.Refresh)
	var sliding struct{ Token string }
	m.given(t, "/api/token/sliding/", fmt.Sprintf(`{"username": %q, "password": %q}`, name, "third-sentence-of-"+name), &sliding)
	m.plant("a token of a pair, sliding", sliding.Token)
	m.everywhere(t, simple.Refresh)
	for _, path := range []string{"/api/token/refresh/", "/api/token/verify/", "/api/token/blacklist/", "/api/token/sliding/refresh/"} {
		for _, token := range []string{tampered, sliding.Token + "x", simple.Access + "."} {
			m.ask(t, "POST", path, `{"refresh": "`+token+`", "token": "`+token+`"}`, "Content-Type", asJSON)
			m.ask(t, "POST", path, "refresh="+token+"&token="+token, "Content-Type", "application/x-www-form-urlencoded")
			m.ask(t, "GET", path+"?token="+token, "")
		}
	}
	m.ask(t, "POST", "/api/token/verify/", `{"token": "`+simple.Access+`"}`, "Content-Type", asJSON)
	m.ask(t, "POST", "/api/token/blacklist/", `{"refresh": "`+simple.Refresh+`"}`, "Content-Type", asJSON)
	m.ask(t, "POST", "/api/token/refresh/", `{"refresh": "`+simple.Refresh+`"}`, "Content-Type", asJSON)
	m.ask(t, "POST", apiPath+"/revoke", `{"token": "`+first.AccessToken+`"}`, "Content-Type", asJSON)
}

// given posts JSON for an answer that holds secrets, which the caller plants.
func (m *mine) given(t *testing.T, path, body string, out any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.url+path, strings.NewReader(body))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := m.gateway.Do(req)
	must(t, err)
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(out); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("POST %s = %s, %v, want 200", path, res.Status, err)
	}
}
