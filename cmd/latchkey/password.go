package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

const passwordLong = `Change a password: your own, or, as an administrator, that of a local user. All
tokens of the user end, that of your own login too, unless --keep-tokens is
given.

At a terminal the passwords are asked for. With --password-stdin they are read
from standard input: the new one, or for your own the current one and, on the
next line, the new one.`

func newPasswordCommand(env *environment) *cobra.Command {
	var stdin, keep bool
	cmd := &cobra.Command{
		Use:   "password [NAME]",
		Short: "Change your password, or that of a local user",
		Long:  passwordLong,
		Example: `  latchkey user password
  latchkey user password alice
  latchkey user password alice --password-stdin --keep-tokens < password.txt`,
		Args:              arguments("[NAME]"),
		ValidArgsFunction: env.completeAccount(string(user)),
		RunE: env.asking(func(ctx context.Context, c *client.Client, args []string) error {
			if len(args) == 0 {
				return env.changeOwnPassword(ctx, c, stdin, keep)
			}
			a, id, err := user.find(ctx, c, args[0])
			if err != nil {
				return err
			}
			fresh, err := env.newPassword(ctx, a.Name, stdin, "")
			if err != nil {
				return err
			}
			if err := c.Accounts.SetPassword(ctx, id, api.SetPassword{New: fresh, KeepTokens: keep}); err != nil {
				return err
			}
			env.say("the password of %s is changed", a.Name)
			return nil
		}),
	}
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the passwords from standard input")
	cmd.Flags().BoolVar(&keep, "keep-tokens", false, "let the user's tokens live on")
	return cmd
}

// changeOwnPassword changes the caller's password, for which the current one
// is needed even with a good token.
func (env *environment) changeOwnPassword(ctx context.Context, c *client.Client, stdin, keep bool) error {
	r := api.SetPassword{KeepTokens: keep}
	_, terminal := terminalOf(env.stdin)
	var err error
	switch {
	case terminal:
		if r.Current, err = env.askSecret(ctx, "Your current password: "); err != nil {
			return err
		}
		if r.New, err = env.askTwice(ctx, "Your new password: "); err != nil {
			return err
		}
	case stdin:
		lines, err := env.secretLines(ctx, 2)
		if err != nil {
			return err
		}
		r.Current, r.New = lines[0], lines[1]
	default:
		return &usageError{text: "there is no password", hint: "give the current and the new one, each on a line, with --password-stdin"}
	}
	if err := c.SetPassword(ctx, r); err != nil {
		return err
	}
	env.say("your password is changed")
	if !keep && env.asked.origin == fromLogin {
		env.say("your tokens have ended; run '%s' to log in again", env.loginCommand())
	}
	return nil
}
