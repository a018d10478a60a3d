package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/config"
)

func newHealthCommand(env *environment) *cobra.Command {
	var ready bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the server of this configuration whether it is alive",
		Long: `Ask the server that runs here, with the same configuration, whether it is alive,
and end with 0 or 7. It is for health checks of containers, in which there is no
other program to ask with.`,
		Example: "  latchkey health\n  latchkey health --ready --config /etc/latchkey/latchkey.yaml",
		Args:    arguments(),
	}
	flags := config.RegisterFlags(cmd.Flags())
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it does its work: the database answers, and it is not stopping")
	cmd.Flags().DurationVar(&timeout, "timeout", 4*time.Second, "wait for the answer for so `long` at most")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := loadConfig(env, config.Options{Flags: flags})
		if err != nil {
			return err
		}
		path := "/latchkey/healthz"
		if ready {
			path = "/latchkey/readyz"
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		return askHealth(ctx, c.Listen, c.TLS.On(), path)
	}
	return cmd
}

// askHealth asks a server by the address that it listens on. Its certificate
// is for the name that others know it by, so it is not looked at: what is asked
// is no secret, and nothing is told with it.
func askHealth(ctx context.Context, listen string, secure bool, path string) error {
	network, address := dialable(listen)
	scheme := "http"
	if secure {
		scheme = "https"
	}
	httpClient := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // G402: see above
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://localhost"+path, nil)
	if err != nil {
		return err
	}
	res, err := httpClient.Do(req)
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if err != nil {
		return fmt.Errorf("%w: nothing answers on %s: %v", client.ErrUnreachable, listen, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s answers %s", client.ErrUnavailable, path, res.Status)
	}
	return nil
}

// dialable turns an address to listen on into one to connect to: a listener on
// all addresses is asked on the loopback one.
func dialable(listen string) (network, address string) {
	if path, ok := strings.CutPrefix(listen, "unix:"); ok {
		return "unix", path
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "tcp", listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "tcp", net.JoinHostPort(host, port)
}
