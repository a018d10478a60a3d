//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/pulptest"
)

// testPulpSource logs Pulp's users in by Pulp's login endpoint, which is what a
// server does that was only told where Pulp is.
func testPulpSource(t *testing.T, b *behind) {
	logsIn(t, b, b.latchkey, "pulp", "paula")
	oneAnswer(t, b, b.latchkey, "pauls")

	c := b.user("admin", b.pulp.AdminPassword)
	me, err := c.WhoAmI(t.Context())
	if err != nil || me.Source != "pulp" || me.Account != "admin" {
		t.Errorf("WhoAmI() with the password of Pulp's admin = %+v, %v; want admin of the source pulp", me, err)
	}
	// Pulp's superuser is nobody special here.
	if _, err := c.Accounts.List(t.Context(), client.AccountQuery{}); !errors.Is(err, client.ErrForbidden) {
		t.Errorf("Accounts.List() by Pulp's admin = %v, want ErrForbidden", err)
	}
}

// testStrangers uses good tokens of accounts that Pulp does not let in.
func testStrangers(t *testing.T, b *behind) {
	user := b.pulp.CreateUser(t, "pavel", passwordOf("pavel"))
	secret := b.secret(t, b.user("pavel", passwordOf("pavel")))
	wantLogin(t, b.latchkey, secret, http.StatusOK)
	b.ask(t, http.MethodPatch, user.Href, map[string]any{"is_active": false}, nil)
	wantLogin(t, b.latchkey, secret, http.StatusUnauthorized)

	admin := b.latchkey.admin()
	_, err := admin.Accounts.Create(t.Context(), api.CreateAccount{Kind: "robot", Name: "nobody-in-pulp"})
	must(t, err)
	robot := b.token(t, admin, api.CreateToken{Owner: "nobody-in-pulp"}).Secret
	b.get(t, apiRoot+"login/", bearer(robot)...).want(t, "a robot without a user in Pulp", http.StatusUnauthorized,
		"Authentication credentials were not provided.")
}

// testDjangoSource does the same by reading Pulp's user table.
func testDjangoSource(t *testing.T, b *behind) {
	s := serveByDjango(t, b)
	logsIn(t, b, s, "django", "dora")
	oneAnswer(t, b, s, "doris")
	t.Run("password changed", func(t *testing.T) { testPasswordChanged(t, b, s) })
	t.Run("followed", func(t *testing.T) { testFollowed(t, b, s) })
}

// serveByDjango starts a server in front of the same Pulp that has a role of
// its own in Pulp's database, which may read the users and nothing else.
func serveByDjango(t *testing.T, b *behind) *latchkey {
	t.Helper()
	dsn := readerOfUsers(t, b.pulp)
	file := filepath.Join(t.TempDir(), "dsn")
	must(t, os.WriteFile(file, []byte(dsn+"\n"), 0o600))
	s := serve(t, serveOptions{config: fmt.Sprintf(`
pulp:
  api: %s
  content: %s
passwords:
  sources: [local, django]
sources:
  django:
    dsn_file: %s
`, b.pulp.APIURL, b.pulp.ContentURL, file)})
	s.hide(dsn)
	return s
}

// readerOfUsers makes the role as the page says and returns how it connects.
func readerOfUsers(t *testing.T, p *pulptest.Pulp) string {
	t.Helper()
	u, err := url.Parse(p.DatabaseDSN)
	must(t, err)
	role, password := "latchkey_e2e_"+filepath.Base(u.Path), "password-of-the-role"
	name := pgx.Identifier{role}.Sanitize()
	names := strings.NewReplacer("ROLE latchkey", "ROLE "+name, "TO latchkey", "TO "+name, "a password for this role", password)
	inDatabase(t, p, names.Replace(theBlock(t, "sql")))
	t.Cleanup(func() {
		inDatabase(t, p, "DROP OWNED BY "+name, "DROP ROLE "+name)
	})
	u.User = url.UserPassword(role, password)
	return u.String()
}

func inDatabase(t *testing.T, p *pulptest.Pulp, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.DatabaseDSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, statement := range statements {
		if _, err := conn.PgConn().Exec(ctx, statement).ReadAll(); err != nil { // which takes several at once
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// logsIn makes a user in Pulp, who trades the password there for a token here
// and is known to Pulp by it.
func logsIn(t *testing.T, b *behind, s *latchkey, source, name string) {
	t.Helper()
	b.pulp.CreateUser(t, name, passwordOf(name))
	c := s.user(name, passwordOf(name))
	me, err := c.WhoAmI(t.Context())
	if err != nil || me.Account != name || me.Source != source || me.Kind != "user" {
		t.Fatalf("WhoAmI() of %s = %+v, %v; want a user of the source %s", name, me, err, source)
	}
	for _, way := range ways(s.token(t, c, api.CreateToken{}).Secret) {
		curl(t, with(way.args, s.url+apiRoot+"login/")...).want(t, way.name, http.StatusOK, `"username":"`+name+`"`)
	}
}

// oneAnswer compares what a wrong password, an unknown user and one who is not
// active any more are told (S100).
func oneAnswer(t *testing.T, b *behind, s *latchkey, name string) {
	t.Helper()
	b.pulp.CreateUser(t, name, passwordOf(name))
	gone := b.pulp.CreateUser(t, name+"-gone", passwordOf(name))
	b.ask(t, http.MethodPatch, gone.Href, map[string]any{"is_active": false}, nil)

	refused := map[string]answer{}
	for what, user := range map[string]string{
		"a wrong password": name + ":wrong", "an unknown user": name + "-unknown:" + passwordOf(name),
		"an inactive user": name + "-gone:" + passwordOf(name),
	} {
		for _, path := range []string{api.Prefix + "/tokens", apiRoot + "login/"} {
			a := curl(t, "--user", user, "--json", `{"name":"x"}`, s.url+path)
			for _, volatile := range []string{"Date", "Latchkey-Request-Id", "Correlation-Id", "Content-Length"} {
				a.header.Del(volatile)
			}
			a.took = 0
			a.body = requestID.ReplaceAllString(a.body, "")
			if a.status != http.StatusUnauthorized {
				t.Errorf("%s at %s = %d %s, want 401", what, path, a.status, a.body)
			}
			first, ok := refused[path]
			if !ok {
				refused[path] = a
				continue
			}
			if diff := cmp.Diff(first, a, cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("%s at %s is told something else than the others:\n%s", what, path, diff)
			}
		}
	}
}

var requestID = regexp.MustCompile(`[0-9a-f]{32}`)

// testPasswordChanged logs in with the new password, at which the tokens of the
// old one end.
func testPasswordChanged(t *testing.T, b *behind, s *latchkey) {
	const name, changed = "dominic", "battery staple of dominic"
	user := b.pulp.CreateUser(t, name, passwordOf(name))
	old := s.token(t, s.user(name, passwordOf(name)), api.CreateToken{}).Secret
	wantLogin(t, s, old, http.StatusOK)
	b.ask(t, http.MethodPatch, user.Href, map[string]any{"password": changed}, nil)

	again := s.token(t, s.user(name, changed), api.CreateToken{}).Secret
	wantLogin(t, s, old, http.StatusUnauthorized)
	wantLogin(t, s, again, http.StatusOK)
	if _, err := s.user(name, passwordOf(name)).WhoAmI(t.Context()); !errors.Is(err, client.ErrUnauthenticated) {
		t.Errorf("WhoAmI() with the old password = %v, want ErrUnauthenticated", err)
	}
}

// followed is how soon what changes in the user table has to count here. The
// server looks every 30 seconds.
const followed = 45 * time.Second

// testFollowed changes users in Pulp and does nothing else.
func testFollowed(t *testing.T, b *behind, s *latchkey) {
	ended := map[string]map[string]any{
		"disabled": {"is_active": false},
		"changed":  {"password": "battery staple of changed"},
		"removed":  nil,
	}
	secrets := map[string]string{}
	for name := range ended {
		b.pulp.CreateUser(t, name, passwordOf(name))
		secrets[name] = s.token(t, s.user(name, passwordOf(name)), api.CreateToken{}).Secret
		wantLogin(t, s, secrets[name], http.StatusOK)
	}
	b.pulp.CreateUser(t, "steady", passwordOf("steady"))
	steady := s.token(t, s.user("steady", passwordOf("steady")), api.CreateToken{}).Secret
	for name, change := range ended {
		var found struct{ Results []pulptest.User }
		b.ask(t, http.MethodGet, "users/?username="+name, nil, &found)
		if change == nil {
			b.ask(t, http.MethodDelete, found.Results[0].Href, nil, nil)
			continue
		}
		b.ask(t, http.MethodPatch, found.Results[0].Href, change, nil)
	}
	for name, secret := range secrets {
		c := s.client(client.Options{Token: secret})
		within(t, followed, "the tokens of "+name+" to end", func(ctx context.Context) error {
			if _, err := c.WhoAmI(ctx); !errors.Is(err, client.ErrUnauthenticated) {
				return fmt.Errorf("WhoAmI() = %v, want ErrUnauthenticated", err)
			}
			return nil
		})
		wantLogin(t, s, secret, http.StatusUnauthorized)
	}
	wantLogin(t, s, steady, http.StatusOK)
}

// wantLogin asks Pulp through the server who has a token.
func wantLogin(t *testing.T, s *latchkey, secret string, status int) {
	t.Helper()
	curl(t, with(bearer(secret), s.url+apiRoot+"login/")...).want(t, "GET login/", status, "")
}
