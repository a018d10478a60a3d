package main

import (
	"cmp"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/internal/config"
	"github.com/latchkey-auth/latchkey/internal/pulpsettings"
)

// newPulpCommand holds what helps those who set up Pulp.
func newPulpCommand(env *environment) *cobra.Command {
	return noun("pulp", "Print what Pulp's settings need",
		"What Pulp needs to be told so that it believes Latchkey in front of it.",
		"  latchkey pulp settings >> /etc/pulp/settings.py",
		newPulpSettingsCommand(env),
	)
}

func newPulpSettingsCommand(env *environment) *cobra.Command {
	var o pulpsettings.Options
	var file string
	cmd := &cobra.Command{
		Use:   "settings",
		Short: "Print the lines for Pulp's settings.py",
		Long: `Print the lines that Pulp's settings need (often /etc/pulp/settings.py), with the
reason beside each. Restart pulpcore-api and pulpcore-content afterwards;
'latchkey doctor' says whether Pulp now does what they say.

The header and the place of the gateway are those of the server's configuration,
if there is one, or else the defaults.`,
		Example: `  latchkey pulp settings >> /etc/pulp/settings.py
  latchkey pulp settings --config /etc/latchkey/latchkey.yaml
  latchkey pulp settings --origin https://pulp.example.com --plugin container,ansible`,
		Args: arguments(),
	}
	flags := cmd.Flags()
	flags.StringVar(&file, "config", "", "take the header and the origin from this configuration `file` (LATCHKEY_CONFIG)")
	flags.StringVar(&o.Header, "header", "", "the request `header` that names the user (default pulp.identity_header)")
	flags.StringVar(&o.Origin, "origin", "", "where clients reach Pulp through Latchkey: a `URL` without a path (default public_url, or the listener)")
	flags.StringSliceVar(&o.Plugins, "plugin", nil, "print what this `plugin` of Pulp needs, too: container, ansible or python")
	completeFlag(cmd, "plugin", cobra.FixedCompletions([]string{"container", "ansible", "python"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(*cobra.Command, []string) error {
		c, err := loadConfig(env, config.Options{File: file})
		if err != nil {
			return err
		}
		given := o
		given.Header = cmp.Or(o.Header, c.Pulp.IdentityHeader)
		given.Origin = cmp.Or(strings.TrimSuffix(o.Origin, "/"), configuredURL(c))
		if err := pulpsettings.Write(env.stdout, given); err != nil {
			return &usageError{text: err.Error()}
		}
		return nil
	}
	return cmd
}

// configuredURL is where clients reach a server, as far as its configuration
// says; "" where it does not.
func configuredURL(c config.Config) string {
	if c.PublicURL != "" {
		return strings.TrimSuffix(c.PublicURL, "/")
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || port == "0" { // a socket, or any port
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if c.TLS.On() {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
