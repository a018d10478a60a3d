package config

import (
	"path"
	"slices"
	"strings"
)

// own is the path below which everything of Latchkey's own is.
const own = "/latchkey/"

func routeKey(i int, name string) string { return elementKey("routes", i, name) }

// pulp checks the Pulp that the gateway stands in front of.
func (v *validation) pulp() {
	p := v.c.Pulp
	switch {
	case p.API == "" && p.Content != "":
		v.found.add("pulp.api", v.c.Origin("pulp.content"), "pulp.content is set, but this is not; set both, or neither (as a flag: --pulp)")
	case p.API != "" && p.Content == "":
		v.found.add("pulp.content", v.c.Origin("pulp.api"), "pulp.api is set, but this is not; set both, or neither (as a flag: --pulp-content)")
	}
	if p.API != "" {
		v.upstream("pulp.api", p.API)
	}
	if p.Content != "" {
		v.upstream("pulp.content", p.Content)
	}
	if s := v.c.Sources.Pulp; s.URL != "" && s.URL != p.API {
		v.upstream("sources.pulp.url", s.URL)
	}
	v.path("pulp.api_root", p.APIRoot)
	v.path("pulp.content_path_prefix", p.ContentPathPrefix)
	v.path("sources.pulp.api_root", v.c.Sources.Pulp.APIRoot)
	v.header("pulp.identity_header", p.IdentityHeader)
}

// header checks the name of a header that names the caller to a service. The
// servers behind the gateway spell other characters than letters and digits in
// different ways. Pulp's two servers do not even agree with each other: header
// names become CGI variables in one way in gunicorn (the API) and in another
// in aiohttp's worker for it (the content).
func (v *validation) header(key, name string) {
	switch {
	case strings.ContainsAny(name, "-_"):
		v.wrong(key, "there can be no - and no _ in the name: servers change the one into the other, or drop such headers; "+
			"Pulp's API server does not see one with _, and its content server knows one with - by another name; use letters and digits only, such as Latchkeyuser")
	case !isName(name):
		v.wrong(key, "want a name of letters and digits, such as Latchkeyuser")
	case reserved(name):
		v.wrong(key, "this header has another meaning; use one of your own, such as Latchkeyuser")
	}
}

// paths returns the paths at which the gateway has the parts of a Pulp, without
// slashes at their ends; none if there is no Pulp.
func (p Pulp) paths() []string {
	if p.API == "" {
		return nil
	}
	return []string{
		trimmed(p.APIRoot), trimmed(p.APIRoot) + "/api", trimmed(p.APIRoot) + "/*/api", trimmed(p.ContentPathPrefix),
		"/pulp/container", "/pulp_ansible/galaxy", "/pypi", "/token", "/v2", "/extensions/v2", "/auth/login", "/assets", "/index",
	}
}

func (v *validation) routes() {
	names, prefixes := map[string]int{}, map[string]string{}
	for _, p := range v.c.Pulp.paths() {
		prefixes[p] = "one of Pulp's paths"
	}
	for i, r := range v.c.Routes {
		if first, taken := names[r.Name]; taken && r.Name != "" {
			v.wrong(routeKey(i, "name"), "routes[%d] has the same name", first)
		} else {
			names[r.Name] = i
		}
		if first, taken := prefixes[trimmed(r.Prefix)]; taken && r.Prefix != "" {
			v.wrong(routeKey(i, "prefix"), "%s is the same path", first)
		} else {
			prefixes[trimmed(r.Prefix)] = routeKey(i, "prefix")
		}
		v.route(i, r)
	}
}

func (v *validation) route(i int, r Route) {
	if r.Name != "" && !isName(r.Name) {
		v.wrong(routeKey(i, "name"), "want a name of letters, digits, - and _")
	}
	v.path(routeKey(i, "prefix"), withoutStars(r.Prefix))
	if r.Upstream == "" {
		v.wrong(routeKey(i, "upstream"), "want http://host:port, https://host or unix:/path")
	} else {
		v.upstream(routeKey(i, "upstream"), r.Upstream)
	}
	for n, p := range r.Open {
		if !isPlainPath(withoutStars(strings.TrimSuffix(p, "/**"))) && p != "/**" {
			v.wrong(routeKey(i, "open"), "element %d: want a plain path, in which * can stand for one segment, and ** at the end for everything below", n+1)
		}
	}
	v.header(routeKey(i, "identity_header"), r.IdentityHeader)
	v.assertion(routeKey(i, "assertion_audience"), routeKey(i, "assertion_header"), r.AssertionAudience, r.AssertionHeader)
	if r.AssertionAudience != "" && sameHeader(r.AssertionHeader, r.IdentityHeader) {
		v.wrong(routeKey(i, "assertion_header"), "the identity_header has the same name; use another one")
	}
	const idle = "with auth: none nothing is looked at, so this has no effect; remove one of the two"
	if r.Auth == "none" && len(r.Open) > 0 {
		v.wrong(routeKey(i, "open"), idle)
	}
	if r.Auth == "none" && r.AssertionAudience != "" {
		v.wrong(routeKey(i, "assertion_audience"), idle)
	}
	if r.Auth == "none" && r.Challenge401 {
		v.wrong(routeKey(i, "challenge_401"), idle)
	}
}

// withoutStars puts a letter in the place of each segment that is a star.
func withoutStars(pattern string) string {
	segments := strings.Split(pattern, "/")
	for i, s := range segments {
		if s == "*" {
			segments[i] = "x"
		}
	}
	return strings.Join(segments, "/")
}

// dialects checks that each way of asking for tokens has a path of its own.
func (v *validation) dialects() {
	v.simpleJWT()
	const key = "dialects.drf.path"
	d := v.c.Dialects.DRF
	v.path(key, d.Path)
	if !d.Enabled || d.Path == "" {
		return
	}
	if d.Path == "/" {
		v.wrong(key, "want a path of its own, such as /api-token-auth/")
	}
	for i, r := range v.c.Routes {
		if trimmed(r.Prefix) == trimmed(d.Path) {
			v.wrong(key, "routes[%d].prefix is the same path", i)
		}
	}
	if slices.Contains(v.c.Pulp.paths(), trimmed(d.Path)) {
		v.wrong(key, "this is one of Pulp's paths")
	}
}

// path checks a path at which something is served: one that has one reading
// only, and that is not Latchkey's own.
func (v *validation) path(key, p string) {
	switch {
	case !strings.HasPrefix(p, "/"):
		v.wrong(key, "want a path that begins with a slash")
	case !isPlainPath(p):
		v.wrong(key, "want a plain path: without //, . and .. in it, and without spaces, %% and other special characters")
	case strings.HasPrefix(strings.ToLower(p)+"/", own):
		v.wrong(key, "everything below %s is Latchkey's own; use another path", own)
	}
}

// isPlainPath reports whether a path has one spelling only.
func isPlainPath(p string) bool {
	return strings.HasPrefix(p, "/") && (path.Clean(p) == p || path.Clean(p)+"/" == p) &&
		!strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("%*;?#\\\"<>{}", r) })
}

// trimmed makes paths with and without a slash at the end the same.
func trimmed(p string) string { return strings.TrimSuffix(p, "/") }

// isName accepts what can stand in logs, metrics and URLs as it is.
func isName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// reserved reports whether a header with a name of letters and digits has a
// meaning to servers and proxies already.
func reserved(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "xforwarded") || slices.Contains([]string{
		"accept", "authorization", "connection", "cookie", "correlationid", "date", "expect", "forwarded", "from", "host",
		"origin", "range", "referer", "te", "trailer", "upgrade", "via", "warning",
		"clientcert", "clientcertchain", "sslclientcert", "xclientcert", "xclientip", "xrealip", "xsslclientcert",
		"xhttpmethod", "xhttpmethodoverride", "xmethodoverride", "xoriginalurl", "xrewriteurl",
	}, name)
}
