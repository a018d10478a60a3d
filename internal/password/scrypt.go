package password

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"math/bits"
	"strings"

	"golang.org/x/crypto/scrypt"
)

const scryptLength = 64 // bytes of the digest

// scryptHash is Django's layout of RFC 7914: "scrypt$N$salt$r$p$digest". The
// salt is used as the text that it is written as.
type scryptHash struct {
	n, r, p int64
	salt    string
	digest  []byte
}

func parseScrypt(rest string, limits Limits) (hash, error) {
	part := strings.Split(rest, "$")
	if len(part) != 5 || part[1] == "" {
		return nil, unusable("an scrypt hash has N, a salt, r, p and a digest")
	}
	h := scryptHash{salt: part[1]}
	for _, field := range []struct {
		to         *int64
		text, name string
		lowest     int64
	}{{&h.n, part[0], "N", 2}, {&h.r, part[2], "r", 1}, {&h.p, part[3], "p", 1}} {
		var err error
		if *field.to, err = number(field.text, field.name, field.lowest, limits.Scrypt); err != nil {
			return nil, err
		}
	}
	switch {
	case bits.OnesCount64(uint64(h.n)) != 1:
		return nil, unusable("N is not a power of two")
	case h.r > limits.Scrypt/h.n || h.p > limits.Scrypt/(h.n*h.r): // divided, so that nothing overflows
		return nil, unusable("N times r times p is above the limit of %d", limits.Scrypt)
	case h.memory() > limits.Memory*1024:
		return nil, unusable("memory is above the limit of %d KiB", limits.Memory)
	}
	var err error
	h.digest, err = bytesOf(part[4], "the digest", base64.StdEncoding, scryptLength, scryptLength)
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (h scryptHash) matches(password []byte) bool {
	got, err := scrypt.Key(password, []byte(h.salt), int(h.n), int(h.r), int(h.p), scryptLength)
	return err == nil && subtle.ConstantTimeCompare(got, h.digest) == 1
}

func (h scryptHash) memory() int64 { return 128 * h.r * (h.n + h.p) }

func (h scryptHash) kind() string { return fmt.Sprintf("scrypt N=%d,r=%d,p=%d", h.n, h.r, h.p) }

func (h scryptHash) dummy() string {
	return fmt.Sprintf("scrypt$%d$%s$%d$%d$%s", h.n, saltText(len(h.salt)), h.r, h.p,
		base64.StdEncoding.EncodeToString(random(scryptLength)))
}
