package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

const explainLong = `Say whether a token may do something, and which rule makes it so or is missing.

The token is named by its id or its secret; "-" reads the secret from standard
input, where others cannot see it. What it wants is a method and a path, as a
client sends them, or a scope; without either, it is told whether the token is
good at all. --account asks what an account's password opens, --anonymous what
a request without a credential may do.

Every refusal has a request id, in its text and in Latchkey-Request-Id. --request
shows what was decided then, and how it would be decided now.

Everybody can ask about their own tokens; about others' those who have the
scope latchkey:explain:read.`

const explainExample = `  latchkey explain ID GET /pulp/content/x
  latchkey explain - POST /pulp/api/v3/repositories/ < token.txt
  latchkey explain ID repository:prod/app:pull
  latchkey explain ID --from 192.0.2.7
  latchkey explain --account alice DELETE /pulp/api/v3/repositories/file/file/1/
  latchkey explain --anonymous GET /pulp/content/x
  latchkey explain --anonymous repository:public/app:pull
  latchkey explain --request 01a2091400c2591465163969d4216514`

func newExplainCommand(env *environment) *cobra.Command {
	var ask api.Explain
	cmd := &cobra.Command{
		Use:               "explain [TOKEN-OR-ID|-] [METHOD PATH | SCOPE]",
		Short:             "Say why something is allowed or refused",
		Long:              explainLong,
		Example:           explainExample,
		Args:              cobra.ArbitraryArgs, // how many there can be goes by the flags,
		ValidArgsFunction: env.completeTokens,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := ask
			if err := env.explainArguments(cmd.Context(), &q, args); err != nil {
				return err
			}
			return env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
				answer, err := c.Explain(ctx, q)
				if err != nil {
					return err
				}
				return env.printExplanation(answer)
			})(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&ask.RequestID, "request", "", "explain the request of this `id`, which its refusal named")
	f.StringVar(&ask.Account, "account", "", "explain what this `account`'s password opens")
	f.BoolVar(&ask.Anonymous, "anonymous", false, "explain what a request without a credential may do")
	f.StringVar(&ask.Addr, "from", "", "suppose that it comes from this `address`")
	f.StringVar(&ask.Door, "door", "", "ask this door: gateway, verify (forward-auth), or registry")
	completeFlag(cmd, "account", env.completeAccounts(""))
	completeFlag(cmd, "door", cobra.FixedCompletions([]string{"gateway", "verify", "registry"}, cobra.ShellCompDirectiveNoFileComp))
	return online(env, cmd)
}

// explainArguments puts the arguments into the question.
func (env *environment) explainArguments(ctx context.Context, q *api.Explain, args []string) error {
	if q.RequestID != "" {
		if len(args) > 0 || q.Account != "" || q.Anonymous || q.Addr != "" || q.Door != "" {
			return &usageError{text: "--request goes alone: the request says who and what"}
		}
		return nil
	}
	if q.Account == "" && !q.Anonymous {
		if len(args) == 0 {
			return &usageError{text: "a token, --account, --anonymous or --request is missing"}
		}
		if err := env.explainToken(ctx, q, args[0]); err != nil {
			return err
		}
		args = args[1:]
	}
	switch len(args) {
	case 0:
	case 1:
		if !strings.Contains(args[0], ":") {
			return &usageError{text: "after the token there is a method and a path, or a scope such as repository:prod/app:pull"}
		}
		q.Scope = args[0]
	case 2:
		q.Method, q.Path = strings.ToUpper(args[0]), args[1]
	default:
		return &usageError{text: "too many arguments"}
	}
	return nil
}

func (env *environment) explainToken(ctx context.Context, q *api.Explain, arg string) error {
	q.Token = arg
	switch {
	case arg == "":
		return &usageError{text: "the token is empty"}
	case arg == "-":
		secret, err := env.oneSecret(ctx, "Secret of the token to explain: ")
		q.Token = secret
		return err
	case !strings.HasPrefix(arg, "tok_"):
		env.say("note: a secret on the command line can be seen by others on this machine; \"-\" reads it from standard input")
	}
	return nil
}

// printExplanation prints a verdict and the way to it.
func (env *environment) printExplanation(x api.Explanation) error {
	if env.flags.output == formatJSON {
		return env.printJSON(x)
	}
	verdict := "no: "
	if x.Allowed {
		verdict = "yes: "
	}
	if _, err := fmt.Fprintln(env.stdout, printable(verdict+x.Verdict)); err != nil || env.flags.quiet {
		return err
	}
	w := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	if t := x.Then; t != nil {
		fmt.Fprintf(w, "\nthen:\t%s\n\nnow:\n", printable(thenText(t)))
	} else {
		fmt.Fprintln(w)
	}
	for _, s := range x.Steps {
		fmt.Fprintf(w, "  %s %s\t%s\n", mark(s.Result), s.Check, printable(s.Text))
	}
	if len(x.Readings) > 1 {
		fmt.Fprintf(w, "\nthe path may be read as:\n")
		for _, r := range x.Readings {
			fmt.Fprintf(w, "  %s\n", printable(r))
		}
	}
	if len(x.ToAllow) > 0 {
		fmt.Fprintf(w, "\nto allow it:\n")
		for _, c := range x.ToAllow {
			fmt.Fprintf(w, "  %s\n", printable(c))
		}
	}
	return w.Flush()
}

func mark(result string) string {
	switch result {
	case "yes":
		return "✓"
	case "no":
		return "✗"
	}
	return "·"
}

// thenText says in a line what was decided.
func thenText(t *api.Decided) string {
	parts := []string{t.At.UTC().Format(time.RFC3339), t.Action, t.Outcome}
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+value)
		}
	}
	add("", t.Reason)
	add("status ", t.Status)
	if t.Path != "" {
		parts = append(parts, t.Method+" "+t.Path)
	}
	add("for want of ", t.Missing)
	add("by ", t.Account)
	add("with ", t.Token)
	add("from ", t.Addr)
	return strings.Join(parts, ", ")
}
