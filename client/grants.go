package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/latchkey-auth/latchkey/api"
)

// Grants are the operations on grants.
type Grants struct{ c *Client }

// GrantQuery selects grants by who has them. Zero fields do not restrict.
type GrantQuery struct {
	Account string // those given to the account itself, not to its groups
	Group   string
}

func (g GrantQuery) values() url.Values {
	q := query{}
	q.text("account", g.Account)
	q.text("group", g.Group)
	return url.Values(q)
}

// Create gives a rule to an account or a group.
func (g Grants) Create(ctx context.Context, r api.CreateGrant) (api.Grant, error) {
	var out api.Grant
	err := g.c.do(ctx, call{method: http.MethodPost, path: []string{"grants"}, body: r}, &out)
	return out, err
}

// List returns all grants that the query selects.
func (g Grants) List(ctx context.Context, q GrantQuery) ([]api.Grant, error) {
	var out api.Page[api.Grant]
	err := g.c.do(ctx, call{method: http.MethodGet, path: []string{"grants"}, query: q.values()}, &out)
	return out.Items, err
}

// Delete takes a rule back, by the id of the grant.
func (g Grants) Delete(ctx context.Context, id string) error {
	return g.c.do(ctx, call{method: http.MethodDelete, path: []string{"grants", id}}, nil)
}
