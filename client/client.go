// Package client speaks the native API of a Latchkey server: tokens, accounts,
// groups, grants and the audit log. It needs nothing but the standard library
// and the types of package api.
//
//	c, err := client.New("https://tokens.example.org", client.Options{Token: token})
//	if err != nil {
//		return err
//	}
//	fresh, err := c.Tokens.Create(ctx, api.CreateToken{Name: "ci"})
//	if errors.Is(err, client.ErrForbidden) {
//		…
//	}
//
// A server is not trusted more than it needs to be: answers are bounded, a
// redirect to elsewhere is refused, and no error repeats the credential or a
// password that was sent, even where the server does.
//
// It neither retries nor caches: what failed is told to the caller, who knows
// whether asking twice is harmless. A service that checks the tokens of its own
// callers uses package guard, which keeps answers.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/api"
)

// defaultTimeout bounds a request where [Options.Timeout] is zero.
const defaultTimeout = 30 * time.Second

// Options says who is asking and how to get there. Its zero value asks without
// a credential, and trusts the certificates that the system trusts. It prints
// without its secrets.
type Options struct {
	// Token is the secret of a token. It excludes User and Password.
	Token string `json:"-"`

	// User and Password are sent with every request, which costs the server a
	// slow hash each time; trade them for a token with [Tokens.Create].
	User     string
	Password string `json:"-"`

	// CAFile names a file of PEM certificates. Only what leads to one of them
	// is trusted then, which makes a server with a certificate of its own
	// usable.
	CAFile string

	// TLS is the base for connections, to which CAFile is added.
	TLS *tls.Config

	// Transport replaces the whole way to the server. It excludes CAFile and
	// TLS.
	Transport http.RoundTripper

	// Timeout bounds one request from dialling to the last byte of the answer;
	// 0 means 30 seconds.
	Timeout time.Duration

	// UserAgent is what the server's audit log and "last used" show; "" means
	// "latchkey/" and the version of this module.
	UserAgent string
}

// String returns the options without secrets.
func (o Options) String() string {
	credential := "none"
	switch {
	case o.Token != "":
		credential = "token"
	case o.User != "" || o.Password != "":
		credential = "password of " + o.User
	}
	return fmt.Sprintf("client options (credential: %s)", credential)
}

// GoString returns the options without secrets.
func (o Options) GoString() string { return o.String() }

// Client asks one server with one credential. It is safe for concurrent use.
type Client struct {
	Tokens   Tokens   // hand out, list, change, rotate and end tokens
	Accounts Accounts // users and robots
	Groups   Groups   // named sets of accounts
	Grants   Grants   // what accounts and groups may do
	Keys     Keys     // by which the server signs
	Audit    Audit    // what was asked and how it was decided

	base      string // scheme, host and path before /latchkey, without a slash at the end
	http      *http.Client
	streams   *http.Client // without a bound on how long an answer takes
	userAgent string
	now       func() time.Time

	// authorize and scrub are functions so that printing a Client cannot show
	// the credential.
	authorize func(*http.Request)
	scrub     func(string) string
}

// Explain asks why something is allowed or not. A secret in the question is
// only sent in the body.
func (c *Client) Explain(ctx context.Context, r api.Explain) (api.Explanation, error) {
	var out api.Explanation
	err := c.do(ctx, call{method: http.MethodPost, path: []string{"explain"}, body: r, secrets: []string{r.Token}}, &out)
	return out, err
}

// New makes a client for the server at an http or https URL, which may have a
// path when the server is reached below one. Nothing is sent yet.
func New(server string, o Options) (*Client, error) {
	base, err := parseBase(server)
	if err != nil {
		return nil, err
	}
	c := &Client{base: base, userAgent: o.UserAgent, now: time.Now}
	if c.userAgent == "" {
		c.userAgent = "latchkey/" + moduleVersion()
	}
	if err := c.setCredential(o); err != nil {
		return nil, err
	}
	transport, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	timeout := o.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	c.http = &http.Client{Transport: transport, Timeout: timeout, CheckRedirect: checkRedirect}
	c.streams = &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	c.Tokens = Tokens{c}
	c.Accounts = Accounts{c}
	c.Groups = Groups{c}
	c.Grants = Grants{c}
	c.Keys = Keys{c}
	c.Audit = Audit{c}
	return c, nil
}

// parseBase checks the server's URL. Its errors do not repeat the URL, since
// a password may be in it.
func parseBase(server string) (string, error) {
	u, err := url.Parse(server)
	switch {
	case err != nil:
		return "", errors.New("the server's URL cannot be parsed")
	case u.User != nil:
		return "", errors.New("the server's URL has a user or password in it, which do not belong there")
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("the server's URL does not begin with http:// or https://")
	case u.Hostname() == "":
		return "", errors.New("the server's URL has no host")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("the server's URL has a query or fragment, which do not belong there")
	}
	return strings.TrimRight(u.Scheme+"://"+u.Host+u.EscapedPath(), "/"), nil
}

// setCredential decides what goes into the Authorization header, and what must
// never be seen in an error.
func (c *Client) setCredential(o Options) error {
	switch {
	case o.Token != "" && (o.User != "" || o.Password != ""):
		return errors.New("a token and a password are given; one of them is needed")
	case strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the token has characters that no token has; was something around it copied too?")
	case o.User == "" && o.Password != "":
		return errors.New("a password is given without a user")
	case strings.Contains(o.User, ":"):
		return errors.New("the user name has a colon in it, which HTTP Basic cannot carry") // RFC 7617 section 2
	}
	header := ""
	switch {
	case o.Token != "":
		header = "Bearer " + o.Token
	case o.User != "":
		header = "Basic " + base64.StdEncoding.EncodeToString([]byte(o.User+":"+o.Password))
	}
	c.authorize = func(r *http.Request) {
		if header != "" {
			r.Header.Set("Authorization", header)
		}
	}
	_, encoded, _ := strings.Cut(header, " ")
	c.scrub = scrubber(o.Token, o.Password, encoded)
	return nil
}

// scrubber returns a function that hides the secrets in a text. What is too
// short to be told from ordinary words is left alone.
func scrubber(secrets ...string) func(string) string {
	var pairs []string
	for _, s := range secrets {
		if len(s) >= 8 {
			pairs = append(pairs, s, "[hidden]")
		}
	}
	return strings.NewReplacer(pairs...).Replace
}

func newTransport(o Options) (http.RoundTripper, error) {
	if o.Transport != nil {
		if o.CAFile != "" || o.TLS != nil {
			return nil, errors.New("a transport of its own and TLS settings exclude each other")
		}
		return o.Transport, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.TLS != nil {
		config = o.TLS.Clone()
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the CA certificates: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no PEM certificate in it", o.CAFile)
		}
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    32,
		MaxResponseHeaderBytes: 256 << 10,
	}, nil
}

// CloseIdleConnections closes the connections that are kept open for the next
// request. The client stays usable.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// modulePath is how this module is named in the build information of the
// programs that use it.
const modulePath = "github.com/latchkey-auth/latchkey"

// moduleVersion returns the version of this module in the running program.
func moduleVersion() string {
	const unknown = "devel"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == modulePath && m.Version != "" && m.Version != "(devel)" {
			return m.Version
		}
	}
	return unknown
}
