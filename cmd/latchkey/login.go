package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

const loginLong = `Trade a user name and password for a token, and keep the token for later
commands. The password is not kept.

The token is named latchkey-cli@ and the name of this machine, appears in
'latchkey token list', and ends with 'latchkey logout'. A server that was logged
in to before gets a new token, and the old one is revoked. Logins to several
servers can be kept; see 'latchkey switch'.

Without a SERVER the one that is current is used, or, at first, the one on this
machine, ` + localServer + `.`

const loginExample = `  latchkey login https://tokens.example.org
  latchkey login https://tokens.example.org --expires 12h
  latchkey login --user alice --password-stdin < password.txt
  latchkey login https://tokens.internal --ca-file internal-ca.pem`

// loginRequest is what the login command was told.
type loginRequest struct {
	name          string
	expires       string
	passwordStdin bool
}

func newLoginCommand(env *environment) *cobra.Command {
	var r loginRequest
	cmd := &cobra.Command{
		Use:               "login [SERVER]",
		Short:             "Trade your password for a token and keep it",
		Long:              loginLong,
		Example:           loginExample,
		Args:              arguments("[SERVER]"),
		ValidArgsFunction: env.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.login(cmd.Context(), args, r)
		},
	}
	cmd.Flags().StringVar(&r.name, "name", "", "name of the token (default latchkey-cli@ and this machine's name)")
	cmd.Flags().StringVar(&r.expires, "expires", "", "when the login ends: 12h, 90d, 2027-01-31, never (default: the server decides)")
	cmd.Flags().BoolVar(&r.passwordStdin, "password-stdin", false, "read the password from standard input")
	return online(env, cmd)
}

func (env *environment) login(ctx context.Context, args []string, r loginRequest) error {
	if env.flags.token != "" {
		return &usageError{text: "a login needs a user name and password, no token", hint: "to use a token that you have, set LATCHKEY_TOKEN"}
	}
	body, err := r.token()
	if err != nil {
		return err
	}
	// What can be known to go wrong does so before a password is asked for.
	file, err := env.credentialFile()
	if err != nil {
		return err
	}
	if err := file.check(); err != nil {
		return err
	}
	known, err := file.load()
	if err != nil {
		return err
	}
	conn, err := env.loginTarget(args, known)
	if err != nil {
		return err
	}
	if err := env.loginPassword(ctx, &conn, r.passwordStdin); err != nil {
		return err
	}
	token, err := env.keepLogin(ctx, file, known, conn, body)
	if err != nil {
		return err
	}
	if env.getenv("LATCHKEY_TOKEN") != "" || env.getenv("LATCHKEY_USER") != "" {
		env.warn("LATCHKEY_TOKEN or LATCHKEY_USER is set, and goes before this login")
	}
	return env.printChanged(token.Token, "logged in to %s as %s until %s; the token %s (%s) is kept in %s",
		conn.server, token.Owner, exact(token.ExpiresAt, env.now(), "it is revoked"), token.Name, token.ID, file.path)
}

// keepLogin asks for a token and keeps it. The server is the current one from
// then on.
func (env *environment) keepLogin(ctx context.Context, file credentialFile, known credentials, conn connection, body api.CreateToken) (api.NewToken, error) {
	c, err := conn.client()
	if err != nil {
		return api.NewToken{}, err
	}
	token, err := c.Tokens.Create(ctx, body)
	if err != nil {
		return api.NewToken{}, err
	}
	old := known.Servers[conn.server]
	known.Current = conn.server
	known.Servers[conn.server] = login{
		Account: token.Owner, TokenID: token.ID, TokenName: token.Name,
		Token: token.Secret, ExpiresAt: token.ExpiresAt, CAFile: conn.caFile,
	}
	if err := file.save(known); err != nil {
		env.endToken(ctx, c, token.Token.ID, token.Secret) // nobody will ever use it
		return api.NewToken{}, err
	}
	if old.Token != "" {
		env.endShortTokens(ctx, c, file, conn.server)
		env.endToken(ctx, c, old.TokenID, old.Token)
	}
	return token, nil
}

// token is the token to ask for.
func (r loginRequest) token() (api.CreateToken, error) {
	body := api.CreateToken{Name: r.name}
	if body.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		body.Name = "latchkey-cli@" + host
	}
	if r.expires != "" {
		var err error
		if body.ExpiresIn, body.ExpiresAt, err = parseEnd(r.expires); err != nil {
			return body, &usageError{text: "--expires: " + err.Error()}
		}
	}
	return body, nil
}

// loginTarget finds out where to log in.
func (env *environment) loginTarget(args []string, known credentials) (connection, error) {
	named := firstOf(append(args, env.flags.server)...)
	if len(args) > 0 && env.flags.server != "" {
		return connection{}, &usageError{text: "the server is named twice"}
	}
	server, err := normalServer(firstOf(named, env.getenv("LATCHKEY_SERVER"), known.Current, localServer))
	if err != nil {
		return connection{}, &usageError{text: err.Error(), hint: "a server is named like https://tokens.example.org"}
	}
	conn := connection{server: server, user: firstOf(env.flags.user, env.getenv("LATCHKEY_USER")), origin: fromUserFlag}
	conn.caFile = firstOf(env.flags.caFile, env.getenv("LATCHKEY_CA_FILE"), known.Servers[server].CAFile)
	if conn.caFile != "" {
		if conn.caFile, err = filepath.Abs(conn.caFile); err != nil {
			return connection{}, fmt.Errorf("finding the CA file: %w", err)
		}
	}
	env.asked = conn
	// Nothing else than the user is missing from the options yet, so that
	// whatever else is wrong with them shows now.
	if _, err := (connection{server: server, caFile: conn.caFile}).client(); err != nil {
		return connection{}, err
	}
	if strings.HasPrefix(server, "http://") && !isLoopback(server) {
		env.warn("%s is reached without TLS: everybody on the way can read the password and the token", server)
	}
	return conn, nil
}

// loginPassword fills in the user and the password.
func (env *environment) loginPassword(ctx context.Context, conn *connection, stdin bool) (err error) {
	_, terminal := terminalOf(env.stdin)
	if conn.user == "" {
		if !terminal || stdin {
			return &usageError{text: "there is no user name", hint: "give it with --user"}
		}
		if conn.user, err = env.ask(ctx, "User name at "+conn.server+": "); err != nil {
			return err
		}
		if conn.user == "" {
			return &usageError{text: "nothing was entered"}
		}
	}
	if stdin && !terminal {
		lines, err := env.secretLines(ctx, 1)
		if err != nil {
			return err
		}
		conn.password = lines[0]
		return nil
	}
	if conn.password = env.getenv("LATCHKEY_PASSWORD"); conn.password != "" && !stdin {
		return nil
	}
	if !terminal {
		return &usageError{text: "there is no password for " + conn.user, hint: "give it with --password-stdin or LATCHKEY_PASSWORD"}
	}
	conn.password, err = env.askSecret(ctx, printable("Password of "+conn.user+": "))
	return err
}

// endToken revokes a token that is not needed any more, by its secret. That
// this fails does not make what was done a failure.
func (env *environment) endToken(ctx context.Context, c *client.Client, id, secret string) {
	if err := c.Tokens.RevokeSecret(ctx, secret); err != nil {
		env.warn("the token %s is not needed any more, but could not be revoked: %v", id, err)
	}
}
