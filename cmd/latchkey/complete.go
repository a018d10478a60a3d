package main

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// completion is what the library calls when the tab key is pressed.
type completion = func(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective)

// completing asks the server for what could come next. It never prompts and
// never complains: without a login or an answer there are no suggestions.
func (env *environment) completing(cmd *cobra.Command, list func(ctx context.Context, c *client.Client) iter.Seq2[string, error]) ([]string, cobra.ShellCompDirective) {
	const noFiles = cobra.ShellCompDirectiveNoFileComp
	conn, err := env.connection()
	if err != nil || conn.token == "" {
		return nil, noFiles
	}
	c, err := conn.client()
	if err != nil {
		return nil, noFiles
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
	defer cancel()
	var found []string
	for name, err := range list(ctx, c) {
		if err != nil || len(found) == 200 {
			break
		}
		found = append(found, name)
	}
	return found, noFiles
}

// completeTokens suggests the caller's live tokens.
func (env *environment) completeTokens(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if full(cmd, args) {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return env.completing(cmd, func(ctx context.Context, c *client.Client) iter.Seq2[string, error] {
		return suggestions(c.Tokens.All(ctx, client.TokenQuery{State: "live"}), func(t api.Token) string { return t.ID + "\t" + t.Name })
	})
}

// completeAccounts suggests accounts of a kind, "" for both.
func (env *environment) completeAccounts(kind string) completion {
	return func(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
		return env.completing(cmd, func(ctx context.Context, c *client.Client) iter.Seq2[string, error] {
			q := client.AccountQuery{Kind: kind, Name: begin}
			return suggestions(c.Accounts.All(ctx, q), func(a api.Account) string { return a.Name + "\t" + a.Note })
		})
	}
}

// completeAccount suggests accounts of a kind for a command that takes one.
func (env *environment) completeAccount(kind string) completion {
	return func(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
		if full(cmd, args) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return env.completeAccounts(kind)(cmd, args, begin)
	}
}

// completeGroups suggests groups.
func (env *environment) completeGroups(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	return env.completing(cmd, func(ctx context.Context, c *client.Client) iter.Seq2[string, error] {
		groups := func(yield func(api.Group, error) bool) {
			found, err := c.Groups.List(ctx)
			for _, g := range found {
				if !yield(g, err) {
					return
				}
			}
		}
		return suggestions(groups, func(g api.Group) string { return g.Name + "\t" + g.Note })
	})
}

// completeKeys suggests signing keys that count.
func (env *environment) completeKeys(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return env.completing(cmd, func(ctx context.Context, c *client.Client) iter.Seq2[string, error] {
		keys := func(yield func(api.SigningKey, error) bool) {
			found, err := c.Keys.List(ctx)
			for _, k := range found {
				if k.State != "withdrawn" && !yield(k, err) {
					return
				}
			}
		}
		return suggestions(keys, func(k api.SigningKey) string { return k.ID + "\t" + k.State })
	})
}

// completeMembers suggests a group, and accounts after it.
func (env *environment) completeMembers(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return env.completeGroups(cmd, args, begin)
	}
	return env.completeAccounts("")(cmd, args, begin)
}

// completeServers suggests the servers that were logged in to.
func (env *environment) completeServers(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	file, err := env.credentialFile()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	known, err := file.load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(known.Servers)), cobra.ShellCompDirectiveNoFileComp
}

// completeFlag gives suggestions to a flag that the command has.
func completeFlag(cmd *cobra.Command, flag string, with completion) {
	if err := cmd.RegisterFlagCompletionFunc(flag, with); err != nil {
		panic(err) // a misspelt flag, seen by every test
	}
}

// full reports whether a command has all its arguments.
func full(cmd *cobra.Command, args []string) bool {
	return len(args) > 0 && !strings.HasSuffix(cmd.Use, "...")
}

// suggestions turns a list of things into one of suggestions, in which a tab
// stands before what explains them.
func suggestions[T any](items iter.Seq2[T, error], text func(T) string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for item, err := range items {
			name, note, _ := strings.Cut(text(item), "\t")
			if note != "" {
				note = "\t" + printable(note)
			}
			if !yield(printable(name)+note, err) {
				return
			}
		}
	}
}
