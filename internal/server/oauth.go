package server

import (
	"cmp"
	"net/http"

	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/oauth"
)

// introspectPath is where services ask about tokens as RFC 7662 has it.
const introspectPath = ownPrefix + "oauth/introspect"

func (s *Server) introspection(check *credential.Checker) http.Handler {
	o := s.opts
	return oauth.NewIntrospection(oauth.Options{
		Tokens: s.tokens, Check: check, Log: o.Log, Issuer: cmp.Or(o.Issuer, o.Realm), Realm: o.Realm,
	})
}
