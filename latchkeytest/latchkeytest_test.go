package latchkeytest_test

import (
	"errors"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/latchkeytest"
)

// check asks as a service does.
func check(t *testing.T, srv *latchkeytest.Server, service, token string) (api.Checked, error) {
	t.Helper()
	c, err := client.New(srv.URL, client.Options{Token: service})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	return c.Check(t.Context(), api.Check{Token: token})
}

func TestServer(t *testing.T) {
	srv := latchkeytest.Start(t)
	service := srv.Service(t, "service")
	token := srv.Token(t, "alice", "repository:a:pull")
	got, err := check(t, srv, service, token)
	if err != nil || !got.Active || got.Account != "alice" || got.Kind != "user" || len(got.Scope) != 1 || got.Scope[0] != "repository:a:pull" {
		t.Errorf("a token that was made for alice = %+v, %v, want her with the scope", got, err)
	}
	srv.Robot(t, "mirror", "repository:b:pull")
	if got, err := check(t, srv, service, srv.Token(t, "mirror")); err != nil || got.Kind != "robot" || got.Class != "robot" {
		t.Errorf("a robot's token = %+v, %v", got, err)
	}
	srv.User(t, "alice", "repository:b:pull", "repository:b:pull") // is there, and gets a grant once

	srv.Stop()
	srv.Stop()
	if _, err := check(t, srv, service, token); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("a check of a server that was stopped = %v, want %v", err, client.ErrUnreachable)
	}
	srv.Resume(t)
	if got, err := check(t, srv, service, token); err != nil || !got.Active {
		t.Errorf("after a restart the token = %+v, %v, want it as before", got, err)
	}
	srv.Revoke(t, token)
	if got, err := check(t, srv, service, token); err != nil || got.Active {
		t.Errorf("a revoked token = %+v, %v, want it not to be active", got, err)
	}
	if _, err := check(t, srv, srv.Token(t, "alice"), token); !errors.Is(err, client.ErrForbidden) {
		t.Errorf("a check by alice = %v, want %v", err, client.ErrForbidden)
	}
}

// Several servers beside each other know nothing of each other.
func TestServersAreApart(t *testing.T) {
	one, two := latchkeytest.Start(t), latchkeytest.Start(t)
	if got, err := check(t, two, two.Service(t, "service"), one.Token(t, "alice")); err != nil || got.Active {
		t.Errorf("a token of another server = %+v, %v, want it not to be active", got, err)
	}
}
