package api

import "time"

// Account is a user or a robot.
type Account struct {
	ID      string   `json:"id"`
	Kind    string   `json:"kind"` // "user" or "robot"
	Name    string   `json:"name"`
	Source  string   `json:"source"`            // where its password is checked: "local", "pulp", "django", …
	Subject string   `json:"subject,omitempty"` // the source's own id for it
	Email   string   `json:"email,omitempty"`
	Note    string   `json:"note,omitempty"`
	Groups  []string `json:"groups,omitempty"` // only when one account is asked for
	Grants  []string `json:"grants,omitempty"` // likewise: its own and its groups', those of everyone included

	Disabled       bool       `json:"disabled"`
	DisabledReason string     `json:"disabled_reason,omitempty"`
	MaxTokens      int        `json:"max_tokens"` // 0: the server's limit
	CreatedAt      time.Time  `json:"created_at"`
	LastLoginAt    *time.Time `json:"last_login_at"`
}

// CreateAccount makes an account: POST /accounts.
type CreateAccount struct {
	Kind   string `json:"kind,omitempty"` // "user" (default) or "robot"
	Name   string `json:"name"`
	Source string `json:"source,omitempty"` // default "local"

	// Subject is the source's own id, for an account that has not logged in
	// yet; local accounts have none.
	Subject string `json:"subject,omitempty"`

	// Password is for local users; without one they cannot log in.
	Password string `json:"password,omitempty"`

	// PasswordHash takes over a hash that was made elsewhere, in place of
	// Password: bcrypt, Argon2, scrypt or PBKDF2, in the forms of htpasswd, PHC and
	// Django. It is replaced when the user first logs in, and never shown.
	PasswordHash string `json:"password_hash,omitempty"`

	Email     string   `json:"email,omitempty"`
	Note      string   `json:"note,omitempty"`
	MaxTokens int      `json:"max_tokens,omitempty"`
	Groups    []string `json:"groups,omitempty"`
	Grants    []string `json:"grants,omitempty"`
}

// UpdateAccount changes an account: PATCH /accounts/{name}. Null fields stay
// as they are.
type UpdateAccount struct {
	Name           *string `json:"name,omitempty"`
	Email          *string `json:"email,omitempty"`
	Note           *string `json:"note,omitempty"`
	Disabled       *bool   `json:"disabled,omitempty"`
	DisabledReason *string `json:"disabled_reason,omitempty"`
	MaxTokens      *int    `json:"max_tokens,omitempty"`
}

// SetPassword sets the password of a local user. POST /password is for one's
// own and needs the current one; POST /accounts/{name}/password is for
// administrators. All tokens of the account end, unless KeepTokens is set.
type SetPassword struct {
	Current    string `json:"current,omitempty"`
	New        string `json:"new"`
	KeepTokens bool   `json:"keep_tokens,omitempty"`
}

// WhoAmI is the caller as the server sees it: GET /whoami.
type WhoAmI struct {
	Account string   `json:"account"`
	ID      string   `json:"id"`
	Kind    string   `json:"kind"`
	Source  string   `json:"source"`
	Groups  []string `json:"groups"`
	Method  string   `json:"method"` // "password" or "token"
	Token   *Token   `json:"token,omitempty"`
	Scope   []string `json:"scope"` // what this credential may do
}

// Group is a named set of accounts. "everyone" and "anonymous" always exist.
type Group struct {
	Name      string    `json:"name"`
	Note      string    `json:"note,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	Members   []string  `json:"members,omitempty"` // only when one group is asked for
	Grants    []string  `json:"grants,omitempty"`  // likewise
}

// CreateGroup makes a group: POST /groups.
type CreateGroup struct {
	Name string `json:"name"`
	Note string `json:"note,omitempty"`
}

// Grant is a scope rule given to an account or a group.
type Grant struct {
	ID        string    `json:"id"`
	Account   string    `json:"account,omitempty"`
	Group     string    `json:"group,omitempty"`
	Scope     string    `json:"scope"`
	CreatedAt time.Time `json:"created_at"`
}

// CreateGrant gives a rule to an account or a group: POST /grants. Exactly one
// of Account and Group is set.
type CreateGrant struct {
	Account string `json:"account,omitempty"`
	Group   string `json:"group,omitempty"`
	Scope   string `json:"scope"`
}

// Event is one row of the audit log.
type Event struct {
	ID            string            `json:"id"`
	At            time.Time         `json:"at"`
	Action        string            `json:"action"`
	Outcome       string            `json:"outcome"` // "ok", "refused" or "failed"
	Reason        string            `json:"reason,omitempty"`
	Actor         string            `json:"actor,omitempty"`
	ActorID       string            `json:"actor_id,omitempty"`
	Token         string            `json:"token,omitempty"` // id of the token that was used to ask
	Target        string            `json:"target,omitempty"`
	Addr          string            `json:"addr,omitempty"`
	Agent         string            `json:"agent,omitempty"`
	RequestID     string            `json:"request_id,omitempty"`
	CorrelationID string            `json:"correlation_id,omitempty"`
	Detail        map[string]string `json:"detail,omitempty"`
	Count         int               `json:"count"`
}
