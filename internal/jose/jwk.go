package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
)

// JWK is a public key as RFC 7517 writes it. It has no fields for private
// members, so that none can get out (S49).
type JWK struct {
	Type      string `json:"kty"`
	Use       string `json:"use,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	ID        string `json:"kid,omitempty"`
	Curve     string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	N         string `json:"n,omitempty"`
	E         string `json:"e,omitempty"`
}

// JWKS is a set of public keys.
type JWKS struct {
	Keys []JWK `json:"keys"`
}

// JWK returns the key for publication under an id of its two. A shared
// secret has nothing that could be published, which is an error.
func (k *Key) JWK(id string) (JWK, error) {
	j, err := publicJWK(k.public)
	if err != nil {
		return JWK{}, err
	}
	j.Use, j.Algorithm, j.ID = "sig", string(k.alg), id
	return j, nil
}

func publicJWK(public crypto.PublicKey) (JWK, error) {
	text := base64.RawURLEncoding.EncodeToString
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes() // 4, and both coordinates with all their zeros
		if err != nil {
			return JWK{}, fmt.Errorf("%w: the point is not on the curve", ErrWeakKey)
		}
		half := 1 + (len(point)-1)/2
		return JWK{Type: "EC", Curve: k.Params().Name, X: text(point[1:half]), Y: text(point[half:])}, nil
	case ed25519.PublicKey:
		return JWK{Type: "OKP", Curve: "Ed25519", X: text(k)}, nil
	case *rsa.PublicKey:
		return JWK{Type: "RSA", N: text(k.N.Bytes()), E: text(big.NewInt(int64(k.E)).Bytes())}, nil
	}
	return JWK{}, fmt.Errorf("%w: a %T cannot be published", ErrWeakKey, public)
}
