package password

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

const (
	saltLength   = 16 // of new hashes, in bytes
	digestLength = 32 // of new hashes, in bytes
	maxThreads   = 64
)

// argon2Hash is an Argon2 hash (RFC 9106) of version 0x13.
type argon2Hash struct {
	variant      string // argon2id or argon2i
	m, t         uint32 // KiB, passes
	p            uint8
	salt, digest []byte
}

// parseArgon2 reads "$argon2id$v=19$m=19456,t=2,p=1$salt$digest", the PHC
// string format with its parameters in the order in which the reference
// implementation writes them.
func parseArgon2(encoded string, limits Limits) (hash, error) {
	part := strings.Split(encoded, "$")
	if len(part) != 6 {
		return nil, unusable("an Argon2 hash has five parts")
	}
	switch part[1] {
	case "argon2id", "argon2i":
	case "argon2d":
		return nil, unusable("argon2d is not supported, only argon2id and argon2i are")
	default:
		return nil, unusable("it is of an unknown kind of Argon2")
	}
	if part[2] != "v=19" {
		return nil, unusable("only version 19 of Argon2 is supported")
	}
	h := argon2Hash{variant: part[1]}
	err := h.parameters(part[3])
	if err != nil {
		return nil, err
	}
	if err := h.check(limits); err != nil {
		return nil, err
	}
	if h.salt, err = bytesOf(part[4], "the salt", base64.RawStdEncoding, 8, 64); err != nil {
		return nil, err
	}
	if h.digest, err = bytesOf(part[5], "the digest", base64.RawStdEncoding, 16, 64); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *argon2Hash) parameters(text string) error {
	fields := strings.Split(text, ",")
	if len(fields) != 3 {
		return unusable("Argon2 parameters are m, t and p")
	}
	var values [3]int64
	for i, name := range []string{"m", "t", "p"} {
		value, found := strings.CutPrefix(fields[i], name+"=")
		if !found {
			return unusable("Argon2 parameters are m, t and p")
		}
		var err error
		if values[i], err = number(value, name, 1, []int64{1<<32 - 1, 1<<32 - 1, maxThreads}[i]); err != nil {
			return err
		}
	}
	h.m, h.t, h.p = uint32(values[0]), uint32(values[1]), uint8(values[2])
	return nil
}

// check holds the parameters against the limits and against RFC 9106 section
// 3.1, by which there are at least 8 KiB for each thread.
func (h argon2Hash) check(limits Limits) error {
	switch m, t := int64(h.m), int64(h.t); {
	case h.t < 1 || h.p < 1 || h.p > maxThreads:
		return unusable("passes and threads are out of range")
	case m < 8*int64(h.p):
		return unusable("there is less memory than the threads need")
	case m > limits.Memory:
		return unusable("memory is above the limit of %d KiB", limits.Memory)
	case t > limits.Argon2/m:
		return unusable("memory times passes is above the limit of %d KiB", limits.Argon2)
	}
	return nil
}

func (h argon2Hash) derive(password []byte, length uint32) []byte {
	if h.variant == "argon2i" {
		return argon2.Key(password, h.salt, h.t, h.m, h.p, length)
	}
	return argon2.IDKey(password, h.salt, h.t, h.m, h.p, length)
}

func (h argon2Hash) matches(password []byte) bool {
	return subtle.ConstantTimeCompare(h.derive(password, uint32(len(h.digest))), h.digest) == 1
}

func (h argon2Hash) memory() int64 { return int64(h.m) * 1024 }

func (h argon2Hash) kind() string {
	return fmt.Sprintf("%s m=%d,t=%d,p=%d", h.variant, h.m, h.t, h.p)
}

func (h argon2Hash) dummy() string {
	h.salt, h.digest = random(saltLength), random(digestLength)
	return h.String()
}

// String is the PHC string. It is no secret in the sense of a password, but
// it is what an attacker wants for guessing offline: never log it.
func (h argon2Hash) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$%s$v=19$m=%d,t=%d,p=%d$%s$%s", h.variant, h.m, h.t, h.p, b64(h.salt), b64(h.digest))
}
