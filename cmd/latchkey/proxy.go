package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/latchkey-auth/latchkey/internal/proxyconfig"
)

const proxyLong = `Print the configuration of a reverse proxy that asks Latchkey about each request
(forward-auth), for a proxy that you have already. Without one, put Latchkey
itself in front: 'latchkey serve' with routes.

Latchkey believes what a proxy says of a request only if the proxy's address is
in its setting trusted_proxies.`

// newProxyCommand holds one command for each kind of proxy.
func newProxyCommand(env *environment) *cobra.Command {
	return noun("proxy", "Print configurations for nginx, Caddy, Traefik, HAProxy and Envoy", proxyLong,
		`  latchkey proxy nginx --upstream http://127.0.0.1:9000 > latchkey.conf
  latchkey proxy caddy --upstream http://127.0.0.1:9000 --listen :8081 > Caddyfile`,
		newNginxCommand(env),
		newCaddyCommand(env),
		newTraefikCommand(env),
		newHAProxyCommand(env),
		newEnvoyCommand(env),
	)
}

func newNginxCommand(env *environment) *cobra.Command {
	cmd, o := proxyCommand("nginx", "nginx (auth_request)", `  latchkey proxy nginx --upstream http://127.0.0.1:9000 > latchkey.conf
  latchkey proxy nginx --upstream http://127.0.0.1:9000 --user-header X-User
  latchkey proxy nginx --upstream http://127.0.0.1:9000 --listen :443 --cert /x.pem --key /x.key`)
	userHeaderFlag(cmd.Flags(), o)
	timeoutFlag(cmd.Flags(), o)
	return printing(env, cmd, o, func() proxyconfig.File { return proxyconfig.Nginx })
}

func newCaddyCommand(env *environment) *cobra.Command {
	cmd, o := proxyCommand("caddy", "Caddy (what forward_auth is short for)",
		"  latchkey proxy caddy --upstream http://127.0.0.1:9000 --listen :8081 > Caddyfile")
	userHeaderFlag(cmd.Flags(), o)
	timeoutFlag(cmd.Flags(), o)
	return printing(env, cmd, o, func() proxyconfig.File { return proxyconfig.Caddy })
}

func newTraefikCommand(env *environment) *cobra.Command {
	cmd, o := proxyCommand("traefik", "Traefik (ForwardAuth)",
		`  latchkey proxy traefik --upstream http://127.0.0.1:9000 --static > traefik.yaml
  latchkey proxy traefik --upstream http://127.0.0.1:9000 > latchkey.yaml`)
	static := cmd.Flags().Bool("static", false, "print the static configuration: where Traefik listens and finds the rest")
	cmd.Flags().StringVar(&o.DynamicFile, "file", "/etc/traefik/latchkey.yaml", "where the configuration that is printed without --static is kept")
	return printing(env, cmd, o, func() proxyconfig.File {
		if *static {
			return proxyconfig.TraefikStatic
		}
		return proxyconfig.Traefik
	})
}

func newHAProxyCommand(env *environment) *cobra.Command {
	cmd, o := proxyCommand("haproxy", "HAProxy (a script in Lua)",
		`  latchkey proxy haproxy --upstream http://127.0.0.1:9000 --lua > latchkey.lua
  latchkey proxy haproxy --upstream http://127.0.0.1:9000 > haproxy.cfg`)
	lua := cmd.Flags().Bool("lua", false, "print the script")
	cmd.Flags().StringVar(&o.LuaFile, "file", "/etc/haproxy/latchkey.lua", "where the script is kept")
	userHeaderFlag(cmd.Flags(), o)
	timeoutFlag(cmd.Flags(), o)
	return printing(env, cmd, o, func() proxyconfig.File {
		if *lua {
			return proxyconfig.HAProxyLua
		}
		return proxyconfig.HAProxy
	})
}

func newEnvoyCommand(env *environment) *cobra.Command {
	cmd, o := proxyCommand("envoy", "Envoy (ext_authz)",
		`  latchkey proxy envoy --upstream http://127.0.0.1:9000 > envoy.yaml
  latchkey proxy envoy --upstream http://127.0.0.1:9000 --http > envoy.yaml`)
	overHTTP := cmd.Flags().Bool("http", false, "have Envoy ask over HTTP, where Latchkey listens anyway, instead of gRPC")
	cmd.Flags().StringVar(&o.GRPC, "grpc", "127.0.0.1:9191", "where Envoy reaches Latchkey over gRPC (the setting envoy.listen)")
	timeoutFlag(cmd.Flags(), o)
	return printing(env, cmd, o, func() proxyconfig.File {
		if *overHTTP {
			return proxyconfig.EnvoyHTTP
		}
		return proxyconfig.Envoy
	})
}

// proxyCommand makes the command for one kind of proxy, with the flags that all
// of them have.
func proxyCommand(name, what, example string) (*cobra.Command, *proxyconfig.Options) {
	o := &proxyconfig.Options{}
	cmd := &cobra.Command{
		Use:   name,
		Short: "Print a configuration for " + what,
		Long: "Print a configuration for " + what + ", complete and with comments on the\n" +
			"lines that matter. It names the user to the service, and lets in what Latchkey\nsays yes to, and nothing else.",
		Example: example,
		Args:    arguments(),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Upstream, "upstream", "", "the service that is protected: http://host:port")
	flags.StringVar(&o.Latchkey, "latchkey", "http://127.0.0.1:8080", "where the proxy reaches Latchkey")
	flags.StringVar(&o.Listen, "listen", "127.0.0.1:8081", "where the proxy listens: host:port, or :port for every address")
	flags.StringVar(&o.ServerName, "server-name", "", "the host that the proxy answers for (default every one)")
	flags.StringVar(&o.Certificate, "cert", "", "the proxy's certificate, for TLS: an absolute path (default plain HTTP)")
	flags.StringVar(&o.Key, "key", "", "the key of the certificate")
	return cmd, o
}

func userHeaderFlag(flags *pflag.FlagSet, o *proxyconfig.Options) {
	flags.StringVar(&o.UserHeader, "user-header", "Latchkeyuser", "the header in which the service is told the user's name")
}

func timeoutFlag(flags *pflag.FlagSet, o *proxyconfig.Options) {
	flags.DurationVar(&o.Timeout, "timeout", 0, "how long Latchkey may take to answer (default 10s)")
}

// printing makes a command write the file that its flags ask for.
func printing(env *environment, cmd *cobra.Command, o *proxyconfig.Options, file func() proxyconfig.File) *cobra.Command {
	cmd.RunE = func(*cobra.Command, []string) error {
		if o.Upstream == "" {
			return &usageError{text: "--upstream is missing: the service that is protected, such as http://127.0.0.1:9000"}
		}
		if err := proxyconfig.Write(env.stdout, file(), *o); err != nil {
			return &usageError{text: err.Error()}
		}
		return nil
	}
	return cmd
}
