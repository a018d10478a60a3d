package main

import (
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

const switchLong = `Choose which of the servers that you are logged in to is asked when none is
named. Without a SERVER, list them; nothing is sent to any of them.`

// knownLogin is how a stored login is shown: without its secret.
type knownLogin struct {
	Server    string     `json:"server"`
	Current   bool       `json:"current"`
	Account   string     `json:"account"`
	TokenID   string     `json:"token_id"`
	TokenName string     `json:"token_name"`
	ExpiresAt *time.Time `json:"expires_at"`
}

func newSwitchCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "switch [SERVER]",
		Short:             "List the servers of your logins, or choose the current one",
		Long:              switchLong,
		Example:           "  latchkey switch\n  latchkey switch https://tokens.example.org",
		Args:              arguments("[SERVER]"),
		ValidArgsFunction: env.completeServers,
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := env.credentialFile()
			if err != nil {
				return err
			}
			known, err := file.load()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return env.printLogins(known)
			}
			if known.Current, err = env.knownServer(known, args[0]); err != nil {
				return err
			}
			if err := file.save(known); err != nil {
				return err
			}
			env.say("%s is current now", known.Current)
			return nil
		},
	}
	addOutputFlags(env, cmd)
	return cmd
}

func (env *environment) printLogins(known credentials) error {
	var logins []knownLogin
	for _, server := range slices.Sorted(maps.Keys(known.Servers)) {
		l := known.Servers[server]
		logins = append(logins, knownLogin{server, server == known.Current, l.Account, l.TokenID, l.TokenName, l.ExpiresAt})
	}
	return printList(env, logins, func(l knownLogin) string { return l.Server }, []column[knownLogin]{
		{"CURRENT", func(l knownLogin) string {
			if l.Current {
				return "*"
			}
			return ""
		}},
		{"SERVER", func(l knownLogin) string { return l.Server }},
		{"ACCOUNT", func(l knownLogin) string { return l.Account }},
		{"TOKEN", func(l knownLogin) string { return l.TokenID }},
		{"EXPIRES", func(l knownLogin) string { return relativeOr(l.ExpiresAt, env.now(), "never") }},
	})
}
