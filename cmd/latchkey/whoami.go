package main

import (
	"strings"

	"github.com/spf13/cobra"
)

const whoamiLong = `Show who the server takes you for, by which credential, and what this
credential may do.`

func newWhoamiCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "whoami",
		Short:   "Show who you are to the server",
		Long:    whoamiLong,
		Example: "  latchkey whoami\n  LATCHKEY_TOKEN=$(cat token.txt) latchkey whoami -o json",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := env.connect(cmd.Context())
			if err != nil {
				return err
			}
			me, err := c.WhoAmI(cmd.Context())
			if err != nil {
				return err
			}
			if env.flags.quiet && env.flags.output != formatJSON {
				return env.printName(me.Account)
			}
			details := []detail{
				{"Server", env.asked.server},
				{"Account", me.Account},
				{"ID", me.ID},
				{"Kind", me.Kind},
				{"Source", me.Source},
				{"Groups", strings.Join(me.Groups, ", ")},
				{"Credential", me.Method},
			}
			if me.Token != nil {
				details = append(details,
					detail{"Token", me.Token.Name + " (" + me.Token.ID + ")"},
					detail{"Expires", exact(me.Token.ExpiresAt, env.now(), "never")})
			}
			return env.printOne(me, append(details, listed("May", me.Scope)...))
		},
	}
	return online(env, cmd)
}
