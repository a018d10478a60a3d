package guard

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/latchkey-auth/latchkey/internal/authheader"
	"github.com/latchkey-auth/latchkey/internal/jose"
)

// Why a credential does not count, for errors.Is.
var (
	// ErrNoCredential says that there was none.
	ErrNoCredential = errors.New("no credential")

	// ErrMalformed says that the Authorization header cannot be read, or that
	// there are two.
	ErrMalformed = errors.New("the credential cannot be read")

	// ErrRefused says that the server does not take the token, or not from this
	// address. It does not say why; its audit log does.
	ErrRefused = errors.New("the token is not valid")

	// ErrUnavailable says that nothing is known: the server does not answer in
	// time, or not to this service.
	ErrUnavailable = errors.New("tokens cannot be checked now")
)

// Credential is what somebody presents. It prints without the token.
type Credential struct {
	Token string     `json:"-"`
	Addr  netip.Addr // who sent it; not valid: not known, and a token that is bound to networks is refused
	Agent string     // its User-Agent, for the server's audit log and "last used"
}

// String returns the credential without the token.
func (c Credential) String() string { return fmt.Sprintf("credential from %v", c.Addr) }

// GoString returns the credential without the token.
func (c Credential) GoString() string { return c.String() }

// LogValue logs the credential without the token.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Check tells whom a token stands for. The error is [ErrNoCredential] for an
// empty one, [ErrRefused] or [ErrUnavailable]. What the identity may do is for
// the caller to judge, by [Identity.Allows].
//
// When ctx ends first, others who wait for the same answer still get it.
func (g *Guard) Check(ctx context.Context, c Credential) (Identity, error) {
	if c.Token == "" {
		return Identity{}, ErrNoCredential
	}
	d := digestOf(c.Token)
	now := time.Now()
	if g.fresh(now) {
		if e := g.cache.get(d, now); e != nil && e.takes(c.Addr) {
			return e.id, nil
		}
	}
	c.Addr = plain(c.Addr)
	q := question{d, c.Addr}
	if g.refused.has(q, now) {
		return Identity{}, ErrRefused
	}
	var said *said
	if looksSigned(c.Token) {
		var err error
		if said, err = g.read(ctx, c.Token); err != nil {
			if !errors.Is(err, jose.ErrUnknownKey) { // which may become known at any time
				g.refused.add(q, now)
			}
			return Identity{}, ErrRefused
		}
		if e := g.known(q, said); e != nil {
			return e.id, nil
		}
	}
	return g.ask(ctx, q, c, said)
}

// CheckRequest is [Guard.Check] of the credential in a request: a token after
// Bearer or Token, or as the password of Basic. The errors are those of Check
// and [ErrMalformed]. [Guard.Require] and [Guard.Protect] use it.
func (g *Guard) CheckRequest(r *http.Request) (Identity, error) {
	found, err := authheader.Parse(r.Header)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	token := found.Token
	if found.Scheme == authheader.Basic {
		token = found.Password
	}
	return g.Check(r.Context(), Credential{Token: token.Reveal(), Addr: g.clientAddr(r), Agent: r.UserAgent()})
}

// digest is what a token is kept by.
type digest [sha256.Size]byte

func digestOf(token string) digest {
	if len(token) > 128 {
		return digestOfLong(token)
	}
	var room [128]byte // no allocation for opaque tokens
	return sha256.Sum256(append(room[:0], token...))
}

// digestOfLong is digestOf with room for signed tokens.
func digestOfLong(token string) digest {
	var room [1024]byte
	return sha256.Sum256(append(room[:0], token...))
}

// fresh reports whether what is kept can be trusted at a time: all that changed
// up to MaxStale before it is known here. Both clocks must say so: the
// monotonic one stands still while the machine sleeps, the other can be set.
func (g *Guard) fresh(now time.Time) bool {
	heard := g.heard.Load()
	return heard != nil && now.Sub(*heard) <= g.maxStale && now.UnixNano()-heard.UnixNano() <= int64(g.maxStale)
}
