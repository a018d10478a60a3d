package jose

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"strings"
)

// Key verifies tokens by its one algorithm, and signs if it has the private
// part. It prints without that.
type Key struct {
	alg      Algorithm
	id       string
	libtrust string
	public   crypto.PublicKey // nil for a shared secret
	private  crypto.Signer    // nil: it only verifies
	secret   []byte           // of HMAC
}

// Generate makes a new key pair; [ErrWeakKey] for an algorithm that has none.
func Generate(alg Algorithm) (*Key, error) {
	private, err := alg.generate()
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	return newKey(alg, private.Public(), private)
}

// NewPublicKey returns a key that verifies. An empty algorithm is the one that
// such keys usually have: ES256, EdDSA or RS256.
func NewPublicKey(alg Algorithm, public crypto.PublicKey) (*Key, error) {
	return newKey(alg, public, nil)
}

// NewPrivateKey returns a key that signs and verifies.
func NewPrivateKey(alg Algorithm, private crypto.Signer) (*Key, error) {
	return newKey(alg, private.Public(), private)
}

// NewSecretKey returns a key that verifies HS256 by a shared secret of at least
// 32 bytes. Its id is the given one: a digest of the secret would help who
// guesses it.
func NewSecretKey(id string, secret []byte) (*Key, error) { return NewShared(HS256, id, secret, false) }

// weakestSecret is how many bytes a shared secret has in any case: with fewer,
// one token is enough to guess it by.
const weakestSecret = 16

// NewShared returns a key that verifies by a shared secret: with HS256 of at
// least 32 bytes, with HS384 of 48 and with HS512 of 64 (RFC 7518 section 3.2).
// weak takes one of 16 bytes or more, since there are issuers that have such.
// The error is [ErrWeakKey] and repeats nothing of the secret.
func NewShared(alg Algorithm, id string, secret []byte, weak bool) (*Key, error) {
	t, ok := alg.traits()
	if !ok || t.family != hmacFamily {
		return nil, fmt.Errorf("%w: %q with a shared secret", ErrWeakKey, string(alg))
	}
	if bytes.Contains(secret, []byte("-----BEGIN ")) { // S50: a public key is no secret
		return nil, fmt.Errorf("%w: a key in PEM is no shared secret", ErrWeakKey)
	}
	least := t.secret
	if weak {
		least = weakestSecret
	}
	if len(secret) < least {
		return nil, fmt.Errorf("%w: a secret of %d bytes, where %s needs %d", ErrWeakKey, len(secret), alg, least)
	}
	return &Key{alg: alg, id: id, secret: bytes.Clone(secret)}, nil
}

// ParsePublic reads a key that verifies from its SubjectPublicKeyInfo in DER.
// The key keeps nothing of der, which the caller may clear.
func ParsePublic(alg Algorithm, der []byte) (*Key, error) {
	public, err := x509.ParsePKIXPublicKey(bytes.Clone(der)) // an Ed25519 key is a part of it
	if err != nil {
		return nil, fmt.Errorf("read a public key: %v", err)
	}
	return NewPublicKey(alg, public)
}

// ParsePrivate reads a key that signs from PKCS #8 in DER. Errors say nothing
// of what was read.
func ParsePrivate(alg Algorithm, der []byte) (*Key, error) {
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not PKCS #8", ErrWeakKey)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: a %T does not sign", ErrWeakKey, private)
	}
	return NewPrivateKey(alg, signer)
}

func newKey(alg Algorithm, public crypto.PublicKey, private crypto.Signer) (*Key, error) {
	if alg == "" {
		var err error
		if alg, err = natural(public); err != nil {
			return nil, err
		}
	}
	if err := alg.fits(public); err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("write a public key: %v", err)
	}
	k := &Key{alg: alg, public: public, private: private, libtrust: libtrustID(spki)}
	if k.id, err = thumbprint(public); err != nil {
		return nil, err
	}
	return k, nil
}

// Algorithm returns the one algorithm of the key.
func (k *Key) Algorithm() Algorithm { return k.alg }

// ID returns the key's id, the "kid" of tokens that it signs: its thumbprint
// (RFC 7638) in base64url.
func (k *Key) ID() string { return k.id }

// LibtrustID returns the id by which docker-registry 2 finds a key of its
// rootcertbundle: the first 30 bytes of the SHA-256 of the SubjectPublicKeyInfo
// in base32, in twelve groups of four (libtrust, util.go). "" for a shared secret.
func (k *Key) LibtrustID() string { return k.libtrust }

// Signs reports whether the private part is there.
func (k *Key) Signs() bool { return k.private != nil }

// Public returns the SubjectPublicKeyInfo in DER, nil for a shared secret.
func (k *Key) Public() []byte {
	if k.public == nil {
		return nil
	}
	der, _ := x509.MarshalPKIXPublicKey(k.public) // newKey has done it already
	return der
}

// Private returns the private part as PKCS #8 in DER, to be sealed.
func (k *Key) Private() ([]byte, error) {
	if k.private == nil {
		return nil, fmt.Errorf("%w: it has no private part", ErrWeakKey)
	}
	return x509.MarshalPKCS8PrivateKey(k.private)
}

// String returns the key's id and algorithm.
func (k *Key) String() string { return fmt.Sprintf("%s key %s", k.alg, k.id) }

// GoString is String: no verb prints the private part.
func (k *Key) GoString() string { return k.String() }

// Format writes what String returns, whatever the verb.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// verify checks the signature of a message.
func (k *Key) verify(message, signature []byte) error {
	t, ok := k.alg.traits()
	if !ok || t.family != hmacFamily {
		return k.alg.verify(k.public, message, signature)
	}
	if len(k.secret) == 0 { // S71
		return errSignature
	}
	mac := hmac.New(t.hash.New, k.secret)
	mac.Write(message)
	if !hmac.Equal(mac.Sum(nil), signature) {
		return errSignature
	}
	return nil
}

// thumbprint computes RFC 7638: SHA-256 of the required members of the JWK in
// the order of their names, without spaces.
func thumbprint(public crypto.PublicKey) (string, error) {
	j, err := publicJWK(public)
	if err != nil {
		return "", err
	}
	var text string
	switch j.Type {
	case "EC":
		text = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, j.Curve, j.X, j.Y)
	case "OKP":
		text = fmt.Sprintf(`{"crv":%q,"kty":"OKP","x":%q}`, j.Curve, j.X)
	default:
		text = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, j.E, j.N)
	}
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

func libtrustID(spki []byte) string {
	sum := sha256.Sum256(spki)
	text := base32.StdEncoding.EncodeToString(sum[:30])
	groups := make([]string, 0, 12)
	for i := 0; i < len(text); i += 4 {
		groups = append(groups, text[i:i+4])
	}
	return strings.Join(groups, ":")
}
