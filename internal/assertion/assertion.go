// Package assertion tells a service behind a door who is asking, in a form that
// it can prove: a short JSON Web Token, signed by the server and made for that
// service alone. It is for services that do not want to trust whoever reaches
// them with a bare header.
//
// An assertion stands for a check that has been made already. It is no
// credential of Latchkey's: no door of ours takes one.
package assertion

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/keyring"
)

// Type is the "typ" of assertions: nothing else that the server signs has it.
const Type = "latchkey-assertion+jwt"

// How long things live. An assertion lives for a minute in all, of which at
// least 35 seconds are left when it is handed out.
const (
	Life     = time.Minute
	backdate = 5 * time.Second  // for services whose clock is behind
	reuse    = 20 * time.Second // for which it is handed out again
)

// maxScope bounds the claim with the scope, in bytes: headers have little room.
const maxScope = 1 << 10

// Signer signs. [keyring.Service] does.
type Signer interface {
	// Sign makes a token with these claims that ends at the given time.
	Sign(ctx context.Context, f keyring.Form, claims any, expires time.Time) (string, error)

	// Generation changes when what was signed before may not count any more.
	Generation() uint64
}

// Options configure an [Asserter]. Signer and Issuer are needed.
type Options struct {
	Signer Signer
	Issuer string           // the "iss" of assertions
	Now    func() time.Time // default time.Now
}

// Asserter makes assertions, and hands the same one out again for some seconds.
// Its methods may be called from many goroutines.
type Asserter struct {
	signer Signer
	issuer string
	now    func() time.Time
	cache  cache
}

// New returns an asserter.
func New(o Options) (*Asserter, error) {
	if o.Signer == nil || o.Issuer == "" {
		return nil, errors.New("assertion: Signer and Issuer are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &Asserter{signer: o.Signer, issuer: o.Issuer, now: o.Now}
	a.cache.init()
	return a, nil
}

// claims are what an assertion says.
type claims struct {
	Issuer    string  `json:"iss"`
	Audience  string  `json:"aud"`
	Subject   string  `json:"sub"`                // the account's id, which is never given to another
	Name      string  `json:"name"`               // the account's login name
	TokenID   string  `json:"token_id,omitempty"` // "": it was a password
	Scope     *string `json:"scope,omitempty"`    // nil: it is too long to be said here
	IssuedAt  int64   `json:"iat"`
	NotBefore int64   `json:"nbf"`
	Expires   int64   `json:"exp"`
	ID        string  `json:"jti"`
}

// Assert returns an assertion of who is asking, for the service that knows
// itself by the audience. It never lives longer than the token that was checked
// (S92). The error is a fault of kind Unavailable where nothing can be signed.
func (a *Asserter) Assert(ctx context.Context, id *identity.Identity, audience string) (string, error) {
	if id == nil || id.AccountID == "" || audience == "" {
		return "", errors.New("an assertion needs somebody to be about, and a service to be for")
	}
	now := a.now()
	if id.Method != identity.Token || id.Stale { // these are made anew for every request
		return a.sign(ctx, id, audience, now)
	}
	generation := a.signer.Generation()
	made := func() (string, error) { return a.sign(ctx, id, audience, now) }
	return a.cache.get(key{id, audience}, generation, now, made)
}

func (a *Asserter) sign(ctx context.Context, id *identity.Identity, audience string, now time.Time) (string, error) {
	from := now.Add(-backdate).Truncate(time.Second)
	ends := from.Add(Life)
	if !id.ExpiresAt.IsZero() && id.ExpiresAt.Before(ends) {
		ends = id.ExpiresAt.Truncate(time.Second)
	}
	c := claims{
		Issuer: a.issuer, Audience: audience, Subject: id.AccountID, Name: id.Name, TokenID: id.TokenID,
		IssuedAt: from.Unix(), NotBefore: from.Unix(), Expires: ends.Unix(), ID: rand.Text(),
	}
	if len(id.EffectiveText) <= maxScope {
		c.Scope = &id.EffectiveText
	}
	// Others may wait for the outcome, whatever becomes of this request.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	text, err := a.signer.Sign(ctx, keyring.Form{Type: Type}, c, ends)
	if err != nil {
		return "", fmt.Errorf("sign an assertion: %w", err)
	}
	return text, nil
}
