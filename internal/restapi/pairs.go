package restapi

import (
	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

func (c *call) createPair() (answer, error) {
	var in api.CreateTokenPair
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	r := tokens.PairRequest{
		Request:  tokens.Request{Name: in.Name, Scope: in.Scope, Labels: in.Labels},
		Audience: in.Audience, ClientID: in.ClientID,
	}
	var err error
	if r.CIDRs, err = parseCIDRs(in.CIDRs); err != nil {
		return answer{}, err
	}
	if in.ExpiresAt != nil && in.ExpiresIn != nil {
		return answer{}, fault.Invalidf("expires_at", "and expires_in cannot both be given")
	}
	if in.ExpiresAt != nil {
		r.ExpiresAt = *in.ExpiresAt
	}
	if r.ExpiresIn, err = seconds("expires_in", in.ExpiresIn); err != nil {
		return answer{}, err
	}
	if r.IdleAfter, err = seconds("idle_timeout", in.IdleTimeout); err != nil {
		return answer{}, err
	}
	if r.AccessFor, err = seconds("access_expires_in", in.AccessExpiresIn); err != nil {
		return answer{}, err
	}
	if in.Owner != "" {
		if r.AccountID, err = c.accountOf(in.Owner); err != nil {
			return answer{}, err
		}
	}
	p, err := c.Tokens.IssuePair(c.ctx, c.caller, r)
	if err != nil {
		return answer{}, err
	}
	return c.pair(p, created)
}

// refreshPair gives the next pair for the refresh token in the body, which is
// right enough.
func (c *call) refreshPair() (answer, error) {
	var in api.RefreshTokenPair
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	if in.RefreshToken == "" { // S71
		return answer{}, fault.Invalidf("refresh_token", "is needed")
	}
	from := audit.FromContext(c.ctx)
	p, err := c.Tokens.RefreshPair(c.ctx, tokens.RefreshRequest{
		Presented: tokens.Presented{Token: secret.New(in.RefreshToken), Addr: from.Addr, Agent: from.Agent},
		ClientID:  in.ClientID, Shape: tokens.NativeShape, Scope: in.Scope,
	})
	if err != nil {
		return answer{}, err
	}
	return c.pair(p, ok)
}

func (c *call) pair(p tokens.Pair, as func(any) (answer, error)) (answer, error) {
	family, err := c.tokens(p.Family)
	if err != nil {
		return answer{}, err
	}
	return as(api.TokenPair{
		AccessToken: p.Access.Reveal(), TokenType: "Bearer", ExpiresAt: p.AccessEnds.UTC(), Scope: nonNil(p.Scope),
		RefreshToken: p.Refresh.Reveal(), Family: family[0],
	})
}
