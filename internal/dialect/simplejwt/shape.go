package simplejwt

import (
	"errors"

	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// ShapeName tells the core which families are this dialect's.
const ShapeName = "simplejwt"

// User is what tokens say of whose they are.
type User string

// What the claim for the user can hold.
const (
	UserID      User = "id"      // the account's id here; the default
	UserName    User = "name"    // the name by which the account logs in
	UserSubject User = "subject" // the id in the source that the account is from, such as Django's primary key
)

// Names are the claims of tokens by their names, and what some of them hold.
// The zero value is the original's.
type Names struct {
	User   string // USER_ID_CLAIM; default "user_id"
	Type   string // TOKEN_TYPE_CLAIM; default "token_type"
	ID     string // JTI_CLAIM; default "jti"
	Renew  string // SLIDING_TOKEN_REFRESH_EXP_CLAIM; default "refresh_exp"
	UserIs User   // default [UserID]

	Issuer, Audience string // ISSUER and AUDIENCE; "": tokens say nothing of that
}

func (n Names) withDefaults() Names {
	for _, d := range []struct {
		name      *string
		otherwise string
	}{{&n.User, "user_id"}, {&n.Type, "token_type"}, {&n.ID, "jti"}, {&n.Renew, "refresh_exp"}, {(*string)(&n.UserIs), string(UserID)}} {
		if *d.name == "" {
			*d.name = d.otherwise
		}
	}
	return n
}

// Claims of our own beside the original's, by their registered names: the
// account's id, and the family's (the session).
const (
	subject = "sub"
	session = "sid"
)

// errClaims says that verified claims are no token of this dialect.
var errClaims = errors.New("these are not the claims of a token of simplejwt")

// Shape is how the core writes tokens of this dialect, and reads them at all
// doors. All kinds have the type "JWT", as the original's; their own claim
// tells them apart.
func (o Options) Shape() tokens.Shape {
	n := o.Names.withDefaults()
	return tokens.Shape{
		Name: ShapeName,
		Profile: jose.Profile{
			Type: "JWT", Issuer: n.Issuer, Audience: n.Audience, Leeway: o.Leeway,
			Required: []string{"iat", subject, session, n.ID, n.Type},
		},
		Claims: n.write,
		Read:   n.read,
	}
}

func (n Names) write(t tokens.Signed) any {
	claims := map[string]any{
		n.Type: string(t.Kind), "exp": t.ExpiresAt.Unix(), "iat": t.IssuedAt.Unix(), n.ID: t.ID,
		n.User: n.user(t), subject: t.AccountID, session: t.FamilyID,
	}
	if !t.RefreshUntil.IsZero() {
		claims[n.Renew] = t.RefreshUntil.Unix()
	}
	if n.Issuer != "" {
		claims["iss"] = n.Issuer
	}
	if n.Audience != "" {
		claims["aud"] = n.Audience
	}
	return claims
}

func (n Names) user(t tokens.Signed) string {
	switch n.UserIs {
	case UserName:
		return t.Name
	case UserSubject:
		return t.Subject
	}
	return t.AccountID
}

func (n Names) read(c jose.Claims) (tokens.Signed, error) {
	t := tokens.Signed{
		Kind: tokens.SignedKind(c.Text(n.Type)), ID: c.Text(n.ID), AccountID: c.Text(subject), FamilyID: c.Text(session),
	}
	if t.ID == "" || t.AccountID == "" || t.FamilyID == "" {
		return tokens.Signed{}, errClaims
	}
	switch t.Kind {
	case tokens.SignedAccess, tokens.SignedRefresh:
		return t, nil
	case tokens.SignedSliding:
		until, err := c.Date(n.Renew)
		if err != nil || until.IsZero() {
			return tokens.Signed{}, errClaims
		}
		t.RefreshUntil = until
		return t, nil
	}
	return tokens.Signed{}, errClaims
}
