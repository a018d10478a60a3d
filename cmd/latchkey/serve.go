package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/config"
	"github.com/latchkey-auth/latchkey/internal/metrics"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/server"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
)

const serveLong = `Run the server. With nothing else said it keeps its data in ./latchkey-data,
listens on 127.0.0.1:8080, and at the first start makes an account "admin",
whose password it prints once (or takes from LATCHKEY_ADMIN_PASSWORD).

Everything can be set in a file (--config) or by environment variables; see
'latchkey config show'. Ctrl-C lets requests under way finish and stops.
SIGHUP reads the file again and puts it into force without dropping a request,
if nothing is wrong with it; see docs/operations.md.`

const serveExample = `  latchkey serve
  latchkey serve --data /var/lib/latchkey --listen 127.0.0.1:9000
  latchkey serve --pulp http://127.0.0.1:24817 --pulp-content http://127.0.0.1:24816
  latchkey serve --config /etc/latchkey/latchkey.yaml --log-format json`

func newServeCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the server",
		Long:    serveLong,
		Example: serveExample,
		Args:    arguments(),
	}
	flags := config.RegisterFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
		options := config.Options{Flags: flags}
		c, err := loadConfig(env, options)
		if err != nil {
			return err
		}
		options.Getenv = env.getenv
		read := func() (config.Config, error) { return config.Load(options) }
		return serve(cmd.Context(), env, c, read, hangups)
	}
	return cmd
}

// serve runs the server until ctx ends. At a hangup it reads the configuration
// again.
func serve(ctx context.Context, env *environment, c config.Config, read func() (config.Config, error), hangups <-chan os.Signal) error {
	logs := newLogging(env.stderr, c.Log)
	log := logs.log
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	keys, err := loadKeys(c)
	if err != nil {
		return err
	}
	cert, err := openCertificate(c.TLS, log)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	counts := metrics.New()
	beside := newBeside(ctx)
	defer beside.end()
	if err := serveMetrics(beside, c.Metrics, counts, log); err != nil {
		return err
	}
	named := databaseOf(c, log)
	named.sqlite.Committed = counts.Committed
	data, err := named.open(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err := data.Close(); err != nil {
			log.Error("the database could not be closed", "err", err)
		}
	}()
	options, err := serverOptions(c)
	if err != nil {
		return err
	}
	options.Store, options.Keys, options.Log, options.Metrics = data, keys, log, counts
	options.PublicURL = publicURL(c, listener)
	options.Issuer = cmp.Or(options.Issuer, options.PublicURL)
	if options.Tracer, err = openTraces(c.Traces, log); err != nil {
		return err
	}
	if options.Tracer != nil {
		defer options.Tracer.Close()
	}
	listening := httpOptions(c.HTTP)
	if cert != nil {
		options.CertificateEnds, listening.TLS = cert.NotAfter, cert.Config()
		beside.run(cert.Run)
	}
	srv, err := server.New(options)
	if err != nil {
		return err
	}
	defer srv.Close()
	made, err := srv.Start(ctx, c.AdminPassword)
	if err != nil {
		return err
	}
	debug.FreeOSMemory() // the first start has hashed a password, in 19 MiB that Go would keep for a while
	if err := serveEnvoy(beside, c.Envoy, srv, listening, log); err != nil {
		return err
	}
	again := &reloader{read: read, inForce: c, server: srv, cert: cert, logging: logs, metrics: counts}
	beside.run(func(ctx context.Context) { again.run(ctx, hangups) })
	beside.run(func(ctx context.Context) { leaveGarbage(ctx, env.getenv("GOGC")) })
	defer tellSystemd(ctx, env, log)()
	welcome(env.stdout, publicURL(c, listener), made, c.AdminPassword)
	return srv.Serve(ctx, listener, listening)
}

// listen opens the listener of the server.
func listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := server.Listen(ctx, address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &advisedError{err: err, hint: "another program listens there: stop it, or choose another address with --listen"}
	}
	return l, err
}

func httpOptions(c config.HTTP) server.HTTPOptions {
	return server.HTTPOptions{
		ReadHeaderTimeout: c.ReadHeaderTimeout, IdleTimeout: c.IdleTimeout,
		MaxHeaderBytes: c.MaxHeaderBytes, Drain: c.Drain,
	}
}

// tellSystemd says that the server is ready, and, when ctx ends, that it stops.
// The function that it returns ends the waiting for that.
func tellSystemd(ctx context.Context, env *environment, log *slog.Logger) func() bool {
	if err := notifySystemd(env.getenv, "READY=1"); err != nil {
		log.Warn("systemd does not know that the server is ready", "err", err)
	}
	return context.AfterFunc(ctx, func() { _ = notifySystemd(env.getenv, "STOPPING=1") }) // it will see that soon enough
}

// loadKeys reads the server's secrets, or makes one at the first start.
func loadKeys(c config.Config) (*serverkey.Ring, error) {
	if !c.Secret.Empty() {
		return serverkey.Parse(c.Secret.Reveal())
	}
	if c.SecretFile != "" {
		return serverkey.Load(c.SecretFile, false)
	}
	return serverkey.Load(filepath.Join(c.Data, "server.key"), true)
}

// publicURL is where clients reach the server, as far as it can know.
func publicURL(c config.Config, l net.Listener) string {
	if c.PublicURL != "" {
		return strings.TrimSuffix(c.PublicURL, "/")
	}
	if l.Addr().Network() == "unix" {
		return "http://localhost"
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if c.TLS.On() {
		scheme = "https"
	}
	u := url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}
	return u.String()
}

// welcome prints where the server is and three lines to try. The password of a
// new administrator is printed here and nowhere else.
func welcome(w io.Writer, base string, made, given secret.Text) {
	user := `"` + accounts.AdminName + `"`
	fmt.Fprintf(w, "Latchkey is at %s\n\n", base)
	switch {
	case made.Empty():
	case made == given:
		fmt.Fprintf(w, "The account %s was made, with the password from LATCHKEY_ADMIN_PASSWORD.\n\n", accounts.AdminName)
		user = `"` + accounts.AdminName + `:$LATCHKEY_ADMIN_PASSWORD"`
	default:
		fmt.Fprintf(w, "The account %s was made. Its password is shown this once:\n\n    %s\n\n", accounts.AdminName, made.Reveal())
		user = `"` + accounts.AdminName + ":" + made.Reveal() + `"`
	}
	fmt.Fprintf(w, `Three lines to try: make a token, open a door with it, see all tokens.

    TOKEN=$(curl -s -u %[1]s --json '{"name":"first"}' %[2]s/latchkey/api/v1/tokens | sed 's/.*"token":"\([^"]*\)".*/\1/')
    curl -i -H "Authorization: Bearer $TOKEN" '%[2]s/latchkey/verify?scope=path:/hello:read'
    curl -H "Authorization: Bearer $TOKEN" %[2]s/latchkey/api/v1/tokens

`, user, base)
}
