package config

import (
	"slices"
	"strings"
	"time"
)

// Registry is the realm of container registries.
type Registry struct {
	Enabled   bool              `key:"enabled" doc:"Whether the realm is there."`
	Path      string            `key:"path" doc:"Where it is. Registries send their clients to public_url with this path behind it. The default is Pulp's."`
	Issuer    string            `key:"issuer" doc:"The iss of its tokens, which registries compare byte by byte. Empty: public_url with the path behind it, as Pulp wants."`
	Lifetime  time.Duration     `key:"lifetime" min:"1m" max:"1h" doc:"For how long its tokens live. What is revoked ends the giving of new ones at once; those that are out count until they end."`
	Anonymous bool              `key:"anonymous" live:"yes" doc:"Whether requests without a credential get tokens: to pull what is granted to the group anonymous, and for nothing else."`
	Services  []RegistryService `key:"services" live:"yes" doc:"The registries that there are tokens for. Empty: one that calls itself by the host of public_url, or, with a Pulp behind this server, Pulp's, for which Pulp decides."`
}

// RegistryService is one registry.
type RegistryService struct {
	Name string `key:"name" doc:"What the registry calls itself: its setting service, or for Pulp the host and port that clients reach it by. It is the aud of its tokens."`
	Mode string `key:"mode" oneof:"latchkey relay" doc:"Who decides what its clients may do: latchkey, by grants; or relay, Pulp, by its roles."`
	Key  string `key:"key" oneof:"libtrust thumbprint certificate" doc:"How tokens name their key. libtrust: docker-registry 2 with a rootcertbundle, distribution 3 with jwks, and Pulp. thumbprint: distribution 3, with either. certificate: either with a rootcertbundle, as the certificate goes with each token."`
	Pulp bool   `key:"pulp" doc:"Whether the registry is the Pulp that pulp.accounts is about, which says by which name it is told who asks. To be switched off for other registries where those settings are used."`
}

// Modes of registries.
const (
	ModeLatchkey = "latchkey"
	ModeRelay    = "relay"
)

func defaultRegistry() Registry {
	return Registry{Enabled: true, Path: "/token/", Lifetime: 5 * time.Minute, Anonymous: true}
}

// deriveRegistry leaves the realm's default path to whoever was given it, and is
// off then, unless it was asked for.
func (c *Config) deriveRegistry() {
	for _, key := range []string{"registry.enabled", "registry.path"} {
		if _, set := c.origins[key]; set {
			return
		}
	}
	if taker := c.takerOf(c.Registry.Path); taker != "" {
		c.Registry.Enabled = false
		c.origins["registry.enabled"] = Origin{Name: taker}
	}
}

// takerOf returns the key that puts something else at a path; "" if none does.
func (c *Config) takerOf(path string) string {
	for i, r := range c.Routes {
		if trimmed(r.Prefix) == trimmed(path) {
			return routeKey(i, "prefix")
		}
	}
	switch d := c.Dialects; {
	case d.DRF.Enabled && trimmed(d.DRF.Path) == trimmed(path):
		return "dialects.drf.path"
	case d.SimpleJWT.Enabled && slices.Contains(d.SimpleJWT.paths(), trimmed(path)):
		return "dialects.simplejwt.path"
	}
	return ""
}

// registry checks the realm. Its path may be Pulp's: there the realm stands in
// for Pulp's own, and sends on to it what Pulp decides.
func (v *validation) registry() {
	const key = "registry"
	r := v.c.Registry
	if !r.Enabled {
		return
	}
	v.realmPath(key+".path", r.Path)
	if r.Issuer != "" && strings.ContainsFunc(r.Issuer, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		v.wrong(key+".issuer", "there is a space in it")
	}
	relays := v.c.Pulp.API != "" && trimmed(r.Path) == pulpRealm
	seen := map[string]bool{}
	for i, s := range r.Services {
		at := elementKey(key+".services", i, "name")
		switch {
		case s.Name == "" || strings.ContainsFunc(s.Name, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
			v.wrong(at, "want what the registry calls itself, such as registry.example.com")
		case seen[s.Name]:
			v.wrong(at, "another one has this name already")
		}
		seen[s.Name] = true
		if s.Mode == ModeRelay && !relays {
			v.wrong(elementKey(key+".services", i, "mode"), "there is nobody to relay to: set pulp.api, and registry.path to %s/", pulpRealm)
		}
	}
}

// pulpRealm is where Pulp has its own realm.
const pulpRealm = "/token"

// realmPath checks that the realm has a path of its own, or Pulp's.
func (v *validation) realmPath(key, p string) {
	v.path(key, p)
	if p == "/" {
		v.wrong(key, "want a path of its own, such as /token/")
	}
	if taker := v.c.takerOf(p); taker != "" {
		v.wrong(key, "%s is the same path", taker)
	}
	if trimmed(p) != pulpRealm && slices.Contains(v.c.Pulp.paths(), trimmed(p)) {
		v.wrong(key, "this is another of Pulp's paths")
	}
}

// DefaultRegistryService returns a registry with all that need not be set.
func DefaultRegistryService() RegistryService {
	return RegistryService{Mode: ModeLatchkey, Key: "libtrust", Pulp: true}
}
