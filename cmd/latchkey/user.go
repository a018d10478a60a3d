package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

const userLong = `Make, list, show, change and end users: the accounts of people. Users of other
sources, such as Pulp's, appear here once they have logged in.`

const userExample = `  latchkey user create alice --group ops
  latchkey user list
  latchkey user password alice
  latchkey user disable alice --reason "on leave until May"`

func newUserCommand(env *environment) *cobra.Command {
	verbs := append([]*cobra.Command{newUserCreateCommand(env), newPasswordCommand(env)}, user.commands(env)...)
	return online(env, noun("user", "Make, list and end users", userLong, userExample, verbs...))
}

const userCreateLong = `Make a user. A local user gets a password, which is asked for at a terminal, or
read from standard input with --password-stdin; with --no-password the user
cannot log in until one is set.

A user of another source, such as pulp, has its password there. Making one
before the first login gives it groups and grants in advance.`

const userCreateExample = `  latchkey user create alice --email alice@example.org --group ops
  latchkey user create bob --password-stdin < password.txt
  latchkey user create carol --source pulp --grant 'repository:prod/*:pull'`

func newUserCreateCommand(env *environment) *cobra.Command {
	r := api.CreateAccount{Kind: string(user)}
	var stdin, none bool
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a user",
		Long:    userCreateLong,
		Example: userCreateExample,
		Args:    arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if stdin && none {
				return &usageError{text: "--password-stdin and --no-password exclude each other"}
			}
			local := r.Source == "" || r.Source == "local"
			if !local && stdin {
				return &usageError{text: "the password of this user is kept by " + r.Source}
			}
			return env.asking(func(ctx context.Context, c *client.Client, args []string) (err error) {
				r.Name = args[0]
				if local && !none {
					if r.Password, err = env.newPassword(ctx, r.Name, stdin, "--no-password"); err != nil {
						return err
					}
				}
				a, err := c.Accounts.Create(ctx, r)
				if err != nil {
					return err
				}
				return env.printChanged(a, "user %s is made", a.Name)
			})(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Source, "source", "", "where the password is checked: local, pulp, … (default local)")
	f.StringVar(&r.Subject, "subject", "", "the source's own id for the user, where it has one")
	f.StringVar(&r.Email, "email", "", "the user's e-mail address")
	f.BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	f.BoolVar(&none, "no-password", false, "set no password yet")
	addAccountFlags(env, cmd, &r)
	return cmd
}

// addAccountFlags adds the flags that make users and robots alike.
func addAccountFlags(env *environment, cmd *cobra.Command, r *api.CreateAccount) {
	f := cmd.Flags()
	f.StringVar(&r.Note, "note", "", "what people should know about it")
	f.StringArrayVar(&r.Groups, "group", nil, "make it a member of this `group`; can be repeated")
	f.StringArrayVar(&r.Grants, "grant", nil, "give it this `scope`; can be repeated")
	f.IntVar(&r.MaxTokens, "max-tokens", 0, "how many live tokens it may have; 0 for the server's limit")
	completeFlag(cmd, "group", env.completeGroups)
}

// newPassword reads a password that is to be set: from standard input, or
// twice from a terminal. The flag named otherwise is how to do without one.
func (env *environment) newPassword(ctx context.Context, name string, stdin bool, otherwise string) (string, error) {
	_, terminal := terminalOf(env.stdin)
	switch {
	case terminal:
		return env.askTwice(ctx, "New password of "+name+": ")
	case stdin:
		return env.oneSecret(ctx, "")
	}
	hint := "give it with --password-stdin"
	if otherwise != "" {
		hint += ", or do without one with " + otherwise
	}
	return "", &usageError{text: "there is no password for " + name, hint: hint}
}

// askTwice asks for a new password, and once more against typing errors.
func (env *environment) askTwice(ctx context.Context, prompt string) (string, error) {
	first, err := env.askSecret(ctx, printable(prompt))
	if err != nil {
		return "", err
	}
	second, err := env.askSecret(ctx, "The same again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", &usageError{text: "the two passwords differ", hint: "nothing was changed; try again"}
	}
	return first, nil
}
