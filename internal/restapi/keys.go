package restapi

import (
	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/keyring"
)

func (c *call) listKeys() (answer, error) {
	keys, err := c.SigningKeys.List(c.ctx, c.caller)
	if err != nil {
		return answer{}, err
	}
	page := api.Page[api.SigningKey]{Items: make([]api.SigningKey, len(keys))}
	for i, k := range keys {
		page.Items[i] = shownKey(k)
	}
	return ok(page)
}

func (c *call) rotateKeys() (answer, error) {
	if err := c.readOptional(&struct{}{}); err != nil {
		return answer{}, err
	}
	k, err := c.SigningKeys.Rotate(c.ctx, c.caller)
	if err != nil {
		return answer{}, err
	}
	return ok(shownKey(k))
}

func (c *call) importKey() (answer, error) {
	var in api.ImportKey
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	r := keyring.Import{
		Algorithm: in.Algorithm, Key: []byte(in.Key), Weak: in.AllowWeak,
		Rules: keyring.Rules{
			Source: in.Source, UserIs: in.UserID, UserClaim: in.UserIDClaim, TypeClaim: in.TokenTypeClaim, IDClaim: in.JTIClaim,
			RenewClaim: in.SlidingRefreshClaim, Issuer: in.Issuer, Audience: in.Audience, Scope: in.Scope,
		},
	}
	defer clear(r.Key)
	life, err := seconds("expires_in", in.ExpiresIn)
	if err != nil {
		return answer{}, err
	}
	longest, err := seconds("max_lifetime", &in.MaxLifetime)
	if err != nil {
		return answer{}, err
	}
	r.Longest = *longest
	switch {
	case life != nil && in.ExpiresAt != nil:
		return answer{}, fault.Invalidf("expires_at", "cannot be given together with expires_in")
	case life != nil:
		r.Until = c.Now().Add(*life)
	case in.ExpiresAt != nil:
		r.Until = *in.ExpiresAt
	}
	if err := c.Accounts.HasSource(in.Source); err != nil {
		return answer{}, err
	}
	k, err := c.SigningKeys.Import(c.ctx, c.caller, r)
	if err != nil {
		return answer{}, err
	}
	return ok(shownKey(k))
}

func (c *call) revokeKey() (answer, error) {
	var in api.RevokeKey
	if err := c.readOptional(&in); err != nil {
		return answer{}, err
	}
	k, err := c.SigningKeys.Revoke(c.ctx, c.caller, c.r.PathValue("id"), in.Reason)
	if err != nil {
		return answer{}, err
	}
	return ok(shownKey(k))
}

func shownKey(k keyring.Listed) api.SigningKey {
	out := api.SigningKey{
		ID: k.Record.ID, LibtrustID: k.Key.LibtrustID(), Algorithm: k.Record.Algorithm, State: string(k.State),
		CreatedAt: k.Record.CreatedAt.UTC(), ActiveAt: timeOrNull(k.Record.ActiveAt), RetireAt: timeOrNull(k.Record.RetireAt),
		EndsAt: timeOrNull(k.Ends), WithdrawnAt: timeOrNull(k.Record.WithdrawnAt), WithdrawReason: k.Record.WithdrawReason,
		PublicKey: k.Key.PublicPEM(),
	}
	if r := k.Rules; r != nil {
		out.ActiveAt, out.RetireAt = nil, nil
		out.Imported = &api.ImportRules{
			Source: r.Source, UserID: r.UserIs, UserIDClaim: r.UserClaim, TokenTypeClaim: r.TypeClaim, JTIClaim: r.IDClaim,
			SlidingRefreshClaim: r.RenewClaim, Issuer: r.Issuer, Audience: r.Audience, Scope: r.Scope, MaxLifetime: int64(r.Longest.Seconds()),
		}
	}
	if k.Record.Certificate != nil {
		out.Certificate = jose.CertificatePEM(k.Record.Certificate)
	}
	return out
}
