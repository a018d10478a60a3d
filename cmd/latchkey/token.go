package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

const tokenLong = `Make, list, show, change, rotate and revoke tokens: your own, and, where you
may, those of others. A token is named by its id; its secret is shown once, when
it is made.`

const tokenExample = `  latchkey token create laptop --expires 30d
  latchkey token list --state live
  latchkey token rotate ID --overlap 1h
  latchkey token revoke ID --reason "left on a train"`

func newTokenCommand(env *environment) *cobra.Command {
	return online(env, noun("token", "Make, list and end tokens", tokenLong, tokenExample,
		newTokenCreateCommand(env),
		newTokenListCommand(env),
		newTokenShowCommand(env),
		newTokenUpdateCommand(env),
		newTokenRotateCommand(env),
		newTokenRevokeCommand(env),
		newTokenInspectCommand(env),
	))
}

func newTokenShowCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:               "show ID",
		Short:             "Show all about a token but its secret",
		Long:              "Show all about a token but its secret, which nobody can see again.",
		Example:           "  latchkey token show ID\n  latchkey token show ID -o json",
		Args:              arguments("ID"),
		ValidArgsFunction: env.completeTokens,
		RunE: env.asking(func(ctx context.Context, c *client.Client, args []string) error {
			token, err := c.Tokens.Get(ctx, args[0])
			if err != nil {
				return err
			}
			return env.printOne(token, tokenDetails(token, env.now()))
		}),
	}
}

// forEach does the same for each argument. A failure does not keep the others
// from being done; all are told, and the first decides the exit code.
func (env *environment) forEach(args []string, do func(string) error) error {
	if len(args) == 1 {
		return do(args[0])
	}
	var first error
	failed := 0
	for _, arg := range args {
		err := do(arg)
		if err == nil {
			continue
		}
		fmt.Fprintf(env.stderr, "latchkey: %s\n", shown(whatHappened(err)))
		if failed++; first == nil {
			first = err
		}
	}
	if first != nil {
		return fmt.Errorf("%d of %d failed, the first: %w", failed, len(args), first)
	}
	return nil
}

// tokenDetails is all that can be said about a token.
func tokenDetails(t api.Token, now time.Time) []detail {
	details := []detail{
		{"ID", t.ID},
		{"Name", t.Name},
		{"Owner", t.Owner},
		{"Class", t.Class},
		{"Prefix", t.Prefix},
		{"State", t.State},
		{"Created", exact(&t.CreatedAt, now, "")},
		{"Expires", exact(t.ExpiresAt, now, "never")},
	}
	if t.IdleTimeout > 0 {
		details = append(details, detail{"Ends when unused for", shortDuration(time.Duration(t.IdleTimeout) * time.Second)})
	}
	details = append(details, detail{"Last used", useText(t.LastUsed, now)}, detail{"Rotated", exact(t.RotatedAt, now, "")})
	if len(t.Scope) == 0 {
		details = append(details, detail{"May", "all that its owner may"})
	}
	details = append(details, listed("May", t.Scope)...)
	details = append(details, listed("Only from", t.CIDRs)...)
	details = append(details, listed("Labels", labelTexts(t.Labels))...)
	return append(details,
		detail{"Made with token", t.Parent},
		detail{"Revoked", exact(t.RevokedAt, now, "")},
		detail{"Revoked by", t.RevokedBy},
		detail{"Reason", t.RevokeReason})
}

func useText(u *api.Use, now time.Time) string {
	if u == nil {
		return "never"
	}
	text := exact(&u.At, now, "")
	if u.Addr != "" {
		text += " from " + u.Addr
	}
	if u.Agent != "" {
		text += " by " + u.Agent
	}
	return text
}

// labelTexts writes labels as they are given on the command line, sorted.
func labelTexts(labels map[string]string) []string {
	var texts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		texts = append(texts, key+"="+labels[key])
	}
	return texts
}

// parseLabels reads labels from the command line.
func parseLabels(texts []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, text := range texts {
		key, value, found := strings.Cut(text, "=")
		if !found || key == "" {
			return nil, &usageError{text: fmt.Sprintf("--label: %q is not like team=infra", text)}
		}
		if _, twice := labels[key]; twice {
			return nil, &usageError{text: fmt.Sprintf("--label: %q is given twice", key)}
		}
		labels[key] = value
	}
	return labels, nil
}
