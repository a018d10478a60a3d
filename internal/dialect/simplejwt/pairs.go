package simplejwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/dialect"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// Clients by which the core tells the families of pairs from those of sliding
// tokens, so that neither is refreshed where the other belongs.
const (
	pairClient    = "simplejwt"
	slidingClient = "simplejwt-sliding"
)

const (
	familyName = "simplejwt login"
	replays    = 20 // how often a successor is given once more, at most
)

// begun is a family that begins: for how long it lives, and by which rules.
type begun struct {
	life  time.Duration
	terms tokens.Terms
}

// pairTerms are those of pairs. Without rotation one refresh token is all that
// a family has, as in the original.
func (h *Handler) pairTerms() begun {
	l := h.opts.Lives
	t := tokens.Terms{Shape: ShapeName, ClientID: pairClient, Access: l.Access, SignedRefresh: true}
	if !h.opts.Rotate {
		t.KeepRefresh = true
		return begun{l.Refresh, t}
	}
	t.Refresh, t.Leeway, t.Replays = l.Refresh, h.opts.Again, replays
	return begun{max(h.opts.Whole, l.Refresh), t}
}

func (h *Handler) slidingTerms() begun {
	l := h.opts.Lives
	return begun{l.SlidingRefresh, tokens.Terms{
		Shape: ShapeName, ClientID: slidingClient, Access: l.Sliding, Refresh: l.SlidingRefresh, Sliding: true,
	}}
}

// login trades a user name and a password for the first tokens of a family.
func (h *Handler) login(r *dialect.Request, b begun) (tokens.Pair, error) {
	in, err := r.Validated()
	if err != nil {
		return tokens.Pair{}, err
	}
	who, err := h.passwords.Login(r.Context(), in[h.opts.UsernameField], secret.New(in["password"]))
	if fault.Is(err, fault.Unauthenticated) {
		return tokens.Pair{}, errLogin
	}
	if err != nil {
		return tokens.Pair{}, err
	}
	var never time.Duration
	p, err := h.tokens.IssuePair(r.Context(), who, tokens.PairRequest{
		Request: tokens.Request{Name: familyName, ExpiresIn: &b.life, IdleAfter: &never},
		Terms:   &b.terms,
	})
	switch fault.Of(err).Kind {
	case fault.Unauthenticated, fault.Conflict, fault.NotFound: // the account was changed in between
		return tokens.Pair{}, errLogin
	case fault.Invalid: // nothing that the client sent: the options and the rules of the core are at odds
		return tokens.Pair{}, fmt.Errorf("the tokens of a login cannot be made as configured: %v", err)
	}
	return p, err
}

// renew trades the token in a field for the next ones of its family. One of
// another issuer, whose key was imported, begins a family by the given terms.
func (h *Handler) renew(r *dialect.Request, field string, b begun) (tokens.Pair, error) {
	in, err := r.Validated()
	if err != nil {
		return tokens.Pair{}, err
	}
	text := in[field]
	if !tokens.LooksSigned(text) { // those of other dialects are not refreshed here
		return tokens.Pair{}, errInvalid
	}
	p, err := h.tokens.RefreshPair(r.Context(), tokens.RefreshRequest{
		Presented: presented(r.Request, text), ClientID: b.terms.ClientID, Shape: ShapeName,
		Begin: &tokens.Begin{Life: b.life, Terms: b.terms},
	})
	err = h.refused(r.Context(), text, err)
	if b.terms.Sliding && errors.Is(err, errExpired) && h.counts(r.Context(), text) {
		err = notValid(fmt.Sprintf("Token '%s' claim has expired", h.opts.Names.Renew))
	}
	return p, err
}

// counts reports whether a token opens doors still.
func (h *Handler) counts(ctx context.Context, text string) bool {
	_, err := h.tokens.Inspect(ctx, text)
	return err == nil
}

// presented is what the core is told of a token that came in a body.
func presented(r *http.Request, text string) tokens.Presented {
	from := audit.FromContext(r.Context())
	return tokens.Presented{Token: secret.New(text), Addr: from.Addr, Agent: from.Agent}
}

// Texts of rest_framework_simplejwt/exceptions.py, serializers.py and
// tokens.py.
var (
	// errLogin is the one answer to a wrong password, an unknown and a disabled
	// user (S100).
	errLogin = dialect.AuthenticationFailed("No active account found with the given credentials")

	errNoAccount = dialect.AuthenticationFailed("No active account found for the given token.")

	errInvalid = notValid("Token is invalid")
	errExpired = notValid("Token is expired")
	errType    = notValid("Token has wrong type")
	errEnded   = notValid("Token is blacklisted")

	errEndedAtVerify = dialect.NonField("Token is blacklisted")
)

// invalidToken is the body of the original's InvalidToken.
type invalidToken struct {
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

func notValid(text string) *dialect.Error {
	return &dialect.Error{
		Status: http.StatusUnauthorized, Body: invalidToken{text, "token_not_valid"}, Authentication: true,
	}
}

// refused words why a token does not count. Other errors stay as they are.
func (h *Handler) refused(ctx context.Context, text string, err error) error {
	var refusal *tokens.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	switch refusal.Reason {
	case tokens.ReasonExpired, tokens.ReasonIdle:
		return errExpired
	case tokens.ReasonRevoked, tokens.ReasonReused, tokens.ReasonRotated:
		return errEnded
	case tokens.ReasonDisabled:
		return errNoAccount
	case tokens.ReasonKind, tokens.ReasonClient:
		return errType
	case tokens.ReasonUnknown:
		if said, _ := h.tokens.Inspect(ctx, text); said.ID != "" {
			return errNoAccount // we have signed it: it went with its account
		}
	}
	return errInvalid
}
