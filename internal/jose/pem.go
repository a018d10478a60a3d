package jose

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// errPEM says that a text holds no key. It never says what stands there (S76).
var errPEM = errors.New("want one key in PEM: PUBLIC KEY, CERTIFICATE, PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY, not encrypted")

// PublicPEM returns the public part in PEM (RFC 7468 section 13), "" for a shared secret.
func (k *Key) PublicPEM() string {
	if k.public == nil {
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.Public()}))
}

// CertificatePEM puts a certificate in DER into PEM.
func CertificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// ParsePEM reads one key, public or private. An empty algorithm is the usual
// one of its kind.
func ParsePEM(alg Algorithm, text []byte) (*Key, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, errPEM
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, fmt.Errorf("%w: there are several", errPEM)
	}
	var private any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		return ParsePublic(alg, block.Bytes)
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read a certificate: %v", err)
		}
		return NewPublicKey(alg, certificate.PublicKey)
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, errPEM
	}
	signer, ok := private.(crypto.Signer)
	if err != nil || !ok {
		return nil, errPEM
	}
	return NewPrivateKey(alg, signer)
}

// noEnd is the end of a certificate that has none (RFC 5280 section 4.1.2.5):
// how long a key counts is not for the certificate to say.
var noEnd = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// Certificate makes a certificate for the key, signed by itself, in DER: for
// verifiers that read certificates, such as docker-registry's rootcertbundle.
func (k *Key) Certificate(name string, now time.Time) ([]byte, error) {
	if k.private == nil {
		return nil, fmt.Errorf("%w: without its private part it cannot sign a certificate", ErrWeakKey)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour).UTC(), NotAfter: noEnd,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.private.Public(), k.private)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return der, nil
}
