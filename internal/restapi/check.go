package restapi

import (
	"net/netip"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// checkToken answers a service about a token that was presented to it.
func (c *call) checkToken() (answer, error) {
	var in api.Check
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	if in.Token == "" { // S71
		return answer{}, fault.Invalidf("token", "is needed")
	}
	presented := tokens.Presented{Token: secret.New(in.Token), Agent: in.Agent}
	if in.Addr != "" {
		addr, err := netip.ParseAddr(in.Addr)
		if err != nil {
			return answer{}, fault.Invalidf("addr", "is not an address")
		}
		presented.Addr = addr.Unmap().WithZone("")
	}
	asked, err := scope.ParseSet(in.Scope)
	if err != nil {
		return answer{}, fault.Invalidf("scope", "%v", err)
	}
	a, err := c.Tokens.CheckFor(c.ctx, c.caller, presented, asked)
	if err != nil {
		return answer{}, err
	}
	return ok(checkedOf(a, len(asked) > 0))
}

func checkedOf(a tokens.Answer, asked bool) api.Checked {
	id := a.Identity
	if id == nil {
		return api.Checked{}
	}
	out := api.Checked{
		Active: true, Missing: a.Missing,
		Account: id.Name, AccountID: id.AccountID, Kind: id.Kind, Source: id.Source,
		TokenID: id.TokenID, Class: id.Class, Scope: nonNil(id.Effective.Strings()),
		ExpiresAt: timeOrNull(a.Ends()), FamilyEnds: timeOrNull(id.FamilyEnds), IdleTimeout: int64(id.IdleAfter / time.Second),
		Position: a.Position, CheckedAt: timeOrNull(a.At), Stale: id.Stale,
	}
	if asked {
		covered := a.Missing == ""
		out.Covered = &covered
	}
	for _, n := range id.CIDRs {
		out.CIDRs = append(out.CIDRs, n.String())
	}
	return out
}
