package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

const tokenListLong = `List tokens, newest first: your own, or with --owner those of another account, or
of everybody with --owner '*'. Filters narrow the list together.`

const tokenListExample = `  latchkey token list --state live
  latchkey token list --owner ci-robot --label team=infra
  latchkey token list --owner '*' --unused-since 90d
  latchkey token list --owner '*' --prefix lkp_3xY       find a token by how it begins
  latchkey token list --group contractors --last-addr 203.0.113.0/24
  latchkey token list --owner '*' --scope 'path:/pulp/api/*:delete'   who may delete there?
  latchkey token list --state live -q | xargs latchkey token revoke`

func newTokenListCommand(env *environment) *cobra.Command {
	var filter tokenFilter
	var state string
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List tokens",
		Long:    tokenListLong,
		Example: tokenListExample,
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := filter.query(env.now())
			if err != nil {
				return err
			}
			q.State = state
			return env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
				q.Limit = pageSize(limit)
				tokens, _, err := collect(c.Tokens.All(ctx, q), limit)
				if err != nil {
					return err
				}
				return env.printTokens(tokens)
			})(cmd, args)
		},
	}
	f := cmd.Flags()
	filter.addFlags(env, cmd)
	f.StringVar(&state, "state", "", "only this state: live, expired or revoked")
	addLimitFlag(f, &limit, 0)
	completeFlag(cmd, "state", cobra.FixedCompletions([]string{"live", "expired", "revoked"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (env *environment) printTokens(tokens []api.Token) error {
	now := env.now()
	return printList(env, tokens, func(t api.Token) string { return t.ID }, []column[api.Token]{
		{"ID", func(t api.Token) string { return t.ID }},
		{"NAME", func(t api.Token) string { return t.Name }},
		{"OWNER", func(t api.Token) string { return t.Owner }},
		{"CLASS", func(t api.Token) string { return t.Class }},
		{"PREFIX", func(t api.Token) string { return t.Prefix }},
		{"STATE", func(t api.Token) string { return t.State }},
		{"EXPIRES", func(t api.Token) string { return relativeOr(t.ExpiresAt, now, "never") }},
		{"LAST USED", func(t api.Token) string {
			if t.LastUsed == nil {
				return "never"
			}
			return relative(t.LastUsed.At, now)
		}},
		{"LABELS", func(t api.Token) string { return strings.Join(labelTexts(t.Labels), ",") }},
	})
}
