package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/explain"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
)

// fakeNames has all robots pass for one user.
type fakeNames struct {
	err   error
	asked []string
}

func (n *fakeNames) NameOf(id *identity.Identity) string {
	if id.Kind == "robot" {
		return "shared"
	}
	return id.Name
}

func (n *fakeNames) Ensure(_ context.Context, id *identity.Identity) error {
	n.asked = append(n.asked, id.Name)
	return n.err
}

// TestRenamed: the upstream is told the other name, the audit log has the own.
func TestRenamed(t *testing.T) {
	m, names := newMirror(t), &fakeNames{}
	h := open(t, Options{Names: names, Routes: one(m.url(t), func(r *Route) { r.Renamed, r.Audit = true, AuditAll })})
	for _, token := range []string{robotToken, aliceToken} {
		if res, body := h.send(t, http.MethodGet, "/x", bearer(token), nil); res.StatusCode != http.StatusOK {
			t.Fatalf("GET /x = %d %s", res.StatusCode, body)
		}
	}
	for i, want := range []string{"shared", "alice"} {
		if got := m.all()[i].Header.Values("Latchkeyuser"); len(got) != 1 || got[0] != want {
			t.Errorf("the upstream is told %q, want %q", got, want)
		}
	}
	if want := []string{"ci-robot", "alice"}; !slices.Equal(names.asked, want) {
		t.Errorf("the upstream was asked about %q, want %q", names.asked, want)
	}
	names.asked = nil
	if res, _ := h.send(t, http.MethodGet, "/x", bearer(revokedToken), nil); res.StatusCode != http.StatusUnauthorized || len(names.asked) > 0 {
		t.Errorf("with a revoked token: %d, and the upstream was asked about %q, want 401 and nobody", res.StatusCode, names.asked)
	}
	d := h.gateway.Explain(t.Context(), explain.Asked{Credential: explain.ByToken, Method: http.MethodGet, Target: "/x",
		Identity: &identity.Identity{AccountID: "1", Name: "ci-robot", Kind: "robot", Grants: rules(t, "path:*:*")}})
	if !d.Allowed || len(names.asked) > 0 {
		t.Errorf("Explain() = %t, and the upstream was asked about %q, want yes and nobody", d.Allowed, names.asked)
	}
	h.Close() // events come behind the answers
	var actors []string
	for _, e := range h.events(t) {
		if e.Outcome == audit.OK {
			actors = append(actors, e.ActorName)
		}
	}
	slices.Sort(actors)
	if want := []string{"alice", "ci-robot"}; !slices.Equal(actors, want) {
		t.Errorf("the events are of %q, want %q", actors, want)
	}
}

// TestRenamedFails: who cannot be named goes no further, and clients of a
// registry can show why.
func TestRenamedFails(t *testing.T) {
	m, names := newMirror(t), &fakeNames{err: fault.Unavailablef(errors.New("inside"), "no user was made")}
	h := open(t, Options{Names: names, Routes: one(m.url(t), func(r *Route) { r.Renamed, r.RegistryTokens, r.Auth = true, true, Optional })})
	res, body := h.send(t, http.MethodGet, "/token/?service=x", bearer(robotToken), nil)
	var got struct {
		Detail string
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("the body is %s: %v", body, err)
	}
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Retry-After") == "" ||
		got.Detail != "no user was made" || len(got.Errors) != 1 || got.Errors[0].Code != "UNAVAILABLE" || got.Errors[0].Message != got.Detail {
		t.Errorf("the answer is %d %s, want 503 with the error twice", res.StatusCode, body)
	}
	if n := len(m.all()); n > 0 {
		t.Errorf("%d requests went on", n)
	}
	if res, _ := h.send(t, http.MethodGet, "/token/?service=x", nil, nil); res.StatusCode != http.StatusOK {
		t.Errorf("without a credential: %d, want 200", res.StatusCode)
	}
}

func TestRenamedNeedsNames(t *testing.T) {
	if _, err := New(Options{Check: newFakeChecker(t), Routes: one(mustURL(t, "http://localhost"), func(r *Route) { r.Renamed = true })}); !errors.Is(err, errNoNames) {
		t.Errorf("New() = %v, want %v", err, errNoNames)
	}
}
