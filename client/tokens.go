package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/latchkey-auth/latchkey/api"
)

// Tokens are the operations on tokens.
type Tokens struct{ c *Client }

// TokenQuery selects tokens. Zero fields do not restrict, except that an empty
// Owner, without a Group, means the caller.
type TokenQuery struct {
	Owner       string    // an account's name; "*": everybody
	Class       string    // "personal", "robot", …
	State       string    // "live", "expired" or "revoked"
	Name        string    // by the start of the name
	Prefix      string    // by the start of the shown prefix
	Label       string    // "key=value", or "key" for any value
	UnusedSince time.Time // never used, or last used before this
	NeverUsed   bool

	Group         string    // that the owner is in
	CreatedSince  time.Time // not before
	CreatedBefore time.Time
	LastAddr      string // a network: last used from an address in it
	Scope         string // a rule: tokens that may do any part of it

	Limit  int    // size of a page, up to 1000; 0: the server's default, 100
	Cursor string // where to go on: [api.Page.Next]
}

func (t TokenQuery) values() url.Values {
	q := query{}
	q.text("owner", t.Owner)
	q.text("class", t.Class)
	q.text("state", t.State)
	q.text("name", t.Name)
	q.text("prefix", t.Prefix)
	q.text("label", t.Label)
	q.time("unused_since", t.UnusedSince)
	if t.NeverUsed {
		q.flag("never_used", &t.NeverUsed)
	}
	q.text("group", t.Group)
	q.time("created_since", t.CreatedSince)
	q.time("created_before", t.CreatedBefore)
	q.text("last_addr", t.LastAddr)
	q.text("scope", t.Scope)
	q.number("limit", t.Limit)
	q.text("cursor", t.Cursor)
	return url.Values(q)
}

// Create asks for a token. The answer is the only one with its secret.
func (t Tokens) Create(ctx context.Context, r api.CreateToken) (api.NewToken, error) {
	var out api.NewToken
	err := t.c.do(ctx, call{method: http.MethodPost, path: []string{"tokens"}, body: r}, &out)
	return out, err
}

// List returns one page of tokens, newest first.
func (t Tokens) List(ctx context.Context, q TokenQuery) (api.Page[api.Token], error) {
	var out api.Page[api.Token]
	err := t.c.do(ctx, call{method: http.MethodGet, path: []string{"tokens"}, query: q.values()}, &out)
	return out, err
}

// All iterates over all tokens that the query selects, page by page. It ends
// after the first error.
func (t Tokens) All(ctx context.Context, q TokenQuery) iter.Seq2[api.Token, error] {
	return all(ctx, q.Cursor, func(ctx context.Context, cursor string) (api.Page[api.Token], error) {
		q.Cursor = cursor
		return t.List(ctx, q)
	})
}

// Get returns a token by its id.
func (t Tokens) Get(ctx context.Context, id string) (api.Token, error) {
	var out api.Token
	err := t.c.do(ctx, call{method: http.MethodGet, path: []string{"tokens", id}}, &out)
	return out, err
}

// Update changes a token and returns it as it is then. A token can be narrowed
// and shortened, never widened.
func (t Tokens) Update(ctx context.Context, id string, r api.UpdateToken) (api.Token, error) {
	var out api.Token
	err := t.c.do(ctx, call{method: http.MethodPatch, path: []string{"tokens", id}, body: r}, &out)
	return out, err
}

// Rotate gives a token a new secret, which only this answer has. It is not
// known whether a rotation that failed with [ErrUnreachable] took place.
func (t Tokens) Rotate(ctx context.Context, id string, r api.RotateToken) (api.NewToken, error) {
	var out api.NewToken
	err := t.c.do(ctx, call{method: http.MethodPost, path: []string{"tokens", id, "rotate"}, body: r}, &out)
	return out, err
}

// Revoke ends a token. The reason may be "".
func (t Tokens) Revoke(ctx context.Context, id, reason string) error {
	return t.c.do(ctx, call{method: http.MethodDelete, path: []string{"tokens", id}, body: reasonBody(reason)}, nil)
}

// RevokeMatching ends all tokens that a query selects, or counts them in a dry
// run. It may be repeated.
func (t Tokens) RevokeMatching(ctx context.Context, r api.RevokeTokens) (api.RevokedTokens, error) {
	var out api.RevokedTokens
	err := t.c.do(ctx, call{method: http.MethodPost, path: []string{"tokens", "revoke"}, body: r}, &out)
	return out, err
}

// RevokeSecret ends the token that a secret opens. The secret is all that is
// sent, not the credential of the client. The server answers the same for
// secrets that it does not know.
func (t Tokens) RevokeSecret(ctx context.Context, secret string) error {
	return t.c.do(ctx, call{
		method: http.MethodPost, path: []string{"revoke"}, body: api.Revoke{Token: secret},
		public: true, secrets: []string{secret},
	}, nil)
}

// reasonBody returns the optional body that says why, nil for no reason.
func reasonBody(reason string) any {
	if reason == "" {
		return nil
	}
	return api.RevokeReason{Reason: reason}
}
