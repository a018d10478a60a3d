package api

import "time"

// CreateTokenPair asks for a signed access token and a refresh token, and so
// begins a family: POST /token-pairs. Only Name is needed. The family is a
// token of the class "refresh": it is listed, changed and ended as such.
type CreateTokenPair struct {
	Name string `json:"name"` // of the family

	// ExpiresIn is the life of the family in seconds, which no refreshing
	// prolongs; null: the default. ExpiresAt says the same as a time; only one
	// of both may be given.
	ExpiresIn *int64     `json:"expires_in,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`

	// IdleTimeout ends the family when nothing of it was used for so many
	// seconds; null: the default; 0: never.
	IdleTimeout *int64 `json:"idle_timeout,omitempty"`

	// AccessExpiresIn is the life of access tokens in seconds; null: the
	// default.
	AccessExpiresIn *int64 `json:"access_expires_in,omitempty"`

	Audience []string          `json:"audience,omitempty"` // services that take the access tokens; empty: this server's doors
	ClientID string            `json:"client_id,omitempty"`
	Scope    []string          `json:"scope,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	CIDRs    []string          `json:"cidrs,omitempty"`

	// Owner is the account that gets the pair; empty: the caller.
	Owner string `json:"owner,omitempty"`
}

// TokenPair is a pair with its secrets, which are never shown again.
type TokenPair struct {
	AccessToken string    `json:"access_token"` // a JSON Web Token as of RFC 9068
	TokenType   string    `json:"token_type"`   // "Bearer"
	ExpiresAt   time.Time `json:"expires_at"`   // of the access token
	Scope       []string  `json:"scope"`        // of the access token; empty: all that the owner has

	RefreshToken string `json:"refresh_token"`
	Family       Token  `json:"family"`
}

// RefreshTokenPair uses a refresh token for the next pair, without any other
// credential: POST /token-pairs/refresh. A refresh token is used once.
type RefreshTokenPair struct {
	RefreshToken string   `json:"refresh_token"`
	ClientID     string   `json:"client_id,omitempty"` // as the family was made for
	Scope        []string `json:"scope,omitempty"`     // narrows the access token; empty: all that the family has
}
