package restapi

import (
	"github.com/latchkey-auth/latchkey/api"
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
	if k.Record.Certificate != nil {
		out.Certificate = jose.CertificatePEM(k.Record.Certificate)
	}
	return out
}
