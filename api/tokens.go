package api

import "time"

// Token is a token without its secret.
type Token struct {
	ID     string            `json:"id"`
	Name   string            `json:"name"`
	Class  string            `json:"class"`  // "personal", "robot", …
	Prefix string            `json:"prefix"` // the first characters of the secret
	Owner  string            `json:"owner"`  // the account's name
	State  string            `json:"state"`  // "live", "expired" or "revoked"
	Scope  []string          `json:"scope"`  // rules; empty: all that the owner has
	Labels map[string]string `json:"labels"`
	CIDRs  []string          `json:"cidrs"` // where it may be used from; empty: anywhere

	CreatedAt   time.Time  `json:"created_at"`
	ExpiresAt   *time.Time `json:"expires_at"`   // null: never
	IdleTimeout int64      `json:"idle_timeout"` // seconds; ends when unused for so long; 0: never
	LastUsed    *Use       `json:"last_used"`    // null: never
	RotatedAt   *time.Time `json:"rotated_at,omitempty"`
	Parent      string     `json:"parent,omitempty"` // id of the token that asked for it

	RevokedAt    *time.Time `json:"revoked_at,omitempty"`
	RevokedBy    string     `json:"revoked_by,omitempty"` // account id; empty: by the secret itself or the server
	RevokeReason string     `json:"revoke_reason,omitempty"`
}

// Use is when and from where a token was last used.
type Use struct {
	At    time.Time `json:"at"`
	Addr  string    `json:"addr"`
	Agent string    `json:"agent"`
}

// NewToken is a token with its secret, which is never shown again.
type NewToken struct {
	Token
	Secret string `json:"token"`
}

// CreateToken asks for a token: POST /tokens. Only Name is needed.
type CreateToken struct {
	Name string `json:"name"`

	// ExpiresIn is the life in seconds; null: the default of the class; 0:
	// without end, where the policy allows it. ExpiresAt says the same as a
	// time; only one of both may be given.
	ExpiresIn *int64     `json:"expires_in,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`

	Scope       []string          `json:"scope,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	CIDRs       []string          `json:"cidrs,omitempty"`
	IdleTimeout *int64            `json:"idle_timeout,omitempty"` // seconds; null: the default of the class; 0: never

	// Owner is the account that gets the token; empty: the caller.
	Owner string `json:"owner,omitempty"`
}

// UpdateToken changes a token: PATCH /tokens/{id}. Null fields stay as they
// are. A token can be narrowed and shortened, never widened.
type UpdateToken struct {
	Name        *string            `json:"name,omitempty"`
	Labels      *map[string]string `json:"labels,omitempty"` // replaces all
	Scope       *[]string          `json:"scope,omitempty"`
	CIDRs       *[]string          `json:"cidrs,omitempty"`
	ExpiresAt   *time.Time         `json:"expires_at,omitempty"`
	ExpiresIn   *int64             `json:"expires_in,omitempty"` // seconds from now
	IdleTimeout *int64             `json:"idle_timeout,omitempty"`
}

// RotateToken gives a token a new secret: POST /tokens/{id}/rotate. Without a
// choice the old secret ends at once.
type RotateToken struct {
	// Overlap is for how many more seconds the old secret works.
	Overlap int64 `json:"overlap,omitempty"`

	// UntilUsed lets the old secret work until the new one is first used. With
	// an Overlap it ends at whichever comes first.
	UntilUsed bool `json:"until_used,omitempty"`
}

// Revoke ends the token whose secret is given, without any other credential:
// POST /revoke.
type Revoke struct {
	Token string `json:"token"`
}

// RevokeReason says why a token or all of an account's tokens end. It is
// optional everywhere.
type RevokeReason struct {
	Reason string `json:"reason,omitempty"`
}

// TokenFilter selects tokens. All fields that are set must fit; fields that are
// not do not restrict, except that without an owner and a group it is the
// caller's own tokens. GET /tokens has the same as parameters.
type TokenFilter struct {
	Owner string `json:"owner,omitempty"` // an account; "*": everybody
	Group string `json:"group,omitempty"` // that the owner is in
	Class string `json:"class,omitempty"`

	Name   string `json:"name,omitempty"`   // how the name begins
	Prefix string `json:"prefix,omitempty"` // how the shown prefix begins
	Label  string `json:"label,omitempty"`  // "key=value", or "key" for any value

	CreatedSince  *time.Time `json:"created_since,omitempty"`
	CreatedBefore *time.Time `json:"created_before,omitempty"`
	UnusedSince   *time.Time `json:"unused_since,omitempty"` // never used, or last used before this
	NeverUsed     bool       `json:"never_used,omitempty"`
	LastAddr      string     `json:"last_addr,omitempty"` // last used from an address in this network

	// Scope is a rule; tokens fit that may do any part of what it says, by
	// their own scope, or by their owner's grants if they have none.
	Scope string `json:"scope,omitempty"`
}

// RevokeTokens ends all live tokens that a query selects: POST /tokens/revoke.
type RevokeTokens struct {
	Query  TokenFilter `json:"query"`
	Reason string      `json:"reason,omitempty"`

	// DryRun only counts. The real run must say what it counted: Expect is how
	// many match, AtMost how many may; if that is not so, nothing ends.
	DryRun bool `json:"dry_run,omitempty"`
	Expect *int `json:"expect,omitempty"`
	AtMost *int `json:"at_most,omitempty"`
}

// RevokedTokens is the answer to [RevokeTokens].
type RevokedTokens struct {
	Matched int `json:"matched"` // when the call began
	Revoked int `json:"revoked"` // by this call

	// Complete says that everything that matched has ended. If not, the time
	// of one call was too short: repeat it, with Expect or AtMost less by
	// Revoked. A dry run ends nothing and is never complete.
	Complete bool `json:"complete"`

	Sample []Token `json:"sample,omitempty"` // of a dry run: the newest few
}

// Revoked says how many live tokens were ended.
type Revoked struct {
	Revoked int `json:"revoked"`
}
