package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Auth says whether a route needs a credential. The empty Auth is [Required].
type Auth string

// Needs of a route. A credential that is offered is always checked, and refused
// when it is not good, except where Auth is Off.
const (
	Required Auth = "required" // or a rule for anonymous requests
	Writes   Auth = "writes"   // needed for all but GET, HEAD and OPTIONS
	Optional Auth = "optional" // never needed
	Off      Auth = "off"      // not looked at: Authorization is the upstream's affair
)

// Passwords says what becomes of a Basic password that does not look like a
// token. The empty Passwords is [CheckPasswords].
type Passwords string

// Ways with passwords.
const (
	CheckPasswords  Passwords = "check"  // by the sources of accounts, as any credential
	PassPasswords   Passwords = "pass"   // on to the upstream, which judges them: nobody is named to it
	RefusePasswords Passwords = "refuse" // tokens only
)

// Auditing says which requests of a route are events in the audit log. The
// empty Auditing is [AuditRefusals].
type Auditing string

// Amounts of auditing. Each includes the ones above it.
const (
	AuditRefusals Auditing = "refusals" // known callers whom the gateway did not let through
	AuditWrites   Auditing = "writes"   // all but GET, HEAD and OPTIONS
	AuditAll      Auditing = "all"
)

// Timeouts bound how long an upstream may take. None of them bounds a body,
// which may take as long as it moves. Zero fields have the defaults.
type Timeouts struct {
	Dial     time.Duration // to connect, and then for TLS; 5 s
	Response time.Duration // from the end of the request to the head of the response, and any pause in a body; 2 min
	Idle     time.Duration // until a connection that nobody uses is closed; 30 s
}

// Route is one upstream under one part of the path space.
type Route struct {
	Name string // for logs; the prefix if empty

	// Prefix is the path under which the route lies, by whole segments:
	// "/pulp/content" is for itself and what begins with "/pulp/content/". A
	// segment "*" stands for any one segment. Of several that match the one with
	// a literal where the other has "*" counts, then the longer one.
	Prefix string

	// Upstream is http://host:port, https://host:port or unix:///path/of/socket.
	// It has no path: requests keep theirs, byte for byte.
	Upstream *url.URL
	TLS      *tls.Config // for https; nil: the system's roots

	Auth      Auth
	Passwords Passwords

	// Open lists paths that may be read without a credential whatever Auth says.
	// One that is sent is neither checked nor passed on. "*" stands for one
	// segment, and "**" at the end for everything below.
	Open []string

	// Challenge401 turns the upstream's 403 to a request without credential into
	// a 401 with a challenge, for upstreams that do not ask for credentials.
	Challenge401 bool

	// RegistryTokens says that the upstream gives out registry tokens here. A
	// token with a scope of its own gets them for what it covers itself, by the
	// "scope" parameters of the query.
	RegistryTokens bool

	// UserHeader carries the account's name to the upstream; "Latchkeyuser" if
	// empty. TokenHeader and ScopeHeader carry the token's id and effective
	// scope, if not empty. Names have letters and digits only: every other
	// character means different things to different servers.
	UserHeader, TokenHeader, ScopeHeader string

	// Renamed says that the upstream knows accounts by the names that
	// [Options.Names] gives them, rather than by their own.
	Renamed bool

	// Assertion gives the upstream a signed proof of who is asking.
	Assertion Assertion

	// KeepAuthorization passes the Authorization header on beside the identity.
	KeepAuthorization bool

	// DropCookies keeps cookies from the upstream and the upstream from setting
	// any, so that no session of its own outlives the token that opened it.
	DropCookies bool

	Upgrade []string // protocols that may be switched to, such as "websocket"

	Audit    Auditing
	Timeouts Timeouts
}

func (r *Route) label() string {
	if r.Name != "" {
		return r.Name
	}
	return r.Prefix
}

// identityHeaders lists the headers that are ours on this route.
func (r *Route) identityHeaders() []string {
	var names []string
	for _, name := range []string{r.UserHeader, r.TokenHeader, r.ScopeHeader, r.Assertion.Header} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// route is a [Route] that was checked, with its defaults.
type route struct {
	Route
	prefix   pattern
	open     []pattern
	upstream *upstream
}

// Errors about routes.
var (
	errUpstream   = errors.New("the upstream must be http://host, https://host or unix:///socket, without path, query or user")
	errHeaderName = errors.New("the name of an identity header must have letters and digits only and no meaning elsewhere")
	errMode       = errors.New("there is no such mode")
	errOffIdle    = errors.New("a route that looks at no credentials cannot act on them")
	errNoNames    = errors.New("nobody to name accounts to the upstream")
)

func compile(r Route, pool *upstreams) (*route, error) {
	r.Name = r.label()
	if err := r.setModes(); err != nil {
		return nil, err
	}
	if r.Auth == Off && (r.Challenge401 || r.RegistryTokens || r.Renamed || len(r.Open) > 0 || r.Assertion.Audience != "") {
		return nil, errOffIdle
	}
	if r.UserHeader == "" {
		r.UserHeader = "Latchkeyuser"
	}
	for _, name := range []*string{&r.UserHeader, &r.TokenHeader, &r.ScopeHeader} {
		if *name != "" && !identityName(*name) {
			return nil, fmt.Errorf("%w: %q", errHeaderName, *name)
		}
		*name = http.CanonicalHeaderKey(*name)
	}
	c := &route{Route: r}
	var err error
	if c.prefix, err = parsePrefix(r.Prefix); err != nil {
		return nil, err
	}
	for _, text := range r.Open {
		p, err := parsePattern(text)
		if err != nil {
			return nil, err
		}
		c.open = append(c.open, p)
	}
	c.upstream, err = pool.of(r)
	return c, err
}

// setModes fills in the modes that were left out and refuses unknown ones.
func (r *Route) setModes() error {
	switch r.Auth {
	case "":
		r.Auth = Required
	case Required, Writes, Optional, Off:
	default:
		return fmt.Errorf("%w of authentication: %q", errMode, r.Auth)
	}
	switch r.Passwords {
	case "":
		r.Passwords = CheckPasswords
	case CheckPasswords, PassPasswords, RefusePasswords:
	default:
		return fmt.Errorf("%w for passwords: %q", errMode, r.Passwords)
	}
	switch r.Audit {
	case "":
		r.Audit = AuditRefusals
	case AuditRefusals, AuditWrites, AuditAll:
	default:
		return fmt.Errorf("%w of auditing: %q", errMode, r.Audit)
	}
	return nil
}
