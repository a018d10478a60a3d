package config

import (
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Validate returns an [*Error] with all that is wrong with the configuration:
// values out of range, and combinations that are unsafe or make no sense.
// [Load] has done it already.
func (c Config) Validate() error { return c.problems().err() }

func (c Config) problems() problems {
	v := &validation{c: c}
	v.declared()
	v.listener()
	v.proxies()
	v.database()
	v.secrets()
	v.lives()
	v.keys()
	v.verify()
	v.passwordSources()
	v.djangoSource()
	v.pulp()
	v.pulpAccounts()
	v.routes()
	v.dialects()
	v.registry()
	v.tls()
	v.metrics()
	v.envoy()
	v.traces()
	return v.found
}

// Warnings returns what whoever starts the server should know about a
// configuration that is valid: what it gives up, and why that matters.
func (c Config) Warnings() []Problem {
	var w problems
	warn := func(key, text string) { w.add(key, c.Origin(key), "%s", text) }
	if c.Check.StaleFor > 0 {
		warn("check.stale_for", "while the database does not answer, this node goes on accepting tokens for "+
			FormatDuration(c.Check.StaleFor)+", also those that are being revoked on other nodes")
	}
	if c.PlainHTTP && !loopback(c.Listen) {
		warn("plain_http", "passwords and tokens cross the network in the clear between this server and whoever connects to it")
	}
	if m := c.Metrics.Listen; m != "" && !loopback(m) {
		warn("metrics.listen", "whoever can reach this address sees the metrics, and which version runs here; it needs a network or a firewall that only lets the collector in")
	}
	if o := c.Origin("database"); o.Layer == FromFlag && strings.Contains(c.Database.Reveal(), "@") {
		warn("database", "others on this machine can see the command line; a password is better off in LATCHKEY_DATABASE or in a file that database_file names")
	}
	for i, r := range c.Routes {
		if r.KeepAuthorization && r.Auth != "none" {
			key := routeKey(i, "keep_authorization")
			w.add(key, originIn(c.origins, key), "the service sees the tokens of everybody who uses it, and could use them")
		}
	}
	return w
}

// validation collects what is wrong with a configuration.
type validation struct {
	c     Config
	found problems
}

func (v *validation) wrong(key, format string, args ...any) {
	v.found.add(key, originIn(v.c.origins, key), format, args...)
}

// declared checks what the struct tags say, for configurations that were not
// loaded.
func (v *validation) declared() {
	root := schema()
	for _, e := range root.leaves() {
		field := e.in(reflect.ValueOf(v.c))
		if e.kind != sections {
			v.declaredOf(e, e.path, field)
			continue
		}
		for i := range field.Len() {
			for _, child := range e.children {
				v.declaredOf(child, elementKey(e.path, i, child.name), child.in(field.Index(i)))
			}
		}
	}
}

func (v *validation) declaredOf(e *entry, key string, field reflect.Value) {
	switch {
	case e.bounded && !e.inRange(field.Int()):
		v.wrong(key, "want %s", e.wanted())
	case e.kind == text && len(e.choices) > 0 && !slices.Contains(e.choices, field.String()):
		v.wrong(key, "want %s", e.wanted())
	}
}

// proxies refuses to believe everybody (S85). A network that wide is nearly
// everybody, too.
func (v *validation) proxies() {
	for _, p := range v.c.TrustedProxies {
		widest := 7 // fc00::/7 are all private networks
		if p.Addr().Is4() {
			widest = 8 // 10.0.0.0/8
		}
		switch {
		case !p.IsValid():
			v.wrong("trusted_proxies", "an element is no network")
		case p.Bits() == 0:
			v.wrong("trusted_proxies", "%s is everybody: any client could then say that it is another; name the proxies' own addresses", p)
		case p.Bits() < widest:
			v.wrong("trusted_proxies", "%s is far more than the proxies of one site; name their own addresses", p)
		}
	}
	if strings.HasPrefix(v.c.PublicURL, "https://") && len(v.c.TrustedProxies) == 0 && !isSocket(v.c.Listen) && !v.c.TLS.On() {
		v.wrong("trusted_proxies", "public_url begins with https://, so there is a proxy in front that does TLS; "+
			"name its address here, or else all clients look like one, and limits and the audit log mistake them for each other")
	}
}

func (v *validation) database() {
	if v.c.Data == "" {
		v.wrong("data", "the folder is missing; the default is ./latchkey-data")
	}
	switch dsn := v.c.Database.Reveal(); {
	case dsn == "":
	case strings.HasPrefix(dsn, "sqlite:"):
		if path := strings.TrimPrefix(dsn, "sqlite:"); path == "" || strings.ContainsAny(path, "?#") {
			v.wrong("database", "want sqlite: and the path of a file, without parameters")
		}
	case isPostgres(dsn):
		if u, err := url.Parse(dsn); err != nil || u.Host == "" && u.Query().Get("host") == "" {
			v.wrong("database", "the postgres:// URL cannot be read; special characters in the password must be percent-encoded")
		}
	default:
		v.wrong("database", "want sqlite:/path or a postgres:// URL")
	}
}

func isPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

func (v *validation) secrets() {
	if !v.c.Secret.Empty() && v.c.SecretFile != "" {
		v.wrong("secret_file", "the secret is set itself, too; set one of the two")
	}
}

// lives checks that tokens can be made at all without asking for a life.
func (v *validation) lives() {
	for _, l := range []struct {
		key  string
		life Life
	}{{"tokens.personal", v.c.Tokens.Personal}, {"tokens.robot", v.c.Tokens.Robot}, {"tokens.refresh", v.c.Tokens.Refresh}, {"tokens.registry", v.c.Tokens.Registry}} {
		switch {
		case l.life.Max == 0:
		case l.life.Default == 0:
			v.wrong(l.key+".default", "tokens without an end cannot be the default while %s.max is %s; set that to 0, or this to at most that", l.key, FormatDuration(l.life.Max))
		case l.life.Default > l.life.Max:
			v.wrong(l.key+".default", "the default is longer than %s.max, which is %s", l.key, FormatDuration(l.life.Max))
		}
	}
	if a := v.c.Tokens.Access; a.Default > a.Max {
		v.wrong("tokens.access.default", "the default is longer than tokens.access.max, which is %s", FormatDuration(a.Max))
	}
	if bound := v.c.Check.Bound; v.c.Check.StaleFor > 0 && v.c.Check.StaleFor < bound {
		v.wrong("check.stale_for", "want 0, or at least check.bound, which is %s", FormatDuration(bound))
	}
}

// passwordSources checks that each source that is asked is set up, and that
// each that was set up is asked.
func (v *validation) passwordSources() {
	const key = "passwords.sources"
	listed := v.c.Passwords.Sources
	if len(listed) == 0 {
		v.wrong(key, "nobody could log in; name at least one of local, django and pulp")
	}
	for i, name := range listed {
		switch {
		case slices.Contains(listed[:i], name):
			v.wrong(key, "%s is here twice; keep one", name)
		case name == SourceDjango && v.c.Sources.Django.DSN.Empty():
			v.wrong(key, "django is not set up; set sources.django.dsn, or take it out of the list")
		case name == SourcePulp && v.c.Sources.Pulp.URL == "":
			v.wrong(key, "pulp is not set up; set pulp.api or sources.pulp.url, or take it out of the list")
		case !slices.Contains([]string{SourceLocal, SourceDjango, SourcePulp}, name):
			v.wrong(key, "there are only local, django and pulp")
		}
	}
	if !v.c.Sources.Django.DSN.Empty() && !slices.Contains(listed, SourceDjango) {
		v.wrong(key, "sources.django is set up, but never asked; add django to this list, or remove sources.django.dsn")
	}
	if url := v.c.Sources.Pulp.URL; url != "" && url != v.c.Pulp.API && !slices.Contains(listed, SourcePulp) {
		v.wrong(key, "sources.pulp is set up, but never asked; add pulp to this list, or remove sources.pulp.url")
	}
}

func (v *validation) djangoSource() {
	d := v.c.Sources.Django
	if dsn := d.DSN.Reveal(); dsn != "" && !isPostgres(dsn) && !strings.Contains(dsn, "=") {
		v.wrong("sources.django.dsn", "want a postgres:// URL, or libpq's keywords such as host=… dbname=…")
	}
	for _, e := range schema().child("sources").child("django").leaves() {
		f := e.in(reflect.ValueOf(v.c))
		switch {
		case e.kind != text || e.fills != "":
		case f.String() == "":
			v.wrong(e.path, "want a name")
		case f.String() == "-" && slices.Contains([]string{"id", "username", "password"}, e.name):
			v.wrong(e.path, "there is no doing without this column")
		}
	}
	taken := []string{SourceLocal}
	for _, s := range []struct{ key, name string }{{"sources.django.name", d.Name}, {"sources.pulp.name", v.c.Sources.Pulp.Name}} {
		switch {
		case !isName(s.name):
			v.wrong(s.key, "want a name of letters, digits, - and _")
		case slices.Contains(taken, s.name):
			v.wrong(s.key, "another source has this name already")
		}
		taken = append(taken, s.name)
	}
}

// loopback reports whether only this machine can reach an address to listen at.
func loopback(listen string) bool {
	if isSocket(listen) {
		return true
	}
	host, _, ok := hostPort(listen)
	if !ok {
		return false
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
