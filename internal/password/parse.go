package password

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// maxEncoded bounds a stored hash; Django's column holds 128 characters.
const maxEncoded = 512

// Limits bounds what a stored hash may ask for. Stored hashes may come from a
// foreign table, and one row that asks for a terabyte or an hour must not be
// able to stop the server. Zero fields get defaults that leave room above
// what is in use today and still end a check within a few seconds.
type Limits struct {
	PBKDF2 int64 // iterations; 10,000,000 if zero
	Memory int64 // of one Argon2 or scrypt hash, in KiB; 256 MiB if zero
	Argon2 int64 // memory in KiB times passes; 1 GiB if zero
	Scrypt int64 // N times r times p; 1<<22 if zero
	Bcrypt int64 // cost; 15 if zero
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.PBKDF2, 10_000_000)
	setDefault(&l.Memory, 256<<10)
	setDefault(&l.Argon2, 1<<20)
	setDefault(&l.Scrypt, 1<<22)
	setDefault(&l.Bcrypt, 15)
	return l
}

// hash is a stored hash that was read, well-formed and within the limits.
type hash interface {
	matches(password []byte) bool
	memory() int64 // bytes in use while it is computed
	kind() string
	dummy() string // encoded, of the same kind, with random salt and digest
}

// parse reads a stored hash. The formats are PHC and modular crypt strings,
// which begin with "$", and those of Django (django/contrib/auth/hashers.py),
// which begin with the name of the algorithm. Errors are ErrUnusable and
// never repeat anything of the hash.
func parse(encoded string, limits Limits) (hash, error) {
	switch {
	case encoded == "":
		return nil, unusable("it is empty")
	case strings.HasPrefix(encoded, "!"):
		return nil, unusable("it is marked as unusable")
	case len(encoded) > maxEncoded:
		return nil, unusable("it is too long")
	case strings.HasPrefix(encoded, "$argon2"):
		return parseArgon2(encoded, limits)
	case strings.HasPrefix(encoded, "$2"):
		return parseBcrypt("bcrypt", encoded, limits)
	}
	name, rest, _ := strings.Cut(encoded, "$")
	switch name {
	case "argon2":
		return parseArgon2("$"+rest, limits)
	case "bcrypt", "bcrypt_sha256":
		return parseBcrypt(name, rest, limits)
	case "pbkdf2_sha256", "pbkdf2_sha1":
		return parsePBKDF2(name, rest, limits)
	case "scrypt":
		return parseScrypt(rest, limits)
	case "md5", "sha1":
		return parseSalted(name, rest)
	}
	return nil, unusable("it is of an unknown kind")
}

// Foreign says whether a hash that was made elsewhere can be taken over, and of
// which kind it is. Other than Verify it takes none that is quick to guess: one
// round of MD5 or SHA-1. Errors are ErrUnusable.
func (p *Pool) Foreign(encoded string) (kind string, err error) {
	h, err := parse(encoded, p.limits)
	if err != nil {
		return "", err
	}
	if _, quick := h.(saltedHash); quick {
		return "", unusable("it is quick to guess: one round of %s", h.kind())
	}
	return h.kind(), nil
}

func unusable(why string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnusable, fmt.Sprintf(why, args...))
}

// number reads a decimal number as the encoders write it: digits only and no
// leading zero. The name says what it is, for the error.
func number(text, name string, lowest, highest int64) (int64, error) {
	if strings.Trim(text, "0123456789") != "" || text == "" || text[0] == '0' {
		return 0, unusable("%s is not a number", name)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil || n > highest: // digits alone fail only for being too many
		return 0, unusable("%s is above the limit of %d", name, highest)
	case n < lowest:
		return 0, unusable("%s is below %d", name, lowest)
	}
	return n, nil
}

// bytesOf decodes base64. The standard decoder skips line ends, which no
// encoder of hashes writes.
func bytesOf(text, name string, enc *base64.Encoding, lowest, highest int) ([]byte, error) {
	b, err := enc.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, unusable("%s is not base64", name)
	}
	if len(b) < lowest || len(b) > highest {
		return nil, unusable("%s has %d bytes, not %d to %d", name, len(b), lowest, highest)
	}
	return b, nil
}
