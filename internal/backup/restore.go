package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store/portable"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
)

// Plan is a restore in the making: the backup is read and checked, nothing is
// written yet. One of EndTokens, CarryOver and AcceptRevived has to be called
// before Run.
type Plan struct {
	// Header is what the backup says about itself, now that it is checked.
	Header Header

	// Tally is what is in the backup, judged at the time when it was made.
	Tally sqlite.Tally

	now     time.Time
	log     *slog.Logger
	scratch *sqlite.Scratch
	newest  int64 // change number of the newest state that was seen
	decided bool
}

// RestoreOptions are what a restore is made with.
type RestoreOptions struct {
	Keys *serverkey.Ring // the server's secrets
	Now  time.Time
	Log  *slog.Logger // nil: nowhere
}

// Prepare reads a backup and brings it to the newest schema, in a scratch
// database. Close the plan in the end.
func Prepare(ctx context.Context, r io.Reader, o RestoreOptions) (_ *Plan, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b, err := Open(r, o.Keys)
	if err != nil {
		return nil, err
	}
	scratch, err := sqlite.NewScratch(ctx, b.Header.Schema, o.Log)
	if err != nil {
		return nil, err
	}
	p := &Plan{Header: b.Header, now: o.Now.UTC(), log: o.Log, scratch: scratch, newest: b.Header.Position}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if err := b.Load(ctx, scratch.Insert); err != nil {
		return nil, err
	}
	if err := scratch.Upgrade(ctx); err != nil {
		return nil, err
	}
	p.Tally, err = scratch.Tally(ctx, p.Header.Taken)
	return p, err
}

// Close throws away what was prepared.
func (p *Plan) Close() error { return p.scratch.Close() }

// EndTokens lets accounts, groups and grants come back, and no token.
func (p *Plan) EndTokens(ctx context.Context) error {
	p.decided = true
	return p.scratch.EndTokens(ctx, p.now, "ended by the restore of a backup")
}

// HasPassword reports whether an enabled account of that name has a password
// that is kept here; with "", whether any account has.
func (p *Plan) HasPassword(ctx context.Context, name string) (bool, error) {
	return p.scratch.HasPassword(ctx, name)
}

// EndPasswords takes away all passwords that are kept here, except that the
// account with the given name gets the one with this hash.
func (p *Plan) EndPasswords(ctx context.Context, name, hash string) error {
	return p.scratch.EndPasswords(ctx, name, hash)
}

// AcceptRevived lets everything come back as it was, revoked since or not.
func (p *Plan) AcceptRevived() { p.decided = true }

// CarryOver brings in what a newer state of the same server's data says was
// taken away since. It fails with [ErrOlder] when it is no such thing.
func (p *Plan) CarryOver(ctx context.Context, newer portable.Source) (_ sqlite.Carried, err error) {
	none := sqlite.Carried{}
	if newer.Schema() == 0 {
		return none, fmt.Errorf("%w: there is nothing in it", ErrOlder)
	}
	position, err := newer.Position(ctx)
	if err != nil {
		return none, err
	}
	ids, err := secretsOf(ctx, newer)
	if err != nil {
		return none, err
	}
	if !slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(p.Header.Secrets, id) }) {
		return none, fmt.Errorf("%w: it is under another server secret", ErrOlder)
	}
	if position < p.Header.Position {
		return none, fmt.Errorf("%w: its newest change has the number %d, that of the backup %d", ErrOlder, position, p.Header.Position)
	}
	upgraded, err := sqlite.NewScratch(ctx, newer.Schema(), p.log)
	if err != nil {
		return none, err
	}
	defer func() { err = errors.Join(err, upgraded.Close()) }()
	if err := portable.Copy(ctx, upgraded, newer); err != nil {
		return none, err
	}
	return p.carryOver(ctx, upgraded, position)
}

// CarryOverBackup is CarryOver from a newer backup.
func (p *Plan) CarryOverBackup(ctx context.Context, newer *Plan) (sqlite.Carried, error) {
	if newer.Header.Position < p.Header.Position || newer.Header.Taken.Before(p.Header.Taken) {
		return sqlite.Carried{}, fmt.Errorf("%w: it was made at %s, the other at %s", ErrOlder,
			newer.Header.Taken.Format(time.RFC3339), p.Header.Taken.Format(time.RFC3339))
	}
	if !slices.ContainsFunc(newer.Header.Secrets, func(id string) bool { return slices.Contains(p.Header.Secrets, id) }) {
		return sqlite.Carried{}, fmt.Errorf("%w: it is under another server secret", ErrOlder)
	}
	return p.carryOver(ctx, newer.scratch, newer.Header.Position)
}

func (p *Plan) carryOver(ctx context.Context, upgraded *sqlite.Scratch, position int64) (sqlite.Carried, error) {
	if err := upgraded.Upgrade(ctx); err != nil {
		return sqlite.Carried{}, err
	}
	carried, err := p.scratch.CarryOver(ctx, upgraded, p.now)
	if err == nil {
		p.decided = true
		p.newest = max(p.newest, position)
	}
	return carried, err
}

// Run puts the result into a database, instead of all that is there. Nothing
// of it counts before the database's transaction is committed.
func (p *Plan) Run(ctx context.Context, to portable.Target) error {
	if !p.decided {
		return errors.New("a restore must decide about what was revoked since the backup")
	}
	present, err := to.Position(ctx)
	if err != nil {
		return err
	}
	if err := to.Clear(ctx); err != nil {
		return err
	}
	if err := portable.Copy(ctx, to, p.scratch); err != nil {
		return err
	}
	return to.Restart(ctx, restartAt(p.now, p.newest, present), p.now)
}

// restartAt chooses the number with which the change log goes on: one that no
// server and no client can have seen, so that whoever lives on notices a gap
// and loads everything anew. How many changes there were after the backup is
// not always known, but there are fewer than one in a microsecond, and a log
// that was restarted before was restarted by the same rule.
func restartAt(now time.Time, known ...int64) int64 {
	return max(now.UnixMicro(), slices.Max(known)+2)
}
