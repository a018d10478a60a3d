package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/explain"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// oneOutcome is a checker of one credential.
type oneOutcome struct {
	id  *identity.Identity
	err error
}

func (c oneOutcome) Check(_ context.Context, found credential.Credential) (*identity.Identity, error) {
	if found.Scheme == credential.None {
		return nil, nil
	}
	return c.id, c.err
}

// randomAsk makes questions that have to do with the routes of explainRoutes.
func randomAsk(t testing.TB, d *rand.Rand) explain.Asked {
	of := func(list ...string) string { return list[d.IntN(len(list))] }
	id := &identity.Identity{Method: identity.Token, Name: of("alice", "alice", "zoë"), TokenID: "tok_1", Grants: rules(t, of("path:/*:*", "path:*:*", "path:/pulp/*:read", "repository:x:pull"))}
	if d.IntN(2) == 0 {
		id.TokenScope = rules(t, of("path:/pulp/content/*:read", "path:/*:read,write", "*:*:*", "repository:prod/*:pull", "path:/x/y:delete"))
	}
	a := explain.Asked{
		Credential: explain.Credential(of("token", "token", "token", "password", "")), Identity: id,
		Method: of("GET", "GET", "HEAD", "POST", "DELETE", "LINK", "TRACE"),
		Target: of("/pulp", "/pulp/content", "/x", "/token", "/pypi", "/off", "/open", "") + of("/", "", "/a", "/a/../b", "//b", "/%2e%2e/x", "/a%2fb", "/a;x", "/ü", "/a%20b", "/%zz", "/\\b") +
			of("", "", "?scope=repository:prod/a:pull", "?scope=repository:prod/a:push", "?x=%"),
	}
	if !strings.HasPrefix(a.Target, "/") {
		a.Target = "/" + a.Target
	}
	if d.IntN(4) == 0 {
		a.Err = &tokens.Refusal{Reason: tokens.ReasonExpired}
	}
	return a
}

func explainRoutes(t testing.TB, up *mirror) []Route {
	u := up.url(t)
	return []Route{
		{Prefix: "/pulp", Upstream: u, Passwords: RefusePasswords},
		{Prefix: "/pulp/content", Upstream: u, Auth: Optional},
		{Prefix: "/x", Upstream: u},
		{Prefix: "/token", Upstream: u, Auth: Optional, RegistryTokens: true},
		{Prefix: "/pypi", Upstream: u, Auth: Writes, Passwords: PassPasswords},
		{Prefix: "/off", Upstream: u, Auth: Off},
		{Prefix: "/open", Upstream: u, Open: []string{"/open/a", "/open/**"}},
	}
}

func authorize(r *http.Request, kind explain.Credential) {
	switch kind {
	case explain.ByToken:
		r.Header.Set("Authorization", "Bearer "+aliceToken)
	case explain.ByPassword:
		r.SetBasicAuth("alice", "a password")
	}
}

// S80: what the gateway explains is what it does, whatever is asked.
func TestExplainIsWhatTheGatewayDoes(t *testing.T) {
	up := newMirror(t)
	anonymous := func(context.Context) (scope.Set, error) { return rules(t, "path:/x/a:read"), nil }
	d := rand.New(rand.NewPCG(1, 2))
	seen := map[string]int{}
	for range 3000 {
		a := randomAsk(t, d)
		g, err := New(Options{Routes: explainRoutes(t, up), Check: oneOutcome{a.Identity, a.Err}, Anonymous: anonymous})
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{Method: a.Method, RequestURI: a.Target, Header: http.Header{}}
		authorize(r, a.Credential)
		x := &exchange{g: g, in: r.WithContext(t.Context())}
		want := x.find()
		if want == nil {
			want = x.admit()
		}
		got := g.Explain(t.Context(), a)
		status := 0
		if want != nil {
			status = want.status
		}
		ask := fmt.Sprintf("%s %s by %q of %q with %q, err %v", a.Method, a.Target, a.Credential, a.Identity.Grants, a.Identity.TokenScope, a.Err)
		if got.Allowed != (want == nil) || got.Status != status {
			t.Fatalf("Explain(%s) = %v, %d; the gateway says %d", ask, got.Allowed, got.Status, status)
		}
		seen[fmt.Sprint(status)]++
		checkSteps(t, ask, a, got)
	}
	for _, status := range []string{"0", "400", "401", "403", "404", "405"} {
		if seen[status] < 10 {
			t.Errorf("the answer %s came %d times, want more", status, seen[status])
		}
	}
}

// checkSteps checks that steps and verdict agree: a step that stands in the
// way where the answer is no for other reasons than the credential or the
// rules, and none where it is yes.
func checkSteps(t *testing.T, ask string, a explain.Asked, d explain.Decision) {
	t.Helper()
	failed, no := explain.Failed(d.Steps)
	if d.Allowed && no {
		t.Fatalf("Explain(%s) is yes, but the step %+v says no", ask, failed)
	}
	if d.Allowed || no || a.Err != nil {
		return
	}
	if d.Request == nil {
		t.Fatalf("Explain(%s) is %d %s, and no step says why: %+v", ask, d.Status, d.Detail, d.Steps)
	}
	judged := a.Identity.Decide(*d.Request)
	if judged.Granted && (d.GrantsOnly || judged.Within) {
		t.Fatalf("Explain(%s) is %d %s, but the rules allow it", ask, d.Status, d.Detail)
	}
}

func TestVerifierExplainIsWhatItDoes(t *testing.T) {
	anonymous := func(context.Context) (scope.Set, error) { return rules(t, "path:/x/a:read"), nil }
	d := rand.New(rand.NewPCG(3, 4))
	seen := map[int]int{}
	for range 3000 {
		a := randomAsk(t, d)
		if d.IntN(3) == 0 {
			a.Method, a.Target = "", ""
			a.Scope = rules(t, []string{"path:/pulp/a:read", "repository:prod/x:pull", "path:/*:*"}[d.IntN(3)])
		}
		v, err := NewVerifier(VerifierOptions{Check: oneOutcome{a.Identity, a.Err}, Anonymous: anonymous, Peers: web.Peers{netip.MustParsePrefix("10.0.0.0/8")}})
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{Header: http.Header{}}
		authorize(r, a.Credential)
		q := Question{Peer: netip.MustParseAddr("10.1.1.1"), Method: a.Method, Target: a.Target, Header: r.Header, Asked: a.Scope}
		status, _ := v.Answer(t.Context(), q, http.Header{})
		got := v.Explain(t.Context(), a)
		want := status
		if status == http.StatusOK {
			want = 0
		}
		if got.Allowed != (status == http.StatusOK) || got.Status != want {
			t.Fatalf("Explain(%+v) = %v, %d; the verifier says %d", a, got.Allowed, got.Status, status)
		}
		seen[status]++
	}
	for _, status := range []int{200, 400, 401, 403, 405} {
		if seen[status] < 10 {
			t.Errorf("the answer %d came %d times, want more", status, seen[status])
		}
	}
}

// S112: nothing of the house behind, and of causes, is in an explanation.
func TestExplainShowsNothingInside(t *testing.T) {
	up := newMirror(t)
	g, err := New(Options{Routes: explainRoutes(t, up), Check: oneOutcome{}})
	if err != nil {
		t.Fatal(err)
	}
	d := g.Explain(t.Context(), explain.Asked{Method: "GET", Target: "/x/a", Credential: explain.ByToken, Err: errors.New("select from secret at 10.9.8.7")})
	text := fmt.Sprintf("%+v", d)
	if d.Allowed || strings.Contains(text, "10.9.8.7") || strings.Contains(text, strings.TrimPrefix(up.URL, "http://")) {
		t.Errorf("Explain() = %s, want a no without the cause and the upstream", text)
	}
}

func TestExplainTellsAboutTheRoute(t *testing.T) {
	up := newMirror(t)
	g, err := New(Options{Routes: explainRoutes(t, up), Check: oneOutcome{}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, target string) string {
		d := g.Explain(t.Context(), explain.Asked{Method: method, Target: target, Credential: explain.ByToken, Identity: &identity.Identity{Name: "alice", Grants: rules(t, "*:*:*")}})
		var lines []string
		for _, s := range d.Steps {
			lines = append(lines, string(s.Result)+" "+s.Check+": "+s.Text)
		}
		return strings.Join(append(lines, d.Readings...), "\n")
	}
	for _, c := range []struct{ method, target, want string }{
		{"GET", "/pulp/content/a", "route /pulp/content"},
		{"GET", "/pulp/content/a", "note anonymous: without a credential the request goes on"},
		{"GET", "/pulp/a", "note anonymous: without a credential the request is refused"},
		{"GET", "/pulp/a", "a password is not taken"},
		{"GET", "/pypi/a", "a password is passed on"},
		{"GET", "/off/a", "looks at no credential"},
		{"GET", "/open/a", "may be read by anybody"},
		{"POST", "/open/a", "needs a credential"},
		{"GET", "/x/a%20b", "judged as /x/a b"},
		{"GET", "/x/a%20b", "\n/x/a b"},
		{"GET", "/nowhere", "no route of the gateway has this path"},
		{"GET", "/pulp/..%2fx", `"." or ".."`},
		{"GET", "/x/a//b", "only a rule for every path"},
	} {
		if got := ask(c.method, c.target); !strings.Contains(got, c.want) {
			t.Errorf("Explain(%s %s) =\n%s\nwant in it: %s", c.method, c.target, got, c.want)
		}
	}
}
