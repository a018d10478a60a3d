package client

import (
	"context"
	"net/http"

	"github.com/latchkey-auth/latchkey/api"
)

// CreatePair asks for an access token and a refresh token. The answer is the
// only one with them. What they belong to is a token of the class "refresh",
// with which List, Get, Update and Revoke deal as with any other.
func (t Tokens) CreatePair(ctx context.Context, r api.CreateTokenPair) (api.TokenPair, error) {
	var out api.TokenPair
	err := t.c.do(ctx, call{method: http.MethodPost, path: []string{"token-pairs"}, body: r}, &out)
	return out, err
}

// RefreshPair uses a refresh token for the next pair. The refresh token is all
// that is sent, not the credential of the client. A call that failed with
// [ErrUnreachable] may be repeated at once: for a few seconds the server gives
// the same pair again.
func (t Tokens) RefreshPair(ctx context.Context, r api.RefreshTokenPair) (api.TokenPair, error) {
	var out api.TokenPair
	err := t.c.do(ctx, call{
		method: http.MethodPost, path: []string{"token-pairs", "refresh"}, body: r,
		public: true, secrets: []string{r.RefreshToken},
	}, &out)
	return out, err
}
