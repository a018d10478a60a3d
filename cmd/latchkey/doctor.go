package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/internal/config"
	"github.com/latchkey-auth/latchkey/internal/doctor"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/portable"
	"github.com/latchkey-auth/latchkey/internal/store/postgres"
)

const doctorLong = `Look at a server and everything that it stands with: its configuration, the modes
of its files, the database, clocks, signing keys, the certificate, the running
server, Pulp or other services behind the gateway, and ways to them around it.
Each finding comes with the line to change.

It is run where the server runs, with the same configuration, best as root, and
whether the server runs or not. It changes nothing, creates nothing in the
services that it asks, and sends no credential. --url asks through the public
address as well, and tries there what a forger would.

The exit code is 0 when there is no problem, and 1 when there is one.`

const doctorExample = `  latchkey doctor --config /etc/latchkey/latchkey.yaml
  latchkey doctor --pulp http://127.0.0.1:24817 --pulp-content http://127.0.0.1:24816
  latchkey doctor --url https://pulp.example.com
  latchkey doctor -o json`

func newDoctorCommand(env *environment) *cobra.Command {
	var o doctor.Options
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "Find what is wrong with a server and what it stands with",
		Long:    doctorLong,
		Example: doctorExample,
		Args:    arguments(),
	}
	flags := config.RegisterFlags(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&o.URL, "url", "", "ask through this public `URL`, too, as clients do")
	f.StringVar(&o.Path, "path", "", "a `path` behind --url that needs a token (default one of Pulp's, or of the routes)")
	f.StringVar(&o.PulpUser, "pulp-user", "", "a `user` that Pulp has, to see whether it believes the gateway (default admin)")
	f.DurationVar(&o.Timeout, "timeout", 5*time.Second, "how long one question may take")
	addOutputFlags(env, cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkDoctorFlags(&o); err != nil {
			return err
		}
		return env.examine(cmd.Context(), config.Options{Flags: flags, Getenv: env.getenv},
			cmp.Or(f.Lookup("config").Value.String(), env.getenv(config.FileVariable)), o)
	}
	return cmd
}

func checkDoctorFlags(o *doctor.Options) error {
	o.URL = strings.TrimSuffix(o.URL, "/")
	if u, err := url.Parse(o.URL); o.URL != "" && (err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || (u.Scheme != "https" && u.Scheme != "http")) {
		return &usageError{text: "--url is https://host, without a path"}
	}
	if o.Path != "" && (o.URL == "" || !strings.HasPrefix(o.Path, "/")) {
		return &usageError{text: "--path is a path behind --url, and begins with a slash"}
	}
	if o.Timeout <= 0 || o.Timeout > time.Minute {
		return &usageError{text: "--timeout is more than 0 and at most 1m"}
	}
	return nil
}

// errIll says that there are problems, which have been printed.
var errIll = errors.New("there are problems")

// examine reads the configuration, looks, and prints what was found.
func (env *environment) examine(ctx context.Context, from config.Options, file string, o doctor.Options) error {
	c, err := config.Load(from)
	var wrong *config.Error
	var report doctor.Report
	switch {
	case errors.As(err, &wrong):
		report = doctor.Summarize(doctor.Invalid(wrong))
	case err != nil:
		return err
	default:
		o.Config, o.ConfigFile, o.Origin = c, file, configuredURL(c)
		o.Version, o.Now = thisBuild().Version, env.now
		o.Database = func(ctx context.Context) (doctor.Database, error) { return inspectDatabase(ctx, c) }
		report = doctor.Examine(ctx, o)
	}
	if err := env.printFindings(report); err != nil {
		return err
	}
	if report.Problems > 0 {
		return fmt.Errorf("%w: %s", errIll, tally(report))
	}
	return nil
}

func tally(r doctor.Report) string {
	return count(r.Problems, "problem") + " and " + count(r.Warnings, "warning")
}

// printFindings prints findings by what they belong to.
func (env *environment) printFindings(r doctor.Report) error {
	if env.flags.output == formatJSON {
		if r.Findings == nil {
			r.Findings = []doctor.Finding{}
		}
		return env.printJSON(r)
	}
	var b strings.Builder
	about := ""
	for _, f := range r.Findings {
		if env.flags.quiet && f.Level != doctor.Problem {
			continue
		}
		if f.Check != about {
			about = f.Check
			fmt.Fprintf(&b, "%s\n", about)
		}
		fmt.Fprintf(&b, "  %s %s\n", doctorMark(f.Level), printable(f.Seen))
		if f.Why != "" {
			fmt.Fprintf(&b, "      why: %s\n", printable(f.Why))
		}
		if len(f.Fix) > 0 {
			fmt.Fprintf(&b, "      change, %s:\n", printable(f.Where))
		}
		for _, line := range f.Fix {
			fmt.Fprintf(&b, "          %s\n", printable(line))
		}
	}
	if !env.flags.quiet {
		fmt.Fprintf(&b, "\n%s\n", tally(r))
	}
	_, err := fmt.Fprint(env.stdout, b.String())
	return err
}

func doctorMark(l doctor.Level) string {
	switch l {
	case doctor.OK:
		return "ok      "
	case doctor.Warning:
		return "warning "
	case doctor.Problem:
	}
	return "PROBLEM "
}

// inspectDatabase reads what there is to know about the database.
func inspectDatabase(ctx context.Context, c config.Config) (doctor.Database, error) {
	var found doctor.Database
	from := databaseOf(c, slog.New(slog.DiscardHandler))
	if from.postgres != nil {
		f, err := postgres.Inspect(ctx, *from.postgres)
		if err != nil {
			return found, err
		}
		about := doctor.Postgres(f)
		found.Postgres = &about
	}
	err := from.read(ctx, func(s portable.Source) error {
		found.Schema = s.Schema()
		if found.Schema == 0 {
			return nil
		}
		var err error
		if found.Secrets, err = registeredSecrets(ctx, s); err != nil {
			return err
		}
		found.SigningKeys, err = signingKeysIn(ctx, s)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = doctor.ErrNoDatabase
	}
	return found, err
}

// eachRow gives fn the rows of a table, by column. A database that is too old
// to have the table has none.
func eachRow(ctx context.Context, s portable.Source, table string, fn func(map[string]any)) error {
	for _, t := range s.Tables() {
		if t.Name != table {
			continue
		}
		for values, err := range s.Rows(ctx, t) {
			if err != nil {
				return err
			}
			row := map[string]any{}
			for i, column := range t.Columns {
				row[column] = values[i]
			}
			fn(row)
		}
	}
	return nil
}

func registeredSecrets(ctx context.Context, s portable.Source) (map[string][]byte, error) {
	secrets := map[string][]byte{}
	err := eachRow(ctx, s, "server_keys", func(row map[string]any) {
		id, _ := row["id"].(string)
		secrets[id], _ = row["check_value"].([]byte)
	})
	return secrets, err
}

func signingKeysIn(ctx context.Context, s portable.Source) ([]store.SigningKey, error) {
	var keys []store.SigningKey
	err := eachRow(ctx, s, "signing_keys", func(row map[string]any) {
		k := store.SigningKey{
			CreatedAt: timeIn(row["created_at"]), ActiveAt: timeIn(row["active_at"]), RetireAt: timeIn(row["retire_at"]), WithdrawnAt: timeIn(row["withdrawn_at"]),
		}
		k.ID, _ = row["id"].(string)
		k.Algorithm, _ = row["algorithm"].(string)
		k.Certificate, _ = row["certificate"].([]byte)
		if longest, ok := row["longest"].(int64); ok {
			k.Longest = time.Duration(longest) * time.Microsecond
		}
		keys = append(keys, k)
	})
	return keys, err
}

// timeIn reads a time of the portable form; nil is none.
func timeIn(v any) time.Time {
	us, ok := v.(int64)
	if !ok {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
