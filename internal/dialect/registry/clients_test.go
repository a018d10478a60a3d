package registry_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// containerd posts first. With a user name it sends the password, and without
// one what it has as a refresh token (core/remotes/docker/auth/fetch.go).
func TestContainerd(t *testing.T) {
	s := newSite(t, nil)
	send := func(form url.Values) answer {
		r := httptest.NewRequest(http.MethodPost, "/token/", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		r.Header.Set("User-Agent", "containerd/v2.1.0")
		return s.do(t, r)
	}
	form := url.Values{
		"client_id": {"containerd-client"}, "grant_type": {"password"}, "service": {service},
		"username": {"ann"}, "password": {annPassword}, "scope": {"repository:team/app:pull repository:team/base:pull"},
	}
	a := send(form)
	s.want(t, "password", a, "ann: team/app=pull team/base=pull")
	if a.Scope != "repository:team/app:pull repository:team/base:pull" || a.ExpiresIn != 300 || a.RefreshToken != "" {
		t.Errorf("the answer is %+v, want what was granted and no refresh token", a)
	}
	form.Set("scope", "repository:team/app:pull,push repository:other/app:pull")
	if a := send(form); a.Scope != "repository:team/app:pull,push" {
		t.Errorf("scope = %q, want what was granted alone", a.Scope)
	}
	s.want(t, "a refresh token", send(url.Values{
		"client_id": {"containerd-client"}, "grant_type": {"refresh_token"}, "service": {service},
		"refresh_token": {s.robot.Secret.Reveal()}, "scope": {"repository:team/app:pull,push"},
	}), "ci: team/app=pull")
	form.Set("password", "wrong")
	if a := send(form); a.status != http.StatusUnauthorized { // it asks by GET then
		t.Errorf("a wrong password: %d, want 401", a.status)
	}
}

// S98: docker asks for a refresh token when somebody logs in, keeps it in the
// place of the password, and gets its tokens by it, which it does not change.
// (distribution's client, registry/client/auth/session.go).
func TestDockerEngine(t *testing.T) {
	s := newSite(t, nil)
	login := s.get(t, "account=ann&client_id=docker&offline_token=true&service="+url.QueryEscape(service), "ann", annPassword)
	s.want(t, "login", login, "ann:")
	if !strings.HasPrefix(login.RefreshToken, "lki_") {
		t.Fatalf("refresh_token = %q, want one", login.RefreshToken)
	}
	refresh := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {login.RefreshToken}, "service": {service}, "client_id": {"docker"},
		"scope": {"repository:team/app:pull,push repository:team/base:pull"},
	}
	for range 2 {
		a := s.post(t, refresh.Encode())
		s.want(t, "refresh", a, "ann: team/app=pull,push team/base=pull")
		if a.RefreshToken != login.RefreshToken {
			t.Errorf("refreshing gives another refresh token")
		}
	}
	list, err := s.Tokens.List(t.Context(), s.ann, tokens.Query{TokenQuery: store.TokenQuery{AccountID: s.ann.AccountID, Limit: 10}})
	if err != nil || len(list.Tokens) != 1 || list.Tokens[0].Name != "docker" || list.Tokens[0].Labels["registry"] != service {
		t.Fatalf("List() = %+v, %v, want one called docker", list.Tokens, err)
	}
	if err := s.Tokens.Revoke(t.Context(), s.ann, list.Tokens[0].ID, ""); err != nil {
		t.Fatal(err)
	}
	a := s.post(t, refresh.Encode())
	if a.status != http.StatusUnauthorized || !strings.Contains(a.Errors[0].Message, "revoked") || a.Error != "invalid_grant" {
		t.Errorf("after it was revoked: %d %+v, want 401 that says so", a.status, a.Errors)
	}
}

// podman and skopeo repeat "scope" in the form when they have a refresh token,
// also one that docker got (containers/image, docker/docker_client.go).
func TestContainersImage(t *testing.T) {
	s := newSite(t, nil)
	login := s.get(t, "account=ann&offline_token=true&service="+service, "ann", annPassword)
	a := s.post(t, "client_id=containers%2Fimage&grant_type=refresh_token&refresh_token="+login.RefreshToken+
		"&scope=repository%3Ateam%2Fapp2%3Apull%2Cpush&scope=repository%3Ateam%2Fapp%3Apull&service="+url.QueryEscape(service))
	s.want(t, "refresh", a, "ann: team/app2=pull,push team/app=pull")
	s.want(t, "skopeo delete", s.get(t, "account=ann&scope=repository%3Ateam%2Fapp%3A%2A&service="+service, "ann", annPassword), "ann: team/app=pull,push")
}

// A token in the place of the password is a refresh token itself: it can be
// listed and ended, and robots that log in again and again leave nothing
// behind. What ends in minutes is none.
func TestOfflineWithToken(t *testing.T) {
	s := newSite(t, nil)
	const query = "offline_token=true&client_id=docker&service=" + service
	robot := s.robot.Secret.Reveal()
	a := s.get(t, query, "ci", robot)
	if a.RefreshToken != robot {
		t.Errorf("refresh_token is not the token that was given")
	}
	s.want(t, "refresh", s.post(t, "grant_type=refresh_token&client_id=docker&refresh_token="+robot+"&service="+service), "ci:")
	p, err := s.Tokens.IssuePair(t.Context(), s.ann, tokens.PairRequest{Request: tokens.Request{Name: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	if a := s.get(t, query, "ann", p.Access.Reveal()); a.status != http.StatusOK || a.RefreshToken != "" {
		t.Errorf("with a token of minutes: %d and a refresh token: %v, want none", a.status, a.RefreshToken != "")
	}
	page, err := s.Tokens.List(t.Context(), s.Admin, tokens.Query{TokenQuery: store.TokenQuery{Class: string(tokens.Registry), Limit: 10}})
	if err != nil || len(page.Tokens) != 0 {
		t.Errorf("List() = %v, %v, want no new token", page.Tokens, err)
	}
}

// A login is good also where no refresh token can be given.
func TestOfflineCanDoWithout(t *testing.T) {
	s := newSite(t, nil)
	for i := range 2 {
		if i == 1 {
			one := 1
			if _, err := s.Accounts.Update(t.Context(), s.Admin, s.ann.AccountID, accounts.Change{MaxTokens: &one}); err != nil {
				t.Fatal(err)
			}
		}
		a := s.get(t, "offline_token=true&client_id=docker&service="+service, "ann", annPassword)
		s.want(t, "login", a, "ann:")
		if got, want := a.RefreshToken != "", i == 0; got != want {
			t.Errorf("login %d: a refresh token: %v, want %v", i, got, want)
		}
	}
}

// What a client calls itself is data from outside: it can be anything, and must
// not hide a token.
func TestClientNames(t *testing.T) {
	s := newSite(t, nil)
	for _, name := range []string{"", "   ", "x\ny\x00", strings.Repeat("é", 500), "\xff\xfe", s.robot.Secret.Reveal()} {
		a := s.get(t, "offline_token=true&service="+service+"&client_id="+url.QueryEscape(name), "ann", annPassword)
		s.want(t, name, a, "ann:")
		if a.RefreshToken == "" {
			t.Errorf("the client %q gets no refresh token", name)
		}
	}
	page, err := s.Tokens.List(t.Context(), s.ann, tokens.Query{TokenQuery: store.TokenQuery{AccountID: s.ann.AccountID, Limit: 20}})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range page.Tokens {
		if strings.TrimSpace(token.Name) == "" || secret.Scrub(token.Name) != token.Name || strings.ContainsAny(token.Name, "\n\x00") {
			t.Errorf("a token is called %q", token.Name)
		}
	}
}
