package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/explain"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
)

// FuzzExplain asks about any method and target: the explanation never says yes
// where the gateway or the verifier says no, nor the other way round (S80, S81).
func FuzzExplain(f *testing.F) {
	for _, target := range []string{"/pulp/content/a", "/x/../pulp", "/x/%2e%2e/a", "/x//a", "/x/a;b", "/token?scope=repository:a:pull", "/%", "//x", "/x\\a", "/ü", "/x#a", "http://h/x", ""} {
		f.Add("GET", target)
		f.Add("POST", target)
	}
	f.Add("TRACE", "/x")
	id := &identity.Identity{Method: identity.Token, Name: "alice", TokenID: "tok_1", Grants: rules(f, "path:/*:*"), TokenScope: rules(f, "path:/x/*:read,write", "repository:a:pull")}
	anonymous := func(context.Context) (scope.Set, error) { return nil, nil }
	up := newMirror(f)
	g, err := New(Options{Routes: explainRoutes(f, up), Check: oneOutcome{id: id}, Anonymous: anonymous})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		if method == "" || !strings.HasPrefix(target, "/") { // the API lets no other ones through
			t.Skip()
		}
		a := explain.Asked{Method: method, Target: target, Credential: explain.ByToken, Identity: id}
		r := &http.Request{Method: method, RequestURI: target, Header: http.Header{}}
		authorize(r, explain.ByToken)
		x := &exchange{g: g, in: r.WithContext(t.Context())}
		refused := x.find()
		if refused == nil {
			refused = x.admit()
		}
		got := g.Explain(t.Context(), a)
		if got.Allowed != (refused == nil) {
			t.Errorf("Explain(%q %q) = %v, and the gateway says %+v", method, target, got.Allowed, refused)
		}
		if failed, no := explain.Failed(got.Steps); got.Allowed && no {
			t.Errorf("Explain(%q %q) is yes, but the step %+v says no", method, target, failed)
		}
	})
}
