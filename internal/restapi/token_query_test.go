package restapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
)

func TestRevokeMatching(t *testing.T) {
	s := newSite(t)
	alice := s.member("alice")
	for i := range 3 {
		want[api.NewToken](alice, 201, "POST", "/tokens", fmt.Sprintf(`{"name":"old-%d"}`, i))
	}
	kept := want[api.NewToken](alice, 201, "POST", "/tokens", `{"name":"kept","scope":["path:/a/*:read"]}`)

	const query = `"query":{"owner":"alice","name":"old-"}`
	dry := want[api.RevokedTokens](s.admin(), 200, "POST", "/tokens/revoke", `{`+query+`,"dry_run":true}`)
	if dry.Matched != 3 || dry.Revoked != 0 || dry.Complete || len(dry.Sample) != 3 || dry.Sample[0].Owner != "alice" {
		t.Fatalf("the dry run = %+v, want 3 of alice's that have not ended", dry)
	}
	s.admin().refuse(409, "conflict", "POST", "/tokens/revoke", `{`+query+`,"expect":2}`)
	s.admin().refuse(400, "invalid", "POST", "/tokens/revoke", `{`+query+`}`)
	done := want[api.RevokedTokens](s.admin(), 200, "POST", "/tokens/revoke", `{`+query+`,"expect":3,"reason":"old"}`)
	if done.Matched != 3 || done.Revoked != 3 || !done.Complete || done.Sample != nil {
		t.Errorf("the run = %+v, want 3 ended", done)
	}
	want[api.RevokedTokens](alice, 200, "POST", "/tokens/revoke", `{"query":{"scope":"path:/a/b:read"},"expect":1}`)
	if got := want[api.Token](alice, 200, "GET", "/tokens/"+kept.ID, ""); got.State != "revoked" {
		t.Errorf("the token is %s, want revoked", got.State)
	}
}

// S82: a plain user's queries reach their own tokens, and tell nothing of
// whether others exist.
func TestRevokeMatchingOfOthers(t *testing.T) {
	s := newSite(t)
	bob := s.member("bob")
	s.member("alice")
	for _, query := range []string{`{"owner":"alice"}`, `{"owner":"nobody"}`, `{"owner":"*","never_used":true}`, `{"group":"everyone"}`, `{"group":"nothing"}`} {
		for _, rest := range []string{`"dry_run":true`, `"at_most":10`} {
			p := bob.refuse(403, "forbidden", "POST", "/tokens/revoke", `{"query":`+query+`,`+rest+`}`)
			if !strings.HasPrefix(p.Scope, "latchkey:all-tokens:") {
				t.Errorf("%s is refused for want of %q", query, p.Scope)
			}
		}
	}
}

func TestBadTokenFilters(t *testing.T) {
	s := newSite(t)
	for _, query := range []string{
		"?created_since=now", "?created_before=1", "?never_used=perhaps", "?last_addr=10", "?last_addr=fe80::1%25eth0", "?scope=nonsense",
		"?scope=path:/a:fly",
	} {
		s.admin().refuse(400, "invalid", "GET", "/tokens"+query, "")
	}
	for _, body := range []string{
		``, `{}`, `{"query":{}}`, `{"query":{},"dry_run":true}`, `{"query":{"owner":"*"},"dry_run":true}`, `{"query":{"owner":"*"},"at_most":5}`,
		`{"query":{"group":"everyone"},"at_most":5}`, `{"query":{"label":"=x"},"dry_run":true}`, `{"query":{"last_addr":"x"},"dry_run":true}`,
		`{"query":{"scope":"x"},"dry_run":true}`, `{"query":{"name":"a"},"expect":-1}`, `{"query":{"name":"a"},"expect":"1"}`, `{"query":[]}`,
		`{"query":{"state":"live"},"dry_run":true}`, `{"query":{"created_since":"x"},"dry_run":true}`,
	} {
		s.admin().refuse(400, "invalid", "POST", "/tokens/revoke", body)
	}
	s.admin().refuse(404, "not_found", "POST", "/tokens/revoke", `{"query":{"owner":"nobody"},"dry_run":true}`)
	if r := s.admin().do("GET", "/tokens?group=%00&name=%FF&label=%00", ""); r.status != 200 {
		t.Errorf("a filter that nothing can match = %d %s, want an empty list", r.status, r.body)
	}
}
