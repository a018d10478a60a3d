package config

import (
	"net"
	"net/url"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

// TLS is the certificate of the listener.
type TLS struct {
	Cert       string `key:"cert" live:"yes" doc:"The file of the certificate, in PEM, with those of the authorities between it and the root behind it. Set together with key; the server then speaks HTTPS only, HTTP/1.1 and HTTP/2. A file that changes is read again by itself."`
	Key        string `key:"key" live:"yes" doc:"The file of the certificate's private key, in PEM. It must not be accessible to others than its owner, but for being read by its group."`
	MinVersion string `key:"min_version" live:"yes" oneof:"1.2 1.3" doc:"The oldest version of TLS that is spoken."`
}

// On reports whether the listener speaks TLS.
func (t TLS) On() bool { return t.Cert != "" }

// Metrics is the listener for those who operate the server.
type Metrics struct {
	Listen string `key:"listen" doc:"Where metrics are shown at /metrics, to whoever asks: host:port, or unix:/path for a socket. Empty: nowhere. Loopback, or an address that only the collector can reach."`
	Pprof  bool   `key:"pprof" doc:"Show profiles of the running program at /debug/pprof/ on that listener, which must then be a loopback address or a socket."`
}

// Traces is where spans are sent.
type Traces struct {
	Endpoint          string      `key:"endpoint" doc:"The collector that spans are sent to, in OTLP over HTTP (JSON): https://host:4318, or http:// on a loopback address or in a network of one's own. Without a path, /v1/traces. Empty: there are no traces."`
	Percent           int         `key:"percent" min:"0" max:"100" doc:"How many of a hundred requests are traced. Those that come with a traceparent which is not sampled never are."`
	Authorization     secret.Text `key:"authorization" doc:"The Authorization header that the collector wants, such as \"Bearer …\". Empty: none."`
	AuthorizationFile string      `key:"authorization_file" fills:"traces.authorization" doc:"A file that holds the value of authorization."`
}

// tls checks that there is all of a certificate, or nothing.
func (v *validation) tls() {
	t := v.c.TLS
	switch {
	case t.Cert == "" && t.Key != "":
		v.found.add("tls.cert", v.c.Origin("tls.key"), "tls.key is set, but this is not; set both, or neither")
	case t.Cert != "" && t.Key == "":
		v.found.add("tls.key", v.c.Origin("tls.cert"), "tls.cert is set, but this is not; set both, or neither")
	}
	if !t.On() {
		return
	}
	if isSocket(v.c.Listen) {
		v.wrong("tls.cert", "on a socket there is no network to keep it from; remove tls.cert and tls.key, or listen on host:port")
	}
	if v.c.PlainHTTP {
		v.wrong("plain_http", "with tls.cert the server speaks no plain HTTP; remove one of the two")
	}
}

// metrics checks where metrics are shown. Profiles show more of the program
// than its operators should leave open (S112).
func (v *validation) metrics() {
	m := v.c.Metrics
	switch {
	case m.Listen == "" && m.Pprof:
		v.wrong("metrics.pprof", "set metrics.listen, where profiles are shown")
	case m.Listen == "":
	case strings.HasPrefix(m.Listen, "unix:"):
		if !isSocketPath(strings.TrimPrefix(m.Listen, "unix:")) {
			v.wrong("metrics.listen", "want unix: and an absolute path of at most %d bytes", maxSocketPath)
		}
	default:
		if _, port, ok := hostPort(m.Listen); !ok || !isPort(port) {
			v.wrong("metrics.listen", "want host:port, such as 127.0.0.1:9464, or unix:/path")
		}
	}
	if m.Listen != "" && m.Listen == v.c.Listen && !strings.HasSuffix(m.Listen, ":0") {
		v.wrong("metrics.listen", "this is where the server itself listens; metrics need an address of their own")
	}
	if m.Pprof && m.Listen != "" && !loopback(m.Listen) {
		v.wrong("metrics.pprof", "profiles show what is in the server's memory, so they are only shown on a loopback address or a socket; set metrics.listen to one")
	}
}

// traces checks where spans go. Nothing of the URL is repeated.
func (v *validation) traces() {
	t := v.c.Traces
	if t.Endpoint == "" {
		if !t.Authorization.Empty() {
			v.wrong("traces.authorization", "set traces.endpoint, or remove this")
		}
		return
	}
	const key = "traces.endpoint"
	u, err := url.Parse(t.Endpoint)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") || (u.Port() != "" && !isPort(u.Port())):
		v.wrong(key, "want https://host:port, or http://host:port")
	case u.User != nil:
		v.wrong(key, "the URL holds credentials; put them into traces.authorization")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(t.Endpoint, "#"):
		v.wrong(key, "the URL holds a query or a fragment; take it out")
	case v.isSelf(u):
		v.wrong(key, "this server listens there itself")
	case u.Scheme == "http" && !t.Authorization.Empty() && !loopback(net.JoinHostPort(u.Hostname(), "80")):
		v.wrong(key, "traces.authorization would cross the network in the clear; use https://")
	}
	if text := t.Authorization.Reveal(); strings.ContainsFunc(text, isControl) {
		v.wrong("traces.authorization", "there is a line break or another control character in it")
	}
}
