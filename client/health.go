package client

import (
	"context"
	"net/http"
)

// Healthy asks whether the server runs; nil means yes. No credential is sent.
func (c *Client) Healthy(ctx context.Context) error {
	return c.probe(ctx, "/latchkey/healthz")
}

// Ready asks whether the server can serve now; nil means yes, and
// [ErrUnavailable] that it runs but has not started up, has lost its store or
// is shutting down. No credential is sent.
func (c *Client) Ready(ctx context.Context) error {
	return c.probe(ctx, "/latchkey/readyz")
}

func (c *Client) probe(ctx context.Context, path string) error {
	_, _, err := c.send(ctx, call{method: http.MethodGet, public: true}, c.base+path)
	return err
}
