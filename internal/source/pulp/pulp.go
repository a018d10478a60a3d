// Package pulp checks passwords by asking Pulp itself, with a GET of its login
// endpoint under HTTP Basic authentication, so that it works with whatever
// Pulp was set up with. It needs no rights in Pulp and keeps nothing.
//
// It does not notice what happens to a user afterwards; where that is wanted
// and Pulp's users live in its own database, source/django reads them there.
package pulp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/source"
)

// maxCredential bounds what is sent as user name or password, in bytes.
const maxCredential = 1024

// Options says where Pulp is. Only URL is needed.
type Options struct {
	Name    string // "pulp" if empty
	URL     string // "http://host:port", "https://host" or "unix:/path/to/socket"
	APIRoot string // "/pulp/api/v3/" if empty; with domains "/pulp/<domain>/api/v3/"

	Timeout time.Duration // for one login from dial to last byte; 10 s if zero
	TLS     *tls.Config   // for https; the system's roots if nil
}

// Source asks one Pulp. Its methods may be called from several goroutines.
type Source struct {
	name      string
	login     string // URL
	timeout   time.Duration
	client    *http.Client
	transport *http.Transport
}

// New makes a Source; it does not connect. It fails on a URL that is not one
// of the three kinds, or that holds credentials, a query or a fragment.
func New(opts Options) (*Source, error) {
	if opts.Name == "" {
		opts.Name = "pulp"
	}
	if opts.APIRoot == "" {
		opts.APIRoot = "/pulp/api/v3/"
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	base, socket, err := parseBase(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", opts.Name, err)
	}
	if strings.ContainsAny(opts.APIRoot, "?#%\\ ") || strings.ContainsFunc(opts.APIRoot, unicode.IsControl) {
		return nil, fmt.Errorf("source %s: the API root %q is not a plain path", opts.Name, opts.APIRoot)
	}
	dialer := &net.Dialer{Timeout: opts.Timeout}
	transport := &http.Transport{
		// No proxy from the environment: it would see the passwords.
		Proxy: nil,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if socket != "" {
				return dialer.DialContext(ctx, "unix", socket)
			}
			return dialer.DialContext(ctx, network, addr)
		},
		TLSClientConfig:        opts.TLS.Clone(),
		TLSHandshakeTimeout:    opts.Timeout,
		ResponseHeaderTimeout:  opts.Timeout,
		MaxResponseHeaderBytes: maxBody,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true, // so that the limit on bodies is the limit
	}
	return &Source{
		name:      opts.Name,
		login:     base + "/" + strings.TrimPrefix(strings.TrimSuffix(opts.APIRoot, "/")+"/login/", "/"),
		timeout:   opts.Timeout,
		transport: transport,
		client: &http.Client{
			Transport: transport,
			// A redirect would carry the password to somewhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// parseBase returns the base URL without a trailing slash, and the path of the
// socket where it is one. Errors do not repeat the URL: it may hold a password
// by mistake.
func parseBase(text string) (base, socket string, err error) {
	if path, found := strings.CutPrefix(text, "unix:"); found {
		path = "/" + strings.TrimLeft(path, "/")
		if path == "/" {
			return "", "", errors.New("the URL names no socket")
		}
		return "http://localhost", path, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return "", "", errors.New("the URL has none of the schemes http, https and unix")
	case u.User != nil:
		return "", "", errors.New("the URL holds credentials, which it must not")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return "", "", errors.New("the URL holds a query or a fragment, which it must not")
	}
	return strings.TrimSuffix(u.String(), "/"), "", nil
}

// Name returns the name from the Options.
func (s *Source) Name() string { return s.name }

// Close ends idle connections.
func (s *Source) Close() { s.transport.CloseIdleConnections() }

// Login asks Pulp who the user name and the password belong to. What cannot be
// sent by Basic authentication (RFC 7617 section 2) is refused without asking:
// an empty name or password, a colon in the name, control characters.
func (s *Source) Login(ctx context.Context, username, password string) (source.Subject, error) {
	if !sendable(username) || strings.Contains(username, ":") || !sendable(password) {
		return source.Subject{}, source.ErrRefused
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.login, nil)
	if err != nil {
		return source.Subject{}, s.unavailable("the URL cannot be asked")
	}
	req.SetBasicAuth(username, password)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "latchkey")
	resp, err := s.client.Do(req)
	if err != nil {
		return source.Subject{}, s.failed(ctx, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		// Read to the end, so that the connection can be used again.
		_, _ = io.CopyN(io.Discard, resp.Body, maxBody)
		return source.Subject{}, source.ErrRefused
	default:
		return source.Subject{}, s.unavailable(fmt.Sprintf("it answered with status %d", resp.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return source.Subject{}, s.failed(ctx, err)
	}
	subject, err := parseAnswer(body, username)
	if err != nil {
		return source.Subject{}, s.unavailable(err.Error())
	}
	return subject, nil
}

func sendable(text string) bool {
	return text != "" && len(text) <= maxCredential && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, unicode.IsControl)
}

func (s *Source) unavailable(why string) error {
	return fmt.Errorf("%w: %s at %s: %s", source.ErrUnavailable, s.name, s.login, why)
}

// failed says why there is no answer. It names what it knows and passes on
// nothing that the other side wrote: errors of net/http quote malformed
// answers, and a server that echoes what it gets would bring the password
// into a log.
func (s *Source) failed(ctx context.Context, err error) error {
	var (
		op       *net.OpError
		dns      *net.DNSError
		cert     *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
		record   tls.RecordHeaderError
		deadline interface{ Timeout() bool }
	)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %s at %s: %w", source.ErrUnavailable, s.name, s.login, ctx.Err())
	case errors.As(err, &deadline) && deadline.Timeout():
		return s.unavailable("no answer in time")
	case errors.As(err, &dns):
		return s.unavailable("its host name is not known")
	case errors.As(err, &cert), errors.As(err, &unknown):
		return s.unavailable("its certificate is not trusted")
	case errors.As(err, &record):
		return s.unavailable("it does not speak TLS")
	case errors.As(err, &op) && op.Op == "dial":
		return s.unavailable(fmt.Sprintf("no connection: %v", op.Err))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &op):
		return s.unavailable("the connection ended before the answer did")
	}
	return s.unavailable("its answer is not HTTP")
}
