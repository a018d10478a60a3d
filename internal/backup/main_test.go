package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/backup"
	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/portable"
	"github.com/latchkey-auth/latchkey/internal/store/postgres"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// place is where a database can be.
type place struct {
	kind    string
	open    func(t *testing.T) store.Store
	read    func(context.Context, func(portable.Source) error) error
	replace func(context.Context, func(portable.Target) error) error
}

// places are the kinds of databases, each empty.
var places = map[string]func(t *testing.T) place{"sqlite": onSQLite, "postgres": onPostgres, "pooler": behindPooler}

func onSQLite(t *testing.T) place {
	o := sqlite.Options{Path: filepath.Join(t.TempDir(), "test.db")}
	return place{
		kind: "sqlite",
		open: func(t *testing.T) store.Store {
			t.Helper()
			s, err := sqlite.Open(t.Context(), o)
			if err != nil {
				t.Fatalf("Open() = %v", err)
			}
			return s
		},
		read: func(ctx context.Context, fn func(portable.Source) error) error { return sqlite.Read(ctx, o, fn) },
		replace: func(ctx context.Context, fn func(portable.Target) error) error {
			return sqlite.Replace(ctx, o, fn)
		},
	}
}

func onPostgres(t *testing.T) place { return postgresPlace(t, false) }
func behindPooler(t *testing.T) place {
	if testing.Short() {
		t.Skip("PostgreSQL once more, in the way for poolers")
	}
	return postgresPlace(t, true)
}
func (p place) String() string { return p.kind }
func closing(t *testing.T, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
}

func postgresPlace(t *testing.T, pooler bool) place {
	t.Helper()
	o := postgres.Options{DSN: pgtest.New(t), Timeout: time.Minute, Pooler: pooler}
	return place{
		kind: "postgres",
		open: func(t *testing.T) store.Store {
			t.Helper()
			s, err := postgres.Open(t.Context(), o)
			if err != nil {
				t.Fatalf("Open() = %v", err)
			}
			return s
		},
		read: func(ctx context.Context, fn func(portable.Source) error) error { return postgres.Read(ctx, o, fn) },
		replace: func(ctx context.Context, fn func(portable.Target) error) error {
			return postgres.Replace(ctx, o, fn)
		},
	}
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

func newKeys(t *testing.T, id string) *serverkey.Ring {
	t.Helper()
	key, err := serverkey.NewKey(id, bytes.Repeat([]byte(id[:1]), 32))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := serverkey.NewRing(key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// digestOf makes something that looks like the digest of a secret.
func digestOf(name string) []byte { return []byte(fmt.Sprintf("%-32s", name)) }

func account(name string) store.Account {
	id := "acc_" + name
	return store.Account{ID: id, Kind: store.User, Name: name, Source: "local", Subject: id, PasswordHash: "hash of " + name, CreatedAt: epoch}
}

func token(owner, name string) (store.Token, store.Secret) {
	id := "tok_" + name
	return store.Token{ID: id, AccountID: "acc_" + owner, Class: "personal", Name: name, Prefix: "lkp_" + name, CreatedAt: epoch},
		store.Secret{Digest: digestOf(name), TokenID: id, KeyID: "server-secret", CreatedAt: epoch}
}

// fill puts something of everything into a database, as a server would.
func fill(t *testing.T, s store.Store, keys *serverkey.Ring) {
	t.Helper()
	for _, k := range keys.Keys() {
		if err := s.RegisterKey(t.Context(), k.ID(), k.Check()); err != nil {
			t.Fatalf("RegisterKey() = %v", err)
		}
	}
	err := s.Update(t.Context(), func(tx store.Tx) error {
		odd := account("Ödd \"name\" \\ <&> \u2028")
		odd.ID, odd.Subject, odd.Disabled, odd.DisabledReason, odd.Epoch, odd.MaxTokens = "acc_odd", "acc_odd", true, "a\nreason", 7, 3
		full, fullSecret := token("ann", "full")
		full.Scope, full.Labels = []string{"path:/a/*:read", "path:/b,\"c\":read"}, map[string]string{"z": "1", "a": "<2>"}
		full.CIDRs = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
		full.ExpiresAt, full.IdleAfter, full.Slot = epoch.Add(90*24*time.Hour), 36*time.Hour, "drf"
		fullSecret.Sealed = []byte{0, 1, 2, 255}
		plain, plainSecret := token("ann", "plain")
		ended, endedSecret := token("bob", "ended")
		ended.RevokedAt, ended.RevokedBy, ended.RevokeReason = epoch.Add(time.Hour), "acc_ann", "leaked"
		successor := store.Secret{Digest: digestOf("plain 2"), TokenID: plain.ID, KeyID: "server-secret", CreatedAt: epoch.Add(time.Minute)}
		_, change := tx.AppendChange(store.Change{At: epoch, Kind: store.ChangeGroups})
		return errors.Join(
			tx.InsertAccount(account("ann")), tx.InsertAccount(account("bob")), tx.InsertAccount(odd),
			tx.InsertGroup(store.Group{Name: "staff", Note: "", CreatedAt: epoch}),
			ignore(tx.AddMember("staff", "acc_ann")),
			tx.InsertGrant(store.Grant{ID: "g1", Group: "everyone", Scope: "path:/*:*", CreatedAt: epoch}),
			tx.InsertGrant(store.Grant{ID: "g2", AccountID: "acc_bob", Scope: "path:/x:read", CreatedAt: epoch, CreatedBy: "acc_ann"}),
			tx.InsertToken(full, fullSecret), tx.InsertToken(plain, plainSecret), tx.InsertToken(ended, endedSecret),
			tx.RetireSecrets(plain.ID, nil, epoch.Add(24*time.Hour), true), tx.InsertSecret(successor),
			tx.AppendEvent(store.Event{ID: "e1", At: epoch, Action: "token.issue", Outcome: "ok", Detail: map[string]string{"k": "v", "a": "<&>"}, Count: 2}),
			tx.AppendEvent(store.Event{ID: "e2", At: epoch, Action: "login", Outcome: "refused", Addr: "192.0.2.1", Count: 1}),
			change,
		)
	})
	if err != nil {
		t.Fatalf("Update() = %v", err)
	}
	use := store.Use{TokenID: "tok_full", At: epoch.Add(time.Hour).Truncate(time.Second), Addr: netip.MustParseAddr("2001:db8::1"), Agent: "curl/8"}
	if err := s.RecordUses(t.Context(), []store.Use{use}); err != nil {
		t.Fatalf("RecordUses() = %v", err)
	}
}

func ignore(_ bool, err error) error { return err }

// filled makes a database at a place, with something of everything.
func filled(t *testing.T, p place, keys *serverkey.Ring) {
	t.Helper()
	s := p.open(t)
	defer closing(t, s)
	fill(t, s, keys)
}

// content lists the rows of all tables as texts.
func content(t *testing.T, p place) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := p.read(t.Context(), func(s portable.Source) error {
		for _, table := range s.Tables() {
			names := strings.Join(table.Columns, " ")
			all[table.Name] = []string{names}
			for row, err := range s.Rows(t.Context(), table) {
				if err != nil {
					return err
				}
				all[table.Name] = append(all[table.Name], fmt.Sprintf("%#v", row))
			}
			if table.Name != "server_keys" { // whose order means something
				slices.Sort(all[table.Name][1:])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("reading %s: %v", p, err)
	}
	return all
}

// backupOf makes a backup of a place.
func backupOf(t *testing.T, p place, keys *serverkey.Ring) []byte {
	t.Helper()
	var b bytes.Buffer
	err := p.read(t.Context(), func(s portable.Source) error {
		_, err := backup.Write(t.Context(), &b, s, backup.Options{Keys: keys, Now: epoch.Add(2 * time.Hour), Program: "v1"})
		return err
	})
	if err != nil {
		t.Fatalf("Write() = %v", err)
	}
	return b.Bytes()
}

// prepare reads a backup.
func prepare(t *testing.T, archive []byte, keys *serverkey.Ring) *backup.Plan {
	t.Helper()
	p, err := backup.Prepare(t.Context(), bytes.NewReader(archive), backup.RestoreOptions{Keys: keys, Now: epoch.Add(3 * time.Hour)})
	if err != nil {
		t.Fatalf("Prepare() = %v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return p
}

func run(t *testing.T, plan *backup.Plan, to place) {
	t.Helper()
	if err := to.replace(t.Context(), func(target portable.Target) error { return plan.Run(t.Context(), target) }); err != nil {
		t.Fatalf("restoring on %s: %v", to, err)
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
