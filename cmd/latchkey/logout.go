package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

const logoutLong = `Revoke the token that 'latchkey login' got, and forget it. Without a SERVER the
current one is logged out from.

If the server cannot be reached, the token is kept, so that this can be tried
again; with --local it is only forgotten, and ends when it expires.`

func newLogoutCommand(env *environment) *cobra.Command {
	var local bool
	cmd := &cobra.Command{
		Use:               "logout [SERVER]",
		Short:             "Revoke and forget the token of your login",
		Long:              logoutLong,
		Example:           "  latchkey logout\n  latchkey logout https://tokens.example.org",
		Args:              arguments("[SERVER]"),
		ValidArgsFunction: env.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.logout(cmd.Context(), args, local)
		},
	}
	cmd.Flags().BoolVar(&local, "local", false, "forget the token without asking the server to revoke it")
	return online(env, cmd)
}

func (env *environment) logout(ctx context.Context, args []string, local bool) error {
	file, err := env.credentialFile()
	if err != nil {
		return err
	}
	known, err := file.load()
	if err != nil {
		return err
	}
	server, err := env.knownServer(known, firstOf(append(args, env.flags.server, env.getenv("LATCHKEY_SERVER"), known.Current)...))
	if err != nil {
		return err
	}
	old := known.Servers[server]
	if !local {
		conn := connection{server: server, caFile: firstOf(env.flags.caFile, env.getenv("LATCHKEY_CA_FILE"), old.CAFile), origin: fromLogin}
		env.asked = conn
		c, err := conn.client()
		if err != nil {
			return err
		}
		if err := c.Tokens.RevokeSecret(ctx, old.Token); err != nil {
			return &advisedError{err: err, hint: "you are still logged in; --local forgets the token without revoking it"}
		}
		env.endShortTokens(ctx, c, file, server)
	} else {
		env.endShortTokens(ctx, nil, file, server)
	}
	delete(known.Servers, server)
	if known.Current == server {
		known.Current = ""
		if len(known.Servers) == 1 {
			for other := range known.Servers {
				known.Current = other
			}
		}
	}
	if err := file.save(known); err != nil {
		return err
	}
	env.say("logged out from %s", server)
	switch {
	case known.Current != "" && known.Current != server:
		env.say("%s is current now", known.Current)
	case len(known.Servers) > 0:
		env.say("choose the next server with 'latchkey switch SERVER'")
	}
	return nil
}

// knownServer finds a server among those that were logged in to.
func (env *environment) knownServer(known credentials, named string) (string, error) {
	if named == "" {
		return "", errNotLoggedIn
	}
	server, err := normalServer(named)
	if err != nil {
		return "", &usageError{text: err.Error(), hint: "'latchkey switch' lists the servers that you are logged in to"}
	}
	env.asked = connection{server: server}
	if _, found := known.Servers[server]; !found {
		return "", fmt.Errorf("%s: %w", server, errNotLoggedIn)
	}
	return server, nil
}
