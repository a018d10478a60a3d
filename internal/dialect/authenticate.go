package dialect

import (
	"errors"
	"net/http"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// Authenticator knows one kind of credential.
type Authenticator interface {
	// Authenticate tells whom the request's credential stands for. Without a
	// credential of this kind both results are nil. An error ends the request;
	// the authenticators behind are not asked.
	Authenticate(r *http.Request) (*identity.Identity, error)

	// Challenge is the value of WWW-Authenticate; "": there is none.
	Challenge() string
}

// authenticate asks the authenticators in their order and refuses whoever is
// nobody where somebody is needed.
func (v *View) authenticate(r *http.Request) (*identity.Identity, error) {
	for _, a := range v.Authenticators {
		if who, err := a.Authenticate(r); who != nil || err != nil {
			return who, err
		}
	}
	switch {
	case !v.Protected:
		return nil, nil
	case len(v.Authenticators) == 0:
		return nil, Detail(http.StatusForbidden, textDenied)
	}
	return nil, AuthenticationFailed(textNotAuthenticated)
}

// challenge is that of the first authenticator, whatever the client tried.
func (v *View) challenge() string {
	if len(v.Authenticators) == 0 {
		return ""
	}
	return v.Authenticators[0].Challenge()
}

// TokenAuth is the framework's TokenAuthentication: a token behind its scheme.
type TokenAuth struct {
	Tokens credential.TokenChecker
	Scheme credential.Scheme // default Token
}

// Challenge returns the scheme, without parameters.
func (a TokenAuth) Challenge() string { return string(a.scheme()) }

func (a TokenAuth) scheme() credential.Scheme {
	if a.Scheme == credential.None {
		return credential.Token
	}
	return a.Scheme
}

// Authenticate checks the token of the Authorization header.
func (a TokenAuth) Authenticate(r *http.Request) (*identity.Identity, error) {
	found, err := credential.Parse(r.Header)
	switch {
	case errors.Is(err, credential.ErrSeveral): // S62; the original sees one with a space in it
		return nil, AuthenticationFailed("Invalid token header. Token string should not contain spaces.")
	case found.Scheme != a.scheme():
		return nil, nil
	case errors.Is(err, credential.ErrEmpty):
		return nil, AuthenticationFailed("Invalid token header. No credentials provided.")
	case errors.Is(err, credential.ErrSpaces):
		return nil, AuthenticationFailed("Invalid token header. Token string should not contain spaces.")
	case err != nil && !utf8.ValidString(r.Header.Get("Authorization")):
		return nil, AuthenticationFailed("Invalid token header. Token string should not contain invalid characters.")
	case err != nil:
		return nil, &tokens.Refusal{Reason: tokens.ReasonMalformed}
	}
	checker := credential.Checker{Tokens: a.Tokens}
	return checker.Check(r.Context(), found)
}

// BasicAuth is the framework's BasicAuthentication: a user name with a
// password, which may be a token.
type BasicAuth struct {
	Check *credential.Checker
}

// Challenge returns the scheme with the framework's realm.
func (BasicAuth) Challenge() string { return `Basic realm="api"` }

// Authenticate checks the user name and password of the Authorization header.
func (a BasicAuth) Authenticate(r *http.Request) (*identity.Identity, error) {
	const wrong = "Invalid username/password."
	found, err := credential.Parse(r.Header)
	switch {
	case errors.Is(err, credential.ErrSeveral): // S62
		return nil, AuthenticationFailed("Invalid basic header. Credentials string should not contain spaces.")
	case found.Scheme != credential.Basic:
		return nil, nil
	case errors.Is(err, credential.ErrEmpty):
		return nil, AuthenticationFailed("Invalid basic header. No credentials provided.")
	case errors.Is(err, credential.ErrSpaces):
		return nil, AuthenticationFailed("Invalid basic header. Credentials string should not contain spaces.")
	case errors.Is(err, credential.ErrEncoding):
		return nil, AuthenticationFailed("Invalid basic header. Credentials not correctly base64 encoded.")
	case err != nil:
		return nil, AuthenticationFailed(wrong)
	}
	who, err := a.Check.Check(r.Context(), found)
	var refusal *tokens.Refusal
	if errors.As(err, &refusal) || fault.Is(err, fault.Unauthenticated) {
		return nil, AuthenticationFailed(wrong)
	}
	return who, err
}
