package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/client"
)

func newTokenRevokeCommand(env *environment) *cobra.Command {
	var reason string
	var stdin bool
	var many revokeMany
	cmd := &cobra.Command{
		Use:   "revoke ID...",
		Short: "End tokens now",
		Long: `End tokens. They are refused from now on, by this server before the command
returns and by others that share its store within seconds.

With --all every live token that the filters select is ended. It says how many that
are and asks first; --dry-run only shows them. What is issued meanwhile is left alone.

With --secret-stdin a token is ended by its secret, which is read from standard
input. This needs no login: whoever finds a secret can end it.`,
		Example: `  latchkey token revoke ID --reason "left on a train"
  latchkey token revoke --all --owner alice --unused-since 90d --dry-run
  latchkey token revoke --all --group contractors --reason "contract ended"
  latchkey token revoke --secret-stdin < found.txt`,
		Args:              cobra.ArbitraryArgs, // none with --secret-stdin and --all
		ValidArgsFunction: env.completeTokens,
		RunE: func(cmd *cobra.Command, args []string) error {
			if many.wanted(cmd) {
				many.reason = reason
				return env.revokeMatching(cmd, args, &many, stdin)
			}
			if stdin {
				return env.revokeSecret(cmd.Context(), args, reason)
			}
			if err := arguments("ID...")(cmd, args); err != nil {
				return err
			}
			return env.asking(func(ctx context.Context, c *client.Client, args []string) error {
				return env.forEach(args, func(id string) error {
					if err := c.Tokens.Revoke(ctx, id, reason); err != nil {
						return fmt.Errorf("revoking %s: %w", id, err)
					}
					env.say("%s is revoked", id)
					return nil
				})
			})(cmd, args)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log and for the owner")
	cmd.Flags().BoolVar(&stdin, "secret-stdin", false, "end the token whose secret is on standard input")
	many.addFlags(env, cmd)
	return cmd
}

// revokeSecret ends a token by its secret alone.
func (env *environment) revokeSecret(ctx context.Context, args []string, reason string) error {
	if len(args) > 0 || reason != "" {
		return &usageError{text: "--secret-stdin goes with neither ids nor a reason"}
	}
	conn, err := env.connection()
	if err != nil {
		return err
	}
	secret, err := env.oneSecret(ctx, "Secret of the token to end: ")
	if err != nil {
		return err
	}
	c, err := conn.client()
	if err != nil {
		return err
	}
	if err := c.Tokens.RevokeSecret(ctx, secret); err != nil {
		return err
	}
	env.say("the token is revoked, if there was one")
	return nil
}
