// Package credential takes the credential out of an HTTP request and has it
// checked, for the native API, the dialects and the doors alike.
package credential

import (
	"net/http"

	"github.com/latchkey-auth/latchkey/internal/authheader"
)

// Scheme is the way a credential was sent.
type Scheme = authheader.Scheme

// Schemes.
const (
	None   = authheader.None
	Bearer = authheader.Bearer
	Token  = authheader.Token
	Basic  = authheader.Basic
)

// Errors about credentials that cannot be read. Each dialect words them in its
// own way.
var (
	ErrSeveral  = authheader.ErrSeveral
	ErrEmpty    = authheader.ErrEmpty
	ErrSpaces   = authheader.ErrSpaces
	ErrBytes    = authheader.ErrBytes
	ErrEncoding = authheader.ErrEncoding
)

// Credential is what a request offers. The zero Credential is none.
type Credential = authheader.Credential

// Parse reads the Authorization header; see [authheader.Parse].
func Parse(h http.Header) (Credential, error) { return authheader.Parse(h) }

// ParseWith is Parse with further schemes; see [authheader.ParseWith].
func ParseWith(h http.Header, bearers []string) (Credential, error) {
	return authheader.ParseWith(h, bearers)
}
