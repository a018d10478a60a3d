package config

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// maxSocketPath is the longest path of a Unix socket that all systems take.
const maxSocketPath = 103

// listener checks where the server listens, and what it says about that.
func (v *validation) listener() {
	if file, ok := strings.CutPrefix(v.c.Listen, "unix:"); ok {
		if !isSocketPath(file) {
			v.wrong("listen", "want unix: and an absolute path of at most %d bytes", maxSocketPath)
		}
	} else if _, port, ok := hostPort(v.c.Listen); !ok || !isPort(port) {
		v.wrong("listen", "want host:port, such as 127.0.0.1:8080, or unix:/path")
	} else if !loopback(v.c.Listen) && !v.c.PlainHTTP && !v.c.TLS.On() {
		v.wrong("listen", "the server speaks plain HTTP, so on this address passwords and tokens would cross the network in the clear; "+
			"set tls.cert and tls.key, listen on 127.0.0.1 behind a proxy that does TLS, or set plain_http: true if nobody else can listen on this network")
	}
	v.publicURL()
}

// publicURL accepts what goes into challenges and into the hands of people: an
// origin, and not one that leads passwords over a network in the clear.
func (v *validation) publicURL() {
	if v.c.PublicURL == "" {
		return
	}
	const key = "public_url"
	u, err := url.Parse(v.c.PublicURL)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		v.wrong(key, "want https://host")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(v.c.PublicURL, "#"):
		v.wrong(key, "want https://host only, without credentials, a query or a fragment")
	case u.Path != "":
		v.wrong(key, "want https://host without a path, also without a slash at the end")
	case u.Scheme == "http" && !v.c.PlainHTTP && !loopback(net.JoinHostPort(u.Hostname(), "80")):
		v.wrong(key, "with http://, clients would send passwords and tokens in the clear; "+
			"use https://, or set plain_http: true if nobody else can listen on this network")
	}
}

func isSocketPath(p string) bool {
	return strings.HasPrefix(p, "/") && path.Clean(p) == p && len(p) <= maxSocketPath
}

func isSocket(address string) bool { return strings.HasPrefix(address, "unix:") }

func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n <= 65535
}

// hostPort splits an address to listen at. An empty host stands for all
// addresses.
func hostPort(address string) (host, port string, ok bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || strings.ContainsAny(host, " /@?#") {
		return "", "", false
	}
	return strings.ToLower(host), port, true
}

// upstream checks the URL of another server, in the three forms that upstreams
// have, and that it is not this one (which would send requests in circles).
// Nothing of the URL is repeated: it may hold a password by mistake.
func (v *validation) upstream(key, text string) {
	if file, ok := strings.CutPrefix(text, "unix:"); ok {
		switch {
		case !isSocketPath(file):
			v.wrong(key, "want unix: and an absolute path of at most %d bytes", maxSocketPath)
		case text == v.c.Listen:
			v.wrong(key, "this server listens there itself; requests would go round in circles")
		}
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") || (u.Port() != "" && !isPort(u.Port())):
		v.wrong(key, "want http://host:port, https://host or unix:/path")
	case u.User != nil:
		v.wrong(key, "the URL holds credentials, which would end up in logs; take them out")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(text, "#"):
		v.wrong(key, "the URL holds a query or a fragment; take it out")
	case u.Path != "" && u.Path != "/":
		v.wrong(key, "the URL has a path; those of requests are passed on as they came, so take it out")
	case v.isSelf(u):
		v.wrong(key, "this server listens there itself; requests would go round in circles")
	}
}

// isSelf reports whether a URL leads to the listener.
func (v *validation) isSelf(u *url.URL) bool {
	host, port, ok := hostPort(v.c.Listen)
	if !ok || isSocket(v.c.Listen) || port == "0" {
		return false
	}
	theirs := u.Port()
	if theirs == "" {
		theirs = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if theirs != port {
		return false
	}
	other := strings.ToLower(u.Hostname())
	return other == host || (isLocal(other) && isLocal(host))
}

func isLocal(host string) bool { return loopback(net.JoinHostPort(host, "0")) || isAny(host) }

// isAny reports whether a host to listen at stands for all addresses.
func isAny(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.Unmap().IsUnspecified()
}
