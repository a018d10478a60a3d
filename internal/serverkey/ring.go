// Package serverkey holds the server's own secrets: the keys under which token
// digests, token tags, sealed copies and paging cursors are made. A [Ring] has
// one current key, used for everything new, and older ones that still count
// until the last thing made under them has gone.
//
// Signing keys of JWTs are another matter and live elsewhere.
package serverkey

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
)

// ErrOpen says that a sealed text could not be opened: it is not ours, was
// changed, or was sealed for something else.
var ErrOpen = errors.New("the sealed text cannot be opened")

const secretLength = 32 // bytes

// Key is one server secret with what is derived from it.
type Key struct {
	id     string
	secret []byte
	macs   sync.Pool // of *mac
	sealer cipher.AEAD
	check  []byte
}

// mac is a keyed hash with room for what goes in and comes out, so that a
// digest costs no allocation.
type mac struct {
	hash.Hash
	text []byte
	sum  [sha256.Size]byte
}

// NewKey makes a key from an id and at least 32 bytes of secret.
func NewKey(id string, secret []byte) (*Key, error) {
	if id == "" || len(id) > 32 {
		return nil, errors.New("a server secret needs an id of 1 to 32 characters")
	}
	if len(secret) < secretLength {
		return nil, fmt.Errorf("a server secret has %d bytes, it needs at least %d", len(secret), secretLength) // what was taken for the id may be half of it
	}
	derive := func(purpose string) ([]byte, error) {
		return hkdf.Key(sha256.New, secret, nil, "latchkey "+purpose, secretLength)
	}
	macKey, err := derive("token digest")
	if err != nil {
		return nil, err
	}
	sealKey, err := derive("seal")
	if err != nil {
		return nil, err
	}
	check, err := derive("check value")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, err
	}
	sealer, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	k := &Key{id: id, secret: secret, sealer: sealer, check: check[:16]}
	k.macs.New = func() any { return &mac{Hash: hmac.New(sha256.New, macKey)} }
	return k, nil
}

// Generate makes a new random key.
func Generate() (*Key, error) {
	secret := make([]byte, secretLength)
	id := make([]byte, 4)
	_, _ = rand.Read(secret) // never fails
	_, _ = rand.Read(id)
	return NewKey(hex.EncodeToString(id), secret)
}

// ID returns the key's id, which is no secret.
func (k *Key) ID() string { return k.id }

// Check returns a value that tells this key from others and reveals nothing of
// it.
func (k *Key) Check() []byte { return k.check }

// Digest returns the HMAC-SHA-256 of s under the key.
func (k *Key) Digest(s string) [sha256.Size]byte {
	m := k.macs.Get().(*mac)
	m.Reset()
	m.text = append(m.text[:0], s...)
	_, _ = m.Write(m.text) // a hash never returns an error
	m.Sum(m.sum[:0])
	sum := m.sum
	clear(m.text)
	k.macs.Put(m)
	return sum
}

// Ring is the current key and the older ones that still count.
type Ring struct {
	keys []*Key // the current one first
}

// NewRing makes a ring; the first key is the current one.
func NewRing(keys ...*Key) (*Ring, error) {
	if len(keys) == 0 {
		return nil, errors.New("a server needs at least one secret")
	}
	seen := map[string]bool{}
	for _, k := range keys {
		if seen[k.id] {
			return nil, fmt.Errorf("two server secrets have the id %s", k.id)
		}
		seen[k.id] = true
	}
	return &Ring{keys: keys}, nil
}

// Current returns the key for everything new.
func (r *Ring) Current() *Key { return r.keys[0] }

// Keys returns all keys, the current one first.
func (r *Ring) Keys() []*Key { return r.keys }

// Seal encrypts plain for the given purpose under the current key. Only
// [Ring.Open] with the same purpose gets it back.
func (r *Ring) Seal(purpose string, plain []byte) []byte {
	k := r.Current()
	out := append([]byte{byte(len(k.id))}, k.id...)
	return k.sealer.Seal(out, nil, plain, []byte(purpose)) //nolint:gosec // G407: this cipher makes its own nonces
}

// Open decrypts what Seal made; [ErrOpen] for anything else.
func (r *Ring) Open(purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, ErrOpen
	}
	end := 1 + int(sealed[0])
	if len(sealed) < end {
		return nil, ErrOpen
	}
	id, box := string(sealed[1:end]), sealed[end:]
	for _, k := range r.keys {
		if k.id != id {
			continue
		}
		plain, err := k.sealer.Open(nil, nil, box, []byte(purpose))
		if err != nil {
			return nil, ErrOpen
		}
		return plain, nil
	}
	return nil, ErrOpen
}

// Outdated reports whether something was sealed under another key than the
// current one.
func (r *Ring) Outdated(sealed []byte) bool {
	id := r.Current().id
	return len(sealed) == 0 || int(sealed[0]) != len(id) || !strings.HasPrefix(string(sealed[1:]), id)
}

// SealText is Seal as URL-safe text, for cursors.
func (r *Ring) SealText(purpose string, plain []byte) string {
	return base64.RawURLEncoding.EncodeToString(r.Seal(purpose, plain))
}

// OpenText is Open for what SealText made.
func (r *Ring) OpenText(purpose, sealed string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || strings.ContainsAny(sealed, "\r\n") { // which the decoder skips
		return nil, ErrOpen
	}
	return r.Open(purpose, raw)
}
