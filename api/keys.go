package api

import "time"

// SigningKey is a key by which the server signs tokens, or one of another
// issuer that was imported. Nothing in it is secret.
type SigningKey struct {
	ID         string `json:"id"`          // the "kid" of tokens: the key's RFC 7638 thumbprint; of an imported one no "kid"
	LibtrustID string `json:"libtrust_id"` // the id by which docker-registry 2 knows it
	Algorithm  string `json:"algorithm"`   // "ES256", "EdDSA", "RS256" or "PS256"; others if it was imported

	// State is "published" (to be used next), "active" (it signs), "retired" (it
	// only verifies), "imported" (it is of another issuer, and only verifies) or
	// "withdrawn" (nothing that it has signed counts).
	State string `json:"state"`

	CreatedAt   time.Time  `json:"created_at"`
	ActiveAt    *time.Time `json:"active_at"`    // when it signs for the first time; null: when somebody rotates
	RetireAt    *time.Time `json:"retire_at"`    // when the next one signs in its place
	EndsAt      *time.Time `json:"ends_at"`      // when it is forgotten
	WithdrawnAt *time.Time `json:"withdrawn_at"` // null: it was not revoked

	WithdrawReason string `json:"withdraw_reason,omitempty"`

	PublicKey   string `json:"public_key"`            // in PEM; "" of a shared secret
	Certificate string `json:"certificate,omitempty"` // in PEM, signed by the key itself

	Imported *ImportRules `json:"imported,omitempty"` // of a key of another issuer
}

// ImportRules say which tokens of another issuer's key count, and for whom.
type ImportRules struct {
	// Source is the password source whose accounts the tokens stand for.
	Source string `json:"source"`

	// UserID is what the claim for the user holds: "subject", the source's own id
	// for them, such as Django's primary key; "name", the login name there; or
	// "id", the account's id here. "": "subject".
	UserID string `json:"user_id,omitempty"`

	UserIDClaim         string `json:"user_id_claim,omitempty"`         // "": "user_id"
	TokenTypeClaim      string `json:"token_type_claim,omitempty"`      // "": "token_type"
	JTIClaim            string `json:"jti_claim,omitempty"`             // "": "jti"
	SlidingRefreshClaim string `json:"sliding_refresh_claim,omitempty"` // "": "refresh_exp"

	Issuer   string `json:"issuer,omitempty"`   // what "iss" must be; "": there must be none
	Audience string `json:"audience,omitempty"` // what "aud" must hold; "": there must be none

	Scope []string `json:"scope,omitempty"` // limits what the tokens open; empty: all that their account has

	// MaxLifetime ends tokens so many seconds after they were issued, whatever
	// they say; 0: what they say counts.
	MaxLifetime int64 `json:"max_lifetime,omitempty"`
}

// ImportKey takes over a key of another issuer, so that tokens that it has
// signed count until its end: the body of POST /keys/import.
type ImportKey struct {
	// Algorithm is the one that the tokens are signed by: HS256, HS384, HS512,
	// RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA.
	Algorithm string `json:"algorithm"`

	// Key is the shared secret of HS256, HS384 and HS512; else a key in PEM, of
	// which the public part is kept.
	Key string `json:"key"`

	// AllowWeak takes a shared secret that is shorter than its algorithm wants,
	// which is as many bytes as the hash has; 16 are needed in any case.
	AllowWeak bool `json:"allow_weak,omitempty"`

	// ExpiresIn is for how many seconds the key counts, ExpiresAt until when;
	// neither: 30 days. At most 366 days.
	ExpiresIn *int64     `json:"expires_in,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`

	ImportRules
}

// RevokeKey says why a key is withdrawn: the optional body of
// DELETE /keys/{id}.
type RevokeKey struct {
	Reason string `json:"reason,omitempty"`
}
