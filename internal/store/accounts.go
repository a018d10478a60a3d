package store

import (
	"context"
	"time"
)

// KeepDeparted is how long it is kept who was deleted, longer than any token of
// another issuer counts.
const KeepDeparted = 400 * 24 * time.Hour

// AccountKind tells people from machines.
type AccountKind string

// Kinds of accounts.
const (
	User  AccountKind = "user"
	Robot AccountKind = "robot"
)

// Account is who can hold tokens. It is known by its id; the pair of source
// and subject, and the pair of source and name, are unique too.
type Account struct {
	ID      string
	Kind    AccountKind
	Name    string // the login name, as the source spells it
	Source  string // where its password is checked: "local", or a source's name
	Subject string // the source's own id for it; for "local" equal to ID
	Email   string
	Note    string // free text for administrators

	// PasswordHash is set for local users that have a password.
	PasswordHash string

	// Fingerprint is what an outside source last said about the password and
	// state of the account, to notice changes by; opaque.
	Fingerprint string

	Disabled       bool
	DisabledReason string

	// Epoch rises whenever all tokens issued so far must end. EpochAt is since
	// when tokens of other issuers count, which know of no epoch: the last time
	// that the epoch rose, or the name changed, or an account with this subject
	// or name was deleted; zero: always. The store sets it.
	Epoch   int64
	EpochAt time.Time

	MaxTokens   int // at most so many live tokens; 0: the server's limit
	CreatedAt   time.Time
	LastLoginAt time.Time // last password login; zero: never
}

// Group is a named set of accounts. The groups "everyone" and "anonymous"
// exist from the start and have no listed members: every account belongs to
// the first, every request without a credential to the second.
type Group struct {
	Name      string
	Note      string
	CreatedAt time.Time
}

// Names of the groups that always exist.
const (
	GroupEveryone  = "everyone"
	GroupAnonymous = "anonymous"
)

// Grant is a scope rule given to an account or to a group: exactly one of
// AccountID and Group is set.
type Grant struct {
	ID        string
	AccountID string
	Group     string
	Scope     string
	CreatedAt time.Time
	CreatedBy string // account id, or "" for the server itself
}

// Holder is an account with everything that decides what its tokens may do.
type Holder struct {
	Account Account
	Groups  []string // names, sorted, without the implied ones
	Grants  []string // own and of all groups, with those of "everyone"
}

// AccountReader finds accounts, groups and grants.
type AccountReader interface {
	// Holder loads an account with its groups and grants.
	Holder(ctx context.Context, accountID string) (Holder, error)

	// Account finds an account by id.
	Account(ctx context.Context, id string) (Account, error)

	// AccountBySubject finds an account by its source's id for it.
	AccountBySubject(ctx context.Context, source, subject string) (Account, error)

	// AccountsByName finds the accounts with this name, one for each source at
	// most, "local" first.
	AccountsByName(ctx context.Context, name string) ([]Account, error)

	// Accounts lists accounts by name.
	Accounts(ctx context.Context, q AccountQuery) ([]Account, error)

	// Groups lists all groups by name.
	Groups(ctx context.Context) ([]Group, error)

	// Members lists the accounts in a group by name.
	Members(ctx context.Context, group string) ([]Account, error)

	// Grants lists grants, oldest first.
	Grants(ctx context.Context, q GrantQuery) ([]Grant, error)
}

// AccountQuery selects accounts. Zero fields do not restrict.
type AccountQuery struct {
	Kind       AccountKind
	Source     string
	NamePrefix string
	Disabled   *bool

	AfterName string // only names after this one; with AfterID for equal names
	AfterID   string
	Limit     int // at most so many; must be positive
}

// GrantQuery selects grants. Zero fields do not restrict.
type GrantQuery struct {
	AccountID string
	Group     string
}

// AccountWriter changes accounts inside of a transaction.
type AccountWriter interface {
	// LockAccount reads an account for change.
	LockAccount(id string) (Account, error)

	// InsertAccount adds an account; [ErrConflict] when its source already has
	// that name or subject.
	InsertAccount(a Account) error

	// UpdateAccount writes all fields of the account with a's id except kind,
	// source, subject and creation.
	UpdateAccount(a Account) error

	// DeleteAccount removes an account with its tokens, grants and
	// memberships. Its id is never given out again.
	DeleteAccount(id string) error
}

// GroupWriter changes groups, memberships and grants inside of a transaction.
type GroupWriter interface {
	// InsertGroup adds a group; [ErrConflict] when the name is taken.
	InsertGroup(g Group) error

	// DeleteGroup removes a group with its memberships and grants.
	DeleteGroup(name string) error

	// AddMember puts an account into a group and reports whether it was not
	// in it before. [ErrNotFound] when either does not exist.
	AddMember(group, accountID string) (bool, error)

	// RemoveMember takes an account out of a group and reports whether it was
	// in it.
	RemoveMember(group, accountID string) (bool, error)

	// InsertGrant adds a grant; [ErrConflict] when the holder has the same
	// rule already, [ErrNotFound] when the holder does not exist.
	InsertGrant(g Grant) error

	// DeleteGrant removes a grant and returns it.
	DeleteGrant(id string) (Grant, error)
}
