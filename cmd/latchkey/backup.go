package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/internal/backup"
	"github.com/latchkey-auth/latchkey/internal/config"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store/portable"
)

const backupLong = `Write all that the server keeps in its database into one file: accounts, groups,
grants, tokens, the audit log. The server may go on working meanwhile; the file
holds one moment. It fits SQLite and PostgreSQL alike, so that backup and
restore also move a server from one to the other.

It is run where the server runs, with the same configuration, and talks to the
database, not to the server. FILE is made for its owner alone, and appears when
it is complete; "-" is standard output.

No secret is in it: of tokens there are keyed digests, of passwords slow hashes.
The server's own secret (server.key) is not in it either, and without that the
file cannot be restored: keep a copy of it somewhere else.`

func newBackupCommand(env *environment) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a copy of the server's data into a file, while it runs",
		Long:  backupLong,
		Example: `  latchkey backup /var/backups/latchkey.backup
  latchkey backup --config /etc/latchkey/latchkey.yaml --force /var/backups/latchkey.backup
  latchkey backup - | ssh safe.example.org 'cat > latchkey.backup'`,
		Args: arguments("FILE"),
	}
	flags := config.RegisterDataFlags(cmd.Flags())
	cmd.Flags().BoolVar(&force, "force", false, "replace FILE if it exists")
	addOutputFlags(env, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path := args[0]
		switch {
		case path == "-" && env.shown:
			return &usageError{text: "a backup is nothing for a terminal", hint: "redirect it into a file or a pipe"}
		case path == "-" && env.flags.output == formatJSON:
			return &usageError{text: "standard output cannot be both the backup and JSON about it"}
		}
		c, err := loadConfig(env, config.Options{Flags: flags})
		if err != nil {
			return err
		}
		return makeBackup(cmd.Context(), env, c, path, force)
	}
	return cmd
}

func makeBackup(ctx context.Context, env *environment, c config.Config, path string, force bool) error {
	keys, err := existingKeys(c)
	if err != nil {
		return err
	}
	var summary backup.Summary
	write := func(w io.Writer) error {
		return databaseOf(c, slog.New(slog.DiscardHandler)).read(ctx, func(from portable.Source) error {
			var err error
			summary, err = backup.Write(ctx, w, from, backup.Options{Keys: keys, Now: env.now(), Program: thisBuild().Version})
			return err
		})
	}
	if path == "-" {
		err = write(env.stdout)
	} else {
		err = backup.WriteFile(path, force, write)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return &advisedError{err: err, hint: "choose another name, or replace it with --force"}
	case errors.Is(err, backup.ErrNoDatabase), errors.Is(err, fs.ErrNotExist):
		return &advisedError{err: err, hint: "say where the server's data is with --config, --data or --database, as for 'latchkey serve'"}
	case err != nil:
		return err
	}
	if env.flags.output == formatJSON {
		return env.printJSON(summary)
	}
	if path == "-" {
		path = "standard output"
	}
	env.say("%s and %s, with %s of the audit log, are in %s",
		count(int(summary.Rows["accounts"]), "account"), count(int(summary.Rows["tokens"]), "token"), count(int(summary.Rows["events"]), "event"), path)
	return nil
}

// existingKeys reads the server's secrets, and makes none: what a new one
// sealed, no server could open.
func existingKeys(c config.Config) (*serverkey.Ring, error) {
	if !c.Secret.Empty() {
		return serverkey.Parse(c.Secret.Reveal())
	}
	path := c.SecretFile
	if path == "" {
		path = filepath.Join(c.Data, "server.key")
	}
	keys, err := serverkey.Load(path, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &advisedError{
			err:  fmt.Errorf("the server's secret is not there: %w", err),
			hint: "say where the server's data is with --config or --data, as for 'latchkey serve'",
		}
	}
	return keys, err
}

// openBackup opens a file to restore from; "-" is standard input. It refuses
// one that others can read (S76).
func openBackup(env *environment, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(env.stdin), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the backup: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the backup: %w", err), f.Close())
	}
	if backup.Exposed(info) {
		return nil, errors.Join(&advisedError{
			err:  fmt.Errorf("open the backup %s: others than its owner have access (mode %04o)", path, info.Mode().Perm()),
			hint: "run chmod 600 on it",
		}, f.Close())
	}
	return f, nil
}
