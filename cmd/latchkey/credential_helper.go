package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// helperName is the name by which docker and podman find the helper "latchkey".
const helperName = "docker-credential-latchkey"

// Errors whose words the programs that call a helper know (docker-credential-helpers,
// credentials/error.go): after the first they go on without a credential.
var (
	errNoCredentials = errors.New("credentials not found in native keychain")
	errNoServerURL   = errors.New("no credentials server URL")
	errNoUsername    = errors.New("no credentials username")
)

// saidError is an error that was told already, in the form that the caller reads.
type saidError struct{ code int }

func (e *saidError) Error() string { return "it was told" }

// asHelper returns the arguments of a command line, with the command put before
// them where the program was called by the name of the helper.
func asHelper(program string, args []string) []string {
	if name := strings.TrimSuffix(filepath.Base(program), ".exe"); name != helperName {
		return args
	}
	return append([]string{"credential-helper"}, args...)
}

const helperLong = `Give docker, podman and other clients of container registries short tokens made
from your login, so that they keep no secret of yours. They call this program by
the name ` + helperName + `, a link to latchkey:

  ln -s "$(command -v latchkey)" /usr/local/bin/` + helperName + `

'use' says which registry takes the tokens of which Latchkey, and prints what the
clients must be told. No other registry is ever given a token, but one at the
very address of a server that you are logged in to.

get, store, erase, list and version are the protocol, for the clients: each reads
standard input, answers on standard output, and asks nothing.`

const helperExample = `  latchkey login https://tokens.example.org
  latchkey credential-helper use registry.example.org
  podman pull registry.example.org/prod/app`

func newCredentialHelperCommand(env *environment) *cobra.Command {
	h := &helper{env: env}
	return noun("credential-helper", "Give docker and podman short tokens from your login", helperLong, helperExample,
		newHelperUseCommand(env),
		newHelperForgetCommand(env),
		h.verb("get", "Answer a client: the login to a registry",
			"Answer a client that names a registry with a user name and a token that lives for\nminutes and can do nothing but use registries. It is kept until it has lost two\nthirds of its life, so that many requests need one token.", h.get),
		h.verb("store", "Answer a client: log in",
			"Log in to Latchkey with what 'docker login' was told. The password is not kept:\nthis is 'latchkey login' under another name.", h.store),
		h.verb("erase", "Answer a client: log out",
			"Log out of the Latchkey that a registry takes tokens of, as 'latchkey logout'\ndoes.", h.erase),
		h.verb("list", "Answer a client: the registries that there is a login for",
			"List the registries that were named with 'use' and that there is a login for.", h.list),
		h.verb("version", "Answer a client: the version", "Print the version.", func(context.Context, io.Reader) (any, error) {
			return fmt.Sprintf("%s (github.com/latchkey-auth/latchkey) %s", helperName, thisBuild().Version), nil
		}),
	)
}

// verb makes a command of the protocol. Errors go to standard output, where the
// callers look for them.
func (h *helper) verb(name, short, long string, answer func(context.Context, io.Reader) (any, error)) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Long: long, Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			said, err := answer(cmd.Context(), h.env.stdin)
			if err != nil {
				text := shown(whatHappened(err))
				for _, hint := range h.env.advice(nil, err) {
					text += "; " + shown(hint)
				}
				fmt.Fprintln(h.env.stdout, text)
				return &saidError{exitOther}
			}
			switch said := said.(type) {
			case nil:
				return nil
			case string:
				_, err = fmt.Fprintln(h.env.stdout, said)
				return err
			}
			return json.NewEncoder(h.env.stdout).Encode(said)
		},
	}
}

// helperLogin is a login as the protocol has it.
type helperLogin struct {
	ServerURL string
	Username  string
	Secret    string
}

// maxHelperInput bounds what a client may send: the least that it can say.
const maxHelperInput = 64 << 10

// readRegistry reads the registry that a client names.
func readRegistry(in io.Reader) (given, host string, err error) {
	text, err := io.ReadAll(io.LimitReader(in, maxHelperInput))
	if err != nil {
		return "", "", fmt.Errorf("reading standard input: %w", err)
	}
	given = string(bytes.TrimSpace(text))
	host, err = registryOf(given)
	return given, host, err
}

// registryOf returns the registry's host, with its port if it has one. Clients
// name it by that alone, or, as docker does, by a URL.
func registryOf(given string) (string, error) {
	if given == "" {
		return "", errNoServerURL
	}
	host := given
	if _, after, found := strings.Cut(given, "://"); found {
		host = after
	}
	host, _, _ = strings.Cut(host, "/")
	host = strings.ToLower(host)
	if !registryHost.MatchString(host) {
		return "", errNoCredentials
	}
	return host, nil
}

// registry is what is kept about a registry.
type registry struct {
	Server string `json:"server"`         // whose tokens it takes, by normalServer
	Life   int64  `json:"life,omitempty"` // seconds; 0: defaultHelperLife
}

// defaultHelperLife is how long tokens live that clients get. A pull that takes
// longer asks the realm again with a token that has ended by then.
const defaultHelperLife = 15 * time.Minute

func (r registry) life() time.Duration {
	if r.Life > 0 {
		return time.Duration(r.Life) * time.Second
	}
	return defaultHelperLife
}

// registry finds the server whose tokens a registry takes: the one that was
// named, or one at the same address. Others are never given a token.
func (c credentials) registry(host string) (registry, bool) {
	if r, found := c.Registries[host]; found {
		return r, true
	}
	for _, server := range slices.Sorted(maps.Keys(c.Servers)) {
		if u, err := url.Parse(server); err == nil && u.Host == host && u.Path == "" {
			return registry{Server: server}, true
		}
	}
	return registry{}, false
}

func newHelperUseCommand(env *environment) *cobra.Command {
	var server, life string
	cmd := &cobra.Command{
		Use:   "use REGISTRY",
		Short: "Say whose tokens a registry takes",
		Long: `Say which Latchkey's tokens a registry takes: by default the current one. What the
clients must be told is printed: credHelpers goes into docker's
~/.docker/config.json, and for podman into its auth.json (containers-auth.json(5)).`,
		Example: `  latchkey credential-helper use registry.example.org
  latchkey credential-helper use localhost:5000 --server https://tokens.example.org --life 1h`,
		Args: arguments("REGISTRY"),
		RunE: func(_ *cobra.Command, args []string) error { return env.useRegistry(args[0], server, life) },
	}
	cmd.Flags().StringVar(&server, "server", "", "the Latchkey's `URL` (default: the current one of your logins)")
	cmd.Flags().StringVar(&life, "life", "", "how long the tokens live that clients get: 5m to 1d (default 15m)")
	return cmd
}

func (env *environment) useRegistry(host, server, life string) error {
	if host = strings.ToLower(host); !registryHost.MatchString(host) {
		return &usageError{text: fmt.Sprintf("%q is not a registry", host), hint: "want a host or host:port, without https:// and without a path"}
	}
	file, err := env.credentialFile()
	if err != nil {
		return err
	}
	known, err := file.load()
	if err != nil {
		return err
	}
	var r registry
	if life != "" {
		d, err := parseDuration(life)
		if err != nil || d < 5*time.Minute || d > 24*time.Hour {
			return &usageError{text: "--life: it is 5m to 1d"}
		}
		r.Life = int64(d / time.Second)
	}
	if server = firstOf(server, env.getenv("LATCHKEY_SERVER"), known.Current); server == "" {
		return &advisedError{err: errNotLoggedIn, hint: "or name a server with --server"}
	}
	if r.Server, err = normalServer(server); err != nil {
		return &usageError{text: err.Error(), hint: "a server is named like https://tokens.example.org"}
	}
	if known.Registries == nil {
		known.Registries = map[string]registry{}
	}
	known.Registries[host] = r
	if err := file.save(known); err != nil {
		return err
	}
	env.say("%s gets tokens of %s; docker and podman need:", host, r.Server)
	if _, found := known.Servers[r.Server]; !found {
		env.say("you are not logged in there yet: run 'latchkey login %s'", r.Server)
	}
	return env.printJSON(map[string]map[string]string{"credHelpers": {host: strings.TrimPrefix(helperName, "docker-credential-")}})
}

func newHelperForgetCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "forget REGISTRY",
		Short:   "Give a registry no more tokens",
		Long:    "Give a registry no more tokens. Those that clients have got end within minutes.",
		Example: "  latchkey credential-helper forget registry.example.org",
		Args:    arguments("REGISTRY"),
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := env.credentialFile()
			if err != nil {
				return err
			}
			known, err := file.load()
			if err != nil {
				return err
			}
			host := strings.ToLower(args[0])
			if _, found := known.Registries[host]; !found {
				return &usageError{text: "there is no such registry", hint: "'latchkey credential-helper list' lists those that there is a login for"}
			}
			delete(known.Registries, host)
			if err := file.save(known); err != nil {
				return err
			}
			env.say("%s gets no more tokens", host)
			return nil
		},
	}
}
