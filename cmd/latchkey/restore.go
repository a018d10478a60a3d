package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/auditchain"
	"github.com/latchkey-auth/latchkey/internal/backup"
	"github.com/latchkey-auth/latchkey/internal/config"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/portable"
)

const restoreLong = `Put the content of a backup into the database of the configuration, which may be
of another kind than the one that it was made from. Stop the server first. It
happens whole or not at all. A database that is not empty is replaced only when
--replace says so. The server's secret (server.key) must be the one of the
backup's time, or still have it.

What was revoked after the backup was made is not known to it. So one of these
has to be chosen (S115):

--end-tokens      Every token of the backup ends, with the keys that signed any,
                  and so do the passwords that Latchkey keeps. Accounts, groups
                  and grants come back. The account admin gets a new password,
                  which is printed, or the one in LATCHKEY_ADMIN_PASSWORD. An
                  account that was disabled since is not: look through them.
--revoked-since   Tokens and passwords come back, except those that FROM, a later
                  state of the same data, knows to be revoked, rotated, expired,
                  disabled or changed. FROM is "present" for the database that is
                  replaced, a newer backup, or the name of another database. What
                  was made after the backup does not come back, and an account
                  that was deleted since comes back disabled.
--accept-revived  All is as it was. A token that was revoked since, because it
                  had leaked, opens doors again, and so does a password that was
                  changed, and an account that was disabled.`

// restoreChoice is what is to become of what was revoked since.
type restoreChoice struct {
	endTokens     bool
	keepPasswords bool
	since         string
	revived       bool
	replace       bool
}

func newRestoreCommand(env *environment) *cobra.Command {
	var choice restoreChoice
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put the content of a backup into the database",
		Long:  restoreLong,
		Example: `  latchkey restore --end-tokens latchkey.backup
  latchkey restore --revoked-since newer.backup latchkey.backup
  latchkey restore --replace --revoked-since present latchkey.backup
  latchkey restore --database postgres://db.example.org/latchkey --accept-revived latchkey.backup`,
		Args: arguments("FILE"),
	}
	f := cmd.Flags()
	flags := config.RegisterDataFlags(f)
	f.BoolVar(&choice.endTokens, "end-tokens", false, "end every token of the backup, and every password")
	f.BoolVar(&choice.keepPasswords, "keep-passwords", false, "with --end-tokens: let passwords be what they were, those that were changed since too")
	f.StringVar(&choice.since, "revoked-since", "", "keep away what `FROM` says was revoked since: present, a newer backup, or a database")
	f.BoolVar(&choice.revived, "accept-revived", false, "let tokens that were revoked since open doors again")
	f.BoolVar(&choice.replace, "replace", false, "replace what is in the database")
	addOutputFlags(env, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := choice.check(); err != nil {
			return err
		}
		c, err := loadConfig(env, config.Options{Flags: flags})
		if err != nil {
			return err
		}
		r := &restore{env: env, config: c, choice: choice, log: newLogging(env.stderr, config.Log{Level: "warn"}).log}
		return r.run(cmd.Context(), args[0])
	}
	return cmd
}

func (c restoreChoice) check() error {
	n := 0
	for _, chosen := range []bool{c.endTokens, c.since != "", c.revived} {
		if chosen {
			n++
		}
	}
	switch {
	case n == 0:
		return &usageError{
			text: "the backup does not know what was revoked after it was made: choose --end-tokens, --revoked-since FROM or --accept-revived",
			hint: "run 'latchkey restore --help' for what they do",
		}
	case n > 1:
		return &usageError{text: "choose one of --end-tokens, --revoked-since and --accept-revived"}
	case c.keepPasswords && !c.endTokens:
		return &usageError{text: "--keep-passwords goes with --end-tokens"}
	case c.since == "present" && !c.replace:
		return &usageError{text: "--revoked-since present is about a database that is to be replaced: say --replace too"}
	}
	return nil
}

// restore is one run of the command.
type restore struct {
	env    *environment
	config config.Config
	choice restoreChoice
	log    *slog.Logger
	keys   *serverkey.Ring
	result restored
	secret secret.Text // the new password of the administrator
}

// restored is what the command says about what it did.
type restored struct {
	Taken    time.Time `json:"taken"`
	Program  string    `json:"program"`
	Choice   string    `json:"choice"`
	Accounts int64     `json:"accounts"`
	Tokens   int64     `json:"tokens"`
	Live     int64     `json:"live_tokens_at_backup"`

	Kept           int64  `json:"tokens_kept_ended,omitempty"` // with --revoked-since
	Disabled       int64  `json:"accounts_kept_disabled,omitempty"`
	RightsReturned int64  `json:"rights_returned,omitempty"`
	AdminPassword  string `json:"admin_password,omitempty"`
}

func (r *restore) run(ctx context.Context, path string) (err error) {
	if r.keys, err = existingKeys(r.config); err != nil {
		return err
	}
	plan, err := r.prepare(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plan.Close()) }()
	r.result = restored{Taken: plan.Header.Taken, Program: plan.Header.Program, Accounts: plan.Tally.Accounts, Tokens: plan.Tally.Tokens, Live: plan.Tally.Live}
	if err := r.decide(ctx, plan); err != nil {
		return err
	}
	err = databaseOf(r.config, r.log).replace(ctx, func(to portable.Target) error { return r.fill(ctx, plan, to) })
	switch {
	case errors.Is(err, portable.ErrInUse):
		return &advisedError{err: err, hint: "stop the server, on every node, and try again"}
	case errors.Is(err, backup.ErrNotEmpty):
		return &advisedError{err: err, hint: "to replace what is in it, say --replace; it cannot be undone, so make a backup of it first"}
	case err != nil:
		return err
	}
	if err := r.record(ctx); err != nil {
		r.env.warn("all is restored, but the audit log could not say so: %v", err)
	}
	return r.report()
}

// prepare reads and checks a backup.
func (r *restore) prepare(ctx context.Context, path string) (*backup.Plan, error) {
	file, err := openBackup(r.env, path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	plan, err := backup.Prepare(ctx, file, backup.RestoreOptions{Keys: r.keys, Now: r.env.now(), Log: r.log})
	switch {
	case errors.Is(err, backup.ErrForeign):
		return nil, &advisedError{err: fmt.Errorf("%s: %w", path, err), hint: "put the server.key of that time in its place, or name it with secret_file"}
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return plan, nil
}

// decide does what was chosen, as far as the database is not needed for it.
func (r *restore) decide(ctx context.Context, plan *backup.Plan) error {
	switch {
	case r.choice.revived:
		r.result.Choice = "accept-revived"
		plan.AcceptRevived()
		return nil
	case r.choice.endTokens:
		r.result.Choice = "end-tokens"
		if err := plan.EndTokens(ctx); err != nil || r.choice.keepPasswords {
			return err
		}
		return r.endPasswords(ctx, plan)
	}
	r.result.Choice = "revoked-since"
	switch from := r.choice.since; {
	case from == "present":
		return nil // when it is locked
	case strings.HasPrefix(from, "sqlite:"), strings.HasPrefix(from, "postgres://"), strings.HasPrefix(from, "postgresql://"):
		return databaseNamed(from, r.config, r.log).read(ctx, func(newer portable.Source) error { return r.carry(ctx, plan, newer) })
	default:
		newer, err := r.prepare(ctx, from)
		if errors.Is(err, os.ErrNotExist) {
			return &advisedError{err: err, hint: "--revoked-since takes present, the file of a newer backup, sqlite:/path or postgres://…"}
		}
		if err != nil {
			return err
		}
		carried, err := plan.CarryOverBackup(ctx, newer)
		r.result.Kept, r.result.Disabled, r.result.RightsReturned = carried.Tokens, carried.Accounts, carried.Rights
		return errors.Join(err, newer.Close())
	}
}

func (r *restore) carry(ctx context.Context, plan *backup.Plan, newer portable.Source) error {
	carried, err := plan.CarryOver(ctx, newer)
	r.result.Kept, r.result.Disabled, r.result.RightsReturned = carried.Tokens, carried.Accounts, carried.Rights
	return err
}

// endPasswords takes all passwords away, and gives the administrator a new
// one, without whom nobody could give any to the others.
func (r *restore) endPasswords(ctx context.Context, plan *backup.Plan) error {
	if some, err := plan.HasPassword(ctx, ""); err != nil || !some {
		return err
	}
	if there, err := plan.HasPassword(ctx, accounts.AdminName); err != nil {
		return err
	} else if !there {
		return &advisedError{
			err:  fmt.Errorf("the backup has no enabled account %q with a password, which could give new passwords to the others", accounts.AdminName),
			hint: "add --keep-passwords, and change those that were changed since; or use --revoked-since",
		}
	}
	text := r.config.AdminPassword
	if text.Empty() {
		text = secret.New(accounts.NewPassword())
		r.secret = text
	} else if err := password.CheckNew(text.Reveal()); err != nil {
		return fmt.Errorf("the administrator's password from the environment cannot be used: %w", err)
	}
	pool, err := password.New(password.Options{})
	if err != nil {
		return err
	}
	hash, err := pool.Hash(ctx, text.Reveal())
	if err != nil {
		return err
	}
	return plan.EndPasswords(ctx, accounts.AdminName, hash)
}

// fill is what happens inside of the database's transaction.
func (r *restore) fill(ctx context.Context, plan *backup.Plan, to portable.Target) error {
	empty, err := portable.Empty(ctx, to)
	if err != nil {
		return err
	}
	if !empty && !r.choice.replace {
		return backup.ErrNotEmpty
	}
	if r.choice.since == "present" {
		if err := r.carry(ctx, plan, to); err != nil {
			return err
		}
	}
	return plan.Run(ctx, to)
}

// record puts the restore into the audit log.
func (r *restore) record(ctx context.Context) error {
	proofs, err := auditchain.NewKeys(r.keys)
	if err != nil {
		return err
	}
	db, err := openStore(ctx, r.config, r.log)
	if err != nil {
		return err
	}
	e := audit.Event(ctx, r.env.now().UTC(), nil, "backup.restore", audit.OK)
	e.Detail = map[string]string{"taken": r.result.Taken.Format(time.RFC3339), "choice": r.result.Choice}
	err = auditchain.Attest(db, proofs).Update(ctx, func(tx store.Tx) error { return tx.AppendEvent(e) })
	return errors.Join(err, db.Close())
}

// report says what was done, and what it means.
func (r *restore) report() error {
	if r.env.flags.output == formatJSON {
		r.result.AdminPassword = r.secret.Reveal()
		return r.env.printJSON(r.result)
	}
	out := r.result
	r.env.say("the database is as at %s: %s, and %s, %d of which opened doors then",
		out.Taken.Format(time.RFC3339), count(int(out.Accounts), "account"), count(int(out.Tokens), "token"), out.Live)
	switch {
	case r.choice.revived:
		r.env.warn("all %d open doors again, also those that were revoked since; so do passwords that were changed, and accounts that were disabled", out.Live)
	case r.choice.endTokens && r.choice.keepPasswords:
		r.env.say("all tokens have ended")
		r.env.warn("passwords that were changed since, and accounts that were disabled since, are as they were: change and disable them again")
	case r.choice.endTokens:
		r.env.say("all tokens have ended, and all passwords that are kept here")
		r.env.warn("accounts that were disabled since are not: look through 'latchkey user list'")
	default:
		r.env.say("%s and %s stay ended as since then", count(int(out.Kept), "token"), count(int(out.Disabled), "account"))
		if out.RightsReturned > 0 {
			r.env.warn("%d grants and memberships that were withdrawn since came back: look through 'latchkey grant list'", out.RightsReturned)
		}
	}
	if r.secret.Empty() {
		return nil
	}
	r.env.say("the new password of %q is shown this once:", accounts.AdminName)
	return r.env.printName(r.secret.Reveal())
}
