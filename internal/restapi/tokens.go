package restapi

import (
	"net/netip"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

func (c *call) createToken() (answer, error) {
	var in api.CreateToken
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	request := tokens.Request{Name: in.Name, Scope: in.Scope, Labels: in.Labels}
	var err error
	if request.CIDRs, err = parseCIDRs(in.CIDRs); err != nil {
		return answer{}, err
	}
	if in.ExpiresAt != nil && in.ExpiresIn != nil {
		return answer{}, fault.Invalidf("expires_at", "and expires_in cannot both be given")
	}
	if in.ExpiresAt != nil {
		request.ExpiresAt = *in.ExpiresAt
	}
	if request.ExpiresIn, err = seconds("expires_in", in.ExpiresIn); err != nil {
		return answer{}, err
	}
	if request.IdleAfter, err = seconds("idle_timeout", in.IdleTimeout); err != nil {
		return answer{}, err
	}
	if in.Owner != "" {
		if request.AccountID, err = c.accountOf(in.Owner); err != nil {
			return answer{}, err
		}
	}
	issued, err := c.Tokens.Issue(c.ctx, c.caller, request)
	if err != nil {
		return answer{}, err
	}
	return c.newToken(issued, created)
}

// accountOf returns the id of the account that somebody means. Who may not
// read accounts learns of none but their own.
func (c *call) accountOf(ref string) (string, error) { return c.accountFor(ref, verbOf(c.r.Method)) }

// accountFor is accountOf for a call that needs this verb over the account's
// tokens.
func (c *call) accountFor(ref, verb string) (string, error) {
	if ref == c.caller.Name || ref == "id:"+c.caller.AccountID || ref == c.caller.Source+":"+c.caller.Name {
		return c.caller.AccountID, nil
	}
	if !c.caller.May(tokens.AllTokens, "read") && !c.caller.May(tokens.AllTokens, "write") &&
		!c.caller.May(tokens.AllTokens, "delete") && !c.caller.May("accounts", "read") {
		return "", fault.Needs("latchkey:" + tokens.AllTokens + ":" + verb)
	}
	a, err := c.Accounts.Resolve(c.ctx, ref)
	return a.ID, err
}

func verbOf(method string) string {
	switch method {
	case "GET":
		return "read"
	case "DELETE":
		return "delete"
	}
	return "write"
}

func (c *call) newToken(issued tokens.Issued, as func(any) (answer, error)) (answer, error) {
	t := issued.Token
	if issued.Owner != "" { // all is known: nothing to look up
		shown := tokenOf(t, issued.Owner, string(tokens.State(t, t.Epoch, c.Now())))
		return as(api.NewToken{Token: shown, Secret: issued.Secret.Reveal()})
	}
	shown, err := c.tokens(t)
	if err != nil {
		return answer{}, err
	}
	return as(api.NewToken{Token: shown[0], Secret: issued.Secret.Reveal()})
}

func (c *call) listTokens() (answer, error) {
	filter, err := c.filterOfQuery()
	if err != nil {
		return answer{}, err
	}
	q, err := c.tokenQuery(filter, scope.Read)
	if err != nil {
		return answer{}, err
	}
	state, err := c.query.oneOf("state", "live", "expired", "revoked")
	if err != nil {
		return answer{}, err
	}
	q.State = store.TokenState(state)
	if q.Limit, err = c.query.limit(); err != nil {
		return answer{}, err
	}
	after, err := c.after()
	if err != nil {
		return answer{}, err
	}
	q.After = after.position()
	list, err := c.Tokens.List(c.ctx, c.caller, q)
	if err != nil {
		return answer{}, err
	}
	shown, err := c.tokens(list.Tokens...)
	if err != nil {
		return answer{}, err
	}
	more := list.Next != store.Position{}
	return ok(api.Page[api.Token]{Items: shown, Next: c.next(more, place{At: list.Next.At, ID: list.Next.ID})})
}

func (c *call) showToken() (answer, error) {
	t, err := c.Tokens.Token(c.ctx, c.caller, c.r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	return c.oneToken(t)
}

func (c *call) oneToken(t store.Token) (answer, error) {
	shown, err := c.tokens(t)
	if err != nil {
		return answer{}, err
	}
	return ok(shown[0])
}

func (c *call) updateToken() (answer, error) {
	var in api.UpdateToken
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	u := tokens.Update{Name: in.Name, Labels: in.Labels, Scope: in.Scope, ExpiresAt: in.ExpiresAt}
	if in.ExpiresAt != nil && in.ExpiresIn != nil {
		return answer{}, fault.Invalidf("expires_at", "and expires_in cannot both be given")
	}
	var err error
	if u.ExpiresIn, err = seconds("expires_in", in.ExpiresIn); err != nil {
		return answer{}, err
	}
	if u.IdleAfter, err = seconds("idle_timeout", in.IdleTimeout); err != nil {
		return answer{}, err
	}
	if in.CIDRs != nil {
		cidrs, err := parseCIDRs(*in.CIDRs)
		if err != nil {
			return answer{}, err
		}
		u.CIDRs = &cidrs
	}
	t, err := c.Tokens.Update(c.ctx, c.caller, c.r.PathValue("id"), u)
	if err != nil {
		return answer{}, err
	}
	return c.oneToken(t)
}

func (c *call) revokeToken() (answer, error) {
	var in api.RevokeReason
	if err := c.readOptional(&in); err != nil {
		return answer{}, err
	}
	return answer{}, c.Tokens.Revoke(c.ctx, c.caller, c.r.PathValue("id"), in.Reason)
}

func (c *call) rotateToken() (answer, error) {
	var in api.RotateToken
	if err := c.readOptional(&in); err != nil {
		return answer{}, err
	}
	overlap, err := seconds("overlap", &in.Overlap)
	if err != nil {
		return answer{}, err
	}
	issued, err := c.Tokens.Rotate(c.ctx, c.caller, c.r.PathValue("id"), tokens.Overlap{For: *overlap, UntilUsed: in.UntilUsed})
	if err != nil {
		return answer{}, err
	}
	return c.newToken(issued, ok)
}

// revokeSecret ends the token whose secret is in the body. Whether there was
// such a token is not told.
func (c *call) revokeSecret() (answer, error) {
	var in api.Revoke
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	if in.Token == "" {
		return answer{}, fault.Invalidf("token", "is needed")
	}
	return answer{}, c.Tokens.RevokeSecret(c.ctx, in.Token)
}

func (c *call) revokeAll() (answer, error) {
	var in api.RevokeReason
	if err := c.readOptional(&in); err != nil {
		return answer{}, err
	}
	id, err := c.accountFor(c.r.PathValue("name"), scope.Delete)
	if err != nil {
		return answer{}, err
	}
	n, err := c.Tokens.RevokeAll(c.ctx, c.caller, id, in.Reason)
	if err != nil {
		return answer{}, err
	}
	return ok(api.Revoked{Revoked: n})
}

// tokens turns tokens into what is shown of them.
func (c *call) tokens(list ...store.Token) ([]api.Token, error) {
	ids := make([]string, len(list))
	for i, t := range list {
		ids[i] = t.AccountID
	}
	owners, err := c.Accounts.ByID(c.ctx, ids...)
	if err != nil {
		return nil, err
	}
	now := c.Now()
	shown := make([]api.Token, len(list))
	for i, t := range list {
		owner := owners[t.AccountID]
		shown[i] = tokenOf(t, owner.Name, string(tokens.State(t, owner.Epoch, now)))
	}
	return shown, nil
}

func tokenOf(t store.Token, owner, state string) api.Token {
	out := api.Token{
		ID: t.ID, Name: t.Name, Class: t.Class, Prefix: t.Prefix, Owner: owner, State: state,
		Scope: nonNil(t.Scope), Labels: t.Labels, CIDRs: make([]string, len(t.CIDRs)),
		CreatedAt: t.CreatedAt.UTC(), ExpiresAt: timeOrNull(t.ExpiresAt), IdleTimeout: int64(t.IdleAfter / time.Second),
		RotatedAt: timeOrNull(t.RotatedAt), Parent: t.ParentID,
		RevokedAt: timeOrNull(t.RevokedAt), RevokedBy: t.RevokedBy, RevokeReason: t.RevokeReason,
	}
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	for i, n := range t.CIDRs {
		out.CIDRs[i] = n.String()
	}
	if u := t.LastUse; !u.At.IsZero() {
		out.LastUsed = &api.Use{At: u.At.UTC(), Agent: u.Agent}
		if u.Addr.IsValid() {
			out.LastUsed.Addr = u.Addr.String()
		}
	}
	return out
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// maxSeconds keeps durations within what time.Duration holds.
const maxSeconds = int64(1<<63-1) / int64(time.Second)

func seconds(field string, n *int64) (*time.Duration, error) {
	if n == nil {
		return nil, nil
	}
	if *n < 0 || *n > maxSeconds {
		return nil, fault.Invalidf(field, "must be a number of seconds that makes sense")
	}
	d := time.Duration(*n) * time.Second
	return &d, nil
}

// parseCIDRs reads networks and single addresses. Host bits are cut off.
func parseCIDRs(texts []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range texts {
		p, err := parseNetwork("cidrs", text)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// parseNetwork reads a network or a single address.
func parseNetwork(field, text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if addr, addrErr := netip.ParseAddr(text); addrErr == nil && addr.Zone() == "" {
		p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		return p, fault.Invalidf(field, "holds %q, which is not a network like 192.0.2.0/24 or an address", audit.Clip(text))
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, fault.Invalidf(field, "holds %q, which mixes IPv4 and IPv6", audit.Clip(text))
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}
