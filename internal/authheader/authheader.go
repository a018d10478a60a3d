// Package authheader reads the Authorization header: the one reading that the
// server's doors and dialects and package guard in other programs share, so
// that no two of them see another credential in the same request. It checks
// nothing.
package authheader

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

// Scheme is the way a credential was sent.
type Scheme string

// Schemes.
const (
	None   Scheme = ""
	Bearer Scheme = "Bearer" // RFC 6750
	Token  Scheme = "Token"  // as Django REST framework's clients send it
	Basic  Scheme = "Basic"  // RFC 7617; the password may be a token
)

// Errors about credentials that cannot be read. Each dialect words them in its
// own way.
var (
	ErrSeveral  = errors.New("the request carries more than one credential")
	ErrEmpty    = errors.New("the Authorization header has no credential behind its scheme")
	ErrSpaces   = errors.New("the credential must not contain spaces")
	ErrBytes    = errors.New("the credential contains characters that no credential has")
	ErrEncoding = errors.New("the Basic credential is not base64 of a user name, a colon and a password")
)

// maxLength bounds an Authorization header's value, in bytes.
const maxLength = 8 << 10

// Credential is what a request offers. The zero Credential is none.
type Credential struct {
	Scheme   Scheme
	Token    secret.Text // of Bearer and Token
	Username string      // of Basic
	Password secret.Text // of Basic; may be a token
}

// Parse reads the Authorization header. A scheme that is not known is no
// credential. Two headers are an error, whatever stands in them (S62). With an
// error the scheme is set as far as it is known.
func Parse(h http.Header) (Credential, error) { return ParseWith(h, nil) }

// ParseWith is Parse where further schemes, in any case, mean what Bearer means.
// They do not change what the known ones mean.
func ParseWith(h http.Header, bearers []string) (Credential, error) {
	values := h["Authorization"]
	switch {
	case len(values) == 0:
		return Credential{}, nil
	case len(values) > 1:
		return Credential{}, ErrSeveral
	}
	scheme, rest := strings.Trim(values[0], " \t"), ""
	if end := strings.IndexAny(scheme, " \t"); end >= 0 {
		scheme, rest = scheme[:end], scheme[end:]
	}
	c := Credential{Scheme: schemeOf(scheme)}
	if c.Scheme == None && slices.ContainsFunc(bearers, func(b string) bool { return strings.EqualFold(b, scheme) }) && scheme != "" {
		c.Scheme = Bearer
	}
	if c.Scheme == None {
		return c, nil
	}
	rest = strings.Trim(rest, " \t")
	if err := checkText(rest); err != nil {
		return c, err
	}
	if c.Scheme != Basic {
		c.Token = secret.New(rest)
		return c, nil
	}
	return parseBasic(rest)
}

func schemeOf(s string) Scheme {
	switch {
	case strings.EqualFold(s, "bearer"):
		return Bearer
	case strings.EqualFold(s, "token"):
		return Token
	case strings.EqualFold(s, "basic"):
		return Basic
	}
	return None
}

func checkText(s string) error {
	switch {
	case s == "":
		return ErrEmpty
	case strings.ContainsAny(s, " \t"):
		return ErrSpaces
	case len(s) > maxLength || strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' }):
		return ErrBytes
	}
	return nil
}

// parseBasic decodes what RFC 7617 describes. Text that is not UTF-8 is read as
// Latin-1, which older clients send.
func parseBasic(encoded string) (Credential, error) {
	c := Credential{Scheme: Basic}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		if raw, err = base64.RawStdEncoding.DecodeString(encoded); err != nil {
			return c, ErrEncoding
		}
	}
	text := string(raw)
	if !utf8.ValidString(text) {
		text = latin1(raw)
	}
	name, password, ok := strings.Cut(text, ":")
	if !ok {
		return c, ErrEncoding
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return c, ErrBytes
	}
	c.Username, c.Password = name, secret.New(password)
	return c, nil
}

func latin1(raw []byte) string {
	runes := make([]rune, len(raw))
	for i, b := range raw {
		runes[i] = rune(b)
	}
	return string(runes)
}
