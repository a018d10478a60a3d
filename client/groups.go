package client

import (
	"context"
	"net/http"

	"github.com/latchkey-auth/latchkey/api"
)

// Groups are the operations on groups.
type Groups struct{ c *Client }

// Create makes a group.
func (g Groups) Create(ctx context.Context, r api.CreateGroup) (api.Group, error) {
	var out api.Group
	err := g.c.do(ctx, call{method: http.MethodPost, path: []string{"groups"}, body: r}, &out)
	return out, err
}

// List returns all groups, without their members and grants.
func (g Groups) List(ctx context.Context) ([]api.Group, error) {
	var out api.Page[api.Group]
	err := g.c.do(ctx, call{method: http.MethodGet, path: []string{"groups"}}, &out)
	return out.Items, err
}

// Get returns a group with its members and grants.
func (g Groups) Get(ctx context.Context, name string) (api.Group, error) {
	var out api.Group
	err := g.c.do(ctx, call{method: http.MethodGet, path: []string{"groups", name}}, &out)
	return out, err
}

// Delete removes a group, and with it the grants that it has.
func (g Groups) Delete(ctx context.Context, name string) error {
	return g.c.do(ctx, call{method: http.MethodDelete, path: []string{"groups", name}}, nil)
}

// Add makes an account a member of a group.
func (g Groups) Add(ctx context.Context, group, account string) error {
	return g.c.do(ctx, call{method: http.MethodPut, path: []string{"groups", group, "members", account}}, nil)
}

// Remove ends the membership of an account in a group.
func (g Groups) Remove(ctx context.Context, group, account string) error {
	return g.c.do(ctx, call{method: http.MethodDelete, path: []string{"groups", group, "members", account}}, nil)
}
