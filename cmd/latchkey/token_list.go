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
  latchkey token list --state live -q | xargs latchkey token revoke`

func newTokenListCommand(env *environment) *cobra.Command {
	var q client.TokenQuery
	var unused string
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List tokens",
		Long:    tokenListLong,
		Example: tokenListExample,
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if unused != "" {
				at, err := parsePast(unused, env.now())
				if err != nil {
					return &usageError{text: "--unused-since: " + err.Error()}
				}
				q.UnusedSince = at
			}
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
	f.StringVar(&q.Owner, "owner", "", "whose tokens: an `account`, or * for everybody's (default yours)")
	f.StringVar(&q.Class, "class", "", "only this class: personal, robot, session, …")
	f.StringVar(&q.State, "state", "", "only this state: live, expired or revoked")
	f.StringVar(&q.Name, "name", "", "only names that begin like this")
	f.StringVar(&q.Prefix, "prefix", "", "only tokens whose secret begins like this")
	f.StringVar(&q.Label, "label", "", "only with this label: `key=value`, or key for any value")
	f.StringVar(&unused, "unused-since", "", "only those never used since: 90d (ago), or 2026-01-31")
	addLimitFlag(f, &limit, 0)
	completeFlag(cmd, "owner", env.completeAccounts(""))
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
