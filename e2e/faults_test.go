//go:build e2e && linux

package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the driver, for a program beside the server that holds a lock

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// fault is something that goes wrong with a database while a server runs.
type fault struct {
	begin, end func(t *testing.T)
	readable   bool // what is in the database can still be read
}

// TestFaults takes the database away from a running server in all the ways of
// disks and networks. Nothing that was refused before is let through, refusals
// are those of the protocol, and when the fault is over the server works again
// without anybody's help.
// S89, S114
func TestFaults(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		disk := newDisk(t)
		s := serve(t, serveOptions{
			data:   disk.path,
			config: filesRoute(newUpstream(t, func(http.ResponseWriter, *http.Request) {}), ""),
		})
		underFaults(t, s, map[string]fault{
			"the disk is full":             {begin: disk.fill, end: disk.free, readable: true},
			"no file can be written":       {begin: s.limitFiles("0"), end: s.limitFiles("unlimited"), readable: true},
			"another program holds a lock": lockedBy(filepath.Join(disk.path, "latchkey.db")),
		})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		db := newDatabase(t)
		network, dsn := newRelay(t, db.dsn)
		s := serve(t, serveOptions{
			config: fmt.Sprintf("database: %q\n", dsn) + filesRoute(newUpstream(t, func(http.ResponseWriter, *http.Request) {}), ""),
		})
		underFaults(t, s, map[string]fault{
			"the database is gone":      {begin: func(*testing.T) { network.cut(true) }, end: func(*testing.T) { network.cut(false) }},
			"the network hangs":         {begin: func(*testing.T) { network.hang(true) }, end: func(*testing.T) { network.hang(false) }},
			"the database is read-only": {begin: db.readOnly("on"), end: db.readOnly("off"), readable: true},
			"the database crashes": {
				begin: func(t *testing.T) { must(t, db.cluster.Crash()) },
				end:   func(t *testing.T) { must(t, db.cluster.Restart(t.Context())) },
			},
		})
	})
}

// TestReadOnlyStart starts a server on data that it cannot write: it says so
// and does not serve, and starts once it can.
// S114
func TestReadOnlyStart(t *testing.T) {
	disk := newDisk(t)
	s := serve(t, serveOptions{data: disk.path})
	secret := s.token(t, s.admin(), api.CreateToken{}).Secret
	s.crash()
	must(t, syscall.Mount("", disk.path, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	failed := launch(t, s.command)
	t.Cleanup(failed.kill)
	select {
	case <-failed.done:
	case <-time.After(answered):
		t.Fatalf("latchkey serve on a read-only disk is still there after %v", answered)
	}
	if stderr := failed.stderr(t); failed.err == nil || !strings.Contains(stderr, "read") {
		t.Errorf("latchkey serve on a read-only disk ended with %v, want an error that says so:\n%s", failed.err, stderr)
	}
	must(t, syscall.Mount("", disk.path, "", syscall.MS_REMOUNT, ""))
	s.restart()
	if got := verify(t, s, secret); got != http.StatusOK {
		t.Errorf("a token after the disk can be written again: %d, want 200", got)
	}
}

// underFaults shows each fault to a server.
func underFaults(t *testing.T, s *latchkey, faults map[string]fault) {
	admin := s.client(client.Options{Token: s.token(t, s.admin(), api.CreateToken{}).Secret})
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			d := newDoors(t, s, admin)
			f.begin(t)
			ended := false
			defer func() {
				if !ended {
					f.end(t)
				}
			}()
			d.during(t, f)
			f.end(t)
			ended = true
			d.after(t)
		})
	}
}

// doors are credentials of every kind, with what each may get at a server that
// works.
type doors struct {
	s                                  *latchkey
	admin                              *client.Client
	live, narrow, revoked, old, doomed api.NewToken
	forged                             string
}

func newDoors(t *testing.T, s *latchkey, admin *client.Client) *doors {
	t.Helper()
	d := &doors{s: s, admin: admin}
	token := func(scope ...string) api.NewToken { return s.token(t, d.admin, api.CreateToken{Scope: scope}) }
	d.live, d.narrow, d.revoked, d.old, d.doomed = token(), token("path:/elsewhere/*:read"), token(), token(), token()
	must(t, d.admin.Tokens.Revoke(t.Context(), d.revoked.ID, ""))
	rotated, err := d.admin.Tokens.Rotate(t.Context(), d.old.ID, api.RotateToken{})
	must(t, err)
	s.hide(rotated.Secret)
	last := "0"
	if strings.HasSuffix(d.live.Secret, last) {
		last = "1"
	}
	d.forged = d.live.Secret[:len(d.live.Secret)-1] + last
	d.ask(t, true, true)
	return d
}

// ask tries everything at once. Whatever happens, what must be refused is.
// Where the server works, it has to know; where open, what may pass has to. It
// reports whether all that may pass did.
func (d *doors) ask(t *testing.T, open, works bool) (served bool) {
	t.Helper()
	var all sync.WaitGroup
	var closed atomic.Bool
	try := func(path, name, authorization string, want int, sure bool) {
		all.Go(func() {
			status := d.status(t, path, authorization)
			if status != want && (sure || status != http.StatusServiceUnavailable) {
				t.Errorf("%s with %s = %d, want %d, or 503 when that cannot be known", path, name, status, want)
			}
			if want == http.StatusOK && status != want {
				closed.Store(true)
			}
		})
	}
	for _, path := range []string{verifyPath, "/files/x", "/latchkey/api/v1/whoami"} {
		try(path, "a revoked token", "Bearer "+d.revoked.Secret, http.StatusUnauthorized, works)
		try(path, "a rotated secret", "Bearer "+d.old.Secret, http.StatusUnauthorized, works)
		try(path, "a forged token", "Bearer "+d.forged, http.StatusUnauthorized, works)
		try(path, "junk", "Bearer x", http.StatusUnauthorized, works)
		try(path, "no credential", "", http.StatusUnauthorized, works)
		try(path, "a live token", "Bearer "+d.live.Secret, http.StatusOK, open)
	}
	try("/files/x", "a token for elsewhere", "Bearer "+d.narrow.Secret, http.StatusForbidden, works)
	all.Wait()
	return !closed.Load()
}

// passwords tries wrong ones. They are throttled, so there are few tries.
func (d *doors) passwords(t *testing.T) {
	t.Helper()
	for _, user := range []string{"admin", "nobody"} {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(user, "a wrong password")
		switch status := d.status(t, verifyPath, r.Header.Get("Authorization")); status {
		case http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		default:
			t.Errorf("verify with a wrong password of %s = %d, want 401, 429 or 503", user, status)
		}
	}
}

// status asks and looks at the form of the answer.
func (d *doors) status(t *testing.T, path, authorization string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*answered)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.s.url+path, nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := (&http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Errorf("%s: %v, want an answer", path, err)
		return 0
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Errorf("%s: the answer is cut off: %v", path, err)
	}
	kind, challenge := res.Header.Get("Content-Type"), res.Header.Get("WWW-Authenticate")
	if res.StatusCode == http.StatusServiceUnavailable && path != verifyPath && kind != "application/problem+json" {
		t.Errorf("%s = 503 of type %q, want a problem", path, kind)
	}
	if res.StatusCode == http.StatusUnauthorized && challenge == "" {
		t.Errorf("%s = 401 without a challenge", path)
	}
	return res.StatusCode
}

// during asks while the fault lasts: for longer than anything may be
// remembered where the database can be read, and until the doors have closed
// where it cannot.
func (d *doors) during(t *testing.T, f fault) {
	t.Helper()
	var changes sync.WaitGroup
	changes.Go(func() { d.change(t) })
	defer changes.Wait()
	d.passwords(t)
	if f.readable {
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
			d.ask(t, true, false)
		}
		return
	}
	within(t, time.Minute, "the doors to close", func(context.Context) error {
		if d.ask(t, false, false) {
			return errors.New("a live token is still let through")
		}
		return nil
	})
	if d.ask(t, false, false) {
		t.Error("the doors are open again although the fault goes on")
	}
}

// change tries to change something, which is 503 and says nothing else.
func (d *doors) change(t *testing.T) {
	t.Helper()
	var all sync.WaitGroup
	for what, try := range map[string]func(context.Context) error{
		"Create": func(ctx context.Context) error {
			_, err := d.admin.Tokens.Create(ctx, api.CreateToken{Name: "during"})
			return err
		},
		"Rotate": func(ctx context.Context) error {
			_, err := d.admin.Tokens.Rotate(ctx, d.narrow.ID, api.RotateToken{})
			return err
		},
		"Revoke":       func(ctx context.Context) error { return d.admin.Tokens.Revoke(ctx, d.doomed.ID, "") },
		"RevokeSecret": func(ctx context.Context) error { return d.admin.Tokens.RevokeSecret(ctx, d.doomed.Secret) },
	} {
		all.Go(func() {
			if err := try(t.Context()); !errors.Is(err, client.ErrUnavailable) {
				t.Errorf("%s = %v, want %v", what, err, client.ErrUnavailable)
			}
		})
	}
	all.Wait()
}

// after waits until the server works again, by itself.
func (d *doors) after(t *testing.T) {
	t.Helper()
	within(t, time.Minute, "the server to work again", func(ctx context.Context) error {
		made, err := d.admin.Tokens.Create(ctx, api.CreateToken{Name: "after"})
		if err == nil {
			d.s.hide(made.Secret)
			err = d.admin.Ready(ctx)
		}
		return err
	})
	d.ask(t, true, true)
	must(t, d.admin.Tokens.Revoke(t.Context(), d.doomed.ID, ""))
	if got := verify(t, d.s, d.doomed.Secret); got != http.StatusUnauthorized {
		t.Errorf("a token that was revoked after the fault: %d, want 401", got)
	}
}

// limitFiles returns a function that bounds how long a file of the server's
// process may get by writing to it. Beyond it every write fails.
func (s *latchkey) limitFiles(size string) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		out, err := exec.Command("prlimit", "--pid", strconv.Itoa(s.process.pid()), "--fsize="+size+":unlimited").CombinedOutput()
		if err != nil {
			t.Fatalf("prlimit: %v\n%s", err, out)
		}
	}
}

// lockedBy has somebody else write to a SQLite file and not finish.
func lockedBy(path string) fault {
	var db *sql.DB
	return fault{readable: true,
		begin: func(t *testing.T) {
			t.Helper()
			var err error
			db, err = sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)")
			must(t, err)
			db.SetMaxOpenConns(1)
			_, err = db.ExecContext(t.Context(), "BEGIN IMMEDIATE")
			must(t, err)
		},
		end: func(t *testing.T) { t.Helper(); must(t, db.Close()) },
	}
}

// disk is a small file system of its own.
type disk struct{ path, filler string }

func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{path: filepath.Join(t.TempDir(), "disk")}
	d.filler = filepath.Join(d.path, "filler")
	must(t, os.Mkdir(d.path, 0o700))
	if err := syscall.Mount("tmpfs", d.path, "tmpfs", 0, "size=16m,mode=0700"); err != nil {
		if !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES) {
			t.Fatalf("mount a small file system: %v", err)
		}
		proctest.Forbidden(t, "to mount a small file system, which takes root")
	}
	t.Cleanup(func() { must(t, syscall.Unmount(d.path, syscall.MNT_DETACH)) })
	return d
}

// fill writes until there is no room.
func (d *disk) fill(t *testing.T) {
	t.Helper()
	f, err := os.Create(d.filler)
	must(t, err)
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func (d *disk) free(t *testing.T) { t.Helper(); must(t, os.Remove(d.filler)) }

// readOnly returns a function that makes the database read-only for all new
// connections, and ends the others.
func (d *database) readOnly(state string) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), d.cluster.DSN())
		must(t, err)
		defer conn.Close(context.WithoutCancel(t.Context()))
		name := d.name(t)
		_, err = conn.Exec(t.Context(), "ALTER DATABASE "+pgx.Identifier{name}.Sanitize()+" SET default_transaction_read_only = "+state)
		must(t, err)
		_, err = conn.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
		must(t, err)
	}
}
