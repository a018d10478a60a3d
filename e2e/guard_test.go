//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/guard"
	"github.com/latchkey-auth/latchkey/internal/pgtest"
)

// TestGuardBehindNginx has a service's guard ask two nodes in turn through a
// real nginx that is set up like any other: its stream of changes comes
// through at once, what is revoked on either node ends within the bound (S83), and when a
// node is killed the other one does.
func TestGuardBehindNginx(t *testing.T) {
	nginx := frontProgram(t, "nginx")
	cluster, err := pgtest.Start(pgtest.Options{})
	if err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	dsn, err := cluster.CreateDatabase(t.Context(), "latchkey")
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("database: %q\nsecret: \"shared %s\"\n", dsn, strings.Repeat("5a", 32))
	nodes := []*latchkey{serve(t, serveOptions{config: config}), serve(t, serveOptions{config: config})}

	folder, on := t.TempDir(), reserve(t)
	site := filepath.Join(folder, "site.conf")
	text := fmt.Sprintf("upstream nodes { server %s; server %s; }\nserver { listen %s; location / { proxy_pass http://nodes; } }\n",
		strings.TrimPrefix(nodes[0].url, "http://"), strings.TrimPrefix(nodes[1].url, "http://"), on.address)
	if err := os.WriteFile(site, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	around := nginxAround(t, folder, site)
	on.release()
	start(t, command{path: nginx, args: []string{"-c", around}, dir: folder})

	admin := nodes[0].admin()
	if _, err := admin.Accounts.Create(t.Context(), api.CreateAccount{Kind: "robot", Name: "service", Grants: []string{"latchkey:check:read"}}); err != nil {
		t.Fatal(err)
	}
	own := nodes[0].token(t, admin, api.CreateToken{Owner: "service"})
	g, err := guard.New(guard.Options{Server: "http://" + on.address, Token: own.Secret, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	fresh := func() {
		t.Helper()
		within(t, time.Minute, "the guard to be fresh", func(context.Context) error {
			if h := g.Health(); !h.Fresh {
				return fmt.Errorf("%+v", h)
			}
			return nil
		})
	}
	fresh()
	ends := func(at *latchkey) {
		t.Helper()
		made := nodes[1].token(t, nodes[1].admin(), api.CreateToken{})
		check := func() error {
			_, err := g.Check(t.Context(), guard.Credential{Token: made.Secret})
			return err
		}
		for range 5 { // whichever node is asked
			if err := check(); err != nil {
				t.Fatalf("a good token: %v", err)
			}
		}
		if err := at.admin().Tokens.Revoke(t.Context(), made.ID, ""); err != nil {
			t.Fatal(err)
		}
		revoked := time.Now()
		within(t, time.Minute, "the guard to refuse a revoked token", func(context.Context) error {
			asked := time.Now()
			switch err := check(); {
			case err == nil && asked.After(revoked.Add(2*time.Second)):
				t.Fatalf("the token opens doors %v after it was revoked", time.Since(revoked))
			case !errors.Is(err, guard.ErrRefused):
				return fmt.Errorf("the guard says %v", err)
			}
			return nil
		})
	}
	for range 3 {
		ends(nodes[0])
		ends(nodes[1])
	}
	nodes[0].crash()
	fresh()
	ends(nodes[1])
	nodes[0].restart()
	ends(nodes[0])
}
