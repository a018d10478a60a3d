package guard

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/jose"
)

const (
	accessType  = "at+jwt" // RFC 9068: no other token of the server has it
	accessClass = "access"
)

// looksSigned reports whether a token has the outer form of a signed one.
func looksSigned(token string) bool {
	return strings.HasPrefix(token, "eyJ") && strings.Count(token, ".") == 2
}

// said is what a signed access token says, once it is known that the server has
// signed it.
type said struct {
	kin     digest // the same for tokens that differ in their numbers and times alone
	family  string // that the token was born from, which the server knows it by
	account string

	begins, ends time.Time // by the server's clock
}

// read verifies a signed token as far as that can be done here. The error is
// one of package jose for a token that the server has certainly not signed, or
// that has expired. Without an error, but with nothing either, only the server
// knows: the keys cannot be had, or it is no access token of the usual form.
func (g *Guard) read(ctx context.Context, token string) (*said, error) {
	set := g.keys.current(ctx, time.Now())
	if set == nil {
		return nil, nil
	}
	o, err := jose.Open(token, set.find)
	if errors.Is(err, jose.ErrUnknownKey) {
		if o.Type != accessType { // such tokens may be by keys that the server does not publish
			return nil, nil
		}
		if set = g.keys.newer(ctx, set, time.Now()); set == nil {
			return nil, nil
		}
		o, err = jose.Open(token, set.find)
	}
	if err == nil && set.past(o.ExpiresAt, time.Now()) {
		err = jose.ErrExpired
	}
	if err != nil {
		return nil, err
	}
	s := &said{family: o.Claims.Text("sid"), account: o.Claims.Text("sub"), begins: o.IssuedAt, ends: o.ExpiresAt}
	if o.Type != accessType || s.family == "" || s.account == "" || o.IssuedAt.IsZero() {
		return nil, nil
	}
	if o.NotBefore.After(s.begins) {
		s.begins = o.NotBefore
	}
	s.kin = kinship(o)
	return s, nil
}

// kinship returns a digest of who has signed a token and of all that it says
// but for its own number and times. What the server answers follows from these,
// so that its answer about one token is its answer about another.
func kinship(o jose.Opened) digest {
	room := make([]byte, 0, 1024)
	field := func(text string) {
		room = binary.BigEndian.AppendUint32(room, uint32(len(text)))
		room = append(room, text...)
	}
	field(o.Key.ID())
	field(o.Type)
	for _, name := range slices.Sorted(maps.Keys(o.Claims)) {
		switch name {
		case "jti", "iat", "nbf", "exp":
			continue
		}
		field(name)
		if text, ok := o.Claims[name].(string); ok {
			room = append(room, 's')
			field(text)
			continue
		}
		text, _ := json.Marshal(o.Claims[name]) // it came out of JSON
		room = append(room, 'v')
		field(string(text))
	}
	return sha256.Sum256(room)
}

// kinOf makes of an answer about a verified token the entry for all tokens of
// its family that say the same; nil when it is not that.
func kinOf(e *entry, got api.Checked, s *said) *entry {
	if s == nil || got.Class != accessClass || got.TokenID != s.family || got.AccountID != s.account || e.checked.IsZero() {
		return nil
	}
	kin := &entry{digest: s.kin, kin: true, id: e.id, cidrs: e.cidrs, sent: e.sent, checked: e.checked}
	if got.FamilyEnds != nil { // else all that is known is that it does not end before this token
		kin.id.ExpiresAt = *got.FamilyEnds
	}
	kin.until = kin.keptUntil(got.IdleTimeout, kin.id.ExpiresAt)
	return kin
}

// known finds what the server's answer about the family of a verified token
// says about this one, and keeps it; nil when the server has to be asked.
func (g *Guard) known(q question, s *said) *entry {
	now := time.Now()
	if s == nil || !g.fresh(now) {
		return nil
	}
	kin := g.cache.related(s.kin, now)
	if kin == nil || !kin.takes(q.addr) {
		return nil
	}
	e := &entry{digest: q.digest, id: kin.id, cidrs: kin.cidrs, sent: kin.sent, checked: kin.checked}
	at := e.serverTime(now)
	if s.begins.After(at) || !s.ends.After(at) {
		return nil
	}
	if e.id.ExpiresAt.IsZero() || s.ends.Before(e.id.ExpiresAt) {
		e.id.ExpiresAt = s.ends
	}
	e.until = e.sent.Add(min(kin.until.Sub(kin.sent), e.id.ExpiresAt.Sub(e.checked)))
	if !g.cache.adopt(e, kin) {
		return nil
	}
	return e
}

// serverTime returns the latest that it can be on the server's clock.
func (e *entry) serverTime(now time.Time) time.Time {
	since := max(now.Sub(e.sent), time.Duration(now.UnixNano()-e.sent.UnixNano()))
	return e.checked.Add(since)
}
