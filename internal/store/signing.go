package store

import (
	"context"
	"fmt"
	"time"
)

// SigningKey is a key by which signed tokens are made and verified. What state
// it is in follows from its times alone, so that all nodes agree on it.
type SigningKey struct {
	ID        string // the "kid" of tokens; never reused
	Algorithm string

	Public      []byte // SubjectPublicKeyInfo in DER
	Certificate []byte // in DER, signed by the key itself; nil: there is none

	// Sealed is encrypted under the server's secret: what must be kept secret of
	// the key, and once nothing more is signed, its public part in place of that.
	Sealed []byte

	CreatedAt time.Time
	ActiveAt  time.Time // first use; zero: nothing has called for it yet
	RetireAt  time.Time // last use; zero: nothing follows it yet

	// Longest is how long the tokens that were signed by it may live: it is
	// kept for so much longer than it is used.
	Longest time.Duration

	// Imported is not "" for a key of another issuer, which only verifies: by
	// which rules its tokens count, as JSON by the core. It never changes.
	Imported string

	WithdrawnAt    time.Time // zero: not withdrawn
	WithdrawnBy    string    // account id, or "" for the server itself
	WithdrawReason string
}

// SigningKeyReader finds signing keys.
type SigningKeyReader interface {
	// SigningKeys lists all signing keys, oldest first.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
}

// SigningKeyWriter changes signing keys inside of a transaction.
type SigningKeyWriter interface {
	// LockSigningKeys lists all signing keys, oldest first. Until the end of
	// the transaction nobody else locks or changes any, so that of several
	// nodes one alone makes the next key.
	LockSigningKeys() ([]SigningKey, error)

	// InsertSigningKey adds a key; [ErrConflict] when its id is taken.
	InsertSigningKey(k SigningKey) error

	// UpdateSigningKey writes all fields of the key with k's id except the
	// algorithm, the public part, the certificate, its creation and Imported.
	UpdateSigningKey(k SigningKey) error

	// DeleteSigningKey removes a key.
	DeleteSigningKey(id string) error
}

// Check says with [ErrInvalid] what keeps k from being stored.
func (k SigningKey) Check() error {
	if !Storable(k.ID, k.Algorithm, k.WithdrawnBy) || k.ID == "" {
		return fmt.Errorf("signing key %q: %w: a key is empty, too long or not text", k.ID, ErrInvalid)
	}
	if !clean(k.WithdrawReason) || !clean(k.Imported) {
		return fmt.Errorf("signing key %q: %w: not UTF-8 text", k.ID, ErrInvalid)
	}
	return nil
}
