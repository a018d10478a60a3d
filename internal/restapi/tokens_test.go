package restapi_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

func TestFourSteps(t *testing.T) {
	s := newSite(t)
	start := s.Clock.Now()

	made := want[api.NewToken](s.admin(), 201, "POST", "/tokens",
		`{"name":"laptop","expires_in":86400,"scope":["path:/pulp/content/*:read","latchkey:tokens:*","latchkey:self:read"]}`)
	if !strings.HasPrefix(made.Secret, "lkp_") || !strings.HasPrefix(made.Secret, made.Prefix) || made.Owner != "admin" || made.ID == "" {
		t.Errorf("POST /tokens = %+v, want a secret that begins with its prefix, and the owner", made)
	}
	if got := made.ExpiresAt.Sub(made.CreatedAt); got != 24*time.Hour || made.CreatedAt.Before(start.Add(-time.Second)) {
		t.Errorf("POST /tokens lives from %v for %v, want a day from %v", made.CreatedAt, got, start)
	}

	for _, header := range []string{"Bearer " + made.Secret, "bearer " + made.Secret, "Token " + made.Secret} {
		if got := want[api.WhoAmI](as{s, header}, 200, "GET", "/whoami", ""); got.Account != "admin" || got.Token.ID != made.ID {
			t.Errorf("GET /whoami = %+v, want admin by %s", got, made.ID)
		}
	}
	want[api.WhoAmI](s.password("anybody", made.Secret), 200, "GET", "/whoami", "")

	page := want[api.Page[api.Token]](s.token(made.Secret), 200, "GET", "/tokens", "")
	if len(page.Items) != 1 || page.Items[0].LastUsed == nil || page.Items[0].LastUsed.Addr != "127.0.0.1" || page.Items[0].LastUsed.Agent == "" {
		t.Errorf("GET /tokens = %+v, want one token with its last use", page)
	}
	if text := s.token(made.Secret).do("GET", "/tokens/"+made.ID, "").body; strings.Contains(text, made.Secret) {
		t.Errorf("GET /tokens/{id} shows the secret again (S74): %s", text)
	}

	if got := s.token(made.Secret).do("DELETE", "/tokens/"+made.ID, `{"reason":"lost"}`); got.status != 204 {
		t.Fatalf("DELETE = %d %s", got.status, got.body)
	}
	s.token(made.Secret).refuse(401, "unauthenticated", "GET", "/whoami", "")
	after := want[api.Token](s.admin(), 200, "GET", "/tokens/"+made.ID, "")
	if after.State != "revoked" || after.RevokeReason != "lost" || after.RevokedAt == nil {
		t.Errorf("GET /tokens/{id} = %+v, want it revoked, with the reason", after)
	}
}

func TestExpiredIsRefused(t *testing.T) {
	s := newSite(t)
	made := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"short","expires_in":60}`)
	want[api.WhoAmI](s.token(made.Secret), 200, "GET", "/whoami", "")
	s.Clock.Advance(time.Minute)
	p := s.token(made.Secret).do("GET", "/whoami", "")
	if p.status != 401 || !strings.Contains(p.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("an expired token: %d %q, want 401 and invalid_token (S63)", p.status, p.header["Www-Authenticate"])
	}
	if got := want[api.Token](s.admin(), 200, "GET", "/tokens/"+made.ID, ""); got.State != "expired" {
		t.Errorf("state = %q, want expired", got.State)
	}
}

// S63: without a credential a challenge has no error code.
func TestChallenge(t *testing.T) {
	s := newSite(t)
	r := s.nobody().do("GET", "/tokens", "")
	wantHeader := []string{`Bearer realm="test"`, `Basic realm="test", charset="UTF-8"`}
	if diff := cmp.Diff(wantHeader, r.header["Www-Authenticate"]); r.status != 401 || diff != "" {
		t.Errorf("GET /tokens = %d, challenges (-want +got):\n%s", r.status, diff)
	}
}

func TestUpdateOnlyNarrows(t *testing.T) {
	s := newSite(t)
	made := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"a","expires_in":3600,"scope":["path:/a/*:read,write"],"cidrs":["10.0.0.0/8"]}`)
	path := "/tokens/" + made.ID
	got := want[api.Token](s.admin(), 200, "PATCH", path, `{"name":"b","labels":{"team":"x"},"scope":["path:/a/b/*:read"],"cidrs":["10.1.0.0/16"],"expires_in":60}`)
	if got.Name != "b" || got.Labels["team"] != "x" || got.Scope[0] != "path:/a/b/*:read" || got.CIDRs[0] != "10.1.0.0/16" {
		t.Errorf("PATCH = %+v", got)
	}
	for _, body := range []string{
		`{"scope":["path:/a/*:read"]}`, `{"scope":[]}`, `{"cidrs":["0.0.0.0/0"]}`, `{"cidrs":[]}`, `{"expires_in":86400}`, `{"expires_in":0}`,
		`{"expires_at":"2001-01-01T00:00:00Z"}`, `{"expires_at":"2999-01-01T00:00:00Z"}`, `{"name":""}`,
	} {
		s.admin().refuse(400, "invalid", "PATCH", path, body)
	}
	if again := want[api.Token](s.admin(), 200, "GET", path, ""); cmp.Diff(got, again) != "" {
		t.Errorf("refused changes changed something:\n%s", cmp.Diff(got, again))
	}
}

func TestRotate(t *testing.T) {
	s := newSite(t)
	old := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"a"}`)
	works := func(secret string) bool { return s.token(secret).do("GET", "/whoami", "").status == 200 }

	next := want[api.NewToken](s.admin(), 200, "POST", "/tokens/"+old.ID+"/rotate", "")
	if next.ID != old.ID || next.Secret == old.Secret || works(old.Secret) || !works(next.Secret) {
		t.Errorf("rotate at once: same id %v, old works %v, new works %v", next.ID == old.ID, works(old.Secret), works(next.Secret))
	}
	third := want[api.NewToken](s.token(next.Secret), 200, "POST", "/tokens/"+old.ID+"/rotate", `{"overlap":60}`)
	if !works(next.Secret) || !works(third.Secret) {
		t.Error("rotate with an overlap: want both secrets to work")
	}
	s.Clock.Advance(time.Minute)
	if works(next.Secret) || !works(third.Secret) {
		t.Error("after the overlap: want only the new secret to work")
	}
	fourth := want[api.NewToken](s.admin(), 200, "POST", "/tokens/"+old.ID+"/rotate", `{"until_used":true}`)
	if !works(third.Secret) || !works(fourth.Secret) || works(third.Secret) {
		t.Error("until used: want the old secret to work until the new one is used, and no longer")
	}
	s.admin().refuse(400, "invalid", "POST", "/tokens/"+old.ID+"/rotate", `{"overlap":-1}`)
	s.admin().refuse(400, "invalid", "POST", "/tokens/"+old.ID+"/rotate", `{"overlap":99999999999}`)
}

func TestRevokeBySecret(t *testing.T) {
	s := newSite(t)
	made := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"a"}`)
	for range 2 { // the second time it is unknown, and that is not told
		if got := s.nobody().do("POST", "/revoke", `{"token":"`+made.Secret+`"}`); got.status != 204 {
			t.Errorf("POST /revoke = %d %s, want 204", got.status, got.body)
		}
	}
	if got := s.nobody().do("POST", "/revoke", `{"token":"never-made"}`); got.status != 204 {
		t.Errorf("POST /revoke of nonsense = %d, want 204", got.status)
	}
	s.token(made.Secret).refuse(401, "unauthenticated", "GET", "/whoami", "")
}

func TestRevokeAll(t *testing.T) {
	s := newSite(t)
	alice := s.member("alice")
	one := want[api.NewToken](alice, 201, "POST", "/tokens", `{"name":"1"}`)
	two := want[api.NewToken](alice, 201, "POST", "/tokens", `{"name":"2"}`)
	if got := want[api.Revoked](s.admin(), 200, "POST", "/accounts/alice/revoke-tokens", `{"reason":"left"}`); got.Revoked != 2 {
		t.Errorf("revoke-tokens = %+v, want 2", got)
	}
	for _, secret := range []string{one.Secret, two.Secret} {
		s.token(secret).refuse(401, "unauthenticated", "GET", "/whoami", "")
	}
	third := want[api.NewToken](alice, 201, "POST", "/tokens", `{"name":"3"}`)
	want[api.WhoAmI](s.token(third.Secret), 200, "GET", "/whoami", "")
}

func TestPagesVisitEachTokenOnce(t *testing.T) {
	s := newSite(t)
	const n = 25
	for i := range n {
		s.Clock.Advance(time.Millisecond)
		want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"t`+strconv.Itoa(i)+`"}`)
	}
	seen := map[string]bool{}
	next := ""
	for pages := 0; ; pages++ {
		path := "/tokens?limit=10"
		if next != "" {
			path += "&cursor=" + next
		}
		page := want[api.Page[api.Token]](s.admin(), 200, "GET", path, "")
		for _, item := range page.Items {
			if seen[item.ID] {
				t.Errorf("%s is on two pages", item.Name)
			}
			seen[item.ID] = true
		}
		s.Clock.Advance(time.Millisecond)
		if pages == 0 { // what comes while somebody pages does not disturb
			want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"late"}`)
			// S75: a cursor belongs to its list and filters, and cannot be made up.
			s.admin().refuse(400, "invalid", "GET", "/tokens?limit=10&state=live&cursor="+page.Next, "")
			s.admin().refuse(400, "invalid", "GET", "/audit?cursor="+page.Next, "")
			s.admin().refuse(400, "invalid", "GET", "/tokens?cursor=AAAA"+page.Next, "")
		}
		if next = page.Next; next == "" {
			break
		}
	}
	if len(seen) != n {
		t.Errorf("%d tokens on all pages, want %d", len(seen), n)
	}
}

func TestFilters(t *testing.T) {
	s := newSite(t)
	alice := s.member("alice")
	want[api.NewToken](alice, 201, "POST", "/tokens", `{"name":"of alice"}`)
	s.Clock.Advance(time.Millisecond)
	made := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"build-1","labels":{"team":"x"}}`)
	s.Clock.Advance(time.Millisecond)
	gone := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"build-2"}`)
	s.admin().do("DELETE", "/tokens/"+gone.ID, "")
	for query, names := range map[string]string{
		"":                       "build-2 build-1",
		"?owner=*":               "build-2 build-1 of alice",
		"?owner=alice":           "of alice",
		"?state=live":            "build-1",
		"?state=revoked":         "build-2",
		"?name=build-":           "build-2 build-1",
		"?label=team":            "build-1",
		"?label=team%3Dx":        "build-1",
		"?label=team%3Dy":        "",
		"?prefix=" + made.Prefix: "build-1",
		"?class=robot":           "",
		"?unused_since=" + s.Clock.Now().Add(time.Hour).UTC().Format(time.RFC3339): "build-2 build-1",
	} {
		page := want[api.Page[api.Token]](s.admin(), 200, "GET", "/tokens"+query, "")
		got := make([]string, len(page.Items))
		for i, item := range page.Items {
			got[i] = item.Name
		}
		if strings.Join(got, " ") != names {
			t.Errorf("GET /tokens%s = %q, want %q", query, got, names)
		}
	}
}

// member makes a user with a password and returns them as a caller.
func (s *site) member(name string, grants ...string) as {
	s.t.Helper()
	const password = "a planted password"
	s.User(s.t, name, grants...)
	err := s.Accounts.SetPassword(s.t.Context(), s.Admin, s.AccountNamed(s.t, name).ID, secret.New(password), false)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.password(name, password)
}
