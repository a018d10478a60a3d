package registry_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/dialect/registry"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// names has all robots pass for one user.
type names struct{ err error }

func (n *names) NameOf(id *identity.Identity) string {
	if id.Kind == "robot" {
		return "shared"
	}
	return id.Name
}

func (n *names) Ensure(context.Context, *identity.Identity) error { return n.err }

// TestRenamed: the token says the other name, and events the own; who cannot be
// named gets no token.
func TestRenamed(t *testing.T) {
	n := &names{}
	s := newSite(t, func(o *registry.Options) {
		o.Names = n
		o.Services[0].Renamed = true
	})
	secret := s.robot.Secret.Reveal()
	for _, tt := range []struct{ service, user, password, want string }{
		{service, "ci", secret, "shared"}, {service, "ann", annPassword, "ann"}, {"third", "ci", secret, "ci"},
	} {
		a := s.get(t, "service="+tt.service+"&scope=repository:team/app:pull", tt.user, tt.password)
		verified, err := s.Signing.Verify(t.Context(), a.Token, jose.Profile{Type: "JWT", Issuer: issuer, Audience: tt.service})
		if err != nil {
			t.Fatalf("Verify() = %v", err)
		}
		if got := verified.Claims.Text("sub"); got != tt.want {
			t.Errorf("the sub of %s at %s = %q, want %q", tt.user, tt.service, got, tt.want)
		}
		e := s.lastToken(t)
		subject := ""
		if tt.want != tt.user {
			subject = tt.want
		}
		if e.ActorName != tt.user || e.Detail["jti"] != verified.Claims.Text("jti") || e.Detail["subject"] != subject {
			t.Errorf("the event is of %q with %v, want it to be of %q with the subject %q", e.ActorName, e.Detail, tt.user, subject)
		}
	}
	n.err = fault.Unavailablef(errors.New("inside"), "no user was made")
	a := s.get(t, "service="+service, "ci", secret)
	if a.status != http.StatusServiceUnavailable || len(a.Errors) != 1 || a.Errors[0].Code != "UNAVAILABLE" || a.Errors[0].Message != "no user was made" {
		t.Errorf("the answer is %d %+v, want 503 with the error", a.status, a.Errors)
	}
	if e := s.lastToken(t); e.Outcome != "failed" || e.ActorName != "ci" {
		t.Errorf("the event is %s of %q, want failed of ci", e.Outcome, e.ActorName)
	}
}

// lastToken returns the last event about a registry's token.
func (s *site) lastToken(t *testing.T) store.Event {
	t.Helper()
	events := s.Events(t, "registry.token")
	if len(events) == 0 {
		t.Fatal("there is no event")
	}
	return events[0] // the newest
}

func TestRenamedNeedsNames(t *testing.T) {
	s := newSite(t, nil)
	_, err := registry.New(registry.Options{
		Check: &credential.Checker{Tokens: s.Tokens, Passwords: s.Accounts}, Tokens: s.Tokens, Log: s.Log, Issuer: issuer,
		Services: []registry.Service{{Name: service, Renamed: true}},
	})
	if err == nil {
		t.Error("New() with nobody to name accounts = nil, want an error")
	}
}
