package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/postgres"
)

// calls are some methods of every kind.
func calls(ctx context.Context, s store.Store) map[string]func() error {
	return map[string]func() error{
		"TokenByDigest": func() error {
			_, err := s.TokenByDigest(ctx, make([]byte, 32))
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			return err
		},
		"Groups":       func() error { _, err := s.Groups(ctx); return err },
		"ChangesAfter": func() error { _, err := s.ChangesAfter(ctx, 0, 1); return err },
		"Update": func() error {
			return s.Update(ctx, func(tx store.Tx) error {
				_, err := tx.AppendChange(store.Change{Kind: store.ChangeGroups})
				return err
			})
		},
		"AppendEvents": func() error { return s.AppendEvents(ctx, []store.Event{{ID: "e"}}) },
		"Sweep":        func() error { _, err := s.Sweep(ctx, time.Unix(1, 0), 1); return err },
		"Ping":         func() error { return s.Ping(ctx) },
	}
}

// proxy stands between a store and its server and can be switched off.
type proxy struct {
	t        *testing.T
	server   string
	listener net.Listener

	mu    sync.Mutex
	conns []net.Conn
	deaf  bool // connections are taken, but nothing is passed on
	wg    sync.WaitGroup
}

// newProxy starts a proxy for the server of dsn and returns a DSN through it.
func newProxy(t *testing.T, dsn string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, server: u.Host}
	p.up("127.0.0.1:0")
	t.Cleanup(func() { p.down(); p.wg.Wait() })
	u.Host = p.listener.Addr().String()
	return p, u.String()
}

func (p *proxy) up(addr string) {
	p.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.listener = l
	p.mu.Unlock()
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.pass(c) })
		}
	})
}

func (p *proxy) pass(c net.Conn) {
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		c.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, c, server)
	p.mu.Unlock()
	p.wg.Go(func() { defer c.Close(); io.Copy(c, server) })
	defer server.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		deaf := p.deaf
		p.mu.Unlock()
		if !deaf {
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

// down ends all connections and takes no new ones.
func (p *proxy) down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener.Close()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

func (p *proxy) setDeaf(deaf bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = deaf
}

// S114
func TestServerGoesAndComesBack(t *testing.T) {
	p, dsn := newProxy(t, pgtest.New(t))
	addr := p.listener.Addr().String()
	s := open(t, postgres.Options{DSN: dsn})
	for name, call := range calls(t.Context(), s) {
		if err := call(); err != nil {
			t.Fatalf("%s = %v, want no error", name, err)
		}
	}
	for range 2 {
		p.down()
		for name, call := range calls(t.Context(), s) {
			if err := call(); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s without a server = %v, want %v", name, err, store.ErrUnavailable)
			}
		}
		p.up(addr)
		for name, call := range calls(t.Context(), s) {
			if err := call(); err != nil {
				t.Errorf("%s after the server came back = %v, want no error", name, err)
			}
		}
	}
}

// S114
func TestServerHangs(t *testing.T) {
	p, dsn := newProxy(t, pgtest.New(t))
	var s *postgres.Store
	eventually(t, "Open()", func() (err error) {
		s, err = postgres.Open(t.Context(), postgres.Options{DSN: dsn, Timeout: 500 * time.Millisecond})
		return err
	})
	defer s.Close()
	p.setDeaf(true)
	for name, call := range calls(t.Context(), s) {
		if err := call(); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s of a server that hangs = %v, want %v", name, err, store.ErrUnavailable)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for name, call := range calls(ctx, s) {
		if err := call(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s with a context that ends = %v, want %v", name, err, context.DeadlineExceeded)
		}
	}
	p.setDeaf(false)
	eventually(t, "Ping() after the server has recovered", func() error { return s.Ping(t.Context()) })
}

// Connections that the server has ended, as it does when it is started anew,
// are noticed by nobody before they are used.
func TestDeadConnectionsAreReplaced(t *testing.T) {
	dsn := pgtest.New(t)
	s := open(t, postgres.Options{DSN: dsn})
	admin := connect(t, dsn)
	for name, call := range calls(t.Context(), s) {
		together(8, func() { _ = call() }) // so that there are some
		if _, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
		if err := call(); err != nil {
			t.Errorf("%s on dead connections = %v, want no error", name, err)
		}
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func together(n int, call func()) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(call)
	}
	wg.Wait()
}

// S114
func TestReadOnlyDatabase(t *testing.T) {
	dsn := pgtest.New(t)
	open(t, postgres.Options{DSN: dsn}).Close()
	s := open(t, postgres.Options{DSN: dsn})
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	admin := connect(t, dsn)
	if _, err := admin.Exec(t.Context(), `ALTER DATABASE `+pgx.Identifier{strings.TrimPrefix(u.Path, "/")}.Sanitize()+
		` SET default_transaction_read_only = on`); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
		t.Fatal(err)
	}
	for name, call := range calls(t.Context(), s) {
		err := call()
		switch name {
		case "TokenByDigest", "Groups", "ChangesAfter":
			if err != nil {
				t.Errorf("%s of a read-only database = %v, want no error", name, err)
			}
		default:
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s of a read-only database = %v, want %v", name, err, store.ErrUnavailable)
			}
		}
	}
}

func TestLockedTable(t *testing.T) {
	dsn := pgtest.New(t)
	for _, pooler := range []bool{false, true} {
		var s *postgres.Store
		eventually(t, "Open()", func() (err error) { // the timeout may be too short for a busy machine
			s, err = postgres.Open(t.Context(), postgres.Options{DSN: dsn, Timeout: 200 * time.Millisecond, Pooler: pooler})
			return err
		})
		defer s.Close()
		tx, err := connect(t, dsn).Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `LOCK TABLE change_counter, token_secrets`); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"TokenByDigest", "Update", "Sweep"} {
			if err := calls(t.Context(), s)[name](); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s of a locked table, pooler %v = %v, want %v", name, pooler, err, store.ErrUnavailable)
			}
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "Update() after the lock has gone", calls(t.Context(), s)["Update"])
	}
}

// eventually repeats a call that may need more time than it gives itself.
func eventually(t *testing.T, name string, call func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := call()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s = %v, want no error", name, err)
		}
	}
}

// The password is in no error and in no log line, whatever is wrong.
// S69, S76
func TestPasswordIsNeverShown(t *testing.T) {
	const planted = "planted-p4ssw0rd"
	u, err := url.Parse(pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("nobody-of-that-name", planted)
	unknownUser := u.String()
	u.Host = "127.0.0.1:1" // nobody listens there
	nobodyThere := u.String()
	for _, dsn := range []string{
		unknownUser,
		nobodyThere,
		"postgres://user:" + planted + "@host:port/db",
		"postgres://user:" + planted + "@[::1/db",
		"postgres://user:" + planted + "%zz@host/db",
		"postgres://user:" + planted + "@127.0.0.1:1/db?sslmode=" + planted,
		"host=127.0.0.1 port=1 password=" + planted,
		"host=127.0.0.1 port=1 password='" + planted,
		"host=127.0.0.1 password " + planted,
		"password=" + planted + " port=none",
		planted,
	} {
		var log bytes.Buffer
		s, err := postgres.Open(t.Context(), postgres.Options{
			DSN: dsn, Timeout: time.Second, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		if err == nil {
			s.Close()
			t.Errorf("Open(%q) = nil, want an error", dsn)
			continue
		}
		if !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, postgres.ErrDSN) {
			t.Errorf("Open(%q) = %v, want %v or %v", dsn, err, store.ErrUnavailable, postgres.ErrDSN)
		}
		if strings.Contains(err.Error(), planted) || strings.Contains(log.String(), planted) {
			t.Errorf("Open(%q) shows the password: %v\n%s", dsn, err, log.String())
		}
	}
}

func TestNodesNotifyEachOther(t *testing.T) {
	dsn := pgtest.New(t)
	here, there := open(t, postgres.Options{DSN: dsn}), open(t, postgres.Options{DSN: dsn})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 3 {
		if i == 2 { // the connection that listens is lost and comes back
			if _, err := connect(t, dsn).Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE application_name LIKE '%listener'`); err != nil {
				t.Fatal(err)
			}
		}
		var want int64
		if err := here.Update(ctx, func(tx store.Tx) (err error) {
			want, err = tx.AppendChange(store.Change{Kind: store.ChangeGroups})
			return err
		}); err != nil {
			t.Fatalf("Update() = %v, want no error", err)
		}
		for got := int64(0); got < want; {
			select {
			case <-there.Changed():
			case <-ctx.Done():
				t.Fatalf("no hint led to change %d", want)
			}
			var err error
			if got, err = there.LastChange(ctx); err != nil {
				t.Fatalf("LastChange() = %v, want no error", err)
			}
		}
	}
}

func TestPoolerHasNoHints(t *testing.T) {
	if s := open(t, postgres.Options{DSN: pgtest.New(t), Pooler: true}); s.Changed() != nil {
		t.Error("Changed() behind a pooler = a channel, want nil")
	}
}

func TestOpenAtOnce(t *testing.T) {
	for _, pooler := range []bool{false, true} {
		dsn := pgtest.New(t)
		together(8, func() {
			s, err := postgres.Open(t.Context(), postgres.Options{DSN: dsn, MaxConns: 2, Pooler: pooler})
			if err != nil {
				t.Errorf("Open() = %v, want no error", err)
				return
			}
			defer s.Close()
			if groups, err := s.Groups(t.Context()); err != nil || len(groups) != 2 {
				t.Errorf("Groups() = %v, %v, want two", groups, err)
			}
		})
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	dsn := pgtest.New(t)
	open(t, postgres.Options{DSN: dsn}).Close()
	if _, err := connect(t, dsn).Exec(t.Context(),
		`INSERT INTO schema_versions (version_id, is_applied) VALUES (99999, true)`); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Open(t.Context(), postgres.Options{DSN: dsn}); !errors.Is(err, store.ErrNewerSchema) {
		t.Errorf("Open() of a newer database = %v, want %v", err, store.ErrNewerSchema)
	}
}

// All of it lives in whatever schema the search path leads to.
func TestSearchPath(t *testing.T) {
	dsn := pgtest.New(t)
	admin := connect(t, dsn)
	if _, err := admin.Exec(t.Context(), `CREATE SCHEMA latchkey`); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", "latchkey")
	u.RawQuery = q.Encode()
	for range 2 {
		if err := open(t, postgres.Options{DSN: u.String()}).Ping(t.Context()); err != nil {
			t.Errorf("Ping() = %v, want no error", err)
		}
	}
	var elsewhere int
	if err := admin.QueryRow(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`).Scan(&elsewhere); err != nil || elsewhere != 0 {
		t.Errorf("%d tables in the schema public, %v, want none", elsewhere, err)
	}
}
