package client

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/latchkey-auth/latchkey/api"
)

// Keys are the operations on the keys by which the server signs tokens.
type Keys struct{ c *Client }

// List returns all keys, oldest first.
func (k Keys) List(ctx context.Context) ([]api.SigningKey, error) {
	var out api.Page[api.SigningKey]
	err := k.c.do(ctx, call{method: http.MethodGet, path: []string{"keys"}}, &out)
	return out.Items, err
}

// Rotate has the next key follow the one that signs, and returns it. ActiveAt
// says since when, or from when on.
func (k Keys) Rotate(ctx context.Context) (api.SigningKey, error) {
	var out api.SigningKey
	err := k.c.do(ctx, call{method: http.MethodPost, path: []string{"keys", "rotate"}}, &out)
	return out, err
}

// Import takes over a key of another issuer, and returns it as it is listed.
func (k Keys) Import(ctx context.Context, r api.ImportKey) (api.SigningKey, error) {
	var out api.SigningKey
	err := k.c.do(ctx, call{method: http.MethodPost, path: []string{"keys", "import"}, body: r}, &out)
	return out, err
}

// Revoke withdraws a key: nothing that it has signed counts any more.
func (k Keys) Revoke(ctx context.Context, id, reason string) (api.SigningKey, error) {
	q := call{method: http.MethodDelete, path: []string{"keys", id}}
	if reason != "" {
		q.body = api.RevokeKey{Reason: reason}
	}
	var out api.SigningKey
	err := k.c.do(ctx, q, &out)
	return out, err
}

// JWKS returns the public keys as the server publishes them for verifiers (RFC
// 7517). No credential is sent.
func (k Keys) JWKS(ctx context.Context) (json.RawMessage, error) {
	set, err := k.Published(ctx)
	return set.Document, err
}
