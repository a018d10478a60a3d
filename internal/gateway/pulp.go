package gateway

import (
	"crypto/tls"
	"net/url"
	"strings"
)

// PulpOptions adapt [PulpRoutes] to a Pulp's settings. The zero value fits
// Pulp's defaults.
type PulpOptions struct {
	APIRoot       string // Pulp's API_ROOT; "/pulp/" if empty
	ContentPrefix string // Pulp's CONTENT_PATH_PREFIX; "/pulp/content/" if empty

	UserHeader string // as in [Route]; Pulp's REMOTE_USER_ENVIRON_NAME is "HTTP_" and this in capitals
	Renamed    bool   // as in [Route], of all that Pulp is told of
	Passwords  Passwords
	Audit      Auditing // of the APIs; AuditWrites if empty
	Timeouts   Timeouts
	TLS        *tls.Config
}

// pulpOpen lists what Pulp's REST API shows to everybody, below its root
// (pulpcore/app/urls.py).
var pulpOpen = []string{
	"/", "/status/", "/livez/", "/docs/", "/docs/api.json", "/docs/api.yaml", "/swagger/",
}

// PulpRoutes returns the routes for a Pulp, whose API and content apps listen
// at the two URLs. Pulp must believe the identity header, and nobody else must
// be able to reach the two.
func PulpRoutes(api, content *url.URL, o PulpOptions) []Route {
	root := "/" + strings.Trim(orElse(o.APIRoot, "/pulp/"), "/")
	root = strings.TrimSuffix(root, "/")
	contentPrefix := orElse(o.ContentPrefix, "/pulp/content/")
	checked := Route{
		Upstream: api, TLS: o.TLS, Timeouts: o.Timeouts, Passwords: o.Passwords, UserHeader: o.UserHeader, Renamed: o.Renamed,
		Audit: orElse(o.Audit, AuditWrites), DropCookies: true,
	}
	with := func(name, prefix string, change func(r *Route)) Route {
		r := checked
		r.Name, r.Prefix = name, prefix
		change(&r)
		return r
	}
	// As it comes: what these paths do is for Pulp to judge, by its own tokens,
	// signatures and forms.
	through := func(name, prefix string) Route {
		return Route{Name: name, Prefix: prefix, Upstream: api, TLS: o.TLS, Timeouts: o.Timeouts, Auth: Off}
	}
	blobs := through("pulp-blobs", "/pulp/container")
	blobs.Upstream = content
	return []Route{
		with("pulp-api", root+"/api", func(r *Route) { r.Open = below(root+"/api/v3", pulpOpen) }),
		with("pulp-domain-api", root+"/*/api", func(r *Route) { r.Open = below(root+"/*/api/v3", pulpOpen) }),
		with("pulp-content", contentPrefix, func(r *Route) {
			r.Upstream, r.Auth, r.Challenge401, r.Audit = content, Optional, true, AuditRefusals
		}),
		with("pulp-ansible", "/pulp_ansible/galaxy", func(*Route) {}),
		with("pulp-python", "/pypi", func(r *Route) { r.Auth, r.Challenge401 = Writes, true }),
		with("pulp-registry-token", "/token", func(r *Route) { r.Auth, r.RegistryTokens = Optional, true }),
		blobs,
		through("pulp-registry", "/v2"),
		through("pulp-registry-extensions", "/extensions/v2"),
		through("pulp-login", "/auth/login"),
		through("pulp-assets", "/assets"),
		through("pulp-flatpak", "/index"),
	}
}

func below(prefix string, paths []string) []string {
	all := make([]string, len(paths))
	for i, p := range paths {
		all[i] = prefix + p
	}
	return all
}

func orElse[T ~string](value, otherwise T) T {
	if value == "" {
		return otherwise
	}
	return value
}
