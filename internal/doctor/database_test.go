package doctor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/config"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// withDatabase makes an examination with a database and a server secret.
func withDatabase(t *testing.T, change func(*Database, *serverkey.Key)) *examination {
	t.Helper()
	c := loadConfig(t, "data: "+privateFolder(t))
	ring, err := serverkey.Load(filepath.Join(c.Data, "server.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	k := ring.Current()
	d := Database{Schema: 7, Secrets: map[string][]byte{k.ID(): k.Check()}}
	change(&d, k)
	return examining(c, func(o *Options) {
		o.Database = func(context.Context) (Database, error) { return d, nil }
	})
}

func TestDatabase(t *testing.T) {
	good := func() *Postgres {
		return &Postgres{Version: "17.2", Number: 170002, Fsync: "on", SynchronousCommit: "on", FullPageWrites: "on"}
	}
	postgres := func(change func(*Postgres)) func(*Database, *serverkey.Key) {
		return func(d *Database, _ *serverkey.Key) {
			d.Postgres = good()
			change(d.Postgres)
		}
	}
	tests := []struct {
		name   string
		change func(*Database, *serverkey.Key)
		want   []string
		fix    string
	}{
		{"SQLite", func(*Database, *serverkey.Key) {}, nil, ""},
		{"PostgreSQL", postgres(func(*Postgres) {}), nil, ""},
		{"remote with TLS", postgres(func(p *Postgres) { p.Remote, p.TLS = true, true }), nil, ""},
		{"remote commit", postgres(func(p *Postgres) { p.SynchronousCommit = "remote_apply" }), nil, ""},
		{"unused", func(d *Database, _ *serverkey.Key) { *d = Database{} }, nil, ""},
		{"no fsync", postgres(func(p *Postgres) { p.Fsync = "off" }), []string{"problem: fsync = off"}, "fsync = on"},
		{"no full pages", postgres(func(p *Postgres) { p.FullPageWrites = "off" }), []string{"problem: full_page_writes"}, ""},
		{"late commit", postgres(func(p *Postgres) { p.SynchronousCommit = "off" }), []string{"problem: synchronous_commit = off"}, "synchronous_commit = on"},
		{"standby", postgres(func(p *Postgres) { p.Standby, p.ReadOnly = true, true }), []string{"problem: standby"}, "target_session_attrs"},
		{"read-only", postgres(func(p *Postgres) { p.ReadOnly = true }), []string{"problem: read-only"}, ""},
		{"remote in the clear", postgres(func(p *Postgres) { p.Remote = true }), []string{"problem: no TLS"}, "sslmode=verify-full"},
		{"superuser", postgres(func(p *Postgres) { p.Superuser = true }), []string{"warning: superuser"}, "NOSUPERUSER"},
		{"old", postgres(func(p *Postgres) { p.Number = 120001 }), []string{"warning: version"}, ""},
		{"another secret of the same id", func(d *Database, k *serverkey.Key) { d.Secrets[k.ID()] = []byte("other") }, []string{"problem: is another one than the database was filled under"}, "bring back"},
		{"a foreign database", func(d *Database, _ *serverkey.Key) { d.Secrets = map[string][]byte{"ab": []byte("x")} }, []string{"problem: filled under the secret ab"}, ""},
		{"an old secret is missing", func(d *Database, _ *serverkey.Key) { d.Secrets["ab"] = []byte("x") }, []string{"warning: the database knows the secret ab"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := database(t.Context(), withDatabase(t, tt.change))
			want(t, found, tt.want...)
			if tt.fix != "" {
				wantFix(t, found, tt.fix)
			}
		})
	}
}

func TestDatabaseFails(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want []string
	}{
		{errors.New("connection refused"), []string{"problem: cannot be read: connection refused"}},
		{fmt.Errorf("x: %w: 9", store.ErrNewerSchema), []string{"problem: newer version"}},
		{ErrNoDatabase, nil},
	} {
		x := examining(loadConfig(t, ""), func(o *Options) {
			o.Database = func(context.Context) (Database, error) { return Database{}, tt.err }
		})
		want(t, database(t.Context(), x), tt.want...)
		want(t, signingKeys(t.Context(), x))
	}
	want(t, database(t.Context(), examining(loadConfig(t, ""), nil)))
}

func TestSecretIsGone(t *testing.T) {
	x := withDatabase(t, func(*Database, *serverkey.Key) {})
	x.Config.Data = t.TempDir()
	want(t, database(t.Context(), x), "problem: the server's secret cannot be used")
}

func TestSigningKeys(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	active := store.SigningKey{ID: "a", Algorithm: "ES256", ActiveAt: now.Add(-time.Hour), RetireAt: now.Add(time.Hour), Longest: time.Hour}
	next := store.SigningKey{ID: "b", Algorithm: "ES256", ActiveAt: now.Add(time.Hour)}
	tests := []struct {
		name   string
		keys   []store.SigningKey
		policy func(*config.Keys)
		want   []string
	}{
		{"in order", []store.SigningKey{active, next}, nil, nil},
		{"none yet", nil, nil, nil},
		{"nothing follows", []store.SigningKey{active}, func(k *config.Keys) { k.PublishBefore = 2 * time.Hour }, []string{"warning: no key follows"}},
		{"lapsed", []store.SigningKey{{ID: "a", ActiveAt: now.Add(-3 * time.Hour), RetireAt: now.Add(-time.Hour)}}, nil, []string{"problem: no signing key is in use"}},
		{"withdrawn", []store.SigningKey{{ID: "a", ActiveAt: now.Add(-3 * time.Hour), WithdrawnAt: now.Add(-time.Hour)}}, nil, []string{"problem: no signing key is in use"}},
		{"other algorithm", []store.SigningKey{active, next}, func(k *config.Keys) { k.Algorithm = "EdDSA" }, []string{"warning: keys.algorithm is EdDSA"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := withDatabase(t, func(d *Database, _ *serverkey.Key) { d.SigningKeys = tt.keys })
			x.Now = func() time.Time { return now }
			if tt.policy != nil {
				tt.policy(&x.Config.Keys)
			}
			want(t, signingKeys(t.Context(), x), tt.want...)
		})
	}
}

// S114: a clock that is off is found, and the time that an answer takes is not
// taken for that.
func TestClocks(t *testing.T) {
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	read := func(off time.Duration) reading {
		return reading{"the database", at, at.Add(2 * time.Second), at.Add(off), at.Add(off + time.Second)}
	}
	tests := []struct {
		r    reading
		want []string
	}{
		{read(0), nil},
		{read(2 * time.Second), nil}, // the answer may have been made at its end
		{read(4 * time.Second), nil},
		{read(6 * time.Second), []string{"warning: at least 4s ahead"}},
		{read(-5 * time.Second), []string{"warning: at least 4s behind"}},
		{read(5 * time.Minute), []string{"problem: at least 4m58s ahead"}},
		{read(-5 * time.Minute), []string{"problem: at least 4m59s behind"}},
	}
	for _, tt := range tests {
		want(t, judgeClocks([]reading{tt.r}), tt.want...)
	}
}

// S114
func TestClocksAreAsked(t *testing.T) {
	ahead := time.Now().Add(5 * time.Minute)
	x := withDatabase(t, func(d *Database, _ *serverkey.Key) {
		now := time.Now()
		d.Postgres = &Postgres{Before: now, After: now, Time: now.Add(-time.Minute)}
	})
	server := serverSaying(t, map[string]reply{alivePath: {200, "alive\n", map[string]string{"Date": ahead.UTC().Format(httpTime)}}})
	x.Config.Listen = server
	x.Synced = func() (bool, bool) { return true, false }
	want(t, clocks(t.Context(), x), "problem: the clock of the database is at least 1m0s behind",
		"problem: the clock of the running server", "warning: nothing keeps")
}
