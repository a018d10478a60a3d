package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/latchkey-auth/latchkey/api"
)

// Accounts are the operations on users and robots. An account is named by its
// name, by "source:name" where the name alone is ambiguous, or by "id:" and
// its id.
type Accounts struct{ c *Client }

// AccountQuery selects accounts. Zero fields do not restrict.
type AccountQuery struct {
	Kind     string // "user" or "robot"
	Source   string // "local", "pulp", …
	Name     string // by the start of the name
	Disabled *bool

	Limit  int    // size of a page, up to 1000; 0: the server's default, 100
	Cursor string // where to go on: [api.Page.Next]
}

func (a AccountQuery) values() url.Values {
	q := query{}
	q.text("kind", a.Kind)
	q.text("source", a.Source)
	q.text("name", a.Name)
	q.flag("disabled", a.Disabled)
	q.number("limit", a.Limit)
	q.text("cursor", a.Cursor)
	return url.Values(q)
}

// WhoAmI returns the caller as the server sees it.
func (c *Client) WhoAmI(ctx context.Context) (api.WhoAmI, error) {
	var out api.WhoAmI
	err := c.do(ctx, call{method: http.MethodGet, path: []string{"whoami"}}, &out)
	return out, err
}

// SetPassword changes the caller's own password; the current one is needed.
// All tokens of the caller end, unless KeepTokens is set.
func (c *Client) SetPassword(ctx context.Context, r api.SetPassword) error {
	return c.do(ctx, call{
		method: http.MethodPost, path: []string{"password"}, body: r,
		secrets: []string{r.Current, r.New},
	}, nil)
}

// Create makes an account.
func (a Accounts) Create(ctx context.Context, r api.CreateAccount) (api.Account, error) {
	var out api.Account
	err := a.c.do(ctx, call{
		method: http.MethodPost, path: []string{"accounts"}, body: r,
		secrets: []string{r.Password, r.PasswordHash},
	}, &out)
	return out, err
}

// List returns one page of accounts.
func (a Accounts) List(ctx context.Context, q AccountQuery) (api.Page[api.Account], error) {
	var out api.Page[api.Account]
	err := a.c.do(ctx, call{method: http.MethodGet, path: []string{"accounts"}, query: q.values()}, &out)
	return out, err
}

// All iterates over all accounts that the query selects, page by page. It ends
// after the first error.
func (a Accounts) All(ctx context.Context, q AccountQuery) iter.Seq2[api.Account, error] {
	return all(ctx, q.Cursor, func(ctx context.Context, cursor string) (api.Page[api.Account], error) {
		q.Cursor = cursor
		return a.List(ctx, q)
	})
}

// Get returns an account.
func (a Accounts) Get(ctx context.Context, name string) (api.Account, error) {
	var out api.Account
	err := a.c.do(ctx, call{method: http.MethodGet, path: []string{"accounts", name}}, &out)
	return out, err
}

// Update changes an account and returns it as it is then.
func (a Accounts) Update(ctx context.Context, name string, r api.UpdateAccount) (api.Account, error) {
	var out api.Account
	err := a.c.do(ctx, call{method: http.MethodPatch, path: []string{"accounts", name}, body: r}, &out)
	return out, err
}

// Delete removes an account; its tokens end with it.
func (a Accounts) Delete(ctx context.Context, name string) error {
	return a.c.do(ctx, call{method: http.MethodDelete, path: []string{"accounts", name}}, nil)
}

// RevokeTokens ends all tokens of an account and says how many there were. The
// reason may be "".
func (a Accounts) RevokeTokens(ctx context.Context, name, reason string) (api.Revoked, error) {
	var out api.Revoked
	err := a.c.do(ctx, call{
		method: http.MethodPost, path: []string{"accounts", name, "revoke-tokens"}, body: reasonBody(reason),
	}, &out)
	return out, err
}

// SetPassword sets the password of a local user, as an administrator. All
// tokens of the account end, unless KeepTokens is set.
func (a Accounts) SetPassword(ctx context.Context, name string, r api.SetPassword) error {
	return a.c.do(ctx, call{
		method: http.MethodPost, path: []string{"accounts", name, "password"}, body: r,
		secrets: []string{r.Current, r.New},
	}, nil)
}
