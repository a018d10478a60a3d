package jose

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxToken is how many bytes a token may have (S55).
const MaxToken = 8 << 10

// maxLeeway is how far clocks may differ, at most (S53).
const maxLeeway = 60 * time.Second

// What can be wrong with a token. The errors of [Profile.Verify] wrap one of
// these, and never repeat what the token says.
var (
	ErrMalformed  = errors.New("it is not a signed token of the expected form")
	ErrUnknownKey = errors.New("no known key has signed it")
	ErrSignature  = errors.New("its signature is wrong")
	ErrExpired    = errors.New("it has expired")
	ErrClaims     = errors.New("its claims are not as they have to be")
)

// Keys finds the key with an id, nil if there is none. The id comes out of the
// token's header unverified, "" if there is none, and is good for looking up in
// a map and for nothing else (S56).
type Keys func(id string) *Key

// Profile says what a kind of token must be like. Every token needs an "exp".
type Profile struct {
	// Type is what "typ" must be, in any case and with or without
	// "application/" (RFC 7515 section 4.1.9). It is needed: a token of one
	// kind never passes for another (S52).
	Type string

	// Issuer is what "iss" must be, and Audience what must be in "aud". Where
	// one is empty, the token must not have the claim: it would be meant for
	// somebody else.
	Issuer, Audience string

	// Required are further claims that must be there. Those among them that
	// are texts must not be empty.
	Required []string

	// Leeway is how far clocks may differ; at most a minute counts.
	Leeway time.Duration
}

// AccessToken is the profile of RFC 9068 section 4.
func AccessToken(issuer, audience string) Profile {
	return Profile{
		Type: "at+jwt", Issuer: issuer, Audience: audience,
		Required: []string{"iss", "aud", "sub", "iat", "jti", "client_id"},
	}
}

// Token is a token that was verified.
type Token struct {
	Key    *Key
	Claims Claims

	IssuedAt, NotBefore time.Time // zero: not said
	ExpiresAt           time.Time
}

// Verify reads a token in compact serialization. It returns it only if the key
// that its header names has signed it, by the key's own algorithm, and it fits
// the profile at the given time.
func (p Profile) Verify(token string, keys Keys, now time.Time) (*Token, error) {
	parts, err := split(token)
	if err != nil {
		return nil, err
	}
	key, err := p.keyOf(parts.header, keys)
	if err != nil {
		return nil, err
	}
	if key.verify([]byte(token[:parts.signed]), parts.signature) != nil {
		return nil, ErrSignature
	}
	claims, err := object(parts.payload)
	if err != nil {
		return nil, fmt.Errorf("%w: the payload: %v", ErrMalformed, err)
	}
	t := &Token{Key: key, Claims: claims}
	if err := p.judge(t, now); err != nil {
		return nil, err
	}
	return t, nil
}

// compact is a token in its parts.
type compact struct {
	header, payload, signature []byte
	signed                     int // bytes of the token that are signed
}

// split takes a token apart, and refuses what is too large or has other than
// three parts before it decodes anything (S55).
func split(token string) (compact, error) {
	if len(token) > MaxToken {
		return compact{}, fmt.Errorf("%w: it has more than %d bytes", ErrMalformed, MaxToken)
	}
	if strings.Count(token, ".") != 2 {
		return compact{}, fmt.Errorf("%w: it does not have three parts", ErrMalformed)
	}
	first, last := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	c := compact{signed: last}
	for _, part := range []struct {
		out  *[]byte
		text string
	}{{&c.header, token[:first]}, {&c.payload, token[first+1 : last]}, {&c.signature, token[last+1:]}} {
		var err error
		if *part.out, err = decode(part.text); err != nil {
			return compact{}, err
		}
	}
	return c, nil
}

// decode reads base64url in its one spelling: without padding, and with nothing
// in the bits that are left over (S54).
func decode(text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // which the decoder skips
		return nil, fmt.Errorf("%w: a part is not base64url", ErrMalformed)
	}
	return b, nil
}

// keyOf finds the key that a header names, if the header is one of the kind of
// token that is wanted.
func (p Profile) keyOf(text []byte, keys Keys) (*Key, error) {
	h, err := readHeader(text)
	if err != nil {
		return nil, err
	}
	kind, ok := h["typ"].(string)
	if p.Type == "" || !ok || mediaType(kind) != mediaType(p.Type) {
		return nil, fmt.Errorf("%w: it is a token of another kind", ErrMalformed)
	}
	return named(h, keys)
}

// readHeader reads a header that asks for nothing that changes how the token is
// to be read.
func readHeader(text []byte) (map[string]any, error) {
	h, err := object(text)
	if err != nil {
		return nil, fmt.Errorf("%w: the header: %v", ErrMalformed, err)
	}
	for _, name := range []string{"crit", "zip", "b64"} {
		if _, there := h[name]; there {
			return nil, fmt.Errorf("%w: the header asks for %q", ErrMalformed, name)
		}
	}
	return h, nil
}

// named finds the key that a header names. Where the header says where to get a
// key ("jwk", "jku", "x5u", "x5c"), it is not listened to (S51).
func named(h map[string]any, keys Keys) (*Key, error) {
	id, there := h["kid"]
	text, ok := id.(string)
	if there && !ok {
		return nil, fmt.Errorf("%w: its kid is no text", ErrMalformed)
	}
	key := keys(text)
	if key == nil {
		return nil, ErrUnknownKey
	}
	if alg, ok := h["alg"].(string); !ok || Algorithm(alg) != key.alg { // S50
		return nil, fmt.Errorf("%w: its algorithm is not that of the key", ErrUnknownKey)
	}
	return key, nil
}

func mediaType(s string) string {
	return strings.TrimPrefix(strings.ToLower(s), "application/")
}

// judge decides on the claims.
func (p Profile) judge(t *Token, now time.Time) error {
	if err := t.Claims.matches("iss", p.Issuer); err != nil {
		return err
	}
	if err := t.Claims.matches("aud", p.Audience); err != nil {
		return err
	}
	for _, name := range p.Required {
		if v, there := t.Claims[name]; !there || v == nil || v == "" {
			return fmt.Errorf("%w: %s is missing", ErrClaims, name)
		}
	}
	for _, name := range []string{"sub", "jti", "client_id"} {
		if v, there := t.Claims[name]; there {
			if _, ok := v.(string); !ok {
				return fmt.Errorf("%w: %s is no text", ErrClaims, name)
			}
		}
	}
	return p.judgeTimes(t, now)
}

func (p Profile) judgeTimes(t *Token, now time.Time) error {
	if err := t.readDates(); err != nil {
		return err
	}
	leeway := min(max(p.Leeway, 0), maxLeeway)
	switch {
	case !now.Before(t.ExpiresAt.Add(leeway)):
		return ErrExpired
	case t.NotBefore.After(now.Add(leeway)), t.IssuedAt.After(now.Add(leeway)):
		return fmt.Errorf("%w: it is not valid yet", ErrClaims)
	}
	return nil
}

// readDates reads when the token was issued, begins and ends, which it must.
func (t *Token) readDates() error {
	for _, d := range []struct {
		name string
		out  *time.Time
	}{{"iat", &t.IssuedAt}, {"nbf", &t.NotBefore}, {"exp", &t.ExpiresAt}} {
		var err error
		if *d.out, err = t.Claims.Date(d.name); err != nil {
			return err
		}
	}
	if t.ExpiresAt.IsZero() {
		return fmt.Errorf("%w: exp is missing", ErrClaims)
	}
	return nil
}
