package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

const robotLong = `Make, list, show, change and end robots: accounts for programs. A robot has no
password and cannot log in; it has tokens, which are made for it.`

const robotExample = `  latchkey robot create ci --grant 'repository:prod/*:pull,push'
  latchkey token create ci-2027 --owner ci --expires 365d --user admin
  latchkey robot list
  latchkey robot revoke-tokens ci`

func newRobotCommand(env *environment) *cobra.Command {
	verbs := append([]*cobra.Command{newRobotCreateCommand(env)}, robot.commands(env)...)
	return online(env, noun("robot", "Make, list and end robots", robotLong, robotExample, verbs...))
}

const robotCreateLong = `Make a robot. With --with-token it gets a token of the same name at once, which is
printed as 'latchkey token create' does: alone in a pipe or with -q. As there, a
token that lives longer than that of your login needs --user.`

const robotCreateExample = `  latchkey robot create ci --grant 'repository:prod/*:pull,push' --note "build farm"
  latchkey robot create mirror --grant 'path:/pulp/content/*:read' --with-token --expires 30d
  latchkey robot create nightly --group readers --with-token -q > token.txt`

func newRobotCreateCommand(env *environment) *cobra.Command {
	r := api.CreateAccount{Kind: string(robot)}
	var withToken bool
	var flags tokenFlags
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a robot, and a token for it",
		Long:    robotCreateLong,
		Example: robotCreateExample,
		Args:    arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.expires != "" && !withToken {
				return &usageError{text: "--expires is about the token, which --with-token makes"}
			}
			r.Name = args[0]
			token, err := flags.creation(r.Name, r.Name)
			if err != nil {
				return err
			}
			return env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
				a, err := c.Accounts.Create(ctx, r)
				if err != nil {
					return err
				}
				if !withToken {
					return env.printChanged(a, "robot %s is made", a.Name)
				}
				return env.firstToken(ctx, c, a, token)
			})(cmd, args)
		},
	}
	addAccountFlags(env, cmd, &r)
	cmd.Flags().BoolVar(&withToken, "with-token", false, "make a token for it too, and print its secret")
	cmd.Flags().StringVar(&flags.expires, "expires", "", "when that token ends: 12h, 90d, 2027-01-31, never")
	return cmd
}

// firstToken makes a token for a robot that was just made.
func (env *environment) firstToken(ctx context.Context, c *client.Client, a api.Account, r api.CreateToken) error {
	token, err := c.Tokens.Create(ctx, r)
	if err != nil {
		return &advisedError{
			err:  fmt.Errorf("robot %s is made, but no token for it: %w", a.Name, err),
			hint: fmt.Sprintf("make one with 'latchkey token create %s --owner %s'", r.Name, a.Name),
		}
	}
	return env.printSecret(token)
}
