package store

import (
	"context"
	"fmt"
	"time"
)

// Family is what a family has beside the token that stands for it. Owner,
// scope, ends, epoch and revocation are those of the token; its secrets are the
// family's refresh tokens, one after the other.
type Family struct {
	TokenID string

	// Terms says by which rules the family lives. The core writes and reads it;
	// to a store it is text.
	Terms string
}

// Spent marks a refresh token that was used. It stays for as long as its
// family does, so that every node knows the token again when it comes back.
type Spent struct {
	Digest  []byte // of the secret that was used
	TokenID string
	At      time.Time

	// Successor is what was given for it, sealed, to be given once more while
	// that is allowed; nil afterwards.
	Successor []byte

	Replays int // how often it was given once more
}

// FamilyReader finds families.
type FamilyReader interface {
	// Family finds a family by the id of its token.
	Family(ctx context.Context, tokenID string) (Family, error)

	// SpentSecret finds the mark of a used refresh token by its digest;
	// [ErrNotFound] when it was not used.
	SpentSecret(ctx context.Context, digest []byte) (Spent, error)
}

// FamilyWriter changes families inside of a transaction. Whoever does has
// locked the token ([TokenWriter.LockToken]), so that two never spend the same
// secret.
type FamilyWriter interface {
	// InsertFamily adds a family to a token; [ErrNotFound] when there is no
	// such token.
	InsertFamily(f Family) error

	// Spent finds the mark of a used refresh token, as
	// [FamilyReader.SpentSecret] does.
	Spent(digest []byte) (Spent, error)

	// InsertSpent marks a refresh token as used; [ErrConflict] when it is
	// marked, [ErrNotFound] when there is no such token.
	InsertSpent(s Spent) error

	// CountReplay adds one to the replays of a mark.
	CountReplay(digest []byte) error

	// ForgetSuccessors removes what is sealed in the marks of a family that
	// were made before the given time. The marks stay.
	ForgetSuccessors(tokenID string, before time.Time) error
}

// Check says with [ErrInvalid] what keeps f from being stored.
func (f Family) Check() error {
	if !Storable(f.TokenID) || f.TokenID == "" || !clean(f.Terms) {
		return fmt.Errorf("family of token %q: %w: a key is empty, too long or not text", f.TokenID, ErrInvalid)
	}
	return nil
}

// Check says with [ErrInvalid] what keeps s from being stored.
func (s Spent) Check() error {
	if len(s.Digest) == 0 || len(s.Digest) > 64 || !Storable(s.TokenID) || s.TokenID == "" {
		return fmt.Errorf("spent secret of token %q: %w: a key is empty, too long or not text", s.TokenID, ErrInvalid)
	}
	return nil
}
