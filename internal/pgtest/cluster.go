package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// serverVariable names the environment variable with the URL of a server to use instead of starting one.
const serverVariable = "LATCHKEY_TEST_POSTGRES"

// startLimit bounds the start of a server, on a slow machine under load.
const startLimit = 2 * time.Minute

// Options are the choices at the start of a server. The zero value is good for ordinary tests.
type Options struct {
	// Durable makes the server write to the disk as it would in production. By default it does not wait for the disk
	// at all (fsync, synchronous_commit and full_page_writes are off), which is many times faster and loses nothing
	// but what nobody wants to keep. Only tests and measurements about the cost or the order of writes need it.
	Durable bool
	// Settings are further server settings by name, such as {"max_connections": "10"}.
	Settings map[string]string
}

// Cluster is one running PostgreSQL server. Its methods may be used by several goroutines at once.
type Cluster struct {
	admin   *url.URL          // superuser, database "postgres"
	process *proctest.Process // nil for a server that was not started here
	folder  *proctest.Folder  // nil likewise
	again   func() (*proctest.Process, error)
}

// Start starts a server on a free port of 127.0.0.1, with its data in a temporary folder and a random password for its
// superuser. The caller must call Stop. It returns ErrNotInstalled when there is no server program on this machine.
//
// When LATCHKEY_TEST_POSTGRES is set, Start returns that server instead and the options have no effect.
func Start(opts Options) (*Cluster, error) {
	if dsn := os.Getenv(serverVariable); dsn != "" {
		return external(dsn)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	folder, err := proctest.NewFolder("latchkey-pgtest-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{folder: folder}
	if err := c.start(ctx, opts); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func external(dsn string) (*Cluster, error) {
	u, err := url.Parse(dsn)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return nil, fmt.Errorf("%s must hold a postgres:// URL", serverVariable) // not the value: it holds a password
	}
	return &Cluster{admin: u}, nil
}

func (c *Cluster) start(ctx context.Context, opts Options) error {
	password := randomHex(16)
	init, err := newInitializer(c.folder)
	if err != nil {
		return err
	}
	if err := init.run(ctx, password); err != nil {
		return err
	}
	const attempts = 5 // a free port may be taken by somebody else before the server binds it
	for attempt := 1; ; attempt++ {
		port, err := proctest.FreePort()
		if err != nil {
			return err
		}
		c.admin = &url.URL{
			Scheme: "postgres", User: url.UserPassword(superuser, password),
			Host: "127.0.0.1:" + strconv.Itoa(port), Path: "/postgres", RawQuery: "sslmode=disable",
		}
		c.again = func() (*proctest.Process, error) { return init.server(port, opts) }
		c.process, err = c.again()
		if err != nil {
			return err
		}
		err = proctest.WaitFor(ctx, c.ping, c.process)
		if err == nil {
			return nil
		}
		if !errors.Is(err, proctest.ErrExited) || attempt == attempts {
			return fmt.Errorf("waiting for PostgreSQL: %w", err)
		}
	}
}

func (c *Cluster) ping(ctx context.Context) error {
	return c.do(ctx, func(*pgx.Conn) error { return nil })
}

// Stop ends the server and removes its data. Connections that are still open are cut. A server that was not started
// here is left alone.
func (c *Cluster) Stop() error {
	var stopErr, removeErr error
	if c.process != nil {
		// SIGQUIT is PostgreSQL's immediate shutdown: it does not write a checkpoint of data that is about to be deleted.
		stopErr = c.process.Stop(syscall.SIGQUIT, 10*time.Second)
	}
	if c.folder != nil {
		removeErr = c.folder.Remove()
	}
	return errors.Join(stopErr, removeErr)
}

// ErrNotOurs says that a server was not started by this package, which therefore does not crash it.
var ErrNotOurs = errors.New("this PostgreSQL is not the test's own")

// Crash ends the server at once and with every connection to it, as `pg_ctl stop -m immediate` does, so that it has to
// recover when it is started again. With [Options.Durable] it keeps what it said was committed. The next calls may be
// Restart and Stop; nobody else may use the Cluster meanwhile.
func (c *Cluster) Crash() error {
	if c.process == nil {
		return ErrNotOurs
	}
	return c.process.Stop(syscall.SIGQUIT, 10*time.Second)
}

// Restart starts the server that Crash has ended, at the same address, and waits until it answers.
func (c *Cluster) Restart(ctx context.Context) (err error) {
	if c.process == nil {
		return ErrNotOurs
	}
	if c.process, err = c.again(); err != nil {
		return err
	}
	if err := proctest.WaitFor(ctx, c.ping, c.process); err != nil {
		return fmt.Errorf("waiting for PostgreSQL: %w", err)
	}
	return nil
}

// DSN returns the postgres:// URL of the server's own database, for a superuser. It is for questions to the server;
// data belong into a database made by CreateDatabase.
func (c *Cluster) DSN() string { return c.admin.String() }

// CreateDatabase makes an empty database in UTF-8 whose name begins with prefix, which must be a plain lower-case
// identifier, and returns its URL for a superuser. The rest of the name is random.
func (c *Cluster) CreateDatabase(ctx context.Context, prefix string) (dsn string, err error) {
	name := prefix + "_" + randomHex(6)
	// template0 is the one template that nobody can be connected to, which would be in the way.
	statement := "CREATE DATABASE " + pgx.Identifier{name}.Sanitize() + " TEMPLATE template0 ENCODING 'UTF8'"
	if err := c.exec(ctx, statement); err != nil {
		return "", fmt.Errorf("creating database %s: %w", name, err)
	}
	u := *c.admin
	u.Path = "/" + name
	return u.String(), nil
}

// DropDatabase removes the database of a URL that CreateDatabase returned, together with the connections to it. It is
// no error if the database does not exist.
func (c *Cluster) DropDatabase(ctx context.Context, dsn string) error {
	u, err := url.Parse(dsn)
	if err != nil {
		return errors.New("dropping a database: the URL cannot be read")
	}
	name := strings.TrimPrefix(u.Path, "/")
	if err := c.exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("dropping database %s: %w", name, err)
	}
	return nil
}

func (c *Cluster) exec(ctx context.Context, statement string) error {
	return c.do(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement)
		return err
	})
}

func (c *Cluster) do(ctx context.Context, work func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, c.DSN())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return work(conn)
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails; see crypto/rand
	return hex.EncodeToString(b)
}
