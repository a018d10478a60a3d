package password

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// pbkdf2Hash is Django's default: "pbkdf2_sha256$600000$salt$digest". The
// salt is used as the text that it is written as.
type pbkdf2Hash struct {
	name       string // pbkdf2_sha256 or pbkdf2_sha1
	iterations int64
	salt       string
	digest     []byte
}

func parsePBKDF2(name, rest string, limits Limits) (hash, error) {
	part := strings.Split(rest, "$")
	if len(part) != 3 || part[1] == "" {
		return nil, unusable("a PBKDF2 hash has iterations, a salt and a digest")
	}
	iterations, err := number(part[0], "the number of iterations", 1, limits.PBKDF2)
	if err != nil {
		return nil, err
	}
	size := digestSize(name)
	digest, err := bytesOf(part[2], "the digest", base64.StdEncoding, size, size)
	if err != nil {
		return nil, err
	}
	return pbkdf2Hash{name: name, iterations: iterations, salt: part[1], digest: digest}, nil
}

func digestSize(name string) int {
	if name == "pbkdf2_sha1" {
		return sha1.Size
	}
	return sha256.Size
}

func (h pbkdf2Hash) matches(password []byte) bool {
	var got []byte
	var err error
	if h.name == "pbkdf2_sha1" {
		got, err = pbkdf2.Key(sha1.New, string(password), []byte(h.salt), int(h.iterations), sha1.Size)
	} else {
		got, err = pbkdf2.Key(sha256.New, string(password), []byte(h.salt), int(h.iterations), sha256.Size)
	}
	return err == nil && subtle.ConstantTimeCompare(got, h.digest) == 1
}

func (h pbkdf2Hash) memory() int64 { return 1 << 10 }

func (h pbkdf2Hash) kind() string { return fmt.Sprintf("%s %d", h.name, h.iterations) }

func (h pbkdf2Hash) dummy() string {
	return fmt.Sprintf("%s$%d$%s$%s", h.name, h.iterations, saltText(len(h.salt)),
		base64.StdEncoding.EncodeToString(random(len(h.digest))))
}

// saltText is a random salt for the kinds of hashes that use it as text.
func saltText(length int) string { return hex.EncodeToString(random(length/2 + 1))[:length] }
