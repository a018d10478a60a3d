package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// revokeMany is the flags of 'token revoke --all'.
type revokeMany struct {
	tokenFilter
	all, dry, yes bool
	reason        string
}

func (m *revokeMany) addFlags(env *environment, cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&m.all, "all", false, "end every live token that the filters select")
	f.BoolVar(&m.dry, "dry-run", false, "with --all: only count and show some")
	f.BoolVar(&m.yes, "yes", false, "with --all: do not ask; needed where there is no terminal to ask at")
	m.tokenFilter.addFlags(env, cmd)
}

// wanted reports whether any of the flags was given.
func (m *revokeMany) wanted(cmd *cobra.Command) bool {
	given := m.all || m.dry || m.yes
	for _, name := range filterFlags {
		given = given || cmd.Flags().Changed(name)
	}
	return given
}

// revokeMatching ends what the filters select, after it was counted and the
// count was agreed to.
func (env *environment) revokeMatching(cmd *cobra.Command, args []string, m *revokeMany, stdin bool) error {
	switch {
	case !m.all:
		return &usageError{text: "filters, --dry-run and --yes go with --all"}
	case len(args) > 0 || stdin:
		return &usageError{text: "--all goes with neither ids nor --secret-stdin"}
	}
	q, err := m.query(env.now())
	if err != nil {
		return err
	}
	r := api.RevokeTokens{Query: filterOf(q), Reason: m.reason, DryRun: true}
	if r.Query == (api.TokenFilter{}) {
		return &usageError{text: "--all needs a filter that says which tokens", hint: "all that an account has: --owner NAME"}
	}
	return env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
		found, err := c.Tokens.RevokeMatching(ctx, r)
		if err != nil {
			return err
		}
		if m.dry {
			return env.printMatching(found)
		}
		if found.Matched == 0 {
			return env.printRevoked(0)
		}
		question := fmt.Sprintf("End %s (%s)?", countOf(found.Matched, "token"), namesOf(found))
		if err := env.confirm(ctx, m.yes, question); err != nil {
			return err
		}
		return env.revokeCounted(ctx, c, r, found.Matched)
	})(cmd, nil)
}

// revokeCounted repeats the call until all that was counted has ended.
func (env *environment) revokeCounted(ctx context.Context, c *client.Client, r api.RevokeTokens, matched int) error {
	r.DryRun = false
	r.Expect = &matched
	ended := 0
	for {
		done, err := c.Tokens.RevokeMatching(ctx, r)
		if err != nil {
			if errors.Is(err, client.ErrConflict) && ended > 0 {
				return fmt.Errorf("%s ended before: %w", countOf(ended, "token"), err)
			}
			return err
		}
		ended += done.Revoked
		if done.Complete {
			return env.printRevoked(ended)
		}
		env.say("%d of %d …", ended, matched)
		left := matched - ended
		r.Expect, r.AtMost = nil, &left
	}
}

// printMatching prints what a dry run found.
func (env *environment) printMatching(found api.RevokedTokens) error {
	if env.flags.output == formatJSON {
		return env.printJSON(found)
	}
	if err := env.printTokens(found.Sample); err != nil {
		return err
	}
	if more := found.Matched - len(found.Sample); more > 0 {
		env.say("… and %d more", more)
	}
	env.say("%s would end; nothing was changed", countOf(found.Matched, "token"))
	return nil
}

// namesOf names some of what was found.
func namesOf(found api.RevokedTokens) string {
	const most = 3
	var names []string
	for _, t := range found.Sample[:min(len(found.Sample), most)] {
		names = append(names, t.Name)
	}
	text := strings.Join(names, ", ")
	if found.Matched > len(names) {
		text += ", …"
	}
	return text
}

func (env *environment) printRevoked(n int) error {
	return env.printChanged(api.Revoked{Revoked: n}, "%s ended", countOf(n, "token"))
}

// countOf is a number of things in words.
func countOf(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
