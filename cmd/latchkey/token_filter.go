package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// tokenFilter is the flags that select tokens.
type tokenFilter struct {
	q                     client.TokenQuery
	since, before, unused string // as they were written
}

// filterFlags names the flags of a [tokenFilter].
var filterFlags = []string{
	"owner", "group", "class", "name", "prefix", "label", "created-since", "created-before", "unused-since", "never-used",
	"last-addr", "scope",
}

func (t *tokenFilter) addFlags(env *environment, cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.q.Owner, "owner", "", "whose tokens: an `account`, or * for everybody's (default yours)")
	f.StringVar(&t.q.Group, "group", "", "only of accounts in this `group`, whoever they are")
	f.StringVar(&t.q.Class, "class", "", "only this class: personal, robot, session, …")
	f.StringVar(&t.q.Name, "name", "", "only names that begin like this")
	f.StringVar(&t.q.Prefix, "prefix", "", "only tokens whose secret begins like this")
	f.StringVar(&t.q.Label, "label", "", "only with this label: `key=value`, or key for any value")
	f.StringVar(&t.since, "created-since", "", "only those made since: 7d (ago), or 2026-01-31")
	f.StringVar(&t.before, "created-before", "", "only those made before: 7d (ago), or 2026-01-31")
	f.StringVar(&t.unused, "unused-since", "", "only those never used since: 90d (ago), or 2026-01-31")
	f.BoolVar(&t.q.NeverUsed, "never-used", false, "only those that were never used")
	f.StringVar(&t.q.LastAddr, "last-addr", "", "only those last used from this `network`")
	f.StringVar(&t.q.Scope, "scope", "", "only those that may do any part of what this `rule` says")
	completeFlag(cmd, "owner", env.completeAccounts(""))
}

// query returns what the flags say.
func (t *tokenFilter) query(now time.Time) (client.TokenQuery, error) {
	q := t.q
	for _, p := range []struct {
		flag, text string
		at         *time.Time
	}{
		{"--created-since", t.since, &q.CreatedSince},
		{"--created-before", t.before, &q.CreatedBefore},
		{"--unused-since", t.unused, &q.UnusedSince},
	} {
		if p.text == "" {
			continue
		}
		at, err := parsePast(p.text, now)
		if err != nil {
			return q, &usageError{text: p.flag + ": " + err.Error()}
		}
		*p.at = at
	}
	return q, nil
}

// filterOf is a query as a body has it.
func filterOf(q client.TokenQuery) api.TokenFilter {
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	return api.TokenFilter{
		Owner: q.Owner, Group: q.Group, Class: q.Class, Name: q.Name, Prefix: q.Prefix, Label: q.Label,
		CreatedSince: at(q.CreatedSince), CreatedBefore: at(q.CreatedBefore), UnusedSince: at(q.UnusedSince),
		NeverUsed: q.NeverUsed, LastAddr: q.LastAddr, Scope: q.Scope,
	}
}
