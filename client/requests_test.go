package client_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// seen is what a server got.
type seen struct {
	Line, Body, Authorization string
}

// recorder answers every request with the same status and body, and notes what
// was asked.
func recorder(t *testing.T, status int, body string, got *seen) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("reading the request: %v", err)
		}
		*got = seen{Line: r.Method + " " + r.RequestURI, Body: string(b), Authorization: r.Header.Get("Authorization")}
		if body != "" {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server
}

func newClient(t *testing.T, url string, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(url, o)
	if err != nil {
		t.Fatalf("New(%q): %v", url, err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestRequests(t *testing.T) {
	const bearer = "Bearer lkp_test"
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	no := false
	week := int64(7 * 86400)
	for _, tt := range []struct {
		name   string
		ask    func(context.Context, *client.Client) error
		status int
		answer string
		want   seen
	}{
		{
			"create a token",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Tokens.Create(ctx, api.CreateToken{Name: "ci", ExpiresIn: &week, Scope: []string{"path:/pulp/content/*:read"}})
				return err
			},
			201, `{"id":"tok1","token":"lkp_secret"}`,
			seen{"POST /latchkey/api/v1/tokens", `{"name":"ci","expires_in":604800,"scope":["path:/pulp/content/*:read"]}`, bearer},
		},
		{
			"check a token",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Check(ctx, api.Check{Token: "lkp_other", Addr: "192.0.2.1", Scope: []string{"path:/a:read"}})
				return err
			},
			200, `{"active":true}`,
			seen{"POST /latchkey/api/v1/check", `{"token":"lkp_other","addr":"192.0.2.1","scope":["path:/a:read"]}`, bearer},
		},
		{
			"list tokens",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Tokens.List(ctx, client.TokenQuery{
					Owner: "*", Class: "robot", State: "live", Name: "ci", Prefix: "lkr_a", Label: "team=infra & co",
					UnusedSince: at, Limit: 5, Cursor: "c/1",
				})
				return err
			},
			200, `{"items":[]}`,
			seen{"GET /latchkey/api/v1/tokens?class=robot&cursor=c%2F1&label=team%3Dinfra+%26+co&limit=5&name=ci&owner=%2A&prefix=lkr_a&state=live&unused_since=2026-03-01T11%3A00%3A00Z", "", bearer},
		},
		{
			"list tokens by more",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Tokens.List(ctx, client.TokenQuery{
					Group: "ops", CreatedSince: at, CreatedBefore: at, NeverUsed: true, LastAddr: "10.0.0.0/8", Scope: "path:/a:read",
				})
				return err
			},
			200, `{"items":[]}`,
			seen{"GET /latchkey/api/v1/tokens?created_before=2026-03-01T11%3A00%3A00Z&created_since=2026-03-01T11%3A00%3A00Z&group=ops&last_addr=10.0.0.0%2F8&never_used=true&scope=path%3A%2Fa%3Aread", "", bearer},
		},
		{
			"revoke what matches",
			func(ctx context.Context, c *client.Client) error {
				n := 3
				_, err := c.Tokens.RevokeMatching(ctx, api.RevokeTokens{Query: api.TokenFilter{Group: "ops"}, Expect: &n})
				return err
			},
			200, `{"matched":3,"revoked":3,"complete":true}`,
			seen{"POST /latchkey/api/v1/tokens/revoke", `{"query":{"group":"ops"},"expect":3}`, bearer},
		},
		{
			"explain",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Explain(ctx, api.Explain{Token: "lkp_found", Method: "GET", Path: "/x"})
				return err
			},
			200, `{"allowed":false,"verdict":"no","steps":[]}`,
			seen{"POST /latchkey/api/v1/explain", `{"token":"lkp_found","method":"GET","path":"/x"}`, bearer},
		},
		{
			"get a token",
			func(ctx context.Context, c *client.Client) error { _, err := c.Tokens.Get(ctx, "tok1"); return err },
			200, `{"id":"tok1"}`,
			seen{"GET /latchkey/api/v1/tokens/tok1", "", bearer},
		},
		{
			"update a token",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Tokens.Update(ctx, "tok1", api.UpdateToken{Scope: &[]string{}, Labels: &map[string]string{}})
				return err
			},
			200, `{"id":"tok1"}`,
			seen{"PATCH /latchkey/api/v1/tokens/tok1", `{"labels":{},"scope":[]}`, bearer},
		},
		{
			"rotate a token",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Tokens.Rotate(ctx, "tok1", api.RotateToken{Overlap: 60, UntilUsed: true})
				return err
			},
			200, `{"id":"tok1","token":"lkp_new"}`,
			seen{"POST /latchkey/api/v1/tokens/tok1/rotate", `{"overlap":60,"until_used":true}`, bearer},
		},
		{
			"create a pair",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Tokens.CreatePair(ctx, api.CreateTokenPair{Name: "app", Audience: []string{"https://a.example"}})
				return err
			},
			201, `{"access_token":"e.y.J","refresh_token":"lkf_x"}`,
			seen{"POST /latchkey/api/v1/token-pairs", `{"name":"app","audience":["https://a.example"]}`, bearer},
		},
		{
			"refresh a pair sends no credential",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Tokens.RefreshPair(ctx, api.RefreshTokenPair{RefreshToken: "lkf_x", ClientID: "app"})
				return err
			},
			200, `{"access_token":"e.y.J","refresh_token":"lkf_y"}`,
			seen{"POST /latchkey/api/v1/token-pairs/refresh", `{"refresh_token":"lkf_x","client_id":"app"}`, ""},
		},
		{
			"revoke a token",
			func(ctx context.Context, c *client.Client) error { return c.Tokens.Revoke(ctx, "tok1", "leaked") },
			204, "",
			seen{"DELETE /latchkey/api/v1/tokens/tok1", `{"reason":"leaked"}`, bearer},
		},
		{
			"revoke a token without a reason",
			func(ctx context.Context, c *client.Client) error { return c.Tokens.Revoke(ctx, "tok1", "") },
			204, "",
			seen{"DELETE /latchkey/api/v1/tokens/tok1", "", bearer},
		},
		{
			"revoke by secret sends no credential",
			func(ctx context.Context, c *client.Client) error { return c.Tokens.RevokeSecret(ctx, "lkp_leaked") },
			204, "",
			seen{"POST /latchkey/api/v1/revoke", `{"token":"lkp_leaked"}`, ""},
		},
		{
			"who am I",
			func(ctx context.Context, c *client.Client) error { _, err := c.WhoAmI(ctx); return err },
			200, `{"account":"alice"}`,
			seen{"GET /latchkey/api/v1/whoami", "", bearer},
		},
		{
			"own password",
			func(ctx context.Context, c *client.Client) error {
				return c.SetPassword(ctx, api.SetPassword{Current: "old one", New: "new one", KeepTokens: true})
			},
			204, "",
			seen{"POST /latchkey/api/v1/password", `{"current":"old one","new":"new one","keep_tokens":true}`, bearer},
		},
		{
			"create an account",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Accounts.Create(ctx, api.CreateAccount{Kind: "robot", Name: "ci"})
				return err
			},
			201, `{"id":"acc1"}`,
			seen{"POST /latchkey/api/v1/accounts", `{"kind":"robot","name":"ci"}`, bearer},
		},
		{
			"list accounts",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Accounts.List(ctx, client.AccountQuery{Kind: "user", Source: "pulp", Name: "al", Disabled: &no})
				return err
			},
			200, `{"items":[]}`,
			seen{"GET /latchkey/api/v1/accounts?disabled=false&kind=user&name=al&source=pulp", "", bearer},
		},
		{
			"get an account with an awkward name",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Accounts.Get(ctx, "ldap:a/../b?c#d%")
				return err
			},
			200, `{"id":"acc1"}`,
			seen{"GET /latchkey/api/v1/accounts/ldap:a%2F..%2Fb%3Fc%23d%25", "", bearer},
		},
		{
			"update an account",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Accounts.Update(ctx, "id:acc1", api.UpdateAccount{Disabled: &no})
				return err
			},
			200, `{"id":"acc1"}`,
			seen{"PATCH /latchkey/api/v1/accounts/id:acc1", `{"disabled":false}`, bearer},
		},
		{
			"delete an account",
			func(ctx context.Context, c *client.Client) error { return c.Accounts.Delete(ctx, "ci") },
			204, "",
			seen{"DELETE /latchkey/api/v1/accounts/ci", "", bearer},
		},
		{
			"revoke an account's tokens",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Accounts.RevokeTokens(ctx, "ci", "left")
				return err
			},
			200, `{"revoked":3}`,
			seen{"POST /latchkey/api/v1/accounts/ci/revoke-tokens", `{"reason":"left"}`, bearer},
		},
		{
			"somebody's password",
			func(ctx context.Context, c *client.Client) error {
				return c.Accounts.SetPassword(ctx, "bob", api.SetPassword{New: "new one"})
			},
			204, "",
			seen{"POST /latchkey/api/v1/accounts/bob/password", `{"new":"new one"}`, bearer},
		},
		{
			"create a group",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Groups.Create(ctx, api.CreateGroup{Name: "ops"})
				return err
			},
			201, `{"name":"ops"}`,
			seen{"POST /latchkey/api/v1/groups", `{"name":"ops"}`, bearer},
		},
		{
			"list groups",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Groups.List(ctx)
				return err
			},
			200, `{"items":[]}`,
			seen{"GET /latchkey/api/v1/groups", "", bearer},
		},
		{
			"get a group",
			func(ctx context.Context, c *client.Client) error { _, err := c.Groups.Get(ctx, "ops"); return err },
			200, `{"name":"ops"}`,
			seen{"GET /latchkey/api/v1/groups/ops", "", bearer},
		},
		{
			"delete a group",
			func(ctx context.Context, c *client.Client) error { return c.Groups.Delete(ctx, "ops") },
			204, "",
			seen{"DELETE /latchkey/api/v1/groups/ops", "", bearer},
		},
		{
			"add a member",
			func(ctx context.Context, c *client.Client) error { return c.Groups.Add(ctx, "ops", "alice") },
			204, "",
			seen{"PUT /latchkey/api/v1/groups/ops/members/alice", "", bearer},
		},
		{
			"remove a member",
			func(ctx context.Context, c *client.Client) error { return c.Groups.Remove(ctx, "ops", "alice") },
			204, "",
			seen{"DELETE /latchkey/api/v1/groups/ops/members/alice", "", bearer},
		},
		{
			"create a grant",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Grants.Create(ctx, api.CreateGrant{Group: "ops", Scope: "repository:prod/*:pull"})
				return err
			},
			201, `{"id":"gr1"}`,
			seen{"POST /latchkey/api/v1/grants", `{"group":"ops","scope":"repository:prod/*:pull"}`, bearer},
		},
		{
			"list keys",
			func(ctx context.Context, c *client.Client) error { _, err := c.Keys.List(ctx); return err },
			200, `{"items":[]}`,
			seen{"GET /latchkey/api/v1/keys", "", bearer},
		},
		{
			"rotate keys",
			func(ctx context.Context, c *client.Client) error { _, err := c.Keys.Rotate(ctx); return err },
			200, `{"id":"k"}`,
			seen{"POST /latchkey/api/v1/keys/rotate", "", bearer},
		},
		{
			"import a key",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Keys.Import(ctx, api.ImportKey{Algorithm: "HS256", Key: "planted", ImportRules: api.ImportRules{Source: "django"}})
				return err
			},
			200, `{"id":"k"}`,
			seen{"POST /latchkey/api/v1/keys/import", `{"algorithm":"HS256","key":"planted","source":"django"}`, bearer},
		},
		{
			"revoke a key",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Keys.Revoke(ctx, "k/1", "leaked")
				return err
			},
			200, `{"id":"k/1"}`,
			seen{"DELETE /latchkey/api/v1/keys/k%2F1", `{"reason":"leaked"}`, bearer},
		},
		{
			"published keys",
			func(ctx context.Context, c *client.Client) error { _, err := c.Keys.JWKS(ctx); return err },
			200, `{"keys":[]}`,
			seen{"GET /latchkey/.well-known/jwks.json", "", ""},
		},
		{
			"list grants",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Grants.List(ctx, client.GrantQuery{Account: "alice", Group: "ops"})
				return err
			},
			200, `{"items":[]}`,
			seen{"GET /latchkey/api/v1/grants?account=alice&group=ops", "", bearer},
		},
		{
			"delete a grant",
			func(ctx context.Context, c *client.Client) error { return c.Grants.Delete(ctx, "gr1") },
			204, "",
			seen{"DELETE /latchkey/api/v1/grants/gr1", "", bearer},
		},
		{
			"read the audit log",
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Audit.List(ctx, client.AuditQuery{
					Action: "token.create", Outcome: "refused", Actor: "alice", Token: "tok1", Target: "tok2",
					RequestID: "r1", CorrelationID: "c1", Since: at, Until: at.Add(time.Second),
				})
				return err
			},
			200, `{"items":[]}`,
			seen{"GET /latchkey/api/v1/audit?action=token.create&actor=alice&correlation_id=c1&outcome=refused&request_id=r1&since=2026-03-01T11%3A00%3A00Z&target=tok2&token=tok1&until=2026-03-01T11%3A00%3A01Z", "", bearer},
		},
		{
			"healthy",
			func(ctx context.Context, c *client.Client) error { return c.Healthy(ctx) },
			200, "", seen{"GET /latchkey/healthz", "", ""},
		},
		{
			"ready",
			func(ctx context.Context, c *client.Client) error { return c.Ready(ctx) },
			200, "", seen{"GET /latchkey/readyz", "", ""},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got seen
			server := recorder(t, tt.status, tt.answer, &got)
			c := newClient(t, server.URL, client.Options{Token: "lkp_test"})
			if err := tt.ask(t.Context(), c); err != nil {
				t.Fatalf("got error %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswersAreRead(t *testing.T) {
	var got seen
	server := recorder(t, 201, `{"id":"tok1","name":"ci","token":"lkp_secret","expires_at":"2026-12-01T00:00:00Z","from_the_future":1}`, &got)
	token, err := newClient(t, server.URL, client.Options{}).Tokens.Create(t.Context(), api.CreateToken{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	end := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	want := api.NewToken{Token: api.Token{ID: "tok1", Name: "ci", ExpiresAt: &end}, Secret: "lkp_secret"}
	if diff := cmp.Diff(want, token); diff != "" {
		t.Errorf("Create (-want +got):\n%s", diff)
	}
}

func TestServerBelowAPath(t *testing.T) {
	var got seen
	server := recorder(t, 200, `{}`, &got)
	if _, err := newClient(t, server.URL+"/a%20b/", client.Options{}).WhoAmI(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "GET /a%20b/latchkey/api/v1/whoami"; got.Line != want {
		t.Errorf("WhoAmI below a path: got %q, want %q", got.Line, want)
	}
}

func TestNamesThatNoPathCarries(t *testing.T) {
	var got seen
	server := recorder(t, 204, "", &got)
	c := newClient(t, server.URL, client.Options{})
	for _, id := range []string{"", ".", ".."} {
		if err := c.Tokens.Revoke(t.Context(), id, ""); err == nil || got.Line != "" {
			t.Errorf("Revoke(%q): got error %v and request %q, want an error and none", id, err, got.Line)
		}
	}
}

func TestAllWalksThroughThePages(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		page := map[string]api.Page[api.Account]{
			"":   {Items: []api.Account{{Name: "a"}, {Name: "b"}}, Next: "p2"},
			"p2": {Items: nil, Next: "p3"},
			"p3": {Items: []api.Account{{Name: "c"}}},
		}[r.URL.Query().Get("cursor")]
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		json.NewEncoder(w).Encode(page)
	}))
	t.Cleanup(server.Close)
	c := newClient(t, server.URL, client.Options{})
	var names []string
	for g, err := range c.Accounts.All(t.Context(), client.AccountQuery{Limit: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, g.Name)
	}
	if got, want := strings.Join(names, " "), "a b c"; got != want {
		t.Errorf("All: got %q, want %q", got, want)
	}
	if diff := cmp.Diff([]string{"limit=2", "cursor=p2&limit=2", "cursor=p3&limit=2"}, asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}

	asked = nil
	for range c.Accounts.All(t.Context(), client.AccountQuery{}) {
		break
	}
	if len(asked) != 1 {
		t.Errorf("All, left after the first: got %d requests, want 1", len(asked))
	}
}

func TestAllEndsWithTheFirstError(t *testing.T) {
	for name, answer := range map[string]string{
		"same page again": `{"items":[{"id":"a"}],"next":"p"}`,
		"nonsense":        `{"items":[`,
	} {
		var got seen
		server := recorder(t, 200, answer, &got)
		c := newClient(t, server.URL, client.Options{})
		var errs int
		for _, err := range c.Tokens.All(t.Context(), client.TokenQuery{Cursor: "p"}) {
			if err != nil {
				errs++
			}
		}
		if errs != 1 {
			t.Errorf("All on %s: got %d errors, want 1", name, errs)
		}
	}
}
