// Package config is the configuration of the server: one struct with its
// defaults, filled from a YAML file, the environment and the command line,
// checked as a whole, and printed with its secrets hidden. It is plain data:
// it opens no store, reaches no network, and knows no other package's options.
//
// The struct tags are the only place where a key is described. The parser, the
// names of the environment variables, what `latchkey config` prints and the
// reference in docs are all made from them; see schema.go for what they mean.
package config

import (
	"net/netip"
	"time"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

// Config is the whole configuration. The tags describe each field. Get one
// from [Load], or from [Default] where nothing is to be read.
type Config struct {
	Listen         string         `key:"listen" doc:"Where the server listens: host:port, or unix:/path for a socket. Anything but a loopback address needs tls.cert, or else plain_http."`
	PlainHTTP      bool           `key:"plain_http" doc:"Listen on other than loopback addresses although the server speaks plain HTTP, not having tls.cert. Only for networks on which nobody else can listen, such as the one between a proxy and this server in one pod."`
	PublicURL      string         `key:"public_url" doc:"How clients reach the server: https://host, without a path. It is used in challenges and in what is printed. Empty: the address of the listener."`
	TrustedProxies []netip.Prefix `key:"trusted_proxies" live:"yes" doc:"Addresses and networks of the proxies in front of this server. What these say counts, and nobody else's: the client's address in X-Forwarded-For, and which request they ask about at /latchkey/verify."`

	Data             string      `key:"data" doc:"The folder for what the server keeps in files: its key and, with SQLite, the database."`
	Database         secret.Text `key:"database" shown:"sqlite:" doc:"Where tokens, accounts and the audit log are kept: sqlite:/path, or a postgres:// URL for several nodes. Empty: a SQLite file in the data folder."`
	DatabaseFile     string      `key:"database_file" fills:"database" doc:"A file that holds the value of database, so that a password in it need not stand here."`
	DatabaseMaxConns int         `key:"database_max_conns" min:"0" max:"10000" zero:"the database's own default" doc:"How many connections to PostgreSQL one node opens at most."`
	DatabasePooler   bool        `key:"database_pooler" doc:"The database is reached through a pooler in transaction mode, such as PgBouncer: keep nothing on a connection. Changes on other nodes are then found by asking alone."`

	Secret            secret.Text `key:"secret" doc:"The server's secret, in the form of its file: an id, a space, and hexadecimal digits; several with commas in between. Empty: it is in a file."`
	SecretFile        string      `key:"secret_file" doc:"The file of the server's secret. Empty: server.key in the data folder, made at the first start."`
	AdminPassword     secret.Text `key:"admin_password" only:"env" doc:"The password of the account admin, which the first start makes. Later starts do not look at it. Empty: one is made and printed once."`
	AdminPasswordFile string      `key:"admin_password_file" fills:"admin_password" doc:"A file that holds the value of admin_password."`

	Log       Log       `key:"log" live:"yes" doc:"What the server says about its work, on standard error."`
	HTTP      HTTP      `key:"http" doc:"Limits of the listener."`
	Tokens    Tokens    `key:"tokens" doc:"For how long tokens live, and how many there can be."`
	Check     Check     `key:"check" doc:"How tokens are checked."`
	Verify    Verify    `key:"verify" doc:"Forward-auth: what proxies get at /latchkey/verify."`
	Keys      Keys      `key:"keys" doc:"The keys by which tokens are signed that others verify by themselves. Their public parts are at /latchkey/.well-known/jwks.json."`
	Passwords Passwords `key:"passwords" doc:"How passwords are checked."`
	Sources   Sources   `key:"sources" doc:"Where passwords can be checked besides in Latchkey itself. What is set here is asked only when passwords.sources names it."`
	Dialects  Dialects  `key:"dialects" doc:"Ways of asking for tokens that existing clients know."`
	Registry  Registry  `key:"registry" doc:"The realm of container registries: where their clients get tokens."`
	Pulp      Pulp      `key:"pulp" live:"yes" doc:"The Pulp that this server stands in front of."`
	Routes    []Route   `key:"routes" live:"yes" doc:"Other HTTP services that this server stands in front of."`
	Audit     Audit     `key:"audit" doc:"The log of who did what."`

	Envoy   Envoy   `key:"envoy" doc:"Envoy's external authorization."`
	TLS     TLS     `key:"tls" doc:"The certificate of the listener. Without one the server speaks plain HTTP."`
	Metrics Metrics `key:"metrics" doc:"What those who operate the server can see, on a listener of its own."`
	Traces  Traces  `key:"traces" doc:"Spans of requests, for OpenTelemetry. They have no secrets, bodies and queries in them."`

	// origins has an entry for each key that was set; see [Config.Origin].
	origins map[string]Origin
}

// Log is how the server logs.
type Log struct {
	Format string `key:"format" oneof:"text json" doc:"The form of a line."`
	Level  string `key:"level" oneof:"debug info warn error" doc:"The least grave messages that are logged."`
}

// HTTP is the limits of the listener.
type HTTP struct {
	ReadHeaderTimeout time.Duration `key:"read_header_timeout" min:"1s" max:"10m" doc:"How long a client may take to send the headers of a request."`
	IdleTimeout       time.Duration `key:"idle_timeout" min:"1s" max:"1h" doc:"How long a connection may wait for its next request."`
	Drain             time.Duration `key:"drain" min:"0" max:"1h" zero:"cut off at once" doc:"How long requests may go on after the server was told to stop."`
	MaxHeaderBytes    int           `key:"max_header_bytes" min:"4096" max:"1048576" doc:"How large the headers of a request may be."`
}

// Tokens is the rules of life of tokens.
type Tokens struct {
	Personal      Life          `key:"personal" live:"yes" doc:"Tokens of people."`
	Robot         Life          `key:"robot" live:"yes" doc:"Tokens of robots."`
	Refresh       Life          `key:"refresh" live:"yes" doc:"Families of refresh tokens, from the first pair to the last. No refreshing prolongs them."`
	Registry      Life          `key:"registry" live:"yes" doc:"Refresh tokens of container registries' clients, which docker keeps in the place of the password."`
	Access        AccessLife    `key:"access" doc:"Signed access tokens."`
	RefreshLeeway time.Duration `key:"refresh_leeway" live:"yes" min:"0" max:"5m" zero:"never" doc:"For how long a used refresh token gets the same pair once more, for clients that did not hear the answer."`
	KeepReused    bool          `key:"keep_reused" live:"yes" doc:"When a used refresh token comes back after that, refuse it alone. By default its family ends, since one of the two that have it has stolen it."`
	Audiences     []string      `key:"audiences" live:"yes" doc:"Services for which access tokens can be asked for, as their \"aud\" names them, beside the doors of this server."`
	MaxPerAccount int           `key:"max_per_account" live:"yes" min:"1" max:"10000000" doc:"How many live tokens one account can have."`
	MaxOverlap    time.Duration `key:"max_overlap" live:"yes" min:"1s" max:"366d" doc:"For how long the old secret may live on when a token is rotated."`
	KeepEnded     time.Duration `key:"keep_ended" min:"1d" max:"3660d" doc:"How long tokens that ended stay listed."`
}

// Life is for how long the tokens of one class live.
type Life struct {
	Default time.Duration `key:"default" min:"0" max:"36500d" zero:"no end; only when max is 0 too" doc:"The life of a token for which nothing else was asked."`
	Max     time.Duration `key:"max" min:"0" max:"36500d" zero:"any, and tokens without an end" doc:"The longest life that can be asked for."`
	Idle    time.Duration `key:"idle" min:"0" max:"36500d" zero:"never" doc:"After how long without use a token ends, when nothing else was asked for."`
}

// AccessLife is for how long access tokens live, which always have an end.
type AccessLife struct {
	Default time.Duration `key:"default" min:"1s" max:"1d" doc:"The life of an access token for which nothing else was asked."`
	Max     time.Duration `key:"max" min:"1s" max:"1d" doc:"The longest life that can be asked for. Signing keys stay published for so long after their last use."`
}

// Check is how tokens are checked.
type Check struct {
	CacheEntries int           `key:"cache_entries" min:"1000" max:"100000000" doc:"How many tokens are kept in memory."`
	Bound        time.Duration `key:"bound" min:"100ms" max:"60s" doc:"How long after a token was revoked on another node this one may still accept it, at most. A node that cannot follow the changes for longer asks the database each time."`
	StaleFor     time.Duration `key:"stale_for" min:"0" max:"1h" zero:"checks fail until it answers again" doc:"While the database does not answer, go on accepting the tokens in memory for this much longer. Tokens that are revoked meanwhile stay good on this node, of which the server warns when it starts."`
}

// Audit is what goes into the audit log and for how long it is kept.
type Audit struct {
	Checks string `key:"checks" live:"yes" oneof:"none sampled all" doc:"Which successful checks of tokens are events: none, one for each token, door and address in ten minutes, or all. Refused ones always are."`

	Keep time.Duration `key:"keep" live:"yes" min:"1d" max:"36500d" zero:"for ever" doc:"How long events are kept."`
}

// Origin says where the value of a key came from. A key of an element of
// routes is written routes[0].prefix.
func (c Config) Origin(key string) Origin { return c.origins[key] }
