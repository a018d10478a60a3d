package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
)

// maxPublished bounds the keys that are read of a set.
const maxPublished = 100

// ParsePublished reads a set of public keys as [JWKS] is written, for looking
// them up by the ids under which they are published. Each needs an id and an
// algorithm. Those of other kinds, and weak ones (S57), are left out, as RFC
// 7517 section 5 says: what they sign does not count then. A set in which
// something is there twice is refused.
func ParsePublished(document []byte) (map[string]*Key, error) {
	if _, err := object(document); err != nil {
		return nil, fmt.Errorf("read published keys: %w", err)
	}
	var set JWKS
	if err := json.Unmarshal(document, &set); err != nil || set.Keys == nil {
		return nil, fmt.Errorf("read published keys: %w", errJSON)
	}
	if len(set.Keys) > maxPublished {
		return nil, fmt.Errorf("read published keys: there are %d, which is more than %d", len(set.Keys), maxPublished)
	}
	keys := make(map[string]*Key, len(set.Keys))
	for _, j := range set.Keys {
		if _, twice := keys[j.ID]; twice {
			return nil, fmt.Errorf("read published keys: two have the same id")
		}
		if key, err := j.key(); err == nil {
			keys[j.ID] = key
		}
	}
	return keys, nil
}

// key reads a public key for signatures.
func (j JWK) key() (*Key, error) {
	if j.ID == "" || j.Algorithm == "" || j.Use != "" && j.Use != "sig" {
		return nil, fmt.Errorf("%w: it does not say what it is for", ErrWeakKey)
	}
	public, err := j.public()
	if err != nil {
		return nil, err
	}
	return NewPublicKey(Algorithm(j.Algorithm), public)
}

// public reads the members of RFC 7518 section 6 and RFC 8037 section 2.
func (j JWK) public() (crypto.PublicKey, error) {
	switch {
	case j.Type == "EC" && j.Curve == "P-256":
		x, errX := decode(j.X)
		y, errY := decode(j.Y)
		if errX != nil || errY != nil || len(x) != 32 || len(y) != 32 {
			return nil, fmt.Errorf("%w: a coordinate is not of the length that it has to be", ErrWeakKey)
		}
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	case j.Type == "OKP" && j.Curve == "Ed25519":
		x, err := decode(j.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("%w: an Ed25519 key of another length", ErrWeakKey)
		}
		return ed25519.PublicKey(x), nil
	case j.Type == "RSA":
		n, errN := decode(j.N)
		e, errE := decode(j.E)
		if errN != nil || errE != nil || len(n) > maxRSABits/8 || len(e) == 0 || len(e) > 4 {
			return nil, fmt.Errorf("%w: an RSA key with numbers that cannot be", ErrWeakKey)
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
	}
	return nil, fmt.Errorf("%w: a key of another kind", ErrWeakKey)
}
