package tokens

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/keyring"
)

// Signer signs tokens and verifies them, and those of other issuers whose keys
// were imported. [keyring.Service] does.
type Signer interface {
	Sign(ctx context.Context, f keyring.Form, claims any, expires time.Time) (string, error)
	Verify(ctx context.Context, token string, p jose.Profile) (*jose.Token, error)
	VerifyImported(ctx context.Context, token string) (*keyring.Foreign, error)
	Generation() uint64
}

// SignedKind is what a signed token is for.
type SignedKind string

// Kinds of signed tokens.
const (
	SignedAccess  SignedKind = "access"  // opens doors
	SignedRefresh SignedKind = "refresh" // gets the next pair, and opens nothing
	SignedSliding SignedKind = "sliding" // opens doors, and gets its own successor
)

// Signed is what a signed token says, in the core's words.
type Signed struct {
	Kind      SignedKind
	ID        string // of this very token (jti)
	FamilyID  string // the id of the family that it was born from
	AccountID string

	// Name, Source and Subject are the account's; see [store.Account]. They are
	// set when a token is made; what is read of them is not looked at.
	Name, Source, Subject string

	ClientID string
	Audience []string
	Scope    []string // empty: all that the family has

	IssuedAt, ExpiresAt time.Time

	// RefreshUntil is until when a sliding token can be renewed; zero elsewhere.
	RefreshUntil time.Time

	// KeyID is the imported key that has signed it; "": this server has.
	KeyID string

	// forgetAt is until when it must be known of a token of another issuer that
	// it was used or revoked: its own end, whatever else ends it.
	forgetAt time.Time
}

// Shape is how a dialect writes signed tokens. The core decides what is in a
// token; the shape says by which names.
type Shape struct {
	// Name tells the shape from others. Families keep it; it must not change.
	Name string

	// Profile is what a token must be like. Its Type is the one that tokens are
	// signed with. Its Leeway adds to the life of every token.
	Profile jose.Profile

	// Claims gives what is signed: anything that encodes to a JSON object.
	Claims func(Signed) any

	// Read tells what verified claims say. Times need not be read. An error
	// says that this is no token of the shape.
	Read func(jose.Claims) (Signed, error)
}

// NativeShape is the name of the shape that the native API gives out.
const NativeShape = ""

// DefaultClient is the client of pairs for which no other was named.
const DefaultClient = "latchkey"

// accessClaims are those of RFC 9068 section 2.2, with "sid" for the family
// (the session, in the registry of claim names).
type accessClaims struct {
	Issuer   string `json:"iss"`
	Audience any    `json:"aud"` // a text, or a list of several
	Subject  string `json:"sub"`
	Client   string `json:"client_id"`
	Expires  int64  `json:"exp"`
	Issued   int64  `json:"iat"`
	ID       string `json:"jti"`
	Scope    string `json:"scope,omitempty"`
	Family   string `json:"sid"`
}

// nodesLeeway is how far the clocks of nodes may differ.
const nodesLeeway = 5 * time.Second

// AccessShape is the shape of RFC 9068: access tokens alone, by and for this
// server.
func AccessShape(issuer string) Shape {
	profile := jose.AccessToken(issuer, issuer)
	profile.Required = append(profile.Required, "sid")
	profile.Leeway = nodesLeeway
	return Shape{
		Name: NativeShape, Profile: profile,
		Claims: func(t Signed) any {
			c := accessClaims{
				Issuer: issuer, Audience: t.Audience, Subject: t.AccountID, Client: t.ClientID,
				Expires: t.ExpiresAt.Unix(), Issued: t.IssuedAt.Unix(), ID: t.ID, Scope: strings.Join(t.Scope, " "), Family: t.FamilyID,
			}
			if len(t.Audience) == 1 {
				c.Audience = t.Audience[0]
			}
			return c
		},
		Read: func(c jose.Claims) (Signed, error) {
			return Signed{
				Kind: SignedAccess, ID: c.Text("jti"), FamilyID: c.Text("sid"), AccountID: c.Text("sub"),
				ClientID: c.Text("client_id"), Audience: c.Texts("aud"), Scope: strings.Fields(c.Text("scope")),
			}, nil
		},
	}
}

// SignWith lets the core make and check signed tokens of the given shapes. It
// is called once, before the core serves.
func (s *Service) SignWith(signer Signer, shapes ...Shape) error {
	for i, shape := range shapes {
		if shape.Profile.Type == "" || shape.Claims == nil || shape.Read == nil {
			return fmt.Errorf("tokens: the shape %q of signed tokens is not complete", shape.Name)
		}
		for _, other := range shapes[:i] {
			if other.Name == shape.Name {
				return fmt.Errorf("tokens: there are two shapes of signed tokens called %q", shape.Name)
			}
		}
	}
	s.signer, s.shapes = signer, shapes
	return nil
}

// shape finds a shape by its name.
func (s *Service) shape(name string) (*Shape, error) {
	for i := range s.shapes {
		if s.shapes[i].Name == name {
			return &s.shapes[i], nil
		}
	}
	return nil, fault.Conflictf("this server gives out no signed tokens of this form")
}

// minSigned is fewer bytes than any signed token has.
const minSigned = 40

// LooksSigned reports whether text has the outer form of a signed token. It
// says nothing about whether anybody has signed it.
func LooksSigned(text string) bool {
	return len(text) >= minSigned && len(text) <= jose.MaxToken && strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2
}

// readSigned verifies a signed token and tells what it says. The error is a
// [*Refusal] when it does not count. Nothing is said yet about whether its
// family lives.
func (s *Service) readSigned(ctx context.Context, text string) (Signed, error) {
	if said, foreign, err := s.readForeign(ctx, text); foreign || err != nil {
		return said, err
	}
	worst := jose.ErrMalformed
	for i := range s.shapes {
		shape := &s.shapes[i]
		t, err := s.signer.Verify(ctx, text, shape.Profile)
		if err == nil {
			var said Signed
			if said, err = shape.Read(t.Claims); err == nil {
				said.IssuedAt, said.ExpiresAt = t.IssuedAt, t.ExpiresAt.Add(shape.Profile.Leeway)
				return said, nil
			}
			err = jose.ErrClaims
		}
		if fault.Is(err, fault.Unavailable) {
			return Signed{}, err
		}
		if !errors.Is(err, jose.ErrMalformed) {
			worst = err
		}
	}
	switch {
	case errors.Is(worst, jose.ErrExpired):
		return Signed{}, &Refusal{Reason: ReasonExpired}
	case errors.Is(worst, jose.ErrUnknownKey):
		return Signed{}, refusedUnknown
	}
	return Signed{}, refusedMalformed
}

// newSignedID returns the id of a signed token: 128 random bits in hexadecimal
// digits.
func newSignedID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// refreshDigest is the digest of a signed refresh token: of its id, since it is
// the signature that keeps others from making one.
func refreshDigest(id string) string { return "signed refresh token " + id }
