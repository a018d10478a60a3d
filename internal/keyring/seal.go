package keyring

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// What is sealed is bound to its record, so that nobody who can write to the
// database, and has not the server's secret, can put one key in the place of
// another or make a key of their own count: also not for verifying alone, for
// which the public part is sealed in place of the private one.
func privateOf(id string) string { return "signing key " + id }
func publicOf(id string) string  { return "verification key " + id }

// errSealed says that the server's secret does not fit a key, or that somebody
// has changed the key in the database.
var errSealed = errors.New("it is not sealed under a server secret that is here")

// opened is what was sealed of a key.
type opened struct {
	purpose string
	plain   []byte
}

func (s *Service) open(k store.SigningKey) (opened, error) {
	for _, purpose := range []string{privateOf(k.ID), publicOf(k.ID)} {
		if plain, err := s.secrets.Open(purpose, k.Sealed); err == nil {
			return opened{purpose, plain}, nil
		}
	}
	return opened{}, fmt.Errorf("signing key %s: %w", k.ID, errSealed)
}

// unseal returns the key of a record, with its private part if that is there
// still.
func (s *Service) unseal(k store.SigningKey) (*jose.Key, error) {
	found, err := s.open(k)
	if err != nil {
		return nil, err
	}
	defer clear(found.plain)
	alg := jose.Algorithm(k.Algorithm)
	var key *jose.Key
	if found.purpose == publicOf(k.ID) {
		key, err = jose.ParsePublic(alg, found.plain)
	} else {
		key, err = jose.ParsePrivate(alg, found.plain)
	}
	if err == nil && (key.ID() != k.ID || !bytes.Equal(key.Public(), k.Public)) { // S57
		return nil, fmt.Errorf("signing key %s: %w: its parts are of different keys", k.ID, jose.ErrWeakKey)
	}
	return key, err
}

// strip takes the private part out of a record whose key signs no more.
func (s *Service) strip(k *store.SigningKey) {
	if found, err := s.open(*k); err == nil && found.purpose == privateOf(k.ID) {
		clear(found.plain)
		k.Sealed = s.secrets.Seal(publicOf(k.ID), k.Public)
	}
}

// reseal seals anew what is sealed under an older server secret, so that this
// can be taken away.
func (s *Service) reseal(b *book) error {
	for i := range b.foreign {
		k := &b.foreign[i]
		if !s.secrets.Outdated(k.Sealed) {
			continue
		}
		plain, err := s.secrets.Open(importedOf(*k), k.Sealed)
		if err != nil {
			s.log.Error("an imported key cannot be used", "key", k.ID, "err", errSealed)
			continue // without it fewer tokens count, not more
		}
		k.Sealed = s.secrets.Seal(importedOf(*k), plain)
		clear(plain)
	}
	for i := range b.keys {
		k := &b.keys[i]
		if !s.secrets.Outdated(k.Sealed) {
			continue
		}
		found, err := s.open(*k)
		if err != nil {
			return err
		}
		k.Sealed = s.secrets.Seal(found.purpose, found.plain)
		clear(found.plain)
	}
	return nil
}
