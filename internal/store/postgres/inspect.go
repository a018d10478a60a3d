package postgres

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Facts is what a server of PostgreSQL says about itself to the role that
// Latchkey uses.
type Facts struct {
	Version string
	Number  int // as in server_version_num

	Fsync, SynchronousCommit, FullPageWrites string // "on", "off", and more for the second

	Standby   bool // it replays what another server does
	ReadOnly  bool // transactions are, unless they say otherwise
	Superuser bool
	TLS       bool // on this connection
	Remote    bool // it is not on this machine, as far as its address says

	Time          time.Time // of its clock
	Before, After time.Time // of ours
}

// Inspect asks a server about itself and writes nothing.
func Inspect(ctx context.Context, o Options) (Facts, error) {
	o.setDefaults()
	w, err := openWhole(ctx, o, "doctor")
	if err != nil {
		return Facts{}, err
	}
	defer w.close(ctx)
	f := Facts{Before: o.Now()}
	err = w.conn.QueryRow(ctx, `select clock_timestamp(), current_setting('server_version'), current_setting('server_version_num')::int,
		current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes'),
		pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool,
		coalesce((select rolsuper from pg_roles where rolname = current_user), false)`,
		// Preparing would take a round trip within the measured time.
		pgx.QueryExecModeExec,
	).Scan(&f.Time, &f.Version, &f.Number, &f.Fsync, &f.SynchronousCommit, &f.FullPageWrites, &f.Standby, &f.ReadOnly, &f.Superuser)
	if err != nil {
		return Facts{}, w.s.fault(ctx, "ask the database about itself", err)
	}
	f.After = o.Now()
	_, f.TLS = w.conn.PgConn().Conn().(*tls.Conn)
	f.Remote = remote(w.conn.PgConn().Conn().RemoteAddr())
	f.Version, _, _ = strings.Cut(f.Version, " ")
	return f, nil
}

// remote reports whether an address leads to another machine.
func remote(addr net.Addr) bool {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil { // a socket
		return false
	}
	a := at.Addr().Unmap()
	if a.IsLoopback() {
		return false
	}
	mine, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, m := range mine {
		if n, ok := m.(*net.IPNet); ok && n.IP.Equal(net.IP(a.AsSlice())) {
			return false
		}
	}
	return true
}
