package restapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"
)

// S82: a plain user cannot explain what is another's, and gets the same answer
// for unknown and for foreign ids.
func TestExplainOfOthers(t *testing.T) {
	s := newSite(t)
	alice, bob := s.member("alice"), s.member("bob")
	hers := want[api.NewToken](alice, 201, "POST", "/tokens", `{"name":"hers"}`)
	ask := fmt.Sprintf
	refused := func(a as, body string, status int, code string) api.Problem {
		t.Helper()
		p := a.refuse(status, code, "POST", "/explain", body)
		p.RequestID = ""
		return p
	}
	unknown := refused(bob, `{"token":"tok_0000000000000000000000","method":"GET","path":"/x"}`, 404, "not_found")
	for _, body := range []string{
		ask(`{"token":%q,"method":"GET","path":"/x"}`, hers.ID), ask(`{"token":%q}`, hers.Secret), ask(`{"token":%q,"scope":"path:/x:read"}`, hers.ID),
		`{"token":"lkp_000000000000000000000000000000000000000"}`, `{"token":"x"}`,
	} {
		if diff := cmp.Diff(unknown, refused(bob, body, 404, "not_found")); diff != "" {
			t.Errorf("the answer to %s is another one (-unknown +got):\n%s", body, diff)
		}
	}
	nobody := refused(bob, `{"account":"nobody-at-all"}`, 403, "forbidden")
	if diff := cmp.Diff(nobody, refused(bob, `{"account":"alice"}`, 403, "forbidden")); diff != "" {
		t.Errorf("another's account gets another answer than none (-none +got):\n%s", diff)
	}

	// A request that was refused to alice.
	r := s.token(hers.Secret).do("GET", "/audit", "")
	id := r.header.Get("Latchkey-Request-Id")
	if r.status != 403 || !strings.Contains(r.body, id) {
		t.Fatalf("GET /audit = %d %s, want 403 with the request's id", r.status, r.body)
	}
	none := refused(bob, `{"request_id":"00000000000000000000000000000000"}`, 404, "not_found")
	if diff := cmp.Diff(none, refused(bob, ask(`{"request_id":%q}`, id), 404, "not_found")); diff != "" {
		t.Errorf("another's request gets another answer than none (-none +got):\n%s", diff)
	}
	for name, who := range map[string]as{"alice": alice, "the administrator": s.admin()} {
		x := want[api.Explanation](who, 200, "POST", "/explain", ask(`{"request_id":%q}`, id))
		if x.Allowed || x.Then == nil || x.Then.Missing != "latchkey:audit:read" || x.Then.Token != hers.ID || x.Account != "alice" || x.Status != 403 {
			t.Errorf("the explanation for %s = %+v, want what was refused, then and now", name, x)
		}
		if len(x.ToAllow) != 1 || x.ToAllow[0] != "latchkey grant add latchkey:audit:read --account alice" {
			t.Errorf("what would allow it for %s = %q, want the grant", name, x.ToAllow)
		}
	}
	want[map[string]any](s.admin(), 201, "POST", "/grants", `{"account":"alice","scope":"latchkey:audit:read"}`)
	x := want[api.Explanation](s.admin(), 200, "POST", "/explain", ask(`{"request_id":%q}`, id)) // S83
	if !x.Allowed || x.Then.Outcome != "refused" {
		t.Errorf("after the grant = %+v, want it allowed now and refused then", x)
	}
	got := s.token(hers.Secret).do("GET", "/audit", "")
	if got.status != http.StatusOK {
		t.Errorf("GET /audit after the grant = %d", got.status)
	}
}

// S69, S112: a secret that is asked about is in no answer, and what is wrong with a
// question is said without repeating it.
func TestExplainRepeatsNoSecret(t *testing.T) {
	s := newSite(t)
	made := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"n"}`)
	for _, body := range []string{
		`{"token":%q}`, `{"token":%q,"method":"GET","path":"/x"}`, `{"token":%q,"method":"GET"}`, `{"token":%q,"scope":"x"}`, `{"token":"x%s"}`, `{"token":"%sx"}`,
		`{"request_id":%q}`, `{"token":%q,"nonsense":1}`,
	} {
		r := s.admin().do("POST", "/explain", strings.Replace(strings.Replace(body, "%q", `"%s"`, 1), "%s", made.Secret, 1))
		if strings.Contains(r.body, made.Secret) || r.status >= 500 {
			t.Errorf("POST /explain %s = %d %s, want no secret in it", body, r.status, r.body)
		}
	}
	if events := s.admin().do("GET", "/audit", ""); strings.Contains(events.body, made.Secret) {
		t.Error("the secret is in the audit log")
	}
}

func TestBadExplain(t *testing.T) {
	s := newSite(t)
	for _, body := range []string{
		``, `{}`, `{"token":"a","account":"admin"}`, `{"token":"a","anonymous":true}`, `{"token":"a","method":"GET"}`, `{"token":"a","path":"/x"}`,
		`{"token":"a","method":"GET","path":"x"}`, `{"token":"a","method":"GET","path":"/a b"}`, `{"token":"a","method":"G T","path":"/a"}`,
		`{"token":"a","method":"GET","path":"/a","scope":"path:/a:read"}`, `{"token":"a","scope":"x"}`, `{"anonymous":true}`,
		`{"token":"a","addr":"x"}`, `{"token":"a","method":"GET","path":"/a","door":"back"}`, `{"request_id":"x","token":"a"}`, `{"token":1}`,
	} {
		s.admin().refuse(400, "invalid", "POST", "/explain", body)
	}
	s.admin().refuse(404, "not_found", "POST", "/explain", `{"account":"nobody-at-all"}`)
}

// The calls of the API itself are judged as they are served (S79): by id or by
// secret, the explanation and the call agree.
func TestExplainOwnCalls(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct{ method, path, scope string }{
		{"GET", "/tokens", "latchkey:tokens:read"}, {"GET", "/audit", "latchkey:tokens:read"}, {"GET", "/audit?limit=1", "latchkey:audit:read"},
		{"GET", "/groups", "latchkey:*:*"}, {"DELETE", "/groups/x", "latchkey:groups:read"}, {"GET", "/whoami", "path:/*:*"},
	} {
		made := want[api.NewToken](s.admin(), 201, "POST", "/tokens", fmt.Sprintf(`{"name":"n","scope":[%q]}`, c.scope))
		r := s.token(made.Secret).do(c.method, c.path, "")
		for _, token := range []string{made.ID, made.Secret} {
			x := want[api.Explanation](s.admin(), 200, "POST", "/explain",
				fmt.Sprintf(`{"token":%q,"method":%q,"path":%q}`, token, c.method, api.Prefix+c.path))
			if x.Allowed != (r.status != 403) || x.Door != "api" {
				t.Errorf("%s %s with %s = %d, and is explained as %v: %+v", c.method, c.path, c.scope, r.status, x.Allowed, x.Steps)
			}
		}
	}
	made := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"n","scope":["path:/*:*"]}`)
	x := want[api.Explanation](s.admin(), 200, "POST", "/explain", fmt.Sprintf(`{"token":%q,"method":"DELETE","path":%q}`, made.ID, api.Prefix+"/tokens/"+made.ID))
	if !x.Allowed {
		t.Errorf("a token that ends itself is explained as refused: %+v", x.Steps)
	}
	s.admin().refuse(400, "invalid", "POST", "/explain", fmt.Sprintf(`{"token":%q,"method":"GET","path":%q}`, made.ID, api.Prefix+"/nothing"))
	if x := want[api.Explanation](s.admin(), 200, "POST", "/explain", fmt.Sprintf(`{"anonymous":true,"method":"POST","path":%q}`, api.Prefix+"/revoke")); !x.Allowed {
		t.Error("the call that needs no credential is explained as refused to nobody")
	}
}
