package api

import "time"

// Check asks whom a token stands for that was presented to a service:
// POST /check.
type Check struct {
	Token string `json:"token"`

	// Addr and Agent are those of whoever presented the token. Without an
	// address a token that is bound to networks does not count.
	Addr  string `json:"addr,omitempty"`
	Agent string `json:"agent,omitempty"`

	// Scope are rules that the token must cover, all of them.
	Scope []string `json:"scope,omitempty"`
}

// Checked is the answer to [Check]. When Active is false, which is all that is
// said of a token that does not count, the other fields are not there.
type Checked struct {
	Active bool `json:"active"`

	// Covered says whether the token covers all rules that were asked for, and
	// Missing names the first that it does not. They are there when some were.
	Covered *bool  `json:"covered,omitempty"`
	Missing string `json:"missing,omitempty"`

	Account   string `json:"account,omitempty"`
	AccountID string `json:"account_id,omitempty"`
	Kind      string `json:"kind,omitempty"` // "user" or "robot"
	Source    string `json:"source,omitempty"`

	TokenID string `json:"token_id,omitempty"`
	Class   string `json:"class,omitempty"`

	// Scope is what the token may do now: its own scope within its owner's
	// grants. Where two patterns only overlap, neither covering the other, the
	// overlap is left out.
	Scope []string `json:"scope,omitzero"`

	CIDRs       []string   `json:"cidrs,omitempty"`             // where it may be used from; none: anywhere
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`        // when what was presented ends by itself; null: never
	FamilyEnds  *time.Time `json:"family_expires_at,omitempty"` // of a signed access token: when its family ends by itself
	IdleTimeout int64      `json:"idle_timeout,omitempty"`      // seconds; the token ends when the server hears of no use for so long

	// Position is a number in the change log: all changes up to it are in this
	// answer. Those behind it may be or not; 0 promises nothing.
	Position int64 `json:"position,omitempty"`

	// CheckedAt is the server's time of this answer, to measure ExpiresAt by.
	CheckedAt *time.Time `json:"checked_at,omitempty"`

	// Stale says that the server could not be certain that nothing was revoked
	// lately, and that its operator allows such answers. They are not to be
	// kept.
	Stale bool `json:"stale,omitempty"`
}

// Names of the events of GET /changes, a stream of server-sent events. The
// data of each is a [Change] in JSON, its id the change's position.
const (
	EventChange = "change" // something changed that a kept answer may rest on
	EventSeen   = "seen"   // nothing else to tell: all up to the position was told
	EventReset  = "reset"  // changes may have been missed: start over, and keep nothing
)

// Kinds of changes. A reader that does not know a kind drops everything.
const (
	ChangeToken   = "token"   // Token
	ChangeAccount = "account" // Account, with all its tokens
	ChangeGroups  = "groups"  // some group or its grants: every account
	ChangeKeys    = "keys"    // the signing keys: every signed token
)

// Change is the data of an event of GET /changes. A reader that drops what a
// change names, and asks again, is never further behind than AsOf says.
type Change struct {
	// Position is the number up to which everything has been told. Numbers are
	// in the order in which changes were made, and have no gaps.
	Position int64 `json:"position"`

	// Kind, Token and Account are those of a change.
	Kind    string `json:"kind,omitempty"`
	Token   string `json:"token,omitempty"`   // its id
	Account string `json:"account,omitempty"` // its id

	// AsOf is in an [EventSeen]: how many milliseconds after the request
	// arrived (before: negative) the log was read to its end. A reader that adds it to the time
	// at which it sent the request knows how old what it has been told is, however long
	// the way here took.
	AsOf int64 `json:"as_of,omitempty"`
}
