package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

const tokenLong = `Make, list, show, change, rotate and revoke tokens: your own, and, where you
may, those of others. A token is named by its id; its secret is shown once, when
it is made.`

const tokenExample = `  latchkey token create laptop --expires 30d
  latchkey token list --state live
  latchkey token rotate ID --overlap 1h
  latchkey token revoke ID --reason "left on a train"`

func newTokenCommand(env *environment) *cobra.Command {
	return online(env, noun("token", "Make, list and end tokens", tokenLong, tokenExample,
		newTokenCreateCommand(env),
		newTokenListCommand(env),
		newTokenShowCommand(env),
		newTokenUpdateCommand(env),
		newTokenRotateCommand(env),
		newTokenRevokeCommand(env),
	))
}

func newTokenShowCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:               "show ID",
		Short:             "Show all about a token but its secret",
		Long:              "Show all about a token but its secret, which nobody can see again.",
		Example:           "  latchkey token show ID\n  latchkey token show ID -o json",
		Args:              arguments("ID"),
		ValidArgsFunction: env.completeTokens,
		RunE: env.asking(func(ctx context.Context, c *client.Client, args []string) error {
			token, err := c.Tokens.Get(ctx, args[0])
			if err != nil {
				return err
			}
			return env.printOne(token, tokenDetails(token, env.now()))
		}),
	}
}

func newTokenRevokeCommand(env *environment) *cobra.Command {
	var reason string
	var stdin bool
	cmd := &cobra.Command{
		Use:   "revoke ID...",
		Short: "End tokens now",
		Long: `End tokens. They are refused from now on, by this server before the command
returns and by others that share its store within seconds.

With --secret-stdin a token is ended by its secret, which is read from standard
input. This needs no login: whoever finds a secret can end it.`,
		Example: `  latchkey token revoke ID --reason "left on a train"
  latchkey token list --owner '*' --label team=infra -q | xargs latchkey token revoke
  latchkey token revoke --secret-stdin < found.txt`,
		Args:              cobra.ArbitraryArgs, // none with --secret-stdin
		ValidArgsFunction: env.completeTokens,
		RunE: func(cmd *cobra.Command, args []string) error {
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

// forEach does the same for each argument. A failure does not keep the others
// from being done; all are told, and the first decides the exit code.
func (env *environment) forEach(args []string, do func(string) error) error {
	if len(args) == 1 {
		return do(args[0])
	}
	var first error
	failed := 0
	for _, arg := range args {
		err := do(arg)
		if err == nil {
			continue
		}
		fmt.Fprintf(env.stderr, "latchkey: %s\n", printable(whatHappened(err)))
		if failed++; first == nil {
			first = err
		}
	}
	if first != nil {
		return fmt.Errorf("%d of %d failed, the first: %w", failed, len(args), first)
	}
	return nil
}

// tokenDetails is all that can be said about a token.
func tokenDetails(t api.Token, now time.Time) []detail {
	details := []detail{
		{"ID", t.ID},
		{"Name", t.Name},
		{"Owner", t.Owner},
		{"Class", t.Class},
		{"Prefix", t.Prefix},
		{"State", t.State},
		{"Created", exact(&t.CreatedAt, now, "")},
		{"Expires", exact(t.ExpiresAt, now, "never")},
	}
	if t.IdleTimeout > 0 {
		details = append(details, detail{"Ends when unused for", shortDuration(time.Duration(t.IdleTimeout) * time.Second)})
	}
	details = append(details, detail{"Last used", useText(t.LastUsed, now)}, detail{"Rotated", exact(t.RotatedAt, now, "")})
	if len(t.Scope) == 0 {
		details = append(details, detail{"May", "all that its owner may"})
	}
	details = append(details, listed("May", t.Scope)...)
	details = append(details, listed("Only from", t.CIDRs)...)
	details = append(details, listed("Labels", labelTexts(t.Labels))...)
	return append(details,
		detail{"Made with token", t.Parent},
		detail{"Revoked", exact(t.RevokedAt, now, "")},
		detail{"Revoked by", t.RevokedBy},
		detail{"Reason", t.RevokeReason})
}

func useText(u *api.Use, now time.Time) string {
	if u == nil {
		return "never"
	}
	text := exact(&u.At, now, "")
	if u.Addr != "" {
		text += " from " + u.Addr
	}
	if u.Agent != "" {
		text += " by " + u.Agent
	}
	return text
}

// labelTexts writes labels as they are given on the command line, sorted.
func labelTexts(labels map[string]string) []string {
	var texts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		texts = append(texts, key+"="+labels[key])
	}
	return texts
}

// parseLabels reads labels from the command line.
func parseLabels(texts []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, text := range texts {
		key, value, found := strings.Cut(text, "=")
		if !found || key == "" {
			return nil, &usageError{text: fmt.Sprintf("--label: %q is not like team=infra", text)}
		}
		if _, twice := labels[key]; twice {
			return nil, &usageError{text: fmt.Sprintf("--label: %q is given twice", key)}
		}
		labels[key] = value
	}
	return labels, nil
}
