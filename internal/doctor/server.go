package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
)

// Paths of Latchkey's own.
const (
	alivePath  = "/latchkey/healthz"
	readyPath  = "/latchkey/readyz"
	verifyPath = "/latchkey/verify"
)

// ownURL is where the server of this configuration listens, as this machine
// reaches it; "" where that is not known.
func (x *examination) ownURL() string {
	c := x.Config
	if strings.HasPrefix(c.Listen, "unix:") {
		return c.Listen
	}
	scheme := "http://"
	if c.TLS.On() {
		scheme = "https://"
	}
	return localURL(scheme, c.Listen)
}

func localURL(scheme, listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port == "0" {
		return ""
	}
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + net.JoinHostPort(host, port)
}

// ownProber asks the server of this configuration. Its certificate is for its
// public name, and the file of it is looked at by itself; nothing that is sent
// is a secret.
func (x *examination) ownProber() (*prober, error) {
	return x.proberWith(x.ownURL(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) //nolint:gosec // G402: see above
}

// runningServer asks the server that runs with this configuration, if one does.
func runningServer(ctx context.Context, x *examination) []Finding {
	to, err := x.ownProber()
	if err != nil {
		return nil
	}
	alive, err := to.get(ctx, alivePath)
	switch {
	case err != nil:
		return []Finding{fine("no server runs at %s, so none was asked", x.Config.Listen)}
	case alive.status != http.StatusOK || string(alive.body) != "alive\n":
		return []Finding{{
			Level: Problem, Seen: "what listens at " + x.Config.Listen + " is not Latchkey",
			Why: "the server cannot start there", Where: inConfig, Fix: []string{"listen: 127.0.0.1:8080   # an address of its own"},
		}}
	}
	list := x.stalePair(alive)
	ready, err := to.get(ctx, readyPath)
	if err == nil && ready.status != http.StatusOK {
		list = append(list, Finding{
			Level: Problem, Seen: "the running server is not ready: " + clip(ready.body), Why: "it refuses what it cannot check",
			Where: atCommand, Fix: []string{"journalctl -u latchkey -e"},
		})
	}
	list = append(list, x.runningVersion(ctx)...)
	if len(list) == 0 && err == nil {
		list = append(list, fine("the server at %s is alive and ready", x.Config.Listen))
	}
	return list
}

// stalePair compares the certificate in use with the one in the file.
func (x *examination) stalePair(alive answer) []Finding {
	t := x.Config.TLS
	if !t.On() || alive.tls == nil || len(alive.tls.PeerCertificates) == 0 {
		return nil
	}
	leaf, _, err := readPair(t.Cert, t.Key)
	if err != nil || bytes.Equal(leaf.Raw, alive.tls.PeerCertificates[0].Raw) {
		return nil
	}
	return []Finding{{
		Level: Warning, Seen: "the running server uses another certificate than the one in " + t.Cert,
		Why: "a new one is taken up within ten seconds, unless it cannot be used", Where: atCommand, Fix: []string{"systemctl reload latchkey; journalctl -u latchkey -e"},
	}}
}

// builtFrom finds the version in the metrics.
var builtFrom = regexp.MustCompile(`(?m)^latchkey_build_info\{[^}]*\bversion="([^"]*)"`)

// runningVersion compares versions, where metrics are shown: what users reach
// does not say it.
func (x *examination) runningVersion(ctx context.Context) []Finding {
	at := x.Config.Metrics.Listen
	if at == "" || x.Version == "" {
		return nil
	}
	if !strings.HasPrefix(at, "unix:") {
		at = localURL("http://", at)
	}
	to, err := x.prober(at)
	if err != nil {
		return nil
	}
	a, err := to.get(ctx, "/metrics")
	if err != nil || a.status != http.StatusOK {
		return []Finding{{
			Level: Warning, Seen: "the running server shows no metrics at " + x.Config.Metrics.Listen,
			Why: "metrics.listen says that it does", Where: atCommand, Fix: []string{"systemctl restart latchkey"},
		}}
	}
	found := builtFrom.FindSubmatch(a.body)
	if found == nil || string(found[1]) == x.Version {
		return nil
	}
	return []Finding{{
		Level: Warning, Seen: "the running server has version " + clip(found[1]) + ", this program has " + x.Version,
		Why: "an upgrade takes effect when the server is started again", Where: atCommand, Fix: []string{"systemctl restart latchkey"},
	}}
}

// clip makes a foreign text fit for a line.
func clip(text []byte) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(text), "?")), " ")
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}
