package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Sizes of what a connection to an upstream holds.
const (
	idlePerUpstream   = 512
	connectionBuffer  = 32 << 10  // bytes, for reading and again for writing
	maxResponseHeader = 256 << 10 // bytes
)

// upstream is where requests go.
type upstream struct {
	scheme, host string // of outgoing URLs
	label        string // for logs
	transport    *http.Transport
	patience     time.Duration // while nothing moves
}

// upstreams shares connections between routes that go to the same place in the
// same way.
type upstreams struct {
	known map[upstreamKey]*upstream
}

type upstreamKey struct {
	url string
	tls *tls.Config
	Timeouts
}

func newUpstreams() *upstreams { return &upstreams{known: map[upstreamKey]*upstream{}} }

// of returns the upstream of a route.
func (u *upstreams) of(r Route) (*upstream, error) {
	if !goodUpstream(r.Upstream) {
		return nil, errUpstream
	}
	t := r.Timeouts
	t.setDefaults()
	key := upstreamKey{r.Upstream.String(), r.TLS, t}
	if up := u.known[key]; up != nil {
		return up, nil
	}
	dialer := &net.Dialer{Timeout: t.Dial}
	up := &upstream{
		scheme: r.Upstream.Scheme, host: r.Upstream.Host, label: r.Upstream.Host,
		transport: newTransport(dialer.DialContext, r.TLS, t), patience: t.Response,
	}
	if r.Upstream.Scheme == "unix" {
		socket := r.Upstream.Path
		up.scheme, up.host, up.label = "http", "localhost", socket
		up.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	u.known[key] = up
	return up, nil
}

func goodUpstream(u *url.URL) bool {
	if u == nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" {
		return false
	}
	switch u.Scheme {
	case "http", "https":
		return u.Host != "" && (u.Path == "" || u.Path == "/")
	case "unix":
		return u.Host == "" && len(u.Path) > 1
	}
	return false
}

func (t *Timeouts) setDefaults() {
	if t.Dial == 0 {
		t.Dial = 5 * time.Second
	}
	if t.Response == 0 {
		t.Response = 2 * time.Minute
	}
	if t.Idle == 0 {
		t.Idle = 30 * time.Second
	}
}

// newTransport makes a client of an upstream: HTTP/1.1, which every upstream
// speaks, no proxy from the environment, and bodies as they are.
func newTransport(dial func(ctx context.Context, network, addr string) (net.Conn, error), conf *tls.Config, t Timeouts) *http.Transport {
	var http1 http.Protocols
	http1.SetHTTP1(true)
	return &http.Transport{
		DialContext: dial, TLSClientConfig: conf, Protocols: &http1,
		TLSHandshakeTimeout: t.Dial, ResponseHeaderTimeout: t.Response, IdleConnTimeout: t.Idle,
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   idlePerUpstream,
		DisableCompression:    true,
		ReadBufferSize:        connectionBuffer, WriteBufferSize: connectionBuffer,
		MaxResponseHeaderBytes: maxResponseHeader,
	}
}

func (u *upstreams) closeIdle() {
	for _, up := range u.known {
		up.transport.CloseIdleConnections()
	}
}
