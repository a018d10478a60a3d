package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Database is what there is to know about a database.
type Database struct {
	Schema int64 // version; 0: no server has used it yet

	// Secrets are the check values of the server secrets that belong to it, by
	// their ids.
	Secrets map[string][]byte

	SigningKeys []store.SigningKey

	Postgres *Postgres // nil: it is SQLite
}

// Postgres is what there is to know about a server of PostgreSQL.
type Postgres struct {
	Version string
	Number  int // as in server_version_num

	Fsync, SynchronousCommit, FullPageWrites string // "on" or "off", and more for the second

	Standby   bool // it replays what another server does
	ReadOnly  bool // transactions are, unless they say otherwise
	Superuser bool // the role can do everything
	TLS       bool
	Remote    bool // it is not on this machine

	Time          time.Time // of its clock
	Before, After time.Time // of ours
}

func (x *examination) askDatabase(ctx context.Context) (Database, error) {
	if x.Options.Database == nil {
		return Database{}, errNotAsked
	}
	ctx, cancel := context.WithTimeout(ctx, x.Timeout)
	defer cancel()
	return x.Options.Database(ctx)
}

// errNotAsked says that there is no way to ask.
var errNotAsked = errors.New("not asked")

// oldestPostgres is the oldest PostgreSQL that its makers still mend (14 ends in
// November 2026, https://www.postgresql.org/support/versioning/).
const oldestPostgres = 150000

// database looks at the database and at whether the server's secret belongs to
// it.
func database(_ context.Context, x *examination) []Finding {
	d, err := x.database()
	switch {
	case errors.Is(err, errNotAsked):
		return nil
	case errors.Is(err, store.ErrNewerSchema):
		return []Finding{{
			Level: Problem, Seen: err.Error(), Why: "this version of the program must not touch it, and does not start",
			Where: atCommand, Fix: []string{"# install the version of Latchkey that was here before, or a newer one"},
		}}
	case errors.Is(err, ErrNoDatabase):
		return []Finding{fine("there is no database yet; the first start of the server makes it")}
	case err != nil:
		return []Finding{{
			Level: Problem, Seen: "the database cannot be read: " + err.Error(), Why: "without it no token can be checked for longer than check.bound, and nothing can be changed",
			Where: atCommand, Fix: []string{"latchkey config show --origin   # is this the database that is meant, and does it run?"},
		}}
	}
	list := postgresFindings(d.Postgres)
	if d.Schema == 0 {
		return append(list, fine("the database answers; no server has used it yet"))
	}
	list = append(list, x.secretFindings(d)...)
	if len(list) == 0 {
		kind := "SQLite"
		if d.Postgres != nil {
			kind = "PostgreSQL " + d.Postgres.Version
		}
		list = append(list, fine("the database (%s) answers, has schema %d, and the server's secret belongs to it", kind, d.Schema))
	}
	return list
}

// ErrNoDatabase is what [Options].Database returns while there is none.
var ErrNoDatabase = errors.New("there is no database")

func postgresFindings(p *Postgres) []Finding {
	if p == nil {
		return nil
	}
	var list []Finding
	add := func(level Level, seen, why, where string, fix ...string) {
		list = append(list, Finding{Level: level, Seen: seen, Why: why, Where: where, Fix: fix})
	}
	const inPostgres = "postgresql.conf; then pg_ctl reload"
	const lost = "after a crash, what was answered may be undone: a token that was revoked works again"
	if p.Fsync == "off" {
		add(Problem, "PostgreSQL runs with fsync = off", lost+", or the whole database is broken", inPostgres, "fsync = on")
	}
	if p.FullPageWrites == "off" {
		add(Problem, "PostgreSQL runs with full_page_writes = off", "a crash can leave half-written pages, unless the file system prevents that", inPostgres, "full_page_writes = on")
	}
	if p.SynchronousCommit == "off" {
		add(Problem, "PostgreSQL runs with synchronous_commit = off for this role", lost, inPostgres, "synchronous_commit = on")
	}
	switch {
	case p.Standby:
		add(Problem, "PostgreSQL is a standby, which takes no writes", "no token can be made or revoked, and the server does not start", inConfig, "database: postgres://…?target_session_attrs=read-write   # with all hosts in it")
	case p.ReadOnly:
		add(Problem, "PostgreSQL gives this role read-only transactions", "no token can be made or revoked", "psql", "ALTER ROLE … RESET default_transaction_read_only;")
	}
	if p.Remote && !p.TLS {
		add(Problem, "the connection to PostgreSQL on another machine has no TLS", "whoever is between can read what is stored and change the answers", inConfig, "database: postgres://…?sslmode=verify-full&sslrootcert=/etc/latchkey/db-ca.pem")
	}
	if p.Superuser {
		add(Warning, "the role that Latchkey uses is a superuser of PostgreSQL", "it needs nothing but its own tables", "psql", "ALTER ROLE … NOSUPERUSER;")
	}
	if p.Number > 0 && p.Number < oldestPostgres {
		add(Warning, "PostgreSQL has the version "+p.Version, "its makers do not mend it any more", atCommand, "# upgrade PostgreSQL")
	}
	return list
}

// secretFindings compares the server's secret with what the database says of
// it.
func (x *examination) secretFindings(d Database) []Finding {
	ring, where, err := x.ring()
	if err != nil {
		return []Finding{{
			Level: Problem, Seen: "the server's secret cannot be used: " + err.Error(), Why: "without it no stored token is known, and the server does not start",
			Where: atCommand, Fix: []string{"# bring back the copy of " + where},
		}}
	}
	var list []Finding
	held := map[string]bool{}
	for _, k := range ring.Keys() {
		held[k.ID()] = true
		if stored, known := d.Secrets[k.ID()]; known && !bytes.Equal(stored, k.Check()) {
			list = append(list, Finding{
				Level: Problem, Seen: fmt.Sprintf("the secret %s in %s is another one than the database was filled under", k.ID(), where),
				Why: "the server does not start", Where: atCommand, Fix: []string{"# bring back the copy of " + where},
			})
		}
	}
	known := 0
	var missing []string
	for id := range d.Secrets {
		if held[id] {
			known++
		} else {
			missing = append(missing, id)
		}
	}
	switch {
	case len(d.Secrets) > 0 && known == 0:
		list = append(list, Finding{
			Level: Problem, Seen: fmt.Sprintf("the database was filled under the secret %s, which is not in %s", strings.Join(missing, ", "), where),
			Why: "no stored token is known to this server, and it does not start", Where: atCommand, Fix: []string{"# bring back the copy of " + where},
		})
	case len(missing) > 0:
		list = append(list, Finding{
			Level: Warning, Seen: fmt.Sprintf("the database knows the secret %s, which is not in %s", strings.Join(missing, ", "), where),
			Why: "tokens that were made under it are refused", Where: where, Fix: []string{"# a line with the old secret, below the current one"},
		})
	}
	return list
}

// ring reads the server's secrets, and says where from.
func (x *examination) ring() (*serverkey.Ring, string, error) {
	c := x.Config
	if !c.Secret.Empty() {
		ring, err := serverkey.Parse(c.Secret.Reveal())
		return ring, c.Origin("secret").String(), err
	}
	path := orElse(c.SecretFile, filepath.Join(c.Data, "server.key"))
	ring, err := serverkey.Load(path, false)
	return ring, path, err
}
