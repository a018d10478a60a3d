package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/internal/config"
)

const configLong = `The server's configuration: what is in force, what is wrong with it, and what
can be set.

A value comes from, in this order: a flag of 'latchkey serve', an environment
variable, the configuration file, the default.`

// newConfigCommand holds what can be asked about the server's configuration
// without running it.
func newConfigCommand(env *environment) *cobra.Command {
	return noun("config", "Show and check the server's configuration", configLong,
		`  latchkey config show
  latchkey config check /etc/latchkey/config.yml
  latchkey config env`,
		newConfigShowCommand(env),
		newConfigCheckCommand(env),
		newConfigEnvCommand(env),
	)
}

func newConfigShowCommand(env *environment) *cobra.Command {
	var options config.ShowOptions
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the configuration that is in force",
		Long: `Print the configuration with which 'latchkey serve' would run here, given the
same flags. What YAML says can be used as a configuration file; secrets are
not shown.`,
		Example: `  latchkey config show > config.yml
  latchkey config show --config config.yml --origin
  latchkey config show --format json`,
		Args: arguments(),
	}
	flags := config.RegisterFlags(cmd.Flags())
	cmd.Flags().StringVar(&options.Format, "format", config.YAML, "yaml or json")
	cmd.Flags().BoolVar(&options.Origin, "origin", false, "say where each value came from")
	cmd.RunE = func(*cobra.Command, []string) error {
		if options.Format != config.YAML && options.Format != config.JSON {
			return &usageError{text: "--format is yaml or json"}
		}
		c, err := loadConfig(env, config.Options{Flags: flags})
		if err != nil {
			return err
		}
		return c.Show(env.stdout, options)
	}
	return cmd
}

func newConfigCheckCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say everything that is wrong with a configuration",
		Long: `Say everything that is wrong with a configuration file together with the
environment variables that are set here. Without FILE, it is the one that
LATCHKEY_CONFIG names, if any. Nothing is connected to.`,
		Example: "  latchkey config check /etc/latchkey/config.yml",
		Args:    arguments("[FILE]"),
		RunE: func(_ *cobra.Command, args []string) error {
			var options config.Options
			if len(args) > 0 {
				options.File = args[0]
			}
			if _, err := loadConfig(env, options); err != nil {
				return err
			}
			env.say("the configuration is good")
			return nil
		},
	}
}

func newConfigEnvCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "env",
		Short:   "List the environment variables of the server",
		Long:    "List the environment variables that 'latchkey serve' looks at, with the keys that\nthey set, what is in force without them, and what they mean.",
		Example: "  latchkey config env",
		Args:    arguments(),
		RunE:    func(*cobra.Command, []string) error { return config.Environment(env.stdout) },
	}
}

// loadConfig reads the server's configuration. What is wrong with it, and what
// should be known about it, is said line by line.
func loadConfig(env *environment, options config.Options) (config.Config, error) {
	options.Getenv = env.getenv
	c, err := config.Load(options)
	var wrong *config.Error
	if errors.As(err, &wrong) {
		for _, p := range wrong.Problems {
			fmt.Fprintln(env.stderr, printable(p.String()))
		}
		return c, errors.New("the configuration cannot be used: " + count(len(wrong.Problems), "problem"))
	}
	if err != nil {
		return c, err
	}
	for _, p := range c.Warnings() {
		env.warn("%s", p)
	}
	return c, nil
}

// count says how many there are.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
