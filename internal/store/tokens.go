package store

import (
	"context"
	"net/netip"
	"time"
)

// ImportedPrefix begins the ids of tokens that another issuer has signed. Their
// records say that they were used or revoked, and since the signature stays good,
// the sweep leaves them until they expire.
const ImportedPrefix = "imp_"

// Token is a token without its secret.
type Token struct {
	ID        string // safe to show; never reused
	AccountID string // whose token it is
	Class     string // personal, robot, session, …
	Name      string // what its owner calls it
	Prefix    string // the first characters of the secret, to recognise it by

	// Slot is "" for ordinary tokens. A dialect that knows one token per
	// account names its slot, and at most one unrevoked token is in it.
	Slot string

	// Scope limits the token; empty means all that its owner has. Each element
	// is one rule in the grammar of package scope.
	Scope []string

	Labels map[string]string
	CIDRs  []netip.Prefix // addresses it may be used from; empty: any

	// Epoch is the epoch of its account at the time of issue. A token with a
	// smaller epoch than its account has ended.
	Epoch int64

	ParentID  string // the token that asked for this one, if any
	CreatedAt time.Time
	ExpiresAt time.Time     // zero: never
	IdleAfter time.Duration // ends when unused for so long; 0: never

	RevokedAt    time.Time // zero: not revoked
	RevokedBy    string    // account id, or "" for the holder of the secret or the server
	RevokeReason string

	RotatedAt time.Time // when it last got a new secret; zero: never
	LastUse   Use       // zero At: never used
}

// Secret is one secret string that opens a token, known by its digest alone.
// A token has one, and while a rotation overlaps, two.
type Secret struct {
	Digest  []byte // 32 bytes; unique over all tokens
	TokenID string
	KeyID   string // the server secret under which the digest was made

	// Sealed is the secret itself, encrypted under the server secret, for
	// dialects that must show a token again; nil elsewhere.
	Sealed []byte

	CreatedAt time.Time
	ExpiresAt time.Time // zero: as long as its token

	// UntilSuccessor marks the old secret of a rotation that ends with the
	// first use of the new one.
	UntilSuccessor bool
}

// Use is the last use of a token. Times have a precision of a second.
type Use struct {
	TokenID string
	At      time.Time
	Addr    netip.Addr
	Agent   string
}

// FoundToken is what a look-up by digest gives: the token, the secret that
// matched, and whether another secret of the same token still waits for the
// first use of this one.
type FoundToken struct {
	Token          Token
	Secret         Secret
	HasPredecessor bool
}

// TokenReader finds tokens.
type TokenReader interface {
	// TokenByDigest finds the token that a secret with this digest opens,
	// whatever state it is in. It is the only query of a check that the cache
	// cannot answer.
	TokenByDigest(ctx context.Context, digest []byte) (FoundToken, error)

	// Token finds a token by its id.
	Token(ctx context.Context, id string) (Token, error)

	// Tokens lists tokens, newest first.
	Tokens(ctx context.Context, q TokenQuery) ([]Token, error)

	// SecretOfSlot finds the unrevoked token in an account's slot and its
	// newest secret.
	SecretOfSlot(ctx context.Context, accountID, slot string) (FoundToken, error)
}

// TokenState selects tokens by whether they still open doors.
type TokenState string

// States of tokens. A token of an older epoch than its account's counts as
// revoked; one that is not revoked counts as expired when its end has come or
// when it went unused for longer than IdleAfter since its creation, rotation or
// last stored use; all others are live. The state of the account itself is not
// looked at.
const (
	TokenAny     TokenState = ""
	TokenLive    TokenState = "live"
	TokenExpired TokenState = "expired"
	TokenRevoked TokenState = "revoked"
)

// TokenQuery selects tokens. Zero fields do not restrict.
type TokenQuery struct {
	AccountID   string
	Class       string
	State       TokenState
	NamePrefix  string    // by the start of the name, case-sensitive
	Prefix      string    // by the start of the shown prefix
	Label       [2]string // key and value; an empty value matches any
	UnusedSince time.Time // never used, or last used before this
	NeverUsed   bool

	Group         string    // by a group that the owner is in; every owner is in [GroupEveryone]
	CreatedSince  time.Time // not before
	CreatedBefore time.Time

	Now   time.Time // what State is judged against
	After Position  // only what comes after this position in the list
	Limit int       // at most so many; must be positive
}

// Position is a place in a list that is ordered by time and id, newest first.
type Position struct {
	At time.Time
	ID string
}

// TokenWriter changes tokens inside of a transaction.
type TokenWriter interface {
	// LockToken reads a token for change.
	LockToken(id string) (Token, error)

	// LockSlot reads the unrevoked token in a slot and its newest secret for
	// change.
	LockSlot(accountID, slot string) (FoundToken, error)

	// InsertToken adds a token and its first secret; [ErrConflict] when the
	// id, the digest or the slot is taken.
	InsertToken(t Token, s Secret) error

	// UpdateToken writes all fields of the token with t's id except those that
	// never change (account, class, slot, parent, creation) and the last use.
	UpdateToken(t Token) error

	// InsertSecret adds a secret to a token.
	InsertSecret(s Secret) error

	// RetireSecrets ends the secrets of a token, except the one with the
	// digest keep (nil: all), at the time until: those that would have ended
	// sooner keep their end. A zero until removes them at once.
	// untilSuccessor marks them as ending with the first use of a successor.
	RetireSecrets(tokenID string, keep []byte, until time.Time, untilSuccessor bool) error

	// CountUnrevoked returns how many tokens of an account were never revoked,
	// whether they have ended otherwise or not. It is never less than there are
	// live ones, and costs the same however many there are.
	CountUnrevoked(accountID string) (int, error)

	// CountLive counts an account's live tokens, but not beyond most. It costs
	// as much as there are.
	CountLive(accountID string, now time.Time, most int) (int, error)

	// RevokeTokens revokes all unrevoked tokens of an account and returns how
	// many there were that had not expired before at.
	RevokeTokens(accountID string, at time.Time, by, reason string) (int, error)

	// RevokeEach revokes those of the tokens with these ids that are not
	// revoked, and returns their ids, in no order. Ids of no token are ignored.
	RevokeEach(ids []string, at time.Time, by, reason string) ([]string, error)
}
