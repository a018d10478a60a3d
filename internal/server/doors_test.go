package server_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/server"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
)

// TestRestrictionsHoldAtEveryDoor restricts a token in each way that there is,
// and knocks with it at every door to the same thing.
// S79, S80
func TestRestrictionsHoldAtEveryDoor(t *testing.T) {
	behind := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(behind.Close)
	upstream, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, open(t, sqlite.Memory), coretest.NewKeys(t), func(o *server.Options) {
		o.Routes = []gateway.Route{{Prefix: "/files", Upstream: upstream, Auth: gateway.Required}, {Prefix: "/open", Upstream: upstream, Auth: gateway.Optional}}
	})
	admin, err := client.New(s.url, client.Options{Token: login(t, s.url)})
	if err != nil {
		t.Fatal(err)
	}
	account := func(name string) string {
		if _, err := admin.Accounts.Create(t.Context(), api.CreateAccount{Name: name, Grants: []string{"path:/*:read"}}); err != nil {
			t.Fatal(err)
		}
		return name
	}
	token := func(c api.CreateToken) api.NewToken {
		c.Name = "restricted"
		made, err := admin.Tokens.Create(t.Context(), c)
		if err != nil {
			t.Fatalf("Create(%+v) = %v", c, err)
		}
		return made
	}
	disabled, yes := account("disabled"), true
	of := map[string]api.NewToken{
		"nothing":                  token(api.CreateToken{}),
		"another network":          token(api.CreateToken{CIDRs: []string{"192.0.2.0/24"}}),
		"another path":             token(api.CreateToken{Scope: []string{"path:/elsewhere/*:read"}}),
		"a longer path":            token(api.CreateToken{Scope: []string{"path:/files/x/*:read", "path:/open/x/*:read"}}),
		"another method":           token(api.CreateToken{Scope: []string{"path:/*:write,delete"}}),
		"another kind of scope":    token(api.CreateToken{Scope: []string{"repository:*:*"}}),
		"its end":                  token(api.CreateToken{}),
		"an account that is ended": token(api.CreateToken{Owner: disabled}),
	}
	errs := errors.Join(admin.Tokens.Revoke(t.Context(), of["its end"].ID, ""))
	_, err = admin.Accounts.Update(t.Context(), disabled, api.UpdateAccount{Disabled: &yes})
	if errs = errors.Join(errs, err); errs != nil {
		t.Fatal(errs)
	}
	doors := []string{
		"/files/x", "/files/x?y", "/open/x", "/latchkey/verify?scope=path:/files/x:read",
		"/latchkey/api/v1/whoami", "/latchkey/api/v1/tokens", "/latchkey/api/v1/accounts/admin",
	}
	for what, made := range of {
		told, err := admin.Check(t.Context(), api.Check{Token: made.Secret, Addr: "127.0.0.1", Scope: []string{"path:/files/x:read"}})
		if covers := told.Active && told.Covered != nil && *told.Covered; err != nil || covers != (what == "nothing") {
			t.Errorf("Check() of a token restricted to %s = %+v, %v", what, told, err)
		}
		for _, door := range doors {
			for _, scheme := range []string{"Bearer ", "Token ", "bearer "} {
				got, _, _ := get(t, s.url+door, "Authorization", scheme+made.Secret)
				if open := what == "nothing"; (got == http.StatusOK) != open || got >= 500 {
					t.Errorf("GET %s with a token restricted to %s = %d, want to be let in: %v", door, what, got, open)
				}
			}
		}
	}
}
