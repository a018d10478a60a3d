package server

import (
	"context"
	"net/url"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/dialect/registry"
	"github.com/latchkey-auth/latchkey/internal/explain"
	"github.com/latchkey-auth/latchkey/internal/gateway"
)

// explainers are the doors that can say why, for the native API.
type explainers struct {
	tree    *tree
	verify  *gateway.Verifier
	gateway *gateway.Gateway  // nil: nothing is behind us
	realm   *registry.Handler // nil: there is none
}

// Explain asks a door. Without a name that is the gateway, which gets every
// request that is not our own; where there is none, requests are asked about by
// another proxy.
func (e *explainers) Explain(ctx context.Context, door string, a explain.Asked) (explain.Decision, bool) {
	path, _, _ := strings.Cut(a.Target, "?")
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	if _, own := e.tree.exact[path]; own && !e.realm.Relays(path) || ours(path) {
		return explain.Decision{}, false
	}
	switch {
	case a.Target == "" && (door == explain.Registry || door == "" && e.realm != nil && registry.About(a.Scope)):
		if e.realm == nil {
			return explain.Decision{}, false
		}
		return e.realm.Explain(ctx, a), true
	case door == explain.ForwardAuth, a.Target == "", door == "" && e.gateway == nil:
		return e.verify.Explain(ctx, a), true
	case e.gateway != nil:
		return e.gateway.Explain(ctx, a), true
	}
	return explain.Decision{}, false
}
