// Package jose signs and verifies JSON Web Tokens (RFC 7515, 7517, 7518, 7519)
// on the standard library's cryptography: compact serialization and signatures,
// and nothing else. There is no encryption (JWE) in it or anywhere in the
// binary, no algorithm "none", and nothing is ever fetched because a token says
// so (S51, S60).
//
// What makes a token good is decided by the verifier: a [Key] has one algorithm
// that the token's header must name (S50), and a [Profile] says which claims
// must be there and what must be in them. The package keeps no keys and knows
// neither a store nor HTTP; internal/keyring has the keys.
package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
)

// Algorithm is how tokens are signed with a key, by its name in RFC 7518 and
// RFC 8037.
type Algorithm string

// Algorithms. HS256 is there for verifying the tokens of other issuers alone:
// whoever can verify could sign, so no key of our own has it.
const (
	ES256 Algorithm = "ES256" // ECDSA with P-256 and SHA-256
	EdDSA Algorithm = "EdDSA" // Ed25519
	RS256 Algorithm = "RS256" // RSA PKCS #1 v1.5 with SHA-256
	PS256 Algorithm = "PS256" // RSA-PSS with SHA-256
	HS256 Algorithm = "HS256" // HMAC with SHA-256
)

// Sizes of keys (S57).
const (
	minRSABits = 2048
	maxRSABits = 8192 // more is slow enough to be an attack
	newRSABits = 3072
	minSecret  = 32 // bytes (RFC 7518 section 3.2)
)

// ErrWeakKey says that a key is too weak, or of a kind that its algorithm does
// not take (S57).
var ErrWeakKey = errors.New("the key is too weak or does not fit the algorithm")

// errSignature says that a signature is not by the key.
var errSignature = errors.New("the signature is not by this key")

var pss = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

// fits refuses a public key that the algorithm cannot have.
func (a Algorithm) fits(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if a != ES256 || k.Curve != elliptic.P256() {
			return fmt.Errorf("%w: %s with an elliptic curve %s", ErrWeakKey, a, k.Params().Name)
		}
		if _, err := k.ECDH(); err != nil { // also says whether the point is on the curve
			return fmt.Errorf("%w: the point is not on the curve", ErrWeakKey)
		}
	case ed25519.PublicKey:
		if a != EdDSA || len(k) != ed25519.PublicKeySize {
			return fmt.Errorf("%w: %s with an Ed25519 key", ErrWeakKey, a)
		}
	case *rsa.PublicKey:
		if a != RS256 && a != PS256 {
			return fmt.Errorf("%w: %s with an RSA key", ErrWeakKey, a)
		}
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits || k.E < 3 || k.E&1 == 0 {
			return fmt.Errorf("%w: an RSA key of %d bits with the exponent %d", ErrWeakKey, bits, k.E)
		}
		if roca(k.N) {
			return fmt.Errorf("%w: an RSA key of a generator whose keys can be factored (CVE-2017-15361)", ErrWeakKey)
		}
	default:
		return fmt.Errorf("%w: %s with a %T", ErrWeakKey, a, public)
	}
	return nil
}

// natural is the algorithm that a public key has when nothing else is said.
func natural(public crypto.PublicKey) (Algorithm, error) {
	switch public.(type) {
	case *ecdsa.PublicKey:
		return ES256, nil
	case ed25519.PublicKey:
		return EdDSA, nil
	case *rsa.PublicKey:
		return RS256, nil
	}
	return "", fmt.Errorf("%w: a %T", ErrWeakKey, public)
}

// generate makes a private key.
func (a Algorithm) generate() (crypto.Signer, error) {
	switch a {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case RS256, PS256:
		return rsa.GenerateKey(rand.Reader, newRSABits)
	}
	return nil, fmt.Errorf("%w: no key can be made for %q", ErrWeakKey, string(a))
}

// sign returns the signature of a message in the form of RFC 7518 section 3.
func (a Algorithm) sign(private crypto.Signer, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	switch a {
	case ES256:
		k, ok := private.(*ecdsa.PrivateKey)
		if !ok {
			break
		}
		r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
		if err != nil {
			return nil, err
		}
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out, nil
	case EdDSA:
		return private.Sign(rand.Reader, message, crypto.Hash(0))
	case RS256:
		return private.Sign(rand.Reader, sum[:], crypto.SHA256)
	case PS256:
		return private.Sign(rand.Reader, sum[:], pss)
	}
	return nil, fmt.Errorf("%w: %s cannot sign", ErrWeakKey, a)
}

// verify checks a signature.
func (a Algorithm) verify(public crypto.PublicKey, message, signature []byte) error {
	sum := sha256.Sum256(message)
	good := false
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if a == ES256 && len(signature) == 64 {
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			good = ecdsa.Verify(k, sum[:], r, s)
		}
	case ed25519.PublicKey:
		good = a == EdDSA && ed25519.Verify(k, message, signature)
	case *rsa.PublicKey:
		switch a {
		case RS256:
			good = rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature) == nil
		case PS256:
			good = rsa.VerifyPSS(k, crypto.SHA256, sum[:], signature, pss) == nil
		}
	}
	if !good {
		return errSignature
	}
	return nil
}
