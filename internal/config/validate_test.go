package config

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

const aPulp = "pulp: {api: http://127.0.0.1:24817, content: http://127.0.0.1:24816}\n"

// route is a document with one route and more keys of it.
func route(keys string) string {
	return "routes:\n  - {prefix: /app/, upstream: \"http://127.0.0.1:9000\", " + keys + "}\n"
}

func TestUnsafeCombinations(t *testing.T) {
	for _, c := range []struct{ name, doc, key, why string }{
		{"all addresses", "listen: :8080", "listen", "passwords and tokens would cross the network in the clear"},
		{"a network address", "listen: 192.0.2.1:8080", "listen", "plain_http: true"},
		{"all IPv6 addresses", `listen: "[::]:8080"`, "listen", "in the clear"},
		{"a host name", "listen: latchkey.example.org:8080", "listen", "in the clear"},
		{"no port", "listen: 127.0.0.1", "listen", "want host:port"},
		{"a port that is none", "listen: 127.0.0.1:http", "listen", "want host:port"},
		{"a port beyond all", "listen: 127.0.0.1:65536", "listen", "want host:port"},
		{"a relative socket", "listen: unix:latchkey.sock", "listen", "an absolute path"},
		{"public URL in the clear", "public_url: http://tokens.example.org", "public_url", "in the clear"},
		{"public URL with a path", "trusted_proxies: [127.0.0.1]\npublic_url: https://example.org/auth", "public_url", "without a path"},
		{"public URL with a slash", "trusted_proxies: [127.0.0.1]\npublic_url: https://example.org/", "public_url", "without a path"},
		{"public URL with credentials", "trusted_proxies: [127.0.0.1]\npublic_url: https://u:p@example.org", "public_url", "without credentials"},
		{"public URL without a scheme", "public_url: example.org", "public_url", "want https://host"},
		// S85
		{"TLS in front of us, and nobody named", "public_url: https://example.org", "trusted_proxies", "there is a proxy in front"},
		{"everybody a proxy", "trusted_proxies: [0.0.0.0/0]", "trusted_proxies", "is everybody"},
		{"everybody a proxy, IPv6", "trusted_proxies: ['::/0']", "trusted_proxies", "is everybody"},
		{"everybody a proxy, IPv4 in IPv6", "trusted_proxies: ['::ffff:0.0.0.0/96']", "trusted_proxies", "is everybody"},
		{"half of everybody a proxy", "trusted_proxies: [0.0.0.0/1, 128.0.0.0/1]", "trusted_proxies", "far more than"},
		{"wider than IPv4 in IPv6", "trusted_proxies: ['::ffff:0:0/95']", "trusted_proxies", "element 1"},

		{"users made in no Pulp", "pulp: {accounts: {robots: make}}", "pulp.accounts.robots", "set pulp.api"},
		{"users made by nobody", aPulp[:len(aPulp)-2] + ", accounts: {users: make, admin: ''}}", "pulp.accounts.admin", "a user in Pulp"},
		{"accounts mapped to nobody", "pulp: {accounts: {users: map, map_to: ''}}", "pulp.accounts.map_to", "a user in Pulp"},
		{"accounts mapped to two headers", "pulp: {accounts: {users: map, map_to: 'a b'}}", "pulp.accounts.map_to", "a user in Pulp"},
		{"no such way", "pulp: {accounts: {users: some}}", "pulp.accounts.users", "same"},

		{"a certificate without a key", "tls: {cert: /c}", "tls.key", "set both, or neither"},
		{"a key without a certificate", "tls: {key: /k}", "tls.cert", "set both, or neither"},
		{"TLS on a socket", "listen: unix:/s\ntls: {cert: /c, key: /k}", "tls.cert", "there is no network"},
		{"TLS and plain HTTP", "plain_http: true\ntls: {cert: /c, key: /k}", "plain_http", "speaks no plain HTTP"},
		{"metrics where the server listens", "metrics: {listen: 127.0.0.1:8080}", "metrics.listen", "an address of their own"},
		{"metrics nowhere", "metrics: {listen: 127.0.0.1}", "metrics.listen", "want host:port"},
		{"metrics at a relative socket", "metrics: {listen: unix:s}", "metrics.listen", "an absolute path"},
		// S112
		{"profiles for everybody", "metrics: {listen: ':9464', pprof: true}", "metrics.pprof", "only shown on a loopback address"},
		{"profiles for the network", "metrics: {listen: 192.0.2.1:9464, pprof: true}", "metrics.pprof", "only shown on a loopback address"},
		{"profiles nowhere", "metrics: {pprof: true}", "metrics.pprof", "set metrics.listen"},
		{"traces to no URL", "traces: {endpoint: collector}", "traces.endpoint", "want https://host:port"},
		{"traces over gRPC", "traces: {endpoint: grpc://h:4317}", "traces.endpoint", "want https://host:port"},
		{"traces with credentials", "traces: {endpoint: 'https://u:p@h'}", "traces.endpoint", "traces.authorization"},
		{"traces with a query", "traces: {endpoint: 'https://h/?k=v'}", "traces.endpoint", "a query or a fragment"},
		{"traces to ourselves", "traces: {endpoint: 'http://127.0.0.1:8080'}", "traces.endpoint", "listens there itself"},
		{"traces that nobody takes", "traces: {authorization: Bearer x}", "traces.authorization", "set traces.endpoint"},
		{"traces with a secret in the clear", "traces: {endpoint: 'http://h:4318', authorization: Bearer x}", "traces.endpoint", "in the clear"},

		{"an unknown database", "database: mysql://h/db", "database", "want sqlite:/path or a postgres:// URL"},
		{"no path for SQLite", "database: 'sqlite:'", "database", "the path of a file"},
		{"parameters for SQLite", "database: sqlite:/a?mode=memory", "database", "without parameters"},
		{"a broken URL", "database: postgres://u:p%@h/db", "database", "percent-encoded"},
		{"no data folder", "data: ''", "data", "the folder is missing"},

		{"default beyond max", "tokens: {personal: {default: 367d}}", "tokens.personal.default", "longer than tokens.personal.max, which is 366d"},
		{"endless default below a max", "tokens: {robot: {default: 0}}", "tokens.robot.default", "cannot be the default while tokens.robot.max is 731d"},
		{"stale for less than the bound", "check: {stale_for: 1s}", "check.stale_for", "at least check.bound, which is 2s"},

		// S49, S58
		{"keys that are kept for longer than they are known", "keys: {publish_before: 1m, max_age: 1m}", "keys.max_age", "less than keys.publish_before, which is 1m"},
		{"keys that end before they begin", "keys: {rotate_every: 1h, publish_before: 1h}", "keys.rotate_every", "more than keys.publish_before"},
		{"an issuer that is no URL", "keys: {issuer: latchkey}", "keys.issuer", "want https://host"},
		{"an issuer with a query", "keys: {issuer: 'https://h/?a'}", "keys.issuer", "without credentials"},
		{"a secret algorithm", "keys: {algorithm: HS256}", "keys.algorithm", "ES256"},
		// S92
		{"proofs for anybody", "verify: {assertion_audience: files}", "verify.assertion_audience", "name its address in trusted_proxies"},
		{"an audience with a space", route("assertion_audience: 'a b'"), "routes[0].assertion_audience", "without spaces"},
		{"proofs in a header that is taken", route("assertion_audience: a, assertion_header: Cookie"), "routes[0].assertion_header", "another meaning"},
		{"proofs in one of our headers", route("assertion_audience: a, assertion_header: Latchkey-Token"), "routes[0].assertion_header", "another meaning"},
		{"proofs in a header with _", route("assertion_audience: a, assertion_header: X_Proof"), "routes[0].assertion_header", "letters, digits and -"},
		{"proofs in the identity header", route("assertion_audience: a, identity_header: Xproof, assertion_header: X-Proof"), "routes[0].assertion_header", "the same name"},
		{"proofs of nobody", route("assertion_audience: a, auth: none"), "routes[0].assertion_audience", "nothing is looked at"},

		{"no source", "passwords: {sources: []}", "passwords.sources", "nobody could log in"},
		{"a source twice", "passwords: {sources: [local, local]}", "passwords.sources", "twice"},
		{"django without a DSN", "passwords: {sources: [local, django]}", "passwords.sources", "django is not set up; set sources.django.dsn"},
		{"pulp without a URL", "passwords: {sources: [pulp]}", "passwords.sources", "pulp is not set up; set pulp.api or sources.pulp.url"},
		{"a DSN that nobody uses", "sources: {django: {dsn: postgres://h/db}}", "passwords.sources", "sources.django is set up, but never asked"},
		{"a Pulp that nobody asks", "sources: {pulp: {url: http://h}}", "passwords.sources", "sources.pulp is set up, but never asked"},
		{"a DSN that is none", "sources: {django: {dsn: h}}\npasswords: {sources: [django]}", "sources.django.dsn", "want a postgres:// URL, or libpq's keywords"},
		{"two sources of one name", "sources: {pulp: {name: django}}", "sources.pulp.name", "another source has this name already"},
		{"a source named local", "sources: {django: {name: local}}", "sources.django.name", "another source has this name already"},
		{"no table", "sources: {django: {table: ''}}", "sources.django.table", "want a name"},
		{"no password column", "sources: {django: {columns: {password: '-'}}}", "sources.django.columns.password", "there is no doing without"},

		{"API without content", "pulp: {api: http://127.0.0.1:1}", "pulp.content", "set both, or neither"},
		{"content without API", "pulp: {content: http://127.0.0.1:1}", "pulp.api", "set both, or neither"},
		{"a header with -", "pulp: {identity_header: Remote-User}", "pulp.identity_header", "no - and no _"},
		{"a header with _", "pulp: {identity_header: Remote_User}", "pulp.identity_header", "no - and no _"},
		{"a header that is taken", "pulp: {identity_header: authorization}", "pulp.identity_header", "another meaning"},
		{"no header", "pulp: {identity_header: ''}", "pulp.identity_header", "letters and digits"},
		{"Pulp on our own paths", "pulp: {api_root: /latchkey/}", "pulp.api_root", "Latchkey's own"},
		{"a Pulp with credentials", "pulp: {api: 'http://u:p@h', content: http://h}", "pulp.api", "holds credentials"},
		{"a Pulp that is this server", "pulp: {api: http://localhost:8080, content: http://h}", "pulp.api", "in circles"},

		{"a route without a prefix", "routes: [{upstream: http://h}]", "routes[0].prefix", "begins with a slash"},
		{"a route without an upstream", "routes: [{prefix: /a/}]", "routes[0].upstream", "want http://host:port"},
		{"a route on our own paths", route("name: a") + "  - {prefix: /latchkey/x/, upstream: http://h}", "routes[1].prefix", "everything below /latchkey/ is Latchkey's own"},
		{"a route on all our own paths", "routes: [{prefix: /latchkey, upstream: http://h}]", "routes[0].prefix", "Latchkey's own"},
		{"a route on our own paths in capitals", "routes: [{prefix: /Latchkey/, upstream: http://h}]", "routes[0].prefix", "Latchkey's own"},
		{"dots in a prefix", "routes: [{prefix: /a/../latchkey/, upstream: http://h}]", "routes[0].prefix", "want a plain path"},
		{"slashes in a prefix", "routes: [{prefix: //latchkey/, upstream: http://h}]", "routes[0].prefix", "want a plain path"},
		{"an encoded prefix", "routes: [{prefix: /%6catchkey/, upstream: http://h}]", "routes[0].prefix", "want a plain path"},
		{"two routes with one prefix", route("name: a") + "  - {prefix: /app, upstream: http://h}", "routes[1].prefix", "routes[0].prefix is the same path"},
		{"two routes with one name", route("name: a") + "  - {name: a, prefix: /b/, upstream: http://h}", "routes[1].name", "routes[0] has the same name"},
		{"a route that is Pulp's", aPulp + "routes: [{prefix: /pulp/content, upstream: http://h}]", "routes[0].prefix", "one of Pulp's paths is the same path"},
		{"a name for two lines", "routes: [{name: 'a b', prefix: /b/, upstream: http://h}]", "routes[0].name", "letters, digits, - and _"},
		{"an upstream with credentials", "routes: [{prefix: /a/, upstream: 'http://u:p@h'}]", "routes[0].upstream", "the URL holds credentials"},
		{"an upstream with a query", "routes: [{prefix: /a/, upstream: 'http://h?x=y'}]", "routes[0].upstream", "a query or a fragment"},
		{"an upstream with an empty query", "routes: [{prefix: /a/, upstream: 'http://h?'}]", "routes[0].upstream", "a query or a fragment"},
		{"an upstream with a fragment", "routes: [{prefix: /a/, upstream: 'http://h#x'}]", "routes[0].upstream", "a query or a fragment"},
		{"an upstream with an empty fragment", "routes: [{prefix: /a/, upstream: 'http://h#'}]", "routes[0].upstream", "a query or a fragment"},
		{"an upstream with a path", "routes: [{prefix: /a/, upstream: 'http://h/x'}]", "routes[0].upstream", "take it out"},
		{"an upstream of another kind", "routes: [{prefix: /a/, upstream: 'ftp://h'}]", "routes[0].upstream", "want http://host:port"},
		{"an upstream without a host", "routes: [{prefix: /a/, upstream: 'http://:80'}]", "routes[0].upstream", "want http://host:port"},
		{"an upstream with no such port", "routes: [{prefix: /a/, upstream: 'http://h:70000'}]", "routes[0].upstream", "want http://host:port"},
		{"an upstream that is this server", "routes: [{prefix: /a/, upstream: 'http://127.0.0.1:8080'}]", "routes[0].upstream", "requests would go round in circles"},
		{"an upstream that is this server by name", "routes: [{prefix: /a/, upstream: 'http://LOCALHOST:8080'}]", "routes[0].upstream", "circles"},
		{"an upstream that is this server by IPv6", "plain_http: true\nlisten: '[::]:80'\nroutes: [{prefix: /a/, upstream: 'http://[::1]'}]", "routes[0].upstream", "circles"},
		{"an upstream that is this server by socket", "listen: unix:/run/l.sock\nroutes: [{prefix: /a/, upstream: 'unix:/run/l.sock'}]", "routes[0].upstream", "circles"},
		{"an upstream at a relative socket", "routes: [{prefix: /a/, upstream: 'unix:l.sock'}]", "routes[0].upstream", "an absolute path"},
		{"a header with - for a route", route("identity_header: X-User"), "routes[0].identity_header", "no - and no _"},
		{"a host for a user", route("identity_header: Host"), "routes[0].identity_header", "another meaning"},
		{"an open path with a star in a segment", route("open: [/app/a*]"), "routes[0].open", "element 1: want a plain path"},
		{"an open path that is none", route("open: [/app/, app]"), "routes[0].open", "element 2: want a plain path"},
		{"open paths where all are", route("auth: none, open: [/app/x]"), "routes[0].open", "nothing is looked at"},
		{"challenges where nobody is asked", route("auth: none, challenge_401: true"), "routes[0].challenge_401", "nothing is looked at"},

		{"a dialect on our own paths", "dialects: {drf: {path: /latchkey/token/}}", "dialects.drf.path", "Latchkey's own"},
		{"a dialect at a route", "dialects: {drf: {path: /app/}}\n" + route("name: a"), "dialects.drf.path", "routes[0].prefix is the same path"},
		{"a dialect at Pulp", "dialects: {drf: {path: /pulp/}}\n" + aPulp, "dialects.drf.path", "one of Pulp's paths"},
		{"a dialect at Pulp's token server", "dialects: {drf: {path: /token/}}\n" + aPulp, "dialects.drf.path", "one of Pulp's paths"},
		{"a dialect everywhere", "dialects: {drf: {path: /}}", "dialects.drf.path", "a path of its own"},
		{"pairs at a route", "dialects: {simplejwt: {path: /ap}}\n" + "routes: [{prefix: /ap/refresh/, upstream: 'http://h'}]", "dialects.simplejwt.path", "routes[0].prefix"},
		{"pairs at Pulp", "dialects: {simplejwt: {path: /token}}\n" + aPulp, "dialects.simplejwt.path", "one of Pulp's paths"},
		{"pairs at the other dialect", "dialects: {drf: {path: /api/token/verify}}", "dialects.simplejwt.path", "dialects.drf.path"},
		{"pairs everywhere", "dialects: {simplejwt: {path: /}}", "dialects.simplejwt.path", "a path of its own"},
		{"two passwords at a login", "dialects: {simplejwt: {username_field: password}}", "dialects.simplejwt.username_field", "other than password"},
		{"a claim that has a meaning", "dialects: {simplejwt: {user_id_claim: sub}}", "dialects.simplejwt.user_id_claim", "nothing else has"},
		{"passwords as a scheme", "dialects: {simplejwt: {header_types: [Bearer, basic]}}", "dialects.simplejwt.header_types", "another meaning"},
		{"no scheme", "dialects: {simplejwt: {header_types: ['a b']}}", "dialects.simplejwt.header_types", "names of schemes"},
		{"two claims of one name", "dialects: {simplejwt: {jti_claim: token_type}}", "dialects.simplejwt.jti_claim", "nothing else has"},
		{"a realm on our own paths", "registry: {path: /latchkey/token/}", "registry.path", "Latchkey's own"},
		{"a realm everywhere", "registry: {path: /}", "registry.path", "a path of its own"},
		{"a realm at a route", "registry: {path: /app}\n" + route("name: a"), "registry.path", "routes[0].prefix is the same path"},
		{"a realm at another of Pulp's", aPulp + "registry: {path: /v2/}", "registry.path", "another of Pulp's paths"},
		{"a realm at a dialect that was asked for", "dialects: {drf: {path: /token/}}\nregistry: {enabled: true}", "registry.path", "dialects.drf.path is the same path"},
		{"a realm at pairs", "registry: {path: /api/token/refresh/}", "registry.path", "dialects.simplejwt.path is the same path"},
		{"a realm's issuer that is two", "registry: {issuer: 'a b'}", "registry.issuer", "a space"},
		{"tokens for registries that last", "registry: {lifetime: 2h}", "registry.lifetime", "from 1m to 1h"},
		{"a registry without a name", "registry: {services: [{key: libtrust}]}", "registry.services[0].name", "what the registry calls itself"},
		{"two registries of one name", "registry: {services: [{name: a}, {name: a}]}", "registry.services[1].name", "another one has this name already"},
		{"a registry of another mode", "registry: {services: [{name: a, mode: guess}]}", "registry.services[0].mode", "one of latchkey, relay"},
		{"nobody to relay to", "registry: {services: [{name: a, mode: relay}]}", "registry.services[0].mode", "set pulp.api"},
		{"nobody to relay to at the path", aPulp + "registry: {path: /realm/, services: [{name: a, mode: relay}]}", "registry.services[0].mode", "registry.path to /token/"},
		{"a family that ends before its tokens", "dialects: {simplejwt: {rotate: true, family_lifetime: 1h}}", "dialects.simplejwt.family_lifetime", "no less"},
	} {
		got := loadText(t, c.doc, nil)
		if len(got) != 1 || !strings.Contains(got[0], c.key+": ") || !strings.Contains(got[0], c.why) {
			t.Errorf("%s: Load(%q) = %q, want one problem of %s with %q", c.name, c.doc, got, c.key, c.why)
		}
	}
}

func TestSafeCombinations(t *testing.T) {
	for _, doc := range []string{
		"listen: localhost:0", "listen: '[::1]:8080'", "listen: 127.1.2.3:80", "listen: unix:/run/latchkey.sock",
		"listen: :8080\nplain_http: true", "listen: unix:/run/l.sock\npublic_url: https://example.org",
		"public_url: https://example.org:8443\ntrusted_proxies: [127.0.0.1, '::1', 10.0.0.0/8, fc00::/7]",
		"public_url: http://localhost:8080", "public_url: http://latchkey:8080\nplain_http: true\nlisten: :8080",
		"database: postgres://u:p@h:5432/db?sslmode=verify-full", "database: postgresql:///db?host=/run/postgresql", "database: sqlite:rel/x.db",
		"tokens: {personal: {default: 0, max: 0}}", "tokens: {robot: {default: 731d, idle: 1h}}", "check: {stale_for: 10m}",
		"sources: {django: {dsn: 'host=/run/postgresql dbname=pulp', columns: {email: '-'}, table: app.users}}\npasswords: {sources: [django]}",
		"sources: {pulp: {url: https://pulp.example.org}}\npasswords: {sources: [pulp, local]}",
		aPulp + route("open: [/app/x, /app/*/y, /app/z/**]"), aPulp + "passwords: {sources: [local]}",
		"pulp: {api: unix:/run/api.sock, content: unix:/run/content.sock}",
		"routes: [{prefix: /, upstream: http://h}, {prefix: /latchkeys/, upstream: 'http://127.0.0.1:8081'}, {prefix: /a/*/b, upstream: 'unix:/run/x.sock', open: [/**]}]",
		"dialects: {drf: {enabled: false, path: /app/}}\n" + route("auth: none"),
		"routes: [{prefix: /a, upstream: 'https://h/'}]", "dialects: {drf: {path: /token/}}",
		"registry: {services: [{name: 'registry.example.com:5000', key: certificate}, {name: b}], anonymous: false}", "registry: {enabled: false, path: /}",
		aPulp + "registry: {services: [{name: a, mode: relay}, {name: b, mode: latchkey}]}", aPulp + "registry: {path: /realm/}",
		"http: {drain: 0}\naudit: {keep: 0}\npasswords: {at_once: 0}",
	} {
		if got := loadText(t, doc, nil); len(got) != 0 {
			t.Errorf("Load(%q) = %q, want no problem", doc, got)
		}
	}
}

// Values out of range do not get in by code either.
func TestValidateOfLiterals(t *testing.T) {
	c := Default()
	c.Check.Bound = 0
	c.Log.Level = ""
	c.Routes = []Route{{Prefix: "/a/", Upstream: "http://h", IdentityHeader: "Who"}}
	err := c.Validate()
	for _, key := range []string{"check.bound", "log.level", "routes[0].auth", "routes[0].passwords", "routes[0].audit", "routes[0].dial_timeout"} {
		if err == nil || !strings.Contains(err.Error(), key+": want") {
			t.Errorf("Validate() = %v, want a problem of %s", err, key)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct{ doc, key string }{
		{"check: {stale_for: 10m}", "check.stale_for"},
		{"listen: :8080\nplain_http: true", "plain_http"},
		{route("keep_authorization: true"), "routes[0].keep_authorization"},
	} {
		got, err := Load(Options{File: write(t, c.doc)})
		if err != nil {
			t.Fatalf("Load(%q) = %v", c.doc, err)
		}
		if w := got.Warnings(); len(w) != 1 || w[0].Key != c.key || w[0].Origin.Layer != FromFile {
			t.Errorf("Warnings() of %q = %v, want one of %s", c.doc, w, c.key)
		}
	}
	if w := Default().Warnings(); len(w) != 0 {
		t.Errorf("Default().Warnings() = %v, want none", w)
	}
	got, err := Load(Options{Flags: flags(t, "--database", "postgres://u:notARealPassword@h/db")})
	if err != nil {
		t.Fatal(err)
	}
	if w := got.Warnings(); len(w) != 1 || w[0].Key != "database" || strings.Contains(w[0].String(), "notARealPassword") {
		t.Errorf("Warnings() of a password on the command line = %v, want one of database", w)
	}
	c := Default()
	c.Database = secret.New("postgres://u:p@h/db")
	if w := c.Warnings(); len(w) != 0 {
		t.Errorf("Warnings() of a password from elsewhere = %v, want none", w)
	}
}
