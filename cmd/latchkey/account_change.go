package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// change makes the body of a command that sends one update of an account.
func (k accountKind) change(env *environment, r func() api.UpdateAccount, done string) func(*cobra.Command, []string) error {
	return env.asking(func(ctx context.Context, c *client.Client, args []string) error {
		_, id, err := k.find(ctx, c, args[0])
		if err != nil {
			return err
		}
		a, err := c.Accounts.Update(ctx, id, r())
		if err != nil {
			return err
		}
		return env.printChanged(a, "%s is %s", a.Name, done)
	})
}

func (k accountKind) newUpdateCommand(env *environment) *cobra.Command {
	var name, email, note string
	var maxTokens int
	cmd := &cobra.Command{
		Use:               "update NAME",
		Short:             fmt.Sprintf("Change a %s", k),
		Long:              fmt.Sprintf("Change a %s. What is not given stays as it is; \"\" takes a value away.\n\n%s", k, accountNameLong),
		Example:           k.example(`latchkey KIND update NAME --note "team infra"`, "latchkey KIND update NAME --max-tokens 10"),
		Args:              arguments("NAME"),
		ValidArgsFunction: env.completeAccount(string(k)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var r api.UpdateAccount
			given := cmd.Flags().Changed
			if given("name") {
				r.Name = &name
			}
			if given("email") {
				r.Email = &email
			}
			if given("note") {
				r.Note = &note
			}
			if given("max-tokens") {
				r.MaxTokens = &maxTokens
			}
			if r == (api.UpdateAccount{}) {
				return &usageError{text: "nothing to change was given"}
			}
			return k.change(env, func() api.UpdateAccount { return r }, "changed")(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "a new name; tokens stay with the account")
	f.StringVar(&note, "note", "", "what people should know about it")
	f.IntVar(&maxTokens, "max-tokens", 0, "how many live tokens it may have; 0 for the server's limit")
	if k == user {
		f.StringVar(&email, "email", "", "the user's e-mail address")
	}
	return cmd
}

func (k accountKind) newDisableCommand(env *environment) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "disable NAME",
		Short: fmt.Sprintf("Lock a %s out", k),
		Long: fmt.Sprintf(`Lock a %s out: it cannot log in, and its tokens are refused, from now on and
until it is enabled again.

%s`, k, accountNameLong),
		Example:           k.example("latchkey KIND disable NAME", `latchkey KIND disable NAME --reason "on leave until May"`),
		Args:              arguments("NAME"),
		ValidArgsFunction: env.completeAccount(string(k)),
		RunE: k.change(env, func() api.UpdateAccount {
			yes := true
			return api.UpdateAccount{Disabled: &yes, DisabledReason: &reason}
		}, "disabled"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log and for administrators")
	return cmd
}

func (k accountKind) newEnableCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "enable NAME",
		Short: fmt.Sprintf("Let a disabled %s in again", k),
		Long: fmt.Sprintf(`Let a disabled %s in again. Those of its tokens that have not expired or been
revoked are good again.

%s`, k, accountNameLong),
		Example:           k.example("latchkey KIND enable NAME"),
		Args:              arguments("NAME"),
		ValidArgsFunction: env.completeAccount(string(k)),
		RunE: k.change(env, func() api.UpdateAccount {
			no := false
			return api.UpdateAccount{Disabled: &no}
		}, "enabled"),
	}
}

func (k accountKind) newRevokeTokensCommand(env *environment) *cobra.Command {
	var reason string
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke-tokens NAME",
		Short: fmt.Sprintf("End all tokens of a %s now", k),
		Long: fmt.Sprintf(`End all tokens of a %s. It can make new ones, unless it is disabled too.

%s`, k, accountNameLong),
		Example: k.example(
			"latchkey KIND revoke-tokens NAME",
			`latchkey KIND disable NAME && latchkey KIND revoke-tokens NAME --yes --reason "machine stolen"`),
		Args:              arguments("NAME"),
		ValidArgsFunction: env.completeAccount(string(k)),
		RunE: env.asking(func(ctx context.Context, c *client.Client, args []string) error {
			a, id, err := k.find(ctx, c, args[0])
			if err != nil {
				return err
			}
			if err := env.confirm(ctx, yes, fmt.Sprintf("End all tokens of %s %s?", k, a.Name)); err != nil {
				return err
			}
			ended, err := c.Accounts.RevokeTokens(ctx, id, reason)
			if err != nil {
				return err
			}
			return env.printChanged(ended, "%d tokens of %s are revoked", ended.Revoked, a.Name)
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log and for the owner")
	addYesFlag(cmd, &yes)
	return cmd
}

func (k accountKind) newDeleteCommand(env *environment) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: fmt.Sprintf("Delete a %s and all that it has", k),
		Long: fmt.Sprintf(`Delete a %s. Its tokens end, its grants and memberships are gone. An account that
gets the same name later has nothing to do with this one.

%s`, k, accountNameLong),
		Example:           k.example("latchkey KIND delete NAME", "latchkey KIND delete NAME --yes"),
		Args:              arguments("NAME"),
		ValidArgsFunction: env.completeAccount(string(k)),
		RunE: env.asking(func(ctx context.Context, c *client.Client, args []string) error {
			a, id, err := k.find(ctx, c, args[0])
			if err != nil {
				return err
			}
			if err := env.confirm(ctx, yes, fmt.Sprintf("Delete %s %s (source %s) and end its tokens?", k, a.Name, a.Source)); err != nil {
				return err
			}
			if err := c.Accounts.Delete(ctx, id); err != nil {
				return err
			}
			env.say("%s is deleted", a.Name)
			return nil
		}),
	}
	addYesFlag(cmd, &yes)
	return cmd
}

// addYesFlag adds the flag that answers the question before something that
// cannot be undone.
func addYesFlag(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVar(yes, "yes", false, "do not ask; needed where there is no terminal to ask at")
}
