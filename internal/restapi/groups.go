package restapi

import (
	"context"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/store"
)

func (c *call) listGroups() (answer, error) {
	groups, err := c.Accounts.ListGroups(c.ctx, c.caller)
	if err != nil {
		return answer{}, err
	}
	page := api.Page[api.Group]{Items: make([]api.Group, len(groups))}
	for i, g := range groups {
		page.Items[i] = api.Group{Name: g.Name, Note: g.Note, CreatedAt: g.CreatedAt.UTC()}
	}
	return ok(page)
}

func (c *call) createGroup() (answer, error) {
	var in api.CreateGroup
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	g, err := c.Accounts.CreateGroup(c.ctx, c.caller, in.Name, in.Note)
	if err != nil {
		return answer{}, err
	}
	return created(api.Group{Name: g.Name, Note: g.Note, CreatedAt: g.CreatedAt.UTC()})
}

func (c *call) showGroup() (answer, error) {
	g, members, err := c.Accounts.Group(c.ctx, c.caller, c.r.PathValue("name"))
	if err != nil {
		return answer{}, err
	}
	out := api.Group{Name: g.Name, Note: g.Note, CreatedAt: g.CreatedAt.UTC()}
	for _, a := range members {
		out.Members = append(out.Members, a.Name)
	}
	if out.Grants, err = c.Accounts.GroupGrants(c.ctx, g.Name); err != nil {
		return answer{}, err
	}
	return ok(out)
}

func (c *call) deleteGroup() (answer, error) {
	return answer{}, c.Accounts.DeleteGroup(c.ctx, c.caller, c.r.PathValue("name"))
}

func (c *call) addMember() (answer, error) {
	return c.member(c.Accounts.AddMember)
}

func (c *call) removeMember() (answer, error) {
	return c.member(c.Accounts.RemoveMember)
}

func (c *call) member(do func(context.Context, *identity.Identity, string, string) error) (answer, error) {
	a, err := c.Accounts.Resolve(c.ctx, c.r.PathValue("account"))
	if err != nil {
		return answer{}, err
	}
	return answer{}, do(c.ctx, c.caller, c.r.PathValue("name"), a.ID)
}

func (c *call) listGrants() (answer, error) {
	q := store.GrantQuery{Group: c.query["group"]}
	if ref := c.query["account"]; ref != "" {
		a, err := c.Accounts.Resolve(c.ctx, ref)
		if err != nil {
			return answer{}, err
		}
		q.AccountID = a.ID
	}
	list, err := c.Accounts.ListGrants(c.ctx, c.caller, q)
	if err != nil {
		return answer{}, err
	}
	shown, err := c.grants(list...)
	return answer{status: 200, body: api.Page[api.Grant]{Items: shown}}, err
}

func (c *call) createGrant() (answer, error) {
	var in api.CreateGrant
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	accountID := ""
	if in.Account != "" {
		a, err := c.Accounts.Resolve(c.ctx, in.Account)
		if err != nil {
			return answer{}, err
		}
		accountID = a.ID
	}
	if in.Scope == "" {
		return answer{}, fault.Invalidf("scope", "is needed")
	}
	g, err := c.Accounts.AddGrant(c.ctx, c.caller, accountID, in.Group, in.Scope)
	if err != nil {
		return answer{}, err
	}
	shown, err := c.grants(g)
	if err != nil {
		return answer{}, err
	}
	return created(shown[0])
}

func (c *call) deleteGrant() (answer, error) {
	return answer{}, c.Accounts.RemoveGrant(c.ctx, c.caller, c.r.PathValue("id"))
}

func (c *call) grants(list ...store.Grant) ([]api.Grant, error) {
	ids := make([]string, len(list))
	for i, g := range list {
		ids[i] = g.AccountID
	}
	holders, err := c.Accounts.ByID(c.ctx, ids...)
	if err != nil {
		return nil, err
	}
	shown := make([]api.Grant, len(list))
	for i, g := range list {
		shown[i] = api.Grant{ID: g.ID, Account: holders[g.AccountID].Name, Group: g.Group, Scope: g.Scope, CreatedAt: g.CreatedAt.UTC()}
	}
	return shown, nil
}
