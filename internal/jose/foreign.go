package jose

import (
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
)

// PublicOnly returns the key without its private part.
func (k *Key) PublicOnly() *Key {
	public := *k
	public.private = nil
	return &public
}

// Secret returns the shared secret, to be sealed; nil for other keys.
func (k *Key) Secret() []byte { return k.secret }

// Tag returns a name for the key that follows from the key alone, and tells
// nothing of a shared secret to who cannot try out all of them.
func (k *Key) Tag() [sha256.Size]byte {
	if k.public != nil {
		return sha256.Sum256(k.Public())
	}
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte("latchkey: the key that signed a token of another issuer"))
	return [sha256.Size]byte(mac.Sum(nil))
}

// Same reports whether two keys verify by the same secret or public key.
func (k *Key) Same(other *Key) bool {
	if k.public == nil || other.public == nil {
		return k.public == nil && other.public == nil && hmac.Equal(k.secret, other.secret)
	}
	p, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && p.Equal(other.public)
}

// SignerOf finds the key that has signed a token whose header names none, as
// the tokens of issuers with one key do. Each key is tried by its own algorithm
// and no other (S50), and a token that names a key has none of these (S56). The
// claims are not looked at: [Profile.Verify] does that. The errors are those of
// it that are about form and signature.
func SignerOf(token, kind string, keys []*Key) (*Key, error) {
	parts, err := split(token)
	if err != nil {
		return nil, err
	}
	header, err := object(parts.header)
	if err != nil {
		return nil, fmt.Errorf("%w: the header: %v", ErrMalformed, err)
	}
	if _, named := header["kid"]; named {
		return nil, ErrUnknownKey
	}
	signed := []byte(token[:parts.signed])
	outcome := ErrUnknownKey
	for _, k := range keys {
		_, err := Profile{Type: kind}.keyOf(parts.header, func(string) *Key { return k })
		switch {
		case errors.Is(err, ErrUnknownKey): // it names another algorithm
		case err != nil:
			return nil, err
		case k.verify(signed, parts.signature) == nil:
			return k, nil
		default:
			outcome = ErrSignature
		}
	}
	return nil, outcome
}
