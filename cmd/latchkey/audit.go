package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

const auditLong = `Read the audit log, newest first: what was asked, by whom, and how it was
decided. Filters narrow the list together.

Times are given as how long ago, as 24h, or as a date or time in UTC, as
2026-01-31 or 2026-01-31T08:00:00Z.`

const auditExample = `  latchkey audit --since 24h --outcome refused
  latchkey audit --actor alice --limit 20
  latchkey audit --since 2026-01-01 --until 2026-02-01 --limit 0 -o json`

// newAuditCommand makes the command; that its list is a command too lets those
// find it who expect a verb.
func newAuditCommand(env *environment) *cobra.Command {
	cmd := newAuditListCommand(env, "audit")
	cmd.AddCommand(newAuditListCommand(env, "list"), newAuditHeadCommand(env), newAuditVerifyCommand(env), newAuditExportCommand(env))
	return online(env, cmd)
}

func newAuditListCommand(env *environment, use string) *cobra.Command {
	var q client.AuditQuery
	var since, until string
	var limit int
	cmd := &cobra.Command{
		Use:     use,
		Short:   "Read, verify and export the audit log",
		Long:    auditLong,
		Example: auditExample,
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, t := range []struct {
				flag, text string
				at         *time.Time
			}{{"--since", since, &q.Since}, {"--until", until, &q.Until}} {
				if t.text == "" {
					continue
				}
				at, err := parsePast(t.text, env.now())
				if err != nil {
					return &usageError{text: t.flag + ": " + err.Error()}
				}
				*t.at = at
			}
			return env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
				q.Limit = pageSize(limit)
				events, more, err := collect(c.Audit.All(ctx, q), limit)
				if err != nil {
					return err
				}
				if err := env.printEvents(events); err != nil {
					return err
				}
				if more {
					env.say("there are more; --limit shows them")
				}
				return nil
			})(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.Action, "action", "", "only this action")
	f.StringVar(&q.Outcome, "outcome", "", "only this outcome: ok, refused or failed")
	f.StringVar(&q.Actor, "actor", "", "only what this `account` asked for")
	f.StringVar(&q.Token, "used-token", "", "only what was asked with the token of this `id`")
	f.StringVar(&q.Target, "target", "", "only what was about this `id`")
	f.StringVar(&q.RequestID, "request-id", "", "only what belongs to this request")
	f.StringVar(&q.CorrelationID, "correlation-id", "", "only what belongs together across services")
	f.StringVar(&since, "since", "", "only from this `time` on")
	f.StringVar(&until, "until", "", "only before this `time`")
	addLimitFlag(f, &limit, 100)
	completeFlag(cmd, "outcome", cobra.FixedCompletions([]string{"ok", "refused", "failed"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (env *environment) printEvents(events []api.Event) error {
	return printList(env, events, func(e api.Event) string { return e.ID }, []column[api.Event]{
		{"TIME", func(e api.Event) string { return e.At.UTC().Format(time.RFC3339) }},
		{"ACTION", func(e api.Event) string { return e.Action }},
		{"OUTCOME", func(e api.Event) string { return e.Outcome }},
		{"ACTOR", func(e api.Event) string { return e.Actor }},
		{"TARGET", func(e api.Event) string { return e.Target }},
		{"ADDRESS", func(e api.Event) string { return e.Addr }},
		{"REASON", eventReason},
	})
}

// eventReason is why, and how often, where the log counts the same event.
func eventReason(e api.Event) string {
	if e.Count <= 1 {
		return e.Reason
	}
	return e.Reason + " (" + strconv.Itoa(e.Count) + " times)"
}
