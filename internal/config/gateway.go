package config

import "time"

// Pulp is the Pulp that the gateway stands in front of.
type Pulp struct {
	API               string `key:"api" doc:"Pulp's API server: http://host:port, https://host or unix:/path. Empty: there is no Pulp. Set together with content."`
	Content           string `key:"content" doc:"Pulp's content server, in the same form."`
	APIRoot           string `key:"api_root" doc:"Pulp's setting API_ROOT."`
	ContentPathPrefix string `key:"content_path_prefix" doc:"Pulp's setting CONTENT_PATH_PREFIX."`
	IdentityHeader    string `key:"identity_header" doc:"The header in which Pulp is told who asks; letters and digits only. Pulp's REMOTE_USER_ENVIRON_NAME is HTTP_ and this name in capitals."`
	Audit             string `key:"audit" oneof:"all writes refusals" doc:"Which requests to Pulp's APIs get an event in the audit log: all, those that are refused or change something, or only those that are refused. Downloads only do when they are refused."`

	Accounts PulpAccounts `key:"accounts"`
}

// Route is one HTTP service that the gateway stands in front of.
type Route struct {
	Name      string   `key:"name" doc:"What the route is called in logs: letters, digits, - and _. Empty: its prefix."`
	Prefix    string   `key:"prefix" doc:"The path under which the service is. It begins with a slash and counts by whole segments, of which a * stands for any one; the longest prefix that matches counts. Needed."`
	Upstream  string   `key:"upstream" doc:"Where the service is: http://host:port, https://host or unix:/path. Paths are passed on as they came. Needed."`
	Auth      string   `key:"auth" oneof:"required writes optional none" doc:"Whether a request needs a credential: always; for all but reading; or never, while one that is offered must be good. With none, requests are passed on as they are, and nothing is looked at."`
	Open      []string `key:"open" doc:"Paths that may be read without a credential. A * stands for one segment, ** at the end for everything below."`
	Passwords string   `key:"passwords" oneof:"check pass refuse" doc:"What is done with a password where a token could be: it is checked here, passed on to the service, or refused."`

	Challenge401      bool   `key:"challenge_401" doc:"Answer 401 with a challenge where the service answers an anonymous request with 403, so that clients know to offer their token."`
	IdentityHeader    string `key:"identity_header" doc:"The header in which the service is told who asks; letters and digits only."`
	AssertionAudience string `key:"assertion_audience" doc:"What the service knows itself by, such as https://files.example.org. The service gets a signed proof of who is asking, made for it alone. Empty: none."`
	AssertionHeader   string `key:"assertion_header" doc:"The header of that proof: letters, digits and -."`
	KeepAuthorization bool   `key:"keep_authorization" doc:"Pass the client's Authorization header on. The service sees the token then, and could use it elsewhere."`
	Audit             string `key:"audit" oneof:"all writes refusals" doc:"Which requests get an event in the audit log: all, those that are refused or change something, or only those that are refused."`

	DialTimeout     time.Duration `key:"dial_timeout" min:"10ms" max:"5m" doc:"How long connecting to the service may take."`
	ResponseTimeout time.Duration `key:"response_timeout" min:"100ms" max:"24h" doc:"How long the service may take before it begins to answer, and how long nothing may move in a body after that. Bodies that move may take any time."`
}

// DefaultRoute returns a route with all that need not be set.
func DefaultRoute() Route {
	return Route{
		Auth:            "required",
		Passwords:       "check",
		IdentityHeader:  "Latchkeyuser",
		AssertionHeader: assertionHeader,
		Audit:           "refusals",
		DialTimeout:     5 * time.Second,
		ResponseTimeout: 300 * time.Second,
	}
}
