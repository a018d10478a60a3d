package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/auditchain"
)

// errNotIntact says that a verification found something.
var errNotIntact = errors.New("the audit log is not intact")

func newAuditHeadCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "head",
		Short: "Show where the audit log ends, to be kept elsewhere",
		Long: `Seal what was written and show the head: the number and the hash of the last
seal. Whoever keeps it where the server's administrators cannot change it can
show later, with 'latchkey audit verify --head', that nothing up to there was
edited or cut off. The keys are those that exports are checked with.`,
		Example: `  latchkey audit head
  latchkey audit head -q > latchkey-head`,
		Args: arguments(),
		RunE: env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
			head, err := c.Audit.Head(ctx)
			if err != nil {
				return err
			}
			if env.flags.quiet {
				return env.printName(head.Head)
			}
			var keys []string
			for id, key := range head.Keys {
				keys = append(keys, id+":"+key)
			}
			slices.Sort(keys)
			return env.printOne(head, append([]detail{{"Head", head.Head}}, listed("Keys", keys)...))
		}),
	}
}

func newAuditExportCommand(env *environment) *cobra.Command {
	var since, until string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the audit log as lines of JSON",
		Long: `Write the events, oldest first, as lines of JSON to standard output, with the
seals that vouch for them. 'latchkey audit verify --file' checks such a file
without any server. Lines of the type "event" are the events.

Times are given as how long ago, as 24h, or as a date or time in UTC, as
2026-01-31 or 2026-01-31T08:00:00Z.`,
		Example: `  latchkey audit export > events.jsonl
  latchkey audit export --since 2026-01-01 --until 2026-02-01 > january.jsonl
  latchkey audit export --since 24h | jq 'select(.type == "event")'`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := pastFlag("--since", since, env)
			if err != nil {
				return err
			}
			to, err := pastFlag("--until", until, env)
			if err != nil {
				return err
			}
			return env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
				return c.Audit.Export(ctx, env.stdout, from, to)
			})(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&since, "since", "", "only from this `time` on")
	f.StringVar(&until, "until", "", "only before this `time`")
	return cmd
}

// pastFlag reads a flag with a time; the zero time when it is not given.
func pastFlag(flag, text string, env *environment) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := parsePast(text, env.now())
	if err != nil {
		return time.Time{}, &usageError{text: flag + ": " + err.Error()}
	}
	return at, nil
}

func newAuditVerifyCommand(env *environment) *cobra.Command {
	var head, file string
	var keys []string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that nobody has changed the audit log",
		Long: `Let the server check its whole audit log, or check an export by itself with
--file. Every event that was edited, removed, moved or inserted behind the
server's back is named, and so are seals that are missing or were changed.

That the end was not cut off can only be told by a head that was kept outside
of the database: the server keeps one in its data folder, and --head takes one
that 'latchkey audit head' printed earlier.

An export is checked with the keys given by --key, as 'latchkey audit head'
prints them. Without, those in the file are used, which shows no more than that
the file is consistent in itself.

The exit code is 0 only if nothing is wrong.`,
		Example: `  latchkey audit verify
  latchkey audit verify --head "$(cat latchkey-head)"
  latchkey audit verify --file events.jsonl --key "$KEY"`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				report, err := verifyExport(env, file, keys, head)
				if err != nil {
					return err
				}
				return env.printReport(report)
			}
			if len(keys) > 0 {
				return &usageError{text: "--key is for --file: a server has its own"}
			}
			return env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
				report, err := c.Audit.Verify(ctx, head, nil)
				if err != nil {
					return err
				}
				return env.printReport(report)
			})(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&head, "head", "", "a `head` that was kept")
	f.StringVar(&file, "file", "", "check this export instead of a server; - for standard input")
	f.StringArrayVar(&keys, "key", nil, "a `key` to check an export with; may be repeated")
	return cmd
}

// verifyExport checks a file without any server.
func verifyExport(env *environment, file string, keys []string, head string) (api.AuditReport, error) {
	var given auditchain.Head
	var trusted map[string]ed25519.PublicKey
	var err error
	if head != "" {
		if given, err = auditchain.ParseHead(head); err != nil {
			return api.AuditReport{}, &usageError{text: "--head: " + err.Error()}
		}
	}
	if len(keys) > 0 {
		texts := map[string]string{}
		for _, k := range keys {
			id, key, _ := strings.Cut(k, ":")
			texts[id] = key
		}
		if trusted, err = auditchain.ParseKeys(texts); err != nil {
			return api.AuditReport{}, &usageError{text: "--key: " + err.Error()}
		}
	}
	in := env.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return api.AuditReport{}, err
		}
		defer f.Close()
		in = io.Reader(f)
	}
	return auditchain.VerifyFile(in, trusted, given)
}

// printReport prints a report, and returns an error if something is wrong.
func (env *environment) printReport(r api.AuditReport) error {
	err := env.printOne(r, reportDetails(r))
	if err == nil && !r.Intact {
		err = fmt.Errorf("%w: findings: %d", errNotIntact, int64(len(r.Findings))+r.More)
	}
	return err
}

func reportDetails(r api.AuditReport) []detail {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	intact := "yes"
	if !r.Intact {
		intact = "NO"
	}
	lines := []detail{{"Intact", intact}, {"Events", number(r.Events)}}
	if r.Omitted > 0 {
		lines = append(lines, detail{"Omitted", number(r.Omitted) + " that were not exported"})
	}
	if r.Unsealed > 0 {
		lines = append(lines, detail{"Not sealed yet", number(r.Unsealed)})
	}
	if r.Seals > 0 {
		lines = append(lines, detail{"Seals", number(r.FirstSeal) + " to " + number(r.LastSeal)})
	}
	if r.Through != nil {
		lines = append(lines, detail{"Complete since", fmt.Sprintf("%s (%d older events were removed)", r.Through.UTC().Format(time.RFC3339), r.Removed)})
	}
	lines = append(lines, detail{"Head", r.Head}, detail{"End", endWords(r)})
	if r.OwnKeys {
		lines = append(lines, detail{"Keys", "those in the file; give --key to know whose it is"})
	}
	var found []string
	for _, f := range r.Findings {
		found = append(found, f.Text)
	}
	if r.More > 0 {
		found = append(found, fmt.Sprintf("and %d more", r.More))
	}
	return append(lines, listed("Findings", found)...)
}

// endWords says what shows that the end was not cut off.
func endWords(r api.AuditReport) string {
	var by []string
	for _, a := range r.Anchors {
		if a.Fits {
			by = append(by, map[string]string{"server": "what this server has seen", "given": "the given head"}[a.Source])
		}
	}
	if len(by) == 0 {
		return "nothing outside of the log shows that it was not cut off; give --head"
	}
	slices.Sort(by)
	return "not cut off, by " + strings.Join(slices.Compact(by), " and ")
}
