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
	_ "crypto/sha512" // SHA-384 and SHA-512, for other issuers' tokens
	"errors"
	"fmt"
	"math/big"
)

// Algorithm is how tokens are signed with a key, by its name in RFC 7518 and
// RFC 8037.
type Algorithm string

// Algorithms by which tokens are signed here.
const (
	ES256 Algorithm = "ES256" // ECDSA with P-256 and SHA-256
	EdDSA Algorithm = "EdDSA" // Ed25519
	RS256 Algorithm = "RS256" // RSA PKCS #1 v1.5 with SHA-256
	PS256 Algorithm = "PS256" // RSA-PSS with SHA-256
)

// Algorithms by which tokens of other issuers are verified, and nothing is
// signed. Of those with a shared secret, whoever can verify could sign.
const (
	ES384 Algorithm = "ES384" // ECDSA with P-384 and SHA-384
	ES512 Algorithm = "ES512" // ECDSA with P-521 and SHA-512
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
	HS256 Algorithm = "HS256" // HMAC with SHA-256
	HS384 Algorithm = "HS384"
	HS512 Algorithm = "HS512"
)

// family is what algorithms have in common that differ in sizes alone.
type family string

const (
	ecdsaFamily family = "ES"
	pkcs1Family family = "RS"
	pssFamily   family = "PS"
	hmacFamily  family = "HS"
	edFamily    family = "Ed"
)

// traits are what sets an algorithm apart within its family.
type traits struct {
	family family
	hash   crypto.Hash
	curve  elliptic.Curve // of ECDSA
	secret int            // of HMAC: the least bytes of a secret (RFC 7518 section 3.2)
}

// traits describes an algorithm; false for one that is not known.
func (a Algorithm) traits() (traits, bool) {
	switch a {
	case ES256:
		return traits{family: ecdsaFamily, hash: crypto.SHA256, curve: elliptic.P256()}, true
	case ES384:
		return traits{family: ecdsaFamily, hash: crypto.SHA384, curve: elliptic.P384()}, true
	case ES512:
		return traits{family: ecdsaFamily, hash: crypto.SHA512, curve: elliptic.P521()}, true
	case RS256:
		return traits{family: pkcs1Family, hash: crypto.SHA256}, true
	case RS384:
		return traits{family: pkcs1Family, hash: crypto.SHA384}, true
	case RS512:
		return traits{family: pkcs1Family, hash: crypto.SHA512}, true
	case PS256:
		return traits{family: pssFamily, hash: crypto.SHA256}, true
	case PS384:
		return traits{family: pssFamily, hash: crypto.SHA384}, true
	case PS512:
		return traits{family: pssFamily, hash: crypto.SHA512}, true
	case HS256:
		return traits{family: hmacFamily, hash: crypto.SHA256, secret: 32}, true
	case HS384:
		return traits{family: hmacFamily, hash: crypto.SHA384, secret: 48}, true
	case HS512:
		return traits{family: hmacFamily, hash: crypto.SHA512, secret: 64}, true
	case EdDSA:
		return traits{family: edFamily}, true
	}
	return traits{}, false
}

// Known reports whether the algorithm is one of those here.
func (a Algorithm) Known() bool {
	_, ok := a.traits()
	return ok
}

// Shared reports whether keys of the algorithm are shared secrets.
func (a Algorithm) Shared() bool {
	t, _ := a.traits()
	return t.family == hmacFamily
}

// Sizes of keys (S57).
const (
	minRSABits = 2048
	maxRSABits = 8192 // more is slow enough to be an attack
	newRSABits = 3072
)

// ErrWeakKey says that a key is too weak, or of a kind that its algorithm does
// not take (S57).
var ErrWeakKey = errors.New("the key is too weak or does not fit the algorithm")

// errSignature says that a signature is not by the key.
var errSignature = errors.New("the signature is not by this key")

func pss(hash crypto.Hash) *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
}

// fits refuses a public key that the algorithm cannot have.
func (a Algorithm) fits(public crypto.PublicKey) error {
	t, _ := a.traits()
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if t.family != ecdsaFamily || k.Curve != t.curve {
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
		if t.family != pkcs1Family && t.family != pssFamily {
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
		return private.Sign(rand.Reader, sum[:], pss(crypto.SHA256))
	}
	return nil, fmt.Errorf("%w: %s cannot sign", ErrWeakKey, a)
}

// digest is the hash of a message; nil where the algorithm has none.
func (t traits) digest(message []byte) []byte {
	if !t.hash.Available() {
		return nil
	}
	h := t.hash.New()
	h.Write(message)
	return h.Sum(nil)
}

// verify checks a signature.
func (a Algorithm) verify(public crypto.PublicKey, message, signature []byte) error {
	t, _ := a.traits()
	good := false
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		good = t.family == ecdsaFamily && k.Curve == t.curve && t.verifyPair(k, message, signature)
	case ed25519.PublicKey:
		good = t.family == edFamily && ed25519.Verify(k, message, signature)
	case *rsa.PublicKey:
		switch t.family {
		case pkcs1Family:
			good = rsa.VerifyPKCS1v15(k, t.hash, t.digest(message), signature) == nil
		case pssFamily:
			good = rsa.VerifyPSS(k, t.hash, t.digest(message), signature, pss(t.hash)) == nil
		}
	}
	if !good {
		return errSignature
	}
	return nil
}

// verifyPair checks a signature of ECDSA, which is two numbers of the size of
// the curve (RFC 7518 section 3.4).
func (t traits) verifyPair(k *ecdsa.PublicKey, message, signature []byte) bool {
	size := (t.curve.Params().BitSize + 7) / 8
	if len(signature) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(k, t.digest(message), r, s)
}
