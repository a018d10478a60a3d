package server

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/dialect/registry"
	"github.com/latchkey-auth/latchkey/internal/metrics"
)

// defaultPublicURL is where a server is that was told nothing.
const defaultPublicURL = "http://localhost"

// serveRealm puts the realm of container registries into the tree, once the
// gateway is there.
func (s *Server) serveRealm(o Options, t *tree, why *explainers, check *credential.Checker, names registry.Namer) error {
	if o.Registry == nil {
		return nil
	}
	r := s.realm(o)
	r.Names, r.Check, r.Relay = names, check, o.relay(r.Path, t.rest.Handler)
	if len(r.Services) == 0 && r.Relay == nil {
		r.Services = []registry.Service{{Name: hostOf(o.PublicURL), Renamed: o.PulpAccounts != nil}}
	}
	h, err := registry.New(r)
	if err != nil {
		return err
	}
	t.serve(s.door(metrics.Registry, h), h.Paths()...)
	why.realm = h
	return nil
}

// realm completes the options of the realm: its issuer is its own URL, which is
// what Pulp wants, whose setting TOKEN_SERVER is both.
func (s *Server) realm(o Options) registry.Options {
	r := *o.Registry
	r.Path = cmp.Or(r.Path, registry.DefaultPath)
	r.Issuer = cmp.Or(r.Issuer, cmp.Or(o.PublicURL, defaultPublicURL)+r.Path)
	r.Realm, r.Anonymous = o.Realm, s.anonymous
	r.Tokens, r.Log, r.Now = s.tokens, o.Log, o.Now
	return r
}

// relay is what answers at the realm's path for registries that have a token
// server of their own: the gateway, where it stands in front of such a one at
// this path. Otherwise there is none.
func (o Options) relay(path string, gateway http.Handler) http.Handler {
	for _, r := range o.Routes {
		if r.RegistryTokens && strings.TrimSuffix(r.Prefix, "/") == strings.TrimSuffix(path, "/") {
			return gateway
		}
	}
	return nil
}

// hostOf returns the host of a URL with its port, which is how registries that
// are reached there call themselves.
func hostOf(text string) string {
	u, err := url.Parse(cmp.Or(text, defaultPublicURL))
	if err != nil || u.Host == "" {
		return "localhost"
	}
	return u.Host
}
