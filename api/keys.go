package api

import "time"

// SigningKey is a key by which the server signs tokens. Nothing in it is
// secret.
type SigningKey struct {
	ID         string `json:"id"`          // the "kid" of tokens: the key's RFC 7638 thumbprint
	LibtrustID string `json:"libtrust_id"` // the id by which docker-registry 2 knows it
	Algorithm  string `json:"algorithm"`   // "ES256", "EdDSA", "RS256" or "PS256"

	// State is "published" (to be used next), "active" (it signs), "retired" (it
	// only verifies) or "withdrawn" (nothing that it has signed counts).
	State string `json:"state"`

	CreatedAt   time.Time  `json:"created_at"`
	ActiveAt    *time.Time `json:"active_at"`    // when it signs for the first time; null: when somebody rotates
	RetireAt    *time.Time `json:"retire_at"`    // when the next one signs in its place
	EndsAt      *time.Time `json:"ends_at"`      // when it is forgotten
	WithdrawnAt *time.Time `json:"withdrawn_at"` // null: it was not revoked

	WithdrawReason string `json:"withdraw_reason,omitempty"`

	PublicKey   string `json:"public_key"`            // in PEM
	Certificate string `json:"certificate,omitempty"` // in PEM, signed by the key itself
}

// RevokeKey says why a key is withdrawn: the optional body of
// DELETE /keys/{id}.
type RevokeKey struct {
	Reason string `json:"reason,omitempty"`
}
