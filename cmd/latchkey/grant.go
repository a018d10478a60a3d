package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

const grantLong = `Say what accounts and groups may do. A grant gives a scope, as 'latchkey help
scopes' explains; a token never can do more than its owner was granted.`

const grantExample = `  latchkey grant add 'repository:prod/*:pull' --group everyone
  latchkey grant list --account ci
  latchkey grant remove ID`

func newGrantCommand(env *environment) *cobra.Command {
	return online(env, noun("grant", "Say what accounts and groups may do", grantLong, grantExample,
		newGrantAddCommand(env),
		newGrantListCommand(env),
		newGrantRemoveCommand(env),
	))
}

func newGrantAddCommand(env *environment) *cobra.Command {
	var account, group string
	cmd := &cobra.Command{
		Use:   "add SCOPE...",
		Short: "Give scopes to an account or a group",
		Long: `Give scopes to an account or a group. Exactly one of --account and --group says to
whom. Quote the scopes, or the shell may take the * in them for itself.`,
		Example: `  latchkey grant add 'repository:prod/*:pull,push' --account ci
  latchkey grant add 'path:/pulp/content/*:read' 'registry:catalog:*' --group everyone`,
		Args: arguments("SCOPE..."),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (account == "") == (group == "") {
				return &usageError{text: "one of --account and --group must say to whom"}
			}
			return env.asking(func(ctx context.Context, c *client.Client, scopes []string) error {
				var made []api.Grant
				err := env.forEach(scopes, func(scope string) error {
					g, err := c.Grants.Create(ctx, api.CreateGrant{Account: account, Group: group, Scope: scope})
					if err != nil {
						return fmt.Errorf("granting %s: %w", scope, err)
					}
					made = append(made, g)
					return nil
				})
				if len(made) > 0 {
					if err := env.printGrants(made); err != nil {
						return err
					}
				}
				return err
			})(cmd, args)
		},
	}
	addHolderFlags(env, cmd, &account, &group)
	return cmd
}

func newGrantListCommand(env *environment) *cobra.Command {
	var q client.GrantQuery
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List what is granted",
		Long:    "List what is granted: everything, or only what an account or a group was given\nitself. 'latchkey user show' adds up what an account has from its groups.",
		Example: "  latchkey grant list\n  latchkey grant list --group everyone",
		Args:    arguments(),
		RunE: env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
			grants, err := c.Grants.List(ctx, q)
			if err != nil {
				return err
			}
			return env.printGrants(grants)
		}),
	}
	addHolderFlags(env, cmd, &q.Account, &q.Group)
	return cmd
}

func newGrantRemoveCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "remove ID...",
		Short:   "Take grants back",
		Long:    "Take grants back, by their ids. This is in force at once, for tokens that exist\ntoo.",
		Example: "  latchkey grant remove ID\n  latchkey grant list --account ci -q | xargs latchkey grant remove",
		Args:    arguments("ID..."),
		RunE: env.asking(func(ctx context.Context, c *client.Client, args []string) error {
			return env.forEach(args, func(id string) error {
				if err := c.Grants.Delete(ctx, id); err != nil {
					return fmt.Errorf("removing %s: %w", id, err)
				}
				env.say("grant %s is removed", id)
				return nil
			})
		}),
	}
}

// addHolderFlags adds the flags that say who holds a grant.
func addHolderFlags(env *environment, cmd *cobra.Command, account, group *string) {
	cmd.Flags().StringVar(account, "account", "", "a user or robot, by `name`")
	cmd.Flags().StringVar(group, "group", "", "a group, by `name`")
	completeFlag(cmd, "account", env.completeAccounts(""))
	completeFlag(cmd, "group", env.completeGroups)
}

func (env *environment) printGrants(grants []api.Grant) error {
	return printList(env, grants, func(g api.Grant) string { return g.ID }, []column[api.Grant]{
		{"ID", func(g api.Grant) string { return g.ID }},
		{"ACCOUNT", func(g api.Grant) string { return g.Account }},
		{"GROUP", func(g api.Grant) string { return g.Group }},
		{"SCOPE", func(g api.Grant) string { return g.Scope }},
		{"CREATED", func(g api.Grant) string { return relative(g.CreatedAt, env.now()) }},
	})
}
