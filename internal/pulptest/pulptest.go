// Package pulptest runs a real, unmodified Pulp for tests: its API, its content app and one task worker, as separate
// processes on loopback, with a PostgreSQL server and folders of their own. Nothing of it is a stand-in, so a test that
// passes here says how the project behaves in front of the versions that scripts/pulp-requirements.txt names.
//
// The Pulp is set up the way the project asks operators to do it: Basic authentication first, then the user named by
// the request header Latchkeyuser, who must exist already. So whoever reaches the two ports is any user; they are on
// 127.0.0.1 and only for as long as the test runs.
//
// The first start on a machine installs Pulp by scripts/pulp-venv.sh, which needs the package registry and about a
// minute. Later ones take some seconds, because the installation and a freshly migrated database are kept in the test
// cache. A test is skipped when PostgreSQL or Python is missing, and fails when CI=true.
//
// The package is not for production code.
package pulptest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// startLimit bounds the start of Pulp without the installation: migrating alone takes 20 seconds on a quiet machine.
const startLimit = 5 * time.Minute

// Options are the choices at the start of a Pulp. The zero value is good for a Pulp that is used directly.
type Options struct {
	// ContentOrigin is the scheme, host and port under which clients reach Pulp, which is that of the gateway if there
	// is one. Pulp builds download links and, with "/token/" at the end, the registry's token server from it. Empty
	// means the content app itself.
	ContentOrigin string
	// OAuthTokenURL makes Pulp's API schema tell clients to get tokens from this absolute URL by the client credentials
	// grant. Empty leaves that out.
	OAuthTokenURL string
	// APIWorkers is the number of processes of the API, each of which answers one request at a time. Zero means 1.
	APIWorkers int
	// AllAddresses binds both servers to all addresses of the machine, as Pulp does when it is told nothing. Then
	// everybody on the network can be any user while the test runs.
	AllAddresses bool
	// Settings is Python text that is added to the end of the settings file, such as "DOMAIN_ENABLED = True\n".
	Settings string
	// Migrate runs Pulp's migrations with all settings in force. It is needed only if Settings changes the tables, for
	// example by adding to INSTALLED_APPS.
	Migrate bool
}

// Pulp is a running Pulp.
type Pulp struct {
	// APIURL and ContentURL are the scheme, host and port of the API and of the content app, without a slash at the
	// end.
	APIURL, ContentURL string
	// DatabaseDSN is the postgres:// URL of Pulp's database, for a superuser.
	DatabaseDSN string
	// AdminPassword is the password of Pulp's superuser, who is called admin.
	AdminPassword string
	// Dir holds everything that Pulp and its programs write. It is removed at the end of the test.
	Dir string
	// Env is the environment of Pulp's programs, as "KEY=value".
	Env []string

	venv      venv
	opts      Options
	cluster   *pgtest.Cluster
	processes []*proctest.Process
	cli       *Client
}

// Start starts a Pulp and waits until all its parts are at work. It is stopped, and everything of it removed, at the
// end of the test.
func Start(t testing.TB, opts Options) *Pulp {
	t.Helper()
	folder, err := proctest.NewFolder("latchkey-pulptest-")
	if err != nil {
		t.Fatalf("pulptest: %v", err)
	}
	p := &Pulp{Dir: folder.Path, AdminPassword: adminPassword, opts: opts}
	t.Cleanup(func() {
		if t.Failed() {
			for _, process := range p.processes {
				t.Log(process.LogTail(4000))
			}
		}
		if err := errors.Join(p.stop(), folder.Remove()); err != nil {
			t.Errorf("pulptest: %v", err)
		}
	})
	err = p.prepare()
	if errors.Is(err, errMissing) || errors.Is(err, pgtest.ErrNotInstalled) {
		proctest.Missing(t, err.Error())
	}
	if err == nil {
		err = p.start(t.Logf)
	}
	if err != nil {
		t.Fatalf("pulptest: starting Pulp: %v", err)
	}
	return p
}

// prepare starts PostgreSQL and sees to the programs of Pulp, which may have to be installed first.
func (p *Pulp) prepare() (err error) {
	if p.cluster, err = pgtest.Start(pgtest.Options{}); err != nil {
		return err
	}
	p.venv, err = prepareVenv(context.Background())
	return err
}

func (p *Pulp) start(logf func(string, ...any)) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), startLimit,
		fmt.Errorf("Pulp was not ready after %v", startLimit))
	defer cancel()
	for _, dir := range []string{"home", "cli-home", "log", "media", "tmp", "assets"} {
		if err := os.Mkdir(p.path(dir), 0o700); err != nil {
			return err
		}
	}
	p.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.path("home"), "LC_ALL=C.UTF-8", "TZ=UTC",
		"PULP_SETTINGS=" + p.path("settings.py"), "DJANGO_SETTINGS_MODULE=pulpcore.app.settings",
	}
	ports, err := listen(p.opts.AllAddresses)
	if err != nil {
		return err
	}
	defer ports.close()
	p.APIURL, p.ContentURL = ports.api.url(), ports.content.url()
	if p.opts.ContentOrigin == "" {
		p.opts.ContentOrigin = p.ContentURL
	}
	if p.cli, err = p.newClient(p.path("cli-home"), p.adminConfig()); err != nil {
		return err
	}
	if err := p.fillDatabase(ctx, logf); err != nil {
		return err
	}
	return p.startServices(ctx, ports)
}

func (p *Pulp) stop() error {
	errs := make([]error, len(p.processes))
	var ended sync.WaitGroup
	for i, process := range p.processes {
		ended.Go(func() { errs[i] = process.Stop(syscall.SIGTERM, 5*time.Second) })
	}
	ended.Wait()
	if p.cluster == nil {
		return errors.Join(errs...)
	}
	if p.DatabaseDSN != "" { // matters only for a server that was not started here
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		errs = append(errs, p.cluster.DropDatabase(ctx, p.DatabaseDSN))
	}
	return errors.Join(append(errs, p.cluster.Stop())...)
}

// Manager runs pulpcore-manager, Pulp's administration command, with the settings of this Pulp and returns what it
// wrote.
func (p *Pulp) Manager(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	return p.run(ctx, "pulpcore-manager", args...)
}

func (p *Pulp) run(ctx context.Context, program string, args ...string) (stdout, stderr string, err error) {
	return proctest.Run(ctx, proctest.Spec{
		Name: program, Path: p.Program(program), Args: args, Env: p.Env, Dir: p.Dir,
	})
}

// Program returns the path of a program that is installed together with Pulp, such as "dynaconf" or the ansible-galaxy
// that pulp_ansible brings along.
func (p *Pulp) Program(name string) string { return filepath.Join(p.venv.pulp, "bin", name) }

func (p *Pulp) path(elements ...string) string {
	return filepath.Join(append([]string{p.Dir}, elements...)...)
}
