package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

const tokenUpdateLong = `Change a token. It can be renamed, labelled, narrowed and shortened, but not
widened or prolonged: make another token for that.

What is given takes the place of what was: --label replaces all labels, --scope
all rules, --cidr all networks. --no-labels takes all labels away.`

const tokenUpdateExample = `  latchkey token update ID --name old-laptop
  latchkey token update ID --expires 12h
  latchkey token update ID --scope 'repository:prod/web:pull' --cidr 10.1.0.0/16`

func newTokenUpdateCommand(env *environment) *cobra.Command {
	var flags tokenFlags
	var name string
	var noLabels bool
	cmd := &cobra.Command{
		Use:               "update ID",
		Short:             "Rename, label, narrow or shorten a token",
		Long:              tokenUpdateLong,
		Example:           tokenUpdateExample,
		Args:              arguments("ID"),
		ValidArgsFunction: env.completeTokens,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.update(cmd.Flags().Changed, name, noLabels)
			if err != nil {
				return err
			}
			return env.asking(func(ctx context.Context, c *client.Client, args []string) error {
				token, err := c.Tokens.Update(ctx, args[0], r)
				if err != nil {
					return err
				}
				return env.printChanged(token, "%s is changed", token.ID)
			})(cmd, args)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "a new name")
	cmd.Flags().BoolVar(&noLabels, "no-labels", false, "take all labels away")
	flags.add(cmd.Flags())
	return cmd
}

// update makes the request from the flags that were given.
func (t *tokenFlags) update(given func(flag string) bool, name string, noLabels bool) (api.UpdateToken, error) {
	var r api.UpdateToken
	var err error
	if given("name") {
		r.Name = &name
	}
	if given("scope") {
		r.Scope = &t.scope
	}
	if given("cidr") {
		r.CIDRs = &t.cidrs
	}
	if given("label") || noLabels {
		if given("label") && noLabels {
			return r, &usageError{text: "--label and --no-labels exclude each other"}
		}
		labels, err := parseLabels(t.labels)
		if err != nil {
			return r, err
		}
		r.Labels = &labels
	}
	if given("expires") {
		if r.ExpiresIn, r.ExpiresAt, err = parseEnd(t.expires); err != nil {
			return r, &usageError{text: "--expires: " + err.Error()}
		}
		if t.expires == "never" {
			return r, &usageError{text: "--expires: a token can be shortened, not prolonged", hint: "make another one with 'latchkey token create'"}
		}
	}
	if r.IdleTimeout, err = t.idle(); err != nil {
		return r, err
	}
	if r == (api.UpdateToken{}) {
		return r, &usageError{text: "nothing to change was given"}
	}
	return r, nil
}
