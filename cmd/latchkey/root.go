package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const rootLong = `Latchkey hands out tokens to people and robots, checks them at the door of the
services that they use, shows who holds what, and takes them back at once.

This one program is both the server and the command line that speaks to it.`

const rootExample = `  latchkey serve                               run a server here
  latchkey login https://tokens.example.org    trade your password for a token
  latchkey token create laptop --expires 30d   make a token
  latchkey token list                          see which ones you have
  latchkey token revoke ID                     end one`

// newRootCommand builds the whole tree of commands. Nothing in it is shared
// with another tree.
func newRootCommand(env *environment) *cobra.Command {
	root := noun("latchkey", "A token authentication server, and its command line", rootLong, rootExample,
		newManCommand(env),
		newVersionCommand(env),
	)
	group(root, "The server, where it runs:",
		newServeCommand(env),
		newConfigCommand(env),
		newBackupCommand(env),
		newRestoreCommand(env),
		newDoctorCommand(env),
		newHealthCommand(env),
		newProxyCommand(env),
		newPulpCommand(env),
		newRegistryCommand(env),
	)
	group(root, "Your login:",
		newLoginCommand(env),
		newLogoutCommand(env),
		newSwitchCommand(env),
		newWhoamiCommand(env),
		newCredentialHelperCommand(env),
	)
	group(root, "Tokens, and who may do what:",
		newTokenCommand(env),
		newExplainCommand(env),
		newUserCommand(env),
		newRobotCommand(env),
		newGroupCommand(env),
		newGrantCommand(env),
		newImportCommand(env),
		newKeysCommand(env),
		newAuditCommand(env),
	)
	root.AddCommand(helpTopics()...)
	root.SetHelpCommand(newHelpCommand())
	root.SilenceErrors = true // finish says what went wrong
	root.SilenceUsage = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	return root
}

// group adds commands that the help shows under a title of their own.
func group(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, c := range commands {
		c.GroupID = title
	}
	root.AddCommand(commands...)
}

// noun makes a command that only holds others. Alone it is no success: a
// script that forgot the verb must notice.
func noun(name, short, long, example string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:     name,
		Short:   short,
		Long:    long,
		Example: example,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			cmd.SetOut(cmd.ErrOrStderr())
			if err := cmd.Help(); err != nil {
				return err
			}
			return &usageError{text: "a command is missing"}
		},
	}
	cmd.AddCommand(verbs...)
	return cmd
}

func unknownCommand(cmd *cobra.Command, name string) error {
	e := &usageError{text: fmt.Sprintf("%s has no command %q", cmd.CommandPath(), name)}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		e.hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return e
}

// newHelpCommand replaces the one of the library, which calls an unknown topic
// a success.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND...]",
		Short:   "Explain a command or a topic",
		Long:    "Explain a command or a topic.",
		Example: "  latchkey help token create\n  latchkey help exit-codes",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			topic, _, err := cmd.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, c := range topic.Commands() {
				if !c.Hidden {
					names = append(names, c.Name()+"\t"+c.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return &usageError{
					text: fmt.Sprintf("there is no help on %q", strings.Join(args, " ")),
					hint: "run 'latchkey help' to see what there is",
				}
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
	}
}

// arguments checks how many there are, by their names in the usage line. The
// last may be repeated when its name ends in "...", and those in brackets are
// optional. Surplus arguments are not repeated, as one may be a password.
func arguments(names ...string) cobra.PositionalArgs {
	least := len(slices.DeleteFunc(slices.Clone(names), func(n string) bool { return strings.HasPrefix(n, "[") }))
	most := len(names)
	if most > 0 && strings.HasSuffix(strings.Trim(names[most-1], "[]"), "...") {
		most = -1
	}
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return &usageError{text: strings.TrimSuffix(names[len(args)], "...") + " is missing"}
		case most >= 0 && len(args) > most:
			return &usageError{text: fmt.Sprintf("too many arguments: %d, where %d can be", len(args), most)}
		}
		if slices.Contains(args, "") {
			return &usageError{text: "an argument is empty"}
		}
		return nil
	}
}

// flagError words what the flag library found. Of a flag that does not exist,
// only the name is said: what follows might be a secret.
func flagError(err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return &usageError{text: err.Error()}
	}
	name := unknown.GetSpecifiedName()
	switch {
	case len(unknown.GetSpecifiedShortnames()) > 0:
		name = "-" + name
	default:
		name = "--" + name
	}
	e := &usageError{text: "there is no flag " + name}
	if name == "--password" || name == "-p" {
		e.hint = "passwords are never arguments, since others can see those: use --password-stdin or the environment variable LATCHKEY_PASSWORD"
	}
	return e
}
