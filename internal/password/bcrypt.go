package password

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

const bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// bcryptHash is a bcrypt hash, of the password or, as Django's bcrypt_sha256,
// of the hexadecimal SHA-256 of it.
type bcryptHash struct {
	name  string // bcrypt or bcrypt_sha256
	cost  int64
	crypt string // "$2b$12$" and 53 characters
}

// parseBcrypt reads "$2b$12$" and the 22 + 31 characters of salt and digest.
// The variants 2a, 2b and 2y are one algorithm; 2x marks hashes of an old
// faulty implementation and is refused.
func parseBcrypt(name, crypt string, limits Limits) (hash, error) {
	part := strings.Split(crypt, "$")
	if len(part) != 4 || part[0] != "" || len(part[2]) != 2 || len(part[3]) != 53 {
		return nil, unusable("a bcrypt hash has a variant, a cost and 53 characters")
	}
	switch part[1] {
	case "2a", "2b", "2y":
	default:
		return nil, unusable("it is of an unknown kind of bcrypt")
	}
	for _, c := range []byte(part[3]) {
		if strings.IndexByte(bcryptAlphabet, c) < 0 {
			return nil, unusable("there are characters that bcrypt does not use")
		}
	}
	cost, err := number(strings.TrimPrefix(part[2], "0"), "the cost", 4, limits.Bcrypt)
	if err != nil {
		return nil, err
	}
	return bcryptHash{name: name, cost: cost, crypt: crypt}, nil
}

// matches follows the limits of bcrypt itself: it sees 72 bytes of a plain
// password, as the server that made the hash did, and a password with a NUL
// in it matches nothing, since to bcrypt NUL is the end of the password and
// "a" and "a\x00a" would be one.
func (h bcryptHash) matches(password []byte) bool {
	key := password
	if h.name == "bcrypt_sha256" {
		sum := sha256.Sum256(password)
		key = []byte(hex.EncodeToString(sum[:]))
	}
	err := bcrypt.CompareHashAndPassword([]byte(h.crypt), key)
	return err == nil && !bytes.ContainsRune(key, 0)
}

func (h bcryptHash) memory() int64 { return 8 << 10 }

func (h bcryptHash) kind() string { return fmt.Sprintf("%s %d", h.name, h.cost) }

func (h bcryptHash) dummy() string {
	text := random(53)
	for i, b := range text {
		text[i] = bcryptAlphabet[b%64]
	}
	return fmt.Sprintf("%s$$2b$%02d$%s", h.name, h.cost, text)
}
