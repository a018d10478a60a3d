package tokens

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash/crc32"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
)

// Class is a kind of token, with its own prefix and rules of life.
type Class string

// Classes of tokens.
const (
	Personal Class = "personal" // of a person, made by hand or by a client that logs in
	Robot    Class = "robot"    // of a machine

	// Refresh is a family: its secrets get pairs, one after the other, and open
	// no door. Access is what a family's signed tokens are; no token that is
	// stored has this class.
	Refresh Class = "refresh"
	Access  Class = "access"

	// Registry is a registry client's refresh token ("identity token"): it gets
	// tokens for registries and opens no door.
	Registry Class = "registry"
)

// prefixes begin the secrets of each class, so that people and scanners can
// tell what they are looking at.
var prefixes = map[Class]string{
	Personal: "lkp_",
	Robot:    "lkr_",
	Refresh:  "lkf_",
	Registry: "lki_",
}

// Form says what the secret of a token looks like.
type Form string

// Forms of secrets.
const (
	// Native is a class prefix and 38 base62 characters: 27 random ones (160
	// bits), 5 of a tag that only this server can make, 6 of a checksum that
	// anybody can test.
	Native Form = ""

	// Hex40 is 40 lower-case hexadecimal digits, 160 random bits: the form of
	// rest_framework.authtoken, for clients that keep it in a field of this
	// size. It has neither tag nor checksum.
	Hex40 Form = "hex40"
)

const (
	alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

	prefixLength   = 4
	randomLength   = 27
	tagLength      = 5
	checksumLength = 6
	nativeLength   = prefixLength + randomLength + tagLength + checksumLength
	shownLength    = prefixLength + 6 // of a native secret
	shownHexLength = 8                // of a hexadecimal one, as rest_framework's admin shows it

	hexLength = 40
)

// digest is the HMAC-SHA-256 of a secret under a server secret: all that is
// stored of it.
type digest [sha256.Size]byte

// generate makes a new secret and its digest under the key.
func generate(class Class, form Form, key *serverkey.Key) (secret.Text, digest) {
	if form == Hex40 {
		var b [hexLength / 2]byte
		_, _ = rand.Read(b[:]) // never fails
		text := hex.EncodeToString(b[:])
		return secret.New(text), digest(key.Digest(text))
	}
	body := prefixes[class] + randomBase62(randomLength)
	sum := key.Digest(body)
	tag := tagOf(sum)
	text := body + string(tag[:])
	check := checksum(text)
	return secret.New(text + string(check[:])), digest(sum)
}

// randomBase62 returns n characters, each equally likely.
func randomBase62(n int) string {
	out := make([]byte, 0, n+64)
	var b [64]byte
	for len(out) < n {
		_, _ = rand.Read(b[:]) // never fails
		out = appendBase62(out, b[:])
	}
	return string(out[:n])
}

// appendBase62 makes a character of each byte, but of those past the largest
// multiple of 62, which would make some characters likelier than others.
func appendBase62(out, random []byte) []byte {
	for _, c := range random {
		if c < 256/62*62 {
			out = append(out, alphabet[c%62])
		}
	}
	return out
}

// tagOf makes the keyed tag out of the digest of a secret's first part. The
// digest covers what the tag and the checksum are computed from, so one hash
// serves to test the tag and to find the token.
func tagOf(sum digest) [tagLength]byte {
	v := uint64(sum[0])<<32 | uint64(sum[1])<<24 | uint64(sum[2])<<16 | uint64(sum[3])<<8 | uint64(sum[4])
	var tag [tagLength]byte
	for i := range tag {
		tag[i] = alphabet[v%62]
		v /= 62
	}
	return tag
}

// checksum is the CRC-32 (IEEE) of text as six base62 digits, as GitHub's
// tokens have it, so that a scanner can tell a leaked token from noise without
// asking anybody. It is computed byte by byte because hash/crc32 wants a slice,
// and so an allocation, which takes longer than the sum of so short a text.
func checksum(text string) [checksumLength]byte {
	v := ^uint32(0)
	for i := range len(text) {
		v = crc32.IEEETable[byte(v)^text[i]] ^ v>>8
	}
	v = ^v
	var sum [checksumLength]byte
	for i := len(sum) - 1; i >= 0; i-- {
		sum[i] = alphabet[v%62]
		v /= 62
	}
	return sum
}

// LooksNative reports whether text has the shape and the checksum of a native
// secret. It says nothing about whether there ever was such a token.
func LooksNative(text string) bool {
	if !ClaimsNative(text) {
		return false
	}
	for i := prefixLength; i < nativeLength; i++ {
		if !inAlphabet[text[i]] {
			return false
		}
	}
	sum := checksum(text[:nativeLength-checksumLength])
	return text[nativeLength-checksumLength:] == string(sum[:])
}

// inAlphabet says which bytes are base62 digits.
var inAlphabet = func() (in [256]bool) {
	for i := range len(alphabet) {
		in[alphabet[i]] = true
	}
	return in
}()

// ClaimsNative reports whether text begins and is as long as a native secret,
// right or wrong: it is no password, and must not go where passwords go.
func ClaimsNative(text string) bool {
	return len(text) == nativeLength && text[:2] == "lk" && text[2] >= 'a' && text[2] <= 'z' && text[3] == '_'
}

// ClassOf returns the class that the beginning of a native secret names, "" if
// there is none such.
func ClassOf(text string) Class {
	for class, prefix := range prefixes {
		if len(text) > prefixLength && text[:prefixLength] == prefix {
			return class
		}
	}
	return ""
}

// looksHex reports whether text is 40 lower-case hexadecimal digits.
func looksHex(text string) bool {
	if len(text) != hexLength {
		return false
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Recognised reports whether text has the shape of any token that this server
// gives out, mistyped ones included, to tell tokens from passwords where either may stand.
func Recognised(text string) bool { return ClaimsNative(text) || looksHex(text) || LooksSigned(text) }

// digests appends the digests under which a presented secret may be stored,
// one for each server secret that could be behind it. None means that the
// server never made such a token: its shape, checksum or tag is wrong.
func digests(out []digest, text string, ring *serverkey.Ring) []digest {
	switch {
	case LooksNative(text):
		body, tag := text[:prefixLength+randomLength], text[prefixLength+randomLength:nativeLength-checksumLength]
		for _, key := range ring.Keys() {
			sum := digest(key.Digest(body))
			want := tagOf(sum)
			if subtle.ConstantTimeCompare(want[:], []byte(tag)) == 1 {
				out = append(out, sum)
			}
		}
	case looksHex(text):
		for _, key := range ring.Keys() {
			out = append(out, digest(key.Digest(text)))
		}
	}
	return out
}

// shown returns the part of a secret that may be shown, to recognise it by.
func shown(text secret.Text, form Form) string {
	if form == Hex40 {
		return text.Reveal()[:shownHexLength]
	}
	return text.Reveal()[:shownLength]
}

// newTokenID returns an id for a token. Ids sort by time, so that new rows lie
// side by side in a database's indexes.
func newTokenID(now time.Time) string { return "tok_" + audit.NewID(now) }
