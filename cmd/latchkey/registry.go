package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/config"
	"github.com/latchkey-auth/latchkey/internal/registryconfig"
)

// newRegistryCommand holds what helps those who set up container registries.
func newRegistryCommand(env *environment) *cobra.Command {
	return online(env, noun("registry", "Print what container registries need",
		"What container registries need to be told so that they believe Latchkey's tokens.",
		"  latchkey registry config distribution2 --out /etc/docker/registry",
		newRegistryConfigCommand(env),
	))
}

// registryFlags are the choices about a registry's settings. Empty ones are
// what the server's configuration says.
type registryFlags struct {
	file, out, at          string
	realm, issuer, service string
}

const registryConfigLong = `Print the settings of a registry, or, with --out, write them and the files of keys
that they name into a folder.

  distribution2  docker-registry 2: the section auth of its config.yml, with
                 certificates for rootcertbundle
  distribution3  CNCF Distribution 3: the same, with a set of keys for jwks
  pulp           pulp_container: lines for Pulp's settings.py, with a public key

Where the realm is and what it calls itself is taken from the server's
configuration, if there is one here; the keys are asked of the server. Nothing
that is printed is secret. What has to be done when the server's keys rotate
stands above the settings.`

func newRegistryConfigCommand(env *environment) *cobra.Command {
	var f registryFlags
	names := make([]string, 0, 3)
	for _, r := range registryconfig.Registries() {
		names = append(names, string(r))
	}
	cmd := &cobra.Command{
		Use:   "config REGISTRY",
		Short: "Print the settings of a registry, and write the keys that it needs",
		Long:  registryConfigLong,
		Example: `  latchkey registry config distribution2 --out /etc/docker/registry
  latchkey registry config distribution3 --service registry.example.org
  latchkey registry config pulp --out /etc/pulp/certs`,
		Args:      arguments("REGISTRY"),
		ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.registryConfig(cmd.Context(), registryconfig.Registry(args[0]), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.file, "config", "", "the server's configuration `file` (LATCHKEY_CONFIG)")
	flags.StringVar(&f.out, "out", "", "write the settings and the keys into this `folder`")
	flags.StringVar(&f.at, "at", "", "where the registry finds that `folder` (default: --out)")
	flags.StringVar(&f.realm, "realm", "", "where clients get tokens: a `URL` (default: public_url with registry.path)")
	flags.StringVar(&f.issuer, "issuer", "", "the `iss` of tokens (default: registry.issuer, or the realm)")
	flags.StringVar(&f.service, "service", "", "what the registry calls itself: a `name` in registry.services")
	return cmd
}

func (env *environment) registryConfig(ctx context.Context, r registryconfig.Registry, f registryFlags) error {
	if !slices.Contains(registryconfig.Registries(), r) {
		return &usageError{text: registryconfig.ErrRegistry.Error()}
	}
	o, err := env.registryOptions(r, f)
	if err != nil {
		return err
	}
	if !o.Relayed {
		if err := env.registryKeys(ctx, &o); err != nil {
			return err
		}
	}
	out, err := registryconfig.New(o)
	if err != nil {
		return &usageError{text: err.Error()}
	}
	text := registryComment(r, out, o.Folder) + out.Settings.Text
	if env.flags.output == formatJSON {
		return env.printJSON(map[string]string{
			"settings": out.Settings.Text, "keys_file": out.Keys.Name, "keys": out.Keys.Text, "rotation": out.Rotation,
		})
	}
	if f.out == "" {
		_, err := fmt.Fprint(env.stdout, text)
		return err
	}
	out.Settings.Text = text
	return env.writeRegistryFiles(f.out, out)
}

// registryOptions finds out what the settings say, without asking the server.
func (env *environment) registryOptions(r registryconfig.Registry, f registryFlags) (registryconfig.Options, error) {
	o := registryconfig.Options{Registry: r, Realm: f.realm, Issuer: f.issuer, Folder: cmp.Or(f.at, f.out)}
	c, err := loadConfig(env, config.Options{File: f.file})
	if err != nil {
		return o, err
	}
	base := strings.TrimSuffix(c.PublicURL, "/")
	if base == "" {
		if conn, err := env.connection(); err == nil {
			base = conn.server
		}
	}
	base = cmp.Or(base, configuredURL(c))
	if o.Realm == "" {
		if base == "" {
			return o, &usageError{text: "it is not known where clients reach the server", hint: "set public_url in its configuration, or give --realm"}
		}
		o.Realm = base + c.Registry.Path
	}
	o.Issuer = cmp.Or(o.Issuer, c.Registry.Issuer, o.Realm)
	if o.Folder == "" {
		o.Folder = map[registryconfig.Registry]string{registryconfig.Pulp: "/etc/pulp/certs"}[r]
		o.Folder = cmp.Or(o.Folder, "/etc/docker/registry")
	}
	if f.at == "" && f.out != "" {
		if o.Folder, err = filepath.Abs(f.out); err != nil {
			return o, fmt.Errorf("finding the folder: %w", err)
		}
	}
	return o, registryService(&o, c, f.service, base)
}

// registryService chooses among the registries of the configuration.
func registryService(o *registryconfig.Options, c config.Config, named, base string) error {
	services := c.Registry.Services
	if len(services) == 0 {
		o.Service = named
		if u, err := url.Parse(base); o.Service == "" && err == nil {
			o.Service = u.Host
		}
		o.Relayed = o.Registry == registryconfig.Pulp && c.Pulp.API != ""
		return nil
	}
	var names []string
	for _, s := range services {
		names = append(names, s.Name)
	}
	i := slices.Index(names, named)
	switch {
	case named == "" && len(services) == 1:
		i = 0
	case named == "":
		return &usageError{text: "there are several registries: " + strings.Join(names, ", "), hint: "say which one with --service"}
	case i < 0:
		return &usageError{text: fmt.Sprintf("registry.services has no %q, so that nobody gets tokens for it; it has %s", named, strings.Join(names, ", "))}
	}
	o.Service, o.Hint = services[i].Name, services[i].Key
	o.Relayed = services[i].Mode == config.ModeRelay
	return nil
}

// registryKeys asks the server for its keys.
func (env *environment) registryKeys(ctx context.Context, o *registryconfig.Options) error {
	c, err := env.connect(ctx)
	if err != nil {
		return err
	}
	keys, err := c.Keys.List(ctx)
	if err != nil {
		if errors.Is(err, client.ErrForbidden) {
			return &advisedError{err: err, hint: "ask somebody who may see the server's keys: latchkey:keys:read"}
		}
		return err
	}
	for _, k := range keys {
		o.Keys = append(o.Keys, registryconfig.Key{State: k.State, Algorithm: k.Algorithm, PublicKey: k.PublicKey, Certificate: k.Certificate})
	}
	o.JWKS, err = c.Keys.JWKS(ctx)
	return err
}

// registryComment is what a reader of the settings should know.
func registryComment(r registryconfig.Registry, out registryconfig.Output, folder string) string {
	lines := strings.Split(out.Rotation, "\n")
	if out.Keys.Name != "" {
		lines = append(lines, "", fmt.Sprintf("latchkey registry config %s --out %s", r, folder))
	}
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(strings.TrimRight("# "+l, " ") + "\n")
	}
	return b.String()
}

// writeRegistryFiles writes what the registry reads. Others may read it too:
// keys are public.
func (env *environment) writeRegistryFiles(folder string, out registryconfig.Output) error {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // G301: the registry reads it as somebody else
		return fmt.Errorf("making the folder: %w", err)
	}
	for _, file := range []registryconfig.File{out.Keys, out.Settings} {
		if file.Name == "" {
			continue
		}
		path := filepath.Join(folder, file.Name)
		if err := replaceFile(path, []byte(file.Text), 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
		if env.flags.quiet {
			if err := env.printName(path); err != nil {
				return err
			}
		}
		env.say("%s is written", path)
	}
	return nil
}
