// Package pulpaccounts says by which name Pulp is told who is asking. Pulp takes
// a name for granted, but only that of a user of its own, and robots and other
// accounts of Latchkey's own are none. They keep their name all the same, or get
// a user of that name in Pulp, or all go by the name of one that they share.
//
// It decides nothing about what they may do. A user that it makes in Pulp has no
// password and no role there.
package pulpaccounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Rule says by which name Pulp is told of an account.
type Rule string

// Rules. The empty one is [Same].
const (
	Same Rule = "same" // its own; what Pulp makes of it is Pulp's affair
	Make Rule = "make" // its own, once there is a user of that name in Pulp
	Map  Rule = "map"  // that of a user in Pulp whom several share
)

// Options say which rule goes for whom. API and Admin are needed with [Make],
// and MapTo is with [Map].
type Options struct {
	Users, Robots Rule

	// Known names the password source that is Pulp: its users are in Pulp under
	// the name that they have here, and no rule goes for them. With [Map], none
	// goes for users of any other source than Latchkey's own either: the users
	// there may well be Pulp's, read from its database, and to take the place of
	// somebody else would be no small thing.
	Known string

	MapTo string // a user in Pulp

	API     *url.URL // of Pulp's API server: http://host, https://host or unix:///socket
	APIRoot string   // Pulp's API_ROOT; "/pulp/" if empty
	Header  string   // in which Pulp believes a user name; "Latchkeyuser" if empty
	Admin   string   // the superuser in Pulp by whom users are made

	Timeout time.Duration // of making sure of one user; 5 s if zero
	Audit   Recorder      // gets an event of each user that is made; nil: nobody does
	Log     *slog.Logger
	Now     func() time.Time // default time.Now
}

// Recorder keeps events; [audit.Log] is one.
type Recorder interface{ Record(store.Event) }

// Accounts names accounts to Pulp. Its methods may be called from several
// goroutines.
type Accounts struct {
	opts  Options
	known *known
	users *users
}

// New makes Accounts; it does not connect.
func New(o Options) (*Accounts, error) {
	makes := false
	for _, rule := range []Rule{o.Users, o.Robots} {
		switch rule {
		case "", Same:
		case Make:
			makes = true
		case Map:
			if o.MapTo == "" {
				return nil, errors.New("pulp accounts: there is no user to map to")
			}
		default:
			return nil, fmt.Errorf("pulp accounts: there is no rule %q", rule)
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	a := &Accounts{opts: o}
	if makes {
		var err error
		if a.users, err = newUsers(o); err != nil {
			return nil, fmt.Errorf("pulp accounts: %w", err)
		}
		a.known = newKnown(o.Timeout, o.Now)
	}
	return a, nil
}

// Close closes idle connections.
func (a *Accounts) Close() {
	if a.users != nil {
		a.users.transport.CloseIdleConnections()
	}
}

// NameOf returns the name by which Pulp is told of an account. Nobody, who has no
// account, has no name either.
func (a *Accounts) NameOf(id *identity.Identity) string {
	if a.rule(id) == Map {
		return a.opts.MapTo
	}
	return id.Name
}

// Ensure makes sure, for accounts that [Make] goes for, that there is an active
// user of their name in Pulp, asking there once in a while. The error is a
// fault: Unavailable when Pulp could not be asked or did not do it, and Forbidden
// when the user is there and was deactivated, or cannot be.
func (a *Accounts) Ensure(ctx context.Context, id *identity.Identity) error {
	if a.rule(id) != Make {
		return nil
	}
	err := a.known.ensure(ctx, id.Name, func(ctx context.Context) error { return a.make(ctx, id) })
	if err != nil {
		return a.refused(id, err)
	}
	return nil
}

// rule returns the rule that goes for an account.
func (a *Accounts) rule(id *identity.Identity) Rule {
	switch {
	case id.AccountID == "":
		return Same
	case id.Kind == string(store.Robot):
		return a.opts.Robots
	case a.opts.Known != "" && id.Source == a.opts.Known:
		return Same
	case a.opts.Users == Map && id.Source != accounts.Local:
		return Same
	}
	return a.opts.Users
}

// make makes sure that Pulp has a user for an account.
func (a *Accounts) make(ctx context.Context, id *identity.Identity) error {
	made, err := a.users.ensure(ctx, id.Name)
	if a.opts.Audit == nil || err == nil && !made {
		return err
	}
	outcome, reason := audit.OK, ""
	if err != nil {
		outcome, reason = audit.Failed, string(fault.Unavailable)
		if errors.Is(err, errInactive) || errors.Is(err, errName) {
			outcome, reason = audit.Refused, string(fault.Forbidden)
		}
	}
	e := audit.Event(ctx, a.opts.Now(), id, Action, outcome)
	e.Target, e.Reason = id.AccountID, reason
	e.Detail = map[string]string{"username": audit.Clip(id.Name)}
	a.opts.Audit.Record(e)
	return err
}

// Action is what events call the making of a user in Pulp.
const Action = "pulp.user_create"

// refused words for the caller that an account has no name in Pulp.
func (a *Accounts) refused(id *identity.Identity, err error) error {
	switch {
	case errors.Is(err, errInactive):
		return fault.Forbiddenf("the user %q was deactivated in Pulp", audit.Clip(id.Name))
	case errors.Is(err, errName):
		return fault.Forbiddenf("the account's name is longer than the names of Pulp's users can be")
	}
	a.opts.Log.Warn("a user could not be made in Pulp", "account", id.Name, "err", err)
	return fault.Unavailablef(err, "Pulp has no user for this account, and could not be brought to make one; try again later, or ask whoever runs this server, whose log says why")
}
