//go:build e2e && linux

package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/postgres"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
)

// onBothStores runs a test on SQLite and on PostgreSQL; config names the
// database.
func onBothStores(t *testing.T, test func(t *testing.T, config string)) {
	t.Run("SQLite", func(t *testing.T) { test(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, fmt.Sprintf("database: %q\n", newDatabase(t).dsn)) })
}

// beside runs a command of latchkey with the configuration of a server, and
// returns what it printed and said.
func (s *latchkey) beside(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	p := s.startBeside(t, args...)
	<-p.done
	return p.stdout(t), p.stderr(t), p.err
}

func (s *latchkey) startBeside(t *testing.T, args ...string) *process {
	t.Helper()
	args = append(args, "--data", s.data)
	if file := filepath.Join(s.home, "latchkey.yaml"); exists(file) {
		args = append(args, "--config", file)
	}
	return start(t, command{path: program(t), args: args, dir: s.home, env: s.command.env})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// keptInBackup looks for secrets in a backup, as it is and unpacked.
func (s *latchkey) keptInBackup(path string) {
	s.t.Helper()
	packed, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.keptSecrets("the backup", packed)
	unzip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		s.t.Fatal(err)
	}
	plain, err := io.ReadAll(unzip)
	if err != nil || !bytes.Contains(plain, []byte(`"table":"tokens"`)) {
		s.t.Fatalf("unpacking the backup: %v and %.100q, want its tables", err, plain)
	}
	s.keptSecrets("the unpacked backup", plain)
}

// credentials is what opens a door, by a name for the test.
type credentials struct{ tokens, passwords map[string]string }

// working lists those that do.
func (c credentials) working(t *testing.T, s *latchkey) map[string]bool {
	t.Helper()
	works := map[string]bool{}
	for name, token := range c.tokens {
		switch got := verify(t, s, token); got {
		case http.StatusOK:
			works["token "+name] = true
		case http.StatusUnauthorized:
		default:
			t.Errorf("a check of the token %s: %d, want 200 or 401", name, got)
		}
	}
	for account, password := range c.passwords {
		user, _, _ := strings.Cut(account, " ")
		if _, err := s.user(user, password).WhoAmI(t.Context()); err == nil {
			works["password of "+account] = true
		}
	}
	return works
}

// TestBackup takes a backup of a running server, takes everything away that
// can be, and restores the backup in each of the ways that there are: nothing
// of it is revived, unless that was asked for. S115, S69, S76
func TestBackup(t *testing.T) { onBothStores(t, testBackup) }

func testBackup(t *testing.T, config string) {
	s := serve(t, serveOptions{config: config})
	admin := s.admin()
	have := credentials{
		tokens: map[string]string{},
		passwords: map[string]string{
			"ann": "a sentence of ann's own", "bob": "a sentence of bob's own", "cat before": "a sentence of cat's own", "cat after": "another one of cat's own",
		},
	}
	ids := map[string]string{}
	for _, name := range []string{"ann", "bob", "cat"} {
		password := have.passwords[name] + have.passwords[name+" before"]
		if _, err := admin.Accounts.Create(t.Context(), api.CreateAccount{Name: name, Password: password}); err != nil {
			t.Fatal(err)
		}
		for _, what := range map[string][]string{"ann": {"kept", "revoked", "rotated"}, "bob": {"disabled"}, "cat": {"changed"}}[name] {
			made := s.token(t, s.user(name, password), api.CreateToken{Name: what})
			have.tokens[what], ids[what] = made.Secret, made.ID
		}
	}
	old, newer := filepath.Join(t.TempDir(), "old.backup"), filepath.Join(t.TempDir(), "newer.backup")
	backup := func(path string) {
		t.Helper()
		if out, text, err := s.beside(t, "backup", path); err != nil || out != "" {
			t.Fatalf("latchkey backup: %v, %q and %q", err, out, text)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the backup has mode %v (%v), want 0600", info.Mode(), err)
		}
		s.keptInBackup(path)
	}
	backup(old)
	before := map[string]bool{
		"token kept": true, "token revoked": true, "token rotated": true, "token disabled": true, "token changed": true,
		"password of ann": true, "password of bob": true, "password of cat before": true,
	}
	if diff := cmp.Diff(before, have.working(t, s)); diff != "" {
		t.Fatalf("what opens doors at first (-want +got):\n%s", diff)
	}

	yes := true
	if err := admin.Tokens.Revoke(t.Context(), ids["revoked"], "leaked"); err != nil {
		t.Fatal(err)
	}
	rotated, err := s.user("ann", have.passwords["ann"]).Tokens.Rotate(t.Context(), ids["rotated"], api.RotateToken{})
	if err != nil {
		t.Fatal(err)
	}
	s.hide(rotated.Secret)
	have.tokens["after rotation"] = rotated.Secret
	if _, err := admin.Accounts.Update(t.Context(), "bob", api.UpdateAccount{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	if err := admin.Accounts.SetPassword(t.Context(), "cat", api.SetPassword{New: have.passwords["cat after"]}); err != nil {
		t.Fatal(err)
	}
	backup(newer)
	after := map[string]bool{"token kept": true, "token after rotation": true, "password of ann": true, "password of cat after": true}
	if diff := cmp.Diff(after, have.working(t, s)); diff != "" {
		t.Fatalf("what opens doors after all that (-want +got):\n%s", diff)
	}
	if _, text, err := s.beside(t, "restore", "--replace", "--end-tokens", old); err == nil || !strings.Contains(text, "in use") {
		t.Errorf("a restore while the server runs: %v, %q, want it refused as in use", err, text)
	}

	for _, way := range []struct {
		args []string
		want map[string]bool
	}{
		{[]string{"--revoked-since", "present"}, after},
		{[]string{"--revoked-since", newer}, after},
		{[]string{"--end-tokens"}, map[string]bool{}},
		{[]string{"--end-tokens", "--keep-passwords"}, map[string]bool{"password of ann": true, "password of bob": true, "password of cat before": true}},
		{[]string{"--accept-revived"}, before},
	} {
		if err := s.process.terminate(); err != nil {
			t.Fatalf("stopping the server: %v", err)
		}
		out, text, err := s.beside(t, append([]string{"restore", "--replace", old}, way.args...)...)
		if err != nil || out != "" {
			t.Fatalf("latchkey restore %q: %v, %q and %q", way.args, err, out, text)
		}
		s.keptSecrets("what the restore said", []byte(text))
		if err := os.Remove(filepath.Join(s.data, "throttle.state")); err != nil { // of the passwords that were wrong before
			t.Error(err)
		}
		s.restart()
		if diff := cmp.Diff(way.want, have.working(t, s)); diff != "" {
			t.Errorf("what opens doors after a restore with %q (-want +got):\n%s", way.args, diff)
		}
		if _, err := s.admin().WhoAmI(t.Context()); err != nil {
			t.Errorf("the administrator after a restore with %q: %v", way.args, err)
		}
		if n := restores(t, s); n == 0 {
			t.Errorf("the audit log knows of no restore with %q", way.args)
		}
	}
}

// restores counts the restores in the audit log.
func restores(t *testing.T, s *latchkey) (n int) {
	t.Helper()
	for _, err := range s.admin().Audit.All(t.Context(), client.AuditQuery{Action: "backup.restore"}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// TestBackupMoves moves a server from SQLite to PostgreSQL and back: its tokens
// go on working.
func TestBackupMoves(t *testing.T) {
	one := serve(t, serveOptions{})
	made := one.token(t, one.admin(), api.CreateToken{})
	file := filepath.Join(t.TempDir(), "move.backup")
	move := func(from *latchkey, to string) *latchkey {
		t.Helper()
		if err := from.process.terminate(); err != nil {
			t.Fatal(err)
		}
		if _, text, err := from.beside(t, "backup", "--force", file); err != nil {
			t.Fatalf("latchkey backup: %v\n%s", err, text)
		}
		data := t.TempDir()
		key, err := os.ReadFile(filepath.Join(from.data, "server.key"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(data, "server.key"), key, 0o600); err != nil {
			t.Fatal(err)
		}
		p := start(t, command{path: program(t), dir: data, args: []string{"restore", "--data", data, "--database", to, "--accept-revived", file}})
		if <-p.done; p.err != nil {
			t.Fatalf("latchkey restore: %v\n%s", p.err, p.stderr(t))
		}
		next := serve(t, serveOptions{data: data, config: fmt.Sprintf("database: %q\n", to)})
		next.hide(made.Secret)
		if got := verify(t, next, made.Secret); got != http.StatusOK {
			t.Errorf("the token at %.8s…: %d, want 200", to, got)
		}
		return next
	}
	two := move(one, newDatabase(t).dsn)
	move(two, "sqlite:"+filepath.Join(t.TempDir(), "back.db"))
}

// TestBackupKilled kills backup and restore in the middle, again and again:
// there is a whole backup under its name or none, and a database with
// everything or with what it had before.
func TestBackupKilled(t *testing.T) { onBothStores(t, testBackupKilled) }

func testBackupKilled(t *testing.T, config string) {
	const tokens, rounds = 10_000, 6
	s := serve(t, serveOptions{config: config})
	if err := s.process.terminate(); err != nil {
		t.Fatal(err)
	}
	fillStore(t, s, config, tokens)
	good := filepath.Join(t.TempDir(), "good.backup")
	took := timed(t, s, "backup", good)
	for i := range rounds {
		path := filepath.Join(t.TempDir(), "killed.backup")
		killAfter(t, s, took*time.Duration(i+1)/rounds, "backup", path)
		if exists(path) {
			if _, text, err := s.beside(t, "restore", "--replace", "--accept-revived", path); err != nil {
				t.Errorf("a backup that was killed in round %d is there and cannot be restored: %v\n%s", i, err, text)
			}
		}
	}
	took = timed(t, s, "restore", "--replace", "--accept-revived", good)
	full := countTokens(t, s)
	if full != tokens {
		t.Fatalf("after the restore there are %d tokens, want %d", full, tokens)
	}
	for i := range rounds {
		killAfter(t, s, took*time.Duration(i+1)/rounds, "restore", "--replace", "--end-tokens", good)
		if got := countTokens(t, s); got != tokens {
			t.Errorf("after a restore that was killed in round %d there are %d tokens, want %d", i, got, tokens)
		}
	}
	s.restart()
	if _, err := s.admin().WhoAmI(t.Context()); err != nil {
		t.Errorf("the server after all that: %v", err)
	}
}

// fillStore adds tokens to the database of a server that is stopped.
func fillStore(t *testing.T, s *latchkey, config string, n int) {
	t.Helper()
	var db store.Store
	var err error
	if dsn, ok := strings.CutPrefix(strings.TrimSpace(config), "database: "); ok {
		db, err = postgres.Open(t.Context(), postgres.Options{DSN: strings.Trim(dsn, `"`)})
	} else {
		db, err = sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(s.data, "latchkey.db")})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	admins, err := db.AccountsByName(t.Context(), "admin")
	if err != nil || len(admins) != 1 {
		t.Fatalf("AccountsByName(admin) = %v, %v, want one", admins, err)
	}
	now := time.Now().UTC()
	for from := 0; from < n; from += 500 {
		err := db.Update(t.Context(), func(tx store.Tx) error {
			for i := from; i < from+500; i++ {
				id := fmt.Sprintf("tok_%08d", i)
				err := tx.InsertToken(store.Token{ID: id, AccountID: admins[0].ID, Class: "personal", Name: "one of many", CreatedAt: now},
					store.Secret{Digest: fmt.Appendf(nil, "%-32d", i), TokenID: id, KeyID: "x", CreatedAt: now})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// timed runs a command and says how long it took.
func timed(t *testing.T, s *latchkey, args ...string) time.Duration {
	t.Helper()
	began := time.Now()
	if _, text, err := s.beside(t, args...); err != nil {
		t.Fatalf("latchkey %q: %v\n%s", args, err, text)
	}
	return time.Since(began)
}

// killAfter starts a command and kills it after a while, if it has not ended.
// In PostgreSQL its connection may live on for a moment.
func killAfter(t *testing.T, s *latchkey, after time.Duration, args ...string) {
	t.Helper()
	p := s.startBeside(t, args...)
	select {
	case <-p.done:
	case <-time.After(after):
		p.kill()
	}
}

// countTokens counts the tokens in the database of a server that is stopped, by
// way of a backup, which waits for whoever has locked it.
func countTokens(t *testing.T, s *latchkey) (n int) {
	t.Helper()
	within(t, time.Minute, "the database to be free", func(context.Context) error {
		out, text, err := s.beside(t, "backup", "--force", "-o", "json", filepath.Join(s.home, "count.backup"))
		if err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
		var summary struct{ Rows map[string]int }
		err = json.Unmarshal([]byte(out), &summary)
		n = summary.Rows["tokens"]
		return err
	})
	return n
}
