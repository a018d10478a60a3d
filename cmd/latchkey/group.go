package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

const groupLong = `Make, list, show and delete groups, and say who is in them. What is granted to a
group is granted to its members. Two groups always exist: everyone has all
accounts in it, and anonymous stands for those who show no credential.`

const groupExample = `  latchkey group create ops
  latchkey group add ops alice bob
  latchkey grant add 'path:/pulp/api/v3/*:read,write' --group ops`

func newGroupCommand(env *environment) *cobra.Command {
	return online(env, noun("group", "Make groups and say who is in them", groupLong, groupExample,
		newGroupCreateCommand(env),
		newGroupListCommand(env),
		newGroupShowCommand(env),
		newGroupMemberCommand(env, "add", "Make accounts members of a group", "is in", func(ctx context.Context, c *client.Client, group, account string) error {
			return c.Groups.Add(ctx, group, account)
		}),
		newGroupMemberCommand(env, "remove", "Take accounts out of a group", "is not in", func(ctx context.Context, c *client.Client, group, account string) error {
			return c.Groups.Remove(ctx, group, account)
		}),
		newGroupDeleteCommand(env),
	))
}

func newGroupCreateCommand(env *environment) *cobra.Command {
	var r api.CreateGroup
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a group",
		Long:    "Make a group. It has no members and no grants at first.",
		Example: "  latchkey group create ops\n  latchkey group create mirrors --note \"read-only robots\"",
		Args:    arguments("NAME"),
		RunE: env.asking(func(ctx context.Context, c *client.Client, args []string) error {
			r.Name = args[0]
			g, err := c.Groups.Create(ctx, r)
			if err != nil {
				return err
			}
			return env.printChanged(g, "group %s is made", g.Name)
		}),
	}
	cmd.Flags().StringVar(&r.Note, "note", "", "what people should know about it")
	return cmd
}

func newGroupListCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List groups",
		Long:    "List groups. 'latchkey group show' says who is in one and what it may do.",
		Example: "  latchkey group list\n  latchkey group list -o json",
		Args:    arguments(),
		RunE: env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
			groups, err := c.Groups.List(ctx)
			if err != nil {
				return err
			}
			return printList(env, groups, func(g api.Group) string { return g.Name }, []column[api.Group]{
				{"NAME", func(g api.Group) string { return g.Name }},
				{"CREATED", func(g api.Group) string { return relative(g.CreatedAt, env.now()) }},
				{"NOTE", func(g api.Group) string { return g.Note }},
			})
		}),
	}
}

func newGroupShowCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:               "show NAME",
		Short:             "Show who is in a group and what it may do",
		Long:              "Show who is in a group and what it may do.",
		Example:           "  latchkey group show ops\n  latchkey group show everyone -o json",
		Args:              arguments("NAME"),
		ValidArgsFunction: env.completeGroups,
		RunE: env.asking(func(ctx context.Context, c *client.Client, args []string) error {
			g, err := c.Groups.Get(ctx, args[0])
			if err != nil {
				return err
			}
			details := []detail{
				{"Name", g.Name},
				{"Note", g.Note},
				{"Created", exact(&g.CreatedAt, env.now(), "")},
				{"Members", strings.Join(g.Members, ", ")},
			}
			return env.printOne(g, append(details, listed("May", g.Grants)...))
		}),
	}
}

// newGroupMemberCommand makes the commands that change who is in a group.
func newGroupMemberCommand(env *environment, verb, short, done string, do func(ctx context.Context, c *client.Client, group, account string) error) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " GROUP ACCOUNT...",
		Short:             short,
		Long:              short + ". This is in force at once, for tokens that exist too.\n\nWhere a name alone is ambiguous, ACCOUNT is source:name, or id: and the id.",
		Example:           fmt.Sprintf("  latchkey group %[1]s ops alice\n  latchkey group %[1]s mirrors robot-1 robot-2", verb),
		Args:              arguments("GROUP", "ACCOUNT..."),
		ValidArgsFunction: env.completeMembers,
		RunE: env.asking(func(ctx context.Context, c *client.Client, args []string) error {
			group := args[0]
			return env.forEach(args[1:], func(account string) error {
				if err := do(ctx, c, group, account); err != nil {
					return fmt.Errorf("%s: %w", account, err)
				}
				env.say("%s %s %s", account, done, group)
				return nil
			})
		}),
	}
}

func newGroupDeleteCommand(env *environment) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a group and what is granted to it",
		Long:              "Delete a group. Its members stay, but lose what was granted to it.",
		Example:           "  latchkey group delete ops\n  latchkey group delete ops --yes",
		Args:              arguments("NAME"),
		ValidArgsFunction: env.completeGroups,
		RunE: env.asking(func(ctx context.Context, c *client.Client, args []string) error {
			if err := env.confirm(ctx, yes, fmt.Sprintf("Delete group %s and what is granted to it?", args[0])); err != nil {
				return err
			}
			if err := c.Groups.Delete(ctx, args[0]); err != nil {
				return err
			}
			env.say("group %s is deleted", args[0])
			return nil
		}),
	}
	addYesFlag(cmd, &yes)
	return cmd
}
