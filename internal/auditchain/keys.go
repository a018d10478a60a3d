// Package auditchain makes the audit log tamper-evident. Each event carries a
// code that only a server can make; a [Chain] seals events in batches, each
// seal signed and tied to the one before; [Chain.Verify] and [VerifyFile] name
// what was edited, removed, moved, inserted or cut off since.
//
// It is about proof alone. What is an event, and how events get to a store, is
// the business of internal/audit; who may ask is that of its callers.
package auditchain

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"hash"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// macLength is how much of an HMAC-SHA-256 an event carries, in bytes. The id
// of the key follows.
const macLength = 16

// Keys are what events are coded and seals are signed with: one pair for each
// of the server's secrets, derived from it. Whoever can write the database but
// has no server secret can make neither.
type Keys struct {
	current *key
	all     map[string]*key
}

type key struct {
	id     string
	macs   sync.Pool // of hash.Hash
	signer ed25519.PrivateKey
}

// NewKeys derives the keys of a ring.
func NewKeys(ring *serverkey.Ring) (*Keys, error) {
	k := &Keys{all: map[string]*key{}}
	for _, secret := range ring.Keys() {
		forEvents, err := secret.Derive("audit event")
		if err != nil {
			return nil, fmt.Errorf("derive the key of audit events: %w", err)
		}
		seed, err := secret.Derive("audit seal")
		if err != nil {
			return nil, fmt.Errorf("derive the key of audit seals: %w", err)
		}
		one := &key{id: secret.ID(), signer: ed25519.NewKeyFromSeed(seed)}
		one.macs.New = func() any { return hmac.New(sha256.New, forEvents) }
		k.all[one.id] = one
		if k.current == nil {
			k.current = one
		}
	}
	return k, nil
}

// Public returns the public halves of the keys that sign seals, by the id of
// the server's secret. They are no secret: with them anybody can check an
// export.
func (k *Keys) Public() map[string]ed25519.PublicKey {
	public := make(map[string]ed25519.PublicKey, len(k.all))
	for id, one := range k.all {
		public[id] = one.signer.Public().(ed25519.PublicKey)
	}
	return public
}

// code returns what an event with this digest carries as its proof.
func (k *Keys) code(digest [sha256.Size]byte) []byte {
	return append(k.current.mac(digest), k.current.id...)
}

func (k *key) mac(digest [sha256.Size]byte) []byte {
	h := k.macs.Get().(hash.Hash)
	defer k.macs.Put(h)
	h.Reset()
	_, _ = h.Write(digest[:]) // a hash never returns an error
	return h.Sum(make([]byte, 0, sha256.Size))[:macLength]
}

// origin says what the code of an event tells of who wrote it.
type origin int

const (
	ours       origin = iota // a server with one of these secrets
	nobodys                  // none, or somebody changed it since
	retired                  // whoever had a secret that this server has not; it cannot be told
	unattested               // it has no code, as events from before the chain
)

func (k *Keys) origin(e store.Event) origin {
	switch {
	case len(e.MAC) == 0:
		return unattested
	case len(e.MAC) <= macLength:
		return nobodys
	}
	one := k.all[string(e.MAC[macLength:])]
	switch {
	case one == nil:
		return retired
	case subtle.ConstantTimeCompare(one.mac(Digest(e)), e.MAC[:macLength]) != 1:
		return nobodys
	}
	return ours
}
