package client

import (
	"context"
	"net/http"

	"github.com/latchkey-auth/latchkey/api"
)

// Check asks whom a token stands for that somebody presented to the caller,
// which is a service of its own with the right latchkey:check:read. A token
// that does not count is no error: the answer is not Active. Package guard
// does this for Go services, and keeps answers.
func (c *Client) Check(ctx context.Context, r api.Check) (api.Checked, error) {
	var out api.Checked
	err := c.do(ctx, call{
		method: http.MethodPost, path: []string{"check"}, body: r,
		secrets: []string{r.Token},
	}, &out)
	return out, err
}
