package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// accountKind is "user" or "robot". Both are accounts, and have most commands
// in common.
type accountKind string

const (
	user  accountKind = "user"
	robot accountKind = "robot"
)

// sample is a name for examples.
func (k accountKind) sample() string {
	if k == robot {
		return "ci"
	}
	return "alice"
}

// example makes an example with the kind and a name put in.
func (k accountKind) example(lines ...string) string {
	text := "  " + strings.Join(lines, "\n  ")
	return strings.NewReplacer("KIND", string(k), "NAME", k.sample()).Replace(text)
}

// find returns an account, if it is of this kind: nobody should end a user who
// meant a robot. What is done to it then goes by its id, which cannot come to
// mean another account in between.
func (k accountKind) find(ctx context.Context, c *client.Client, name string) (found api.Account, id string, err error) {
	found, err = c.Accounts.Get(ctx, name)
	if err != nil {
		return found, "", err
	}
	if found.Kind != string(k) {
		return found, "", &usageError{
			text: fmt.Sprintf("%s is a %s, not a %s", found.Name, found.Kind, k),
			hint: fmt.Sprintf("use 'latchkey %s'", found.Kind),
		}
	}
	return found, "id:" + found.ID, nil
}

// commands are those that users and robots have in common.
func (k accountKind) commands(env *environment) []*cobra.Command {
	return []*cobra.Command{
		k.newListCommand(env),
		k.newShowCommand(env),
		k.newUpdateCommand(env),
		k.newDisableCommand(env),
		k.newEnableCommand(env),
		k.newRevokeTokensCommand(env),
		k.newDeleteCommand(env),
	}
}

func (k accountKind) newListCommand(env *environment) *cobra.Command {
	q := client.AccountQuery{Kind: string(k)}
	var disabled bool
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   fmt.Sprintf("List %ss", k),
		Long:    fmt.Sprintf("List %ss. Filters narrow the list together.", k),
		Example: k.example("latchkey KIND list", "latchkey KIND list --name al --disabled=false", "latchkey KIND list -o json"),
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("disabled") {
				q.Disabled = &disabled
			}
			return env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
				q.Limit = pageSize(limit)
				accounts, _, err := collect(c.Accounts.All(ctx, q), limit)
				if err != nil {
					return err
				}
				return env.printAccounts(accounts)
			})(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.Name, "name", "", "only names that begin like this")
	f.StringVar(&q.Source, "source", "", "only accounts of this source: local, pulp, …")
	f.BoolVar(&disabled, "disabled", false, "only those that are disabled, or, with =false, only those that are not")
	addLimitFlag(f, &limit, 0)
	return cmd
}

func (k accountKind) newShowCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:               "show NAME",
		Short:             fmt.Sprintf("Show a %s", k),
		Long:              fmt.Sprintf("Show a %s, its groups, and what it may do.\n\n%s", k, accountNameLong),
		Example:           k.example("latchkey KIND show NAME", "latchkey KIND show local:NAME -o json"),
		Args:              arguments("NAME"),
		ValidArgsFunction: env.completeAccount(string(k)),
		RunE: env.asking(func(ctx context.Context, c *client.Client, args []string) error {
			a, _, err := k.find(ctx, c, args[0])
			if err != nil {
				return err
			}
			return env.printOne(a, accountDetails(a, env.now()))
		}),
	}
}

const accountNameLong = `Where a name alone is ambiguous, NAME is source:name, or id: and the id.`

func (env *environment) printAccounts(accounts []api.Account) error {
	now := env.now()
	return printList(env, accounts, func(a api.Account) string { return a.Name }, []column[api.Account]{
		{"NAME", func(a api.Account) string { return a.Name }},
		{"SOURCE", func(a api.Account) string { return a.Source }},
		{"STATE", accountState},
		{"LAST LOGIN", func(a api.Account) string { return relativeOr(a.LastLoginAt, now, "never") }},
		{"CREATED", func(a api.Account) string { return relative(a.CreatedAt, now) }},
		{"NOTE", func(a api.Account) string { return a.Note }},
	})
}

func accountState(a api.Account) string {
	if a.Disabled {
		return "disabled"
	}
	return "enabled"
}

func accountDetails(a api.Account, now time.Time) []detail {
	limit := "the server's limit"
	if a.MaxTokens > 0 {
		limit = strconv.Itoa(a.MaxTokens)
	}
	details := []detail{
		{"Name", a.Name},
		{"ID", a.ID},
		{"Kind", a.Kind},
		{"Source", a.Source},
		{"Subject", a.Subject},
		{"Email", a.Email},
		{"Note", a.Note},
		{"State", accountState(a)},
		{"Disabled because", a.DisabledReason},
		{"Tokens at most", limit},
		{"Created", exact(&a.CreatedAt, now, "")},
		{"Last login", exact(a.LastLoginAt, now, "never")},
		{"Groups", strings.Join(a.Groups, ", ")},
	}
	return append(details, listed("May", a.Grants)...)
}
