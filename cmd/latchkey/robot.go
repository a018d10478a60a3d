package main

import (
	"context"
	"errors"
	"fmt"
	"time"

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

const robotCreateLong = `Make a robot. With --with-token, --expires, -o docker or -o kubernetes it gets a
token of the same name at once, which is printed as 'latchkey token create'
does: alone in a pipe or with -q. The robot's name and the token are what
'podman login' asks for. As there, a token that lives longer than that of your
login needs --user. If the token cannot be made, the robot is taken back.

  -o docker      a config.json for docker, or an auth.json for podman, with the
                 robot's login to each --registry
  -o kubernetes  the same as a pull secret, for 'kubectl apply -f -'`

const robotCreateExample = `  latchkey robot create ci --grant 'repository:prod/*:pull' --expires 90d
  latchkey robot create nightly --group readers --with-token -q > token.txt
  latchkey robot create node --grant 'repository:*:pull' -o docker --registry registry.example.org
  latchkey robot create app --group readers -o kubernetes --registry registry.example.org
  latchkey robot create mirror --grant 'repository:*:pull' --note "build farm"`

func newRobotCreateCommand(env *environment) *cobra.Command {
	r := api.CreateAccount{Kind: string(robot)}
	var withToken bool
	var expires string
	var pull pullSecret
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a robot, and a token for it",
		Long:    robotCreateLong,
		Example: robotCreateExample,
		Args:    arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Name = args[0]
			if err := pull.check(env.flags.output, r.Name); err != nil {
				return err
			}
			token, err := (&tokenFlags{expires: expires}).creation(r.Name, r.Name)
			if err != nil {
				return err
			}
			return env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
				a, err := c.Accounts.Create(ctx, r)
				if err != nil {
					return robotTaken(r.Name, err)
				}
				if !withToken && expires == "" && !pull.wanted(env.flags.output) {
					return env.printChanged(a, "robot %s is made", a.Name)
				}
				return env.firstToken(ctx, c, a, token, pull)
			})(cmd, args)
		},
	}
	addAccountFlags(env, cmd, &r)
	f := cmd.Flags()
	f.BoolVar(&withToken, "with-token", false, "make a token for it too, and print its secret")
	f.StringVar(&expires, "expires", "", "make a token that ends then: 12h, 90d, 2027-01-31, never")
	pull.addFlags(env, cmd)
	return cmd
}

// robotTaken says what to do where there is such an account already.
func robotTaken(name string, err error) error {
	if !errors.Is(err, client.ErrConflict) {
		return err
	}
	return &advisedError{err: err, hint: fmt.Sprintf(
		"'latchkey robot show %[1]s' says what it may do, 'latchkey token create NAME --owner %[1]s' makes another token for it", name)}
}

// firstToken makes a token for a robot that was just made, and prints it. A
// robot that gets none is taken back, so that the same command line can be run
// again.
func (env *environment) firstToken(ctx context.Context, c *client.Client, a api.Account, r api.CreateToken, pull pullSecret) error {
	r.Owner = "id:" + a.ID
	token, err := c.Tokens.Create(ctx, r)
	if err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if c.Accounts.Delete(undo, "id:"+a.ID) == nil {
			return fmt.Errorf("no token could be made for robot %s, which was taken back: %w", a.Name, err)
		}
		return &advisedError{
			err:  fmt.Errorf("robot %s is made, but no token for it: %w", a.Name, err),
			hint: fmt.Sprintf("make one with 'latchkey token create %s --owner %s'", r.Name, a.Name),
		}
	}
	if pull.wanted(env.flags.output) {
		return lost(token, pull.print(env, token))
	}
	if err := env.printSecret(token); err != nil || env.flags.output == formatJSON {
		return err
	}
	env.say("with it as the password, log in to a registry: podman login --username %s REGISTRY", token.Owner)
	return nil
}
