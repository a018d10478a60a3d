package main

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/client"
)

// localServer is where 'latchkey serve' listens when it is told nothing, and
// where 'latchkey login' turns to when it is told nothing.
const localServer = "http://127.0.0.1:8080"

// connectionFlags are the flags of all commands that speak to a server.
type connectionFlags struct {
	server string
	token  string
	user   string
	caFile string
	output format
	quiet  bool
}

// online gives a command, and those below it, the flags for speaking to a
// server.
func online(env *environment, cmd *cobra.Command) *cobra.Command {
	f := cmd.PersistentFlags()
	f.StringVar(&env.flags.server, "server", "", "the server's `URL` (LATCHKEY_SERVER)")
	f.StringVar(&env.flags.token, "token", "", "the secret of a token; better use LATCHKEY_TOKEN, as others on this machine can see arguments")
	f.StringVar(&env.flags.user, "user", "", "ask as this user, with LATCHKEY_PASSWORD or a prompt, instead of with a token")
	f.StringVar(&env.flags.caFile, "ca-file", "", "trust the PEM certificates in this `file` (LATCHKEY_CA_FILE)")
	addOutputFlags(env, cmd)
	return cmd
}

// addOutputFlags gives a command, and those below it, the flags for choosing
// what it prints.
func addOutputFlags(env *environment, cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	env.flags.output = formatTable
	f.VarP(&env.flags.output, "output", "o", "table or json")
	f.BoolVarP(&env.flags.quiet, "quiet", "q", false, "print only what the next program needs: ids, names, the secret")
}

// origin says where a credential came from.
type origin string

const (
	fromNowhere       origin = ""
	fromTokenFlag     origin = "--token"
	fromUserFlag      origin = "--user"
	fromTokenVariable origin = "LATCHKEY_TOKEN"
	fromUserVariable  origin = "LATCHKEY_USER"
	fromLogin         origin = "latchkey login"
)

// connection is a server and the credential for it.
type connection struct {
	server string
	caFile string
	origin origin

	token          string
	user, password string

	login login // what is remembered about the server; its zero value if nothing
}

// connect returns a client for the server and the credential that flags,
// environment or an earlier login name. It asks for a password if need be.
func (env *environment) connect(ctx context.Context) (*client.Client, error) {
	conn, err := env.connection()
	if err != nil {
		return nil, err
	}
	if conn.origin == fromNowhere {
		return nil, errNotLoggedIn
	}
	if conn.user != "" {
		if conn.password = env.getenv("LATCHKEY_PASSWORD"); conn.password == "" {
			if _, ok := terminalOf(env.stdin); !ok {
				return nil, &usageError{text: "there is no password for " + conn.user, hint: "set LATCHKEY_PASSWORD"}
			}
			if conn.password, err = env.askSecret(ctx, printable("Password of "+conn.user+": ")); err != nil {
				return nil, err
			}
		}
	}
	return conn.client()
}

// asking makes the body of a command that asks a server.
func (env *environment) asking(do func(ctx context.Context, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := env.connect(cmd.Context())
		if err != nil {
			return err
		}
		return do(cmd.Context(), c, args)
	}
}

// connection finds out whom to ask and as whom, without asking anybody.
func (env *environment) connection() (connection, error) {
	if env.flags.token != "" && env.flags.user != "" {
		return connection{}, &usageError{text: "--token and --user exclude each other"}
	}
	file, err := env.credentialFile()
	if err != nil {
		return connection{}, err
	}
	known, err := file.load()
	if err != nil {
		return connection{}, err
	}
	server := firstOf(env.flags.server, env.getenv("LATCHKEY_SERVER"), known.Current)
	if server == "" {
		return connection{}, &advisedError{err: errNotLoggedIn, hint: "or name a server with --server or LATCHKEY_SERVER"}
	}
	server, err = normalServer(server)
	if err != nil {
		return connection{}, &usageError{text: err.Error(), hint: "a server is named like https://tokens.example.org"}
	}
	conn := connection{server: server, login: known.Servers[server]}
	conn.caFile = firstOf(env.flags.caFile, env.getenv("LATCHKEY_CA_FILE"), conn.login.CAFile)
	token, user := env.getenv("LATCHKEY_TOKEN"), env.getenv("LATCHKEY_USER")
	switch {
	case env.flags.token != "":
		conn.origin, conn.token = fromTokenFlag, env.flags.token
	case env.flags.user != "":
		conn.origin, conn.user = fromUserFlag, env.flags.user
	case token != "":
		conn.origin, conn.token = fromTokenVariable, token
	case user != "":
		conn.origin, conn.user = fromUserVariable, user
	case conn.login.Token != "":
		conn.origin, conn.token = fromLogin, conn.login.Token
	}
	env.asked = conn
	return conn, nil
}

// client returns a client for the connection.
func (c connection) client() (*client.Client, error) {
	made, err := client.New(c.server, client.Options{
		Token:    c.token,
		User:     c.user,
		Password: c.password,
		CAFile:   c.caFile,
	})
	if err != nil {
		return nil, &usageError{text: err.Error()}
	}
	return made, nil
}

// normalServer gives every spelling of a server's URL the same form, under
// which its login is remembered. What has no scheme is reached over TLS,
// unless it is this machine. Errors do not repeat the text, as a password may
// be in it.
func normalServer(text string) (string, error) {
	if !strings.Contains(text, "://") {
		scheme := "https://"
		if isLoopback(scheme + text) {
			scheme = "http://"
		}
		text = scheme + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", errors.New("the server's URL cannot be parsed")
	}
	if u.User != nil {
		return "", errors.New("the server's URL has a user or password in it, which do not belong there")
	}
	host := strings.ToLower(u.Host)
	if (u.Scheme == "https" && u.Port() == "443") || (u.Scheme == "http" && u.Port() == "80") {
		host = strings.TrimSuffix(host, ":"+u.Port())
	}
	u.Host = host
	return strings.TrimRight(u.String(), "/"), nil
}

// isLoopback reports whether a URL leads to this machine.
func isLoopback(server string) bool {
	u, err := url.Parse(server)
	if err != nil {
		return false
	}
	if strings.EqualFold(u.Hostname(), "localhost") {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return ip != nil && ip.IsLoopback()
}

// firstOf returns the first text that is not empty.
func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
