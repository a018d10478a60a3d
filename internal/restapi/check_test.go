package restapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"
)

// service returns a caller with the right to check tokens and with no other.
func (s *site) service() as {
	s.t.Helper()
	want[api.Account](s.admin(), 201, "POST", "/accounts", `{"kind":"robot","name":"service","grants":["latchkey:check:read"]}`)
	made := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"service","owner":"service","scope":["latchkey:check:read"]}`)
	return s.token(made.Secret)
}

func TestCheck(t *testing.T) {
	s := newSite(t)
	service := s.service()
	made := want[api.NewToken](s.admin(), 201, "POST", "/tokens",
		`{"name":"n","expires_in":3600,"idle_timeout":600,"cidrs":["192.0.2.0/24"],"scope":["path:/a/*:read","repository:x:pull"]}`)
	got := want[api.Checked](service, 200, "POST", "/check", fmt.Sprintf(`{"token":%q,"addr":"::ffff:192.0.2.1","agent":"curl","scope":["path:/a/b:read"]}`, made.Secret))
	now, ends, covered := s.Clock.Now(), s.Clock.Now().Add(time.Hour), true
	wanted := api.Checked{
		Active: true, Covered: &covered, Account: "admin", AccountID: s.Admin.AccountID, Kind: "user", Source: "local",
		TokenID: made.ID, Class: "personal", Scope: []string{"path:/a/*:read", "repository:x:pull"}, CIDRs: []string{"192.0.2.0/24"},
		ExpiresAt: &ends, IdleTimeout: 600, Position: got.Position, CheckedAt: &now,
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("POST /check differs (-want +got):\n%s", diff)
	}
	got = want[api.Checked](service, 200, "POST", "/check", fmt.Sprintf(`{"token":%q,"addr":"192.0.2.1","scope":["path:/a/b:read","path:/a/b:write"]}`, made.Secret))
	if !got.Active || *got.Covered || got.Missing != "path:/a/b:write" {
		t.Errorf("POST /check for more than the token may do = %+v, want what is missing", got)
	}
	shown := want[api.Token](s.admin(), 200, "GET", "/tokens/"+made.ID, "")
	if shown.LastUsed == nil || shown.LastUsed.Addr != "192.0.2.1" || shown.LastUsed.Agent != "curl" {
		t.Errorf("the last use after a check = %+v, want that of the service's caller", shown.LastUsed)
	}
	for _, body := range []string{`{}`, `{"token":""}`, `{"token":"x","addr":"nowhere"}`, `{"token":"x","scope":["nonsense"]}`, `{"token":"x","more":1}`} {
		service.refuse(400, "invalid", "POST", "/check", body) // S71
	}
	service.refuse(403, "forbidden", "GET", "/tokens", "")
	service.refuse(400, "invalid", "POST", "/check?token="+made.Secret, `{"token":"x"}`)
}

// S41, S42
func TestCheckTellsNothingOfBadTokens(t *testing.T) {
	s := newSite(t)
	service := s.service()
	gone := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"gone"}`)
	if r := s.admin().do("DELETE", "/tokens/"+gone.ID, ""); r.status != 204 {
		t.Fatalf("DELETE = %d", r.status)
	}
	bound := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"bound","cidrs":["192.0.2.0/24"]}`)
	for name, token := range map[string]string{
		"revoked": gone.Secret, "malformed": "x", "unknown": strings.Repeat("0", 40), "elsewhere": bound.Secret, "a password": "planted correct horse battery",
	} {
		r := service.do("POST", "/check", fmt.Sprintf(`{"token":%q,"scope":["path:/a:read"]}`, token))
		if r.status != 200 || r.body != "{\"active\":false}\n" {
			t.Errorf("POST /check of a token that is %s = %d %s, want that it is not active and nothing else", name, r.status, r.body)
		}
	}
	// Who asks is judged before what is asked.
	s.nobody().refuse(401, "unauthenticated", "POST", "/check", fmt.Sprintf(`{"token":%q}`, bound.Secret))
	s.token(bound.Secret).refuse(401, "unauthenticated", "POST", "/check", fmt.Sprintf(`{"token":%q}`, bound.Secret))
	s.member("bob").refuse(403, "forbidden", "POST", "/check", fmt.Sprintf(`{"token":%q}`, bound.Secret))
}
