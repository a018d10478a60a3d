package gateway

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// foldName returns a header's name in lower case and without hyphens, the form
// in which names are told apart here. Names with other characters than letters,
// digits and hyphens have none and give "".
//
// Servers that hand headers on as environment variables write "_" for "-", so
// that X-Name and X_Name meet; nginx and gunicorn drop names with "_" for that
// reason, but gunicorn takes SCRIPT_NAME from a peer on its own machine, and
// cuts it off the path (gunicorn/http/wsgi.py): a way around every path rule.
// So names with such characters are never passed on (S86).
func foldName(name string) string {
	for i := range len(name) {
		if c := name[i]; c != '-' && !alphanumeric(c) {
			return ""
		}
	}
	return strings.ToLower(strings.ReplaceAll(name, "-", ""))
}

func alphanumeric(c byte) bool {
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
}

// ourPrefix begins the folded names that are Latchkey's own.
const ourPrefix = "latchkey"

// identityName reports whether a header can carry an identity.
func identityName(name string) bool {
	folded := foldName(name)
	switch {
	case folded == "", len(folded) != len(name), proxyClaim(folded), overrides(folded):
		return false
	}
	switch folded {
	case "accept", "authorization", "connection", "cookie", "correlationid", "date", "expect", "forwarded", "from",
		"host", "origin", "range", "referer", "te", "trailer", "upgrade", "via", "warning":
		return false
	}
	return true
}

// proxyClaim reports headers that only a proxy in front may send: where a
// request came from, by which name and with which certificate. X-Client-Cert
// is what Pulp's certificate guards believe.
func proxyClaim(folded string) bool {
	if strings.HasPrefix(folded, "xforwarded") {
		return true
	}
	switch folded {
	case "forwarded", "xrealip", "xclientip", "xclientcert", "clientcert", "clientcertchain", "xsslclientcert", "sslclientcert":
		return true
	}
	return false
}

// overrides reports headers that change a request's method or path for
// frameworks that know them, past the rule that allowed it.
func overrides(folded string) bool {
	switch folded {
	case "xhttpmethodoverride", "xhttpmethod", "xmethodoverride", "xoriginalurl", "xrewriteurl":
		return true
	}
	return false
}

// dropped reports whether a header of a request is not passed on to an
// upstream.
func (x *exchange) dropped(name string) bool {
	if plainName(name) {
		return false
	}
	folded := foldName(name)
	switch {
	case folded == "", strings.HasPrefix(folded, ourPrefix), x.g.protected[folded]:
		return true
	case proxyClaim(folded):
		return !x.trusted
	case overrides(folded):
		return x.route.Auth != Off
	}
	return false
}

// plainName spares the headers that nearly every request has the look.
func plainName(name string) bool {
	switch name {
	case "Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Content-Length",
		"Content-Type", "Cookie", "Correlation-Id", "Range", "Referer", "User-Agent":
		return true
	}
	return false
}

// cleanHeader removes from the header of an outgoing request what must not
// reach the upstream.
func (x *exchange) cleanHeader(h http.Header) {
	for name := range h {
		if x.dropped(name) {
			delete(h, name)
		}
	}
	delete(h, "Http2-Settings") // belongs to an upgrade that is never made
	if x.route.DropCookies {
		delete(h, "Cookie")
	} else {
		dropCookies(h, x.g.cookies)
	}
	// "Connection: Correlation-Id" must not cost the request its id.
	if x.correlationID != nil {
		h[web.CorrelationIDHeader] = x.correlationID
	}
	x.limitUpgrade(h)
}

// limitUpgrade keeps the header fields of a protocol switch only where the
// route allows it. Without them it is an ordinary request (RFC 9110 section
// 7.8).
func (x *exchange) limitUpgrade(h http.Header) {
	asked := h.Get("Upgrade")
	if asked == "" {
		return
	}
	if !slices.ContainsFunc(x.route.Upgrade, func(p string) bool { return strings.EqualFold(p, asked) }) {
		delete(h, "Upgrade")
		delete(h, "Connection")
	}
}

// dropCookies removes cookies by name and leaves the others as they are
// written.
func dropCookies(h http.Header, names map[string]bool) {
	if len(names) == 0 || len(h["Cookie"]) == 0 {
		return
	}
	var lines []string
	for _, line := range h["Cookie"] {
		var kept []string
		for _, cookie := range strings.Split(line, ";") {
			name, _, _ := strings.Cut(cookie, "=")
			if !names[strings.Trim(name, " \t")] {
				kept = append(kept, cookie)
			}
		}
		if line = strings.Trim(strings.Join(kept, ";"), " \t"); line != "" {
			lines = append(lines, line)
		}
	}
	if h["Cookie"] = lines; lines == nil {
		delete(h, "Cookie")
	}
}

// forwarded tells the upstream where the request came from. A trusted peer's
// own claims are continued, everybody else's are replaced (S85).
func (x *exchange) forwarded(h http.Header) {
	proto, host := "http", x.in.Host
	if x.in.TLS != nil {
		proto = "https"
	}
	var chain []string
	if x.trusted {
		chain = x.in.Header["X-Forwarded-For"]
		first, _, _ := strings.Cut(x.in.Header.Get("X-Forwarded-Proto"), ",")
		if first = strings.ToLower(strings.TrimSpace(first)); first == "http" || first == "https" {
			proto = first
		}
		if named := x.in.Header["X-Forwarded-Host"]; len(named) == 1 && named[0] != "" {
			host = named[0]
		}
	}
	if x.peer.IsValid() {
		chain = append(slices.Clip(chain), x.peer.String())
	}
	delete(h, "X-Forwarded-For")
	if len(chain) > 0 {
		h["X-Forwarded-For"] = []string{strings.Join(chain, ", ")}
	}
	h["X-Forwarded-Proto"] = []string{proto}
	h["X-Forwarded-Host"] = []string{host}
}

// peerOf returns the address of the other end of the connection, invalid where
// it has none.
func peerOf(r *http.Request) netip.Addr {
	if from := audit.FromContext(r.Context()); from.Peer.IsValid() {
		return from.Peer
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// headerSafe reports whether a name arrives in a header as it was sent: servers
// do not agree about the bytes of characters outside ASCII, and trim spaces.
func headerSafe(name string) bool {
	if name == "" || len(name) > 256 || name[0] == ' ' || name[len(name)-1] == ' ' {
		return false
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			return false
		}
	}
	return true
}
