package password

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
)

// saltedHash is one round of MD5 or SHA-1 over salt and password, as very old
// Django installations have it: "sha1$salt$hex". It is read so that such
// accounts can move on; Verify asks for a new hash at once.
type saltedHash struct {
	name   string // md5 or sha1
	salt   string
	digest []byte
}

// parseSalted refuses an empty salt: Django used that to mark hashes that
// have no salt at all, and removed them in 5.1.
func parseSalted(name, rest string) (hash, error) {
	salt, text, found := strings.Cut(rest, "$")
	if !found || salt == "" {
		return nil, unusable("hashes without a salt are not supported")
	}
	digest, err := hex.DecodeString(text)
	size := md5.Size
	if name == "sha1" {
		size = sha1.Size
	}
	if err != nil || len(digest) != size || text != strings.ToLower(text) {
		return nil, unusable("the digest is not %d bytes of hexadecimal", size)
	}
	return saltedHash{name: name, salt: salt, digest: digest}, nil
}

func (h saltedHash) matches(password []byte) bool {
	text := append([]byte(h.salt), password...)
	if h.name == "sha1" {
		got := sha1.Sum(text)
		return subtle.ConstantTimeCompare(got[:], h.digest) == 1
	}
	got := md5.Sum(text)
	return subtle.ConstantTimeCompare(got[:], h.digest) == 1
}

func (h saltedHash) memory() int64 { return 1 << 10 }

func (h saltedHash) kind() string { return h.name }

func (h saltedHash) dummy() string {
	return fmt.Sprintf("%s$%s$%x", h.name, saltText(len(h.salt)), random(len(h.digest)))
}
