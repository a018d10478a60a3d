//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/guard"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// rotations is how often keys are rotated under load by real servers. Each has
// to wait until the next key has been published for long enough.
const rotations = 2

// TestRotation rotates the signing keys of two servers on one database while
// clients get access tokens and use them at every door. No good token is
// refused. Then a key is withdrawn: what it has signed is refused at once by the
// server that was told, and within the bound by the other one and by a service
// that asks it.
// S58
func TestRotation(t *testing.T) {
	nodes, doors := rotating(t)
	one := nodes[0]
	var issued atomic.Int64
	signers := sync.Map{}
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for i := range 2 {
		from := withToken(t, nodes[i])
		clients.Go(func() {
			for ctx.Err() == nil && !t.Failed() {
				access, key := accessToken(ctx, t, from)
				if access == "" {
					return
				}
				signers.Store(key, true)
				issued.Add(1)
				for _, d := range doors {
					if err := d.opens(access); err != nil {
						t.Errorf("%s refuses a good token: %v", d.name, err)
					}
				}
			}
		})
	}
	for range rotations {
		next, err := one.admin().Keys.Rotate(t.Context())
		if err != nil {
			t.Fatalf("Rotate() = %v", err)
		}
		within(t, time.Minute, "tokens that are signed by the next key", func(context.Context) error {
			if _, ok := signers.Load(next.ID); !ok && !t.Failed() {
				return fmt.Errorf("%d tokens were issued, none by the key %s, which is active from %v", issued.Load(), next.ID, next.ActiveAt)
			}
			return nil
		})
	}
	cancel()
	clients.Wait()
	t.Logf("%d access tokens were issued and used at %d doors", issued.Load(), len(doors))
	if t.Failed() {
		return
	}

	access, key := accessToken(t.Context(), t, withToken(t, one))
	for _, d := range doors {
		if err := d.opens(access); err != nil {
			t.Fatalf("%s, before the key is revoked: %v", d.name, err)
		}
	}
	if _, err := one.admin().Keys.Revoke(t.Context(), key, "a test"); err != nil {
		t.Fatalf("Revoke() = %v", err)
	}
	for _, d := range doors {
		limit := 10 * time.Second // the bound is 2 s; the rest is for a loaded machine
		if d.atOnce {
			if err := d.opens(access); err == nil {
				t.Errorf("%s takes a token of a revoked key", d.name)
			}
			continue
		}
		within(t, limit, d.name+" to refuse a token of a revoked key", func(context.Context) error {
			if d.opens(access) == nil {
				return errors.New("it is taken")
			}
			return nil
		})
	}
	after, _ := accessToken(t.Context(), t, withToken(t, nodes[1]))
	for _, d := range doors {
		if err := d.opens(after); err != nil {
			t.Errorf("%s refuses a token of the next key: %v", d.name, err)
		}
	}
}

// door is something that takes access tokens.
type door struct {
	name   string
	atOnce bool // it belongs to the server that is told to revoke
	opens  func(access string) error
}

// rotating starts two servers on one PostgreSQL, and lists all of their doors
// and a service that asks the second.
func rotating(t *testing.T) (nodes []*latchkey, doors []door) {
	t.Helper()
	cluster, err := pgtest.Start(pgtest.Options{})
	if errors.Is(err, pgtest.ErrNotInstalled) {
		proctest.Missing(t, err.Error())
	}
	must(t, err)
	t.Cleanup(func() { must(t, cluster.Stop()) })
	dsn, err := cluster.CreateDatabase(t.Context(), "latchkey")
	must(t, err)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	t.Cleanup(service.Close)
	config := fmt.Sprintf("database: %q\nsecret: \"shared %s\"\n", dsn, strings.Repeat("5a", 32)) +
		"keys: {publish_before: 10s, max_age: 1s, issuer: 'https://latchkey.example.org'}\ntokens: {max_per_account: 1000000}\n" +
		fmt.Sprintf("routes:\n  - {name: files, prefix: /files, upstream: %q, auth: required}\n", service.URL)
	for i := range 2 {
		s := serve(t, serveOptions{config: config})
		nodes = append(nodes, s)
		doors = append(doors, doorsOf(s, fmt.Sprintf("node %d", i+1), i == 0)...)
	}
	own := nodes[1].token(t, nodes[1].admin(), api.CreateToken{Name: "of the service", Scope: []string{"latchkey:check:read"}})
	g, err := guard.New(guard.Options{Server: nodes[1].url, Token: own.Secret})
	must(t, err)
	t.Cleanup(g.Close)
	return nodes, append(doors, door{name: "a service with guard", opens: func(access string) error {
		_, err := g.Check(t.Context(), guard.Credential{Token: access, Addr: netip.MustParseAddr("127.0.0.1")})
		return err
	}})
}

func doorsOf(s *latchkey, name string, atOnce bool) []door {
	s.t.Helper()
	get := func(path string) func(string) error {
		return func(access string) error {
			req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
			if err != nil {
				return err
			}
			req.Header.Set("Authorization", "Bearer "+access)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			_, _ = io.Copy(io.Discard, res.Body)
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("GET %s = %d, want 200", path, res.StatusCode)
			}
			return nil
		}
	}
	admin := withToken(s.t, s)
	return []door{
		{name + "'s forward-auth", atOnce, get(verifyPath)},
		{name + "'s gateway", atOnce, get("/files/x")},
		{name + "'s API", atOnce, get(api.Prefix + "/tokens")},
		{name + "'s check", atOnce, func(access string) error {
			got, err := admin.Check(s.t.Context(), api.Check{Token: access})
			if err == nil && !got.Active {
				err = errors.New("it is not active")
			}
			return err
		}},
	}
}

// withToken returns a client of the administrator's that hashes no password for
// each request.
func withToken(t *testing.T, s *latchkey) *client.Client {
	t.Helper()
	return s.client(client.Options{Token: s.token(t, s.admin(), api.CreateToken{}).Secret})
}

// accessToken gets an access token and says by which key it is signed; "" once
// the context has ended.
func accessToken(ctx context.Context, t *testing.T, c *client.Client) (access, key string) {
	made, err := c.Tokens.CreatePair(ctx, api.CreateTokenPair{Name: "under rotation", ExpiresIn: new(int64(3600))})
	if ctx.Err() != nil {
		return "", ""
	}
	if err != nil {
		t.Errorf("CreatePair() = %v", err)
		return "", ""
	}
	said, err := jose.Decode(made.AccessToken)
	if err != nil {
		t.Errorf("Decode() = %v", err)
		return "", ""
	}
	key, _ = said.Header["kid"].(string)
	return made.AccessToken, key
}
