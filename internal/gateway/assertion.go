package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/identity"
)

// Asserter makes a signed proof of who is asking, for the service that knows
// itself by the audience (S92). [assertion.Asserter] is one.
type Asserter interface {
	Assert(ctx context.Context, id *identity.Identity, audience string) (string, error)
}

// Assertion says that a service gets a signed proof of who is asking. The zero
// value says that it does not.
type Assertion struct {
	Audience string // what the service knows itself by; "": no assertion
	Header   string // that carries it; "Latchkey-Assertion" if empty
}

var (
	errNoAsserter = errors.New("nothing to make assertions with")
	errTwice      = errors.New("two things would be in the same header")
)

// compile checks the setting and fills in the default. Others are the headers
// that mean something else in the same place.
func (a *Assertion) compile(by Asserter, others ...string) error {
	if a.Audience == "" {
		*a = Assertion{}
		return nil
	}
	if by == nil {
		return errNoAsserter
	}
	if a.Header == "" {
		a.Header = "Latchkey-Assertion"
	}
	// Unlike an identity header, whose name has to mean the same to everybody
	// on the way, this one may have hyphens: what it carries cannot be forged.
	if strings.HasPrefix(a.Header, "-") || strings.HasSuffix(a.Header, "-") || !identityName(strings.ReplaceAll(a.Header, "-", "")) {
		return fmt.Errorf("%w: %q", errHeaderName, a.Header)
	}
	for _, name := range others {
		if foldName(name) == foldName(a.Header) {
			return fmt.Errorf("%w: %q", errTwice, a.Header)
		}
	}
	a.Header = http.CanonicalHeaderKey(a.Header)
	return nil
}

// make returns the value of the header, nil where there is none to be.
func (a *Assertion) make(ctx context.Context, by Asserter, id *identity.Identity) ([]string, *refusal) {
	if a.Audience == "" || id == nil {
		return nil, nil
	}
	text, err := by.Assert(ctx, id, a.Audience)
	if err != nil {
		return nil, refusalOf(err)
	}
	return []string{text}, nil
}
