package serverkey

import (
	"crypto/hkdf"
	"crypto/sha256"
)

// Derive returns 32 bytes that follow from the key and a purpose, and tell
// nothing of the key or of what follows for other purposes (HKDF, RFC 5869).
func (k *Key) Derive(purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, k.secret, nil, "latchkey derived: "+purpose, secretLength)
}
