package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/config"
)

// configuration looks at what is allowed, but unsafe or without effect.
func configuration(_ context.Context, x *examination) []Finding {
	c := x.Config
	var list []Finding
	for _, w := range c.Warnings() {
		if w.Key == "plain_http" {
			continue // looked at below
		}
		list = append(list, Finding{
			Level: Warning, Seen: fmt.Sprintf("%s is set (%s)", w.Key, w.Origin), Why: w.Text, Where: inConfig, Fix: saferLine(w.Key),
		})
	}
	list = append(list, x.plainHTTP()...)
	list = append(list, wideProxies(c)...)
	list = append(list, passedPasswords(c)...)
	if c.Metrics.Pprof {
		list = append(list, Finding{
			Level: Warning, Seen: "profiles of the running program are shown at " + c.Metrics.Listen,
			Why: "they show what is in its memory to everybody on this machine", Where: inConfig, Fix: []string{"metrics: {pprof: false}"},
		})
	}
	list = append(list, withoutEffect(c)...)
	if len(list) == 0 {
		list = append(list, fine("the configuration is good%s", from(x.ConfigFile)))
	}
	return list
}

func from(file string) string {
	if file == "" {
		return ""
	}
	return " (" + file + ")"
}

// saferLine is the line for a key that the configuration warns about.
func saferLine(key string) []string {
	switch {
	case key == "check.stale_for":
		return []string{"check: {stale_for: 0}"}
	case key == "metrics.listen":
		return []string{"metrics: {listen: 127.0.0.1:9464}"}
	case key == "database":
		return []string{"database_file: /etc/latchkey/database"}
	case strings.HasSuffix(key, ".keep_authorization"):
		return []string{"keep_authorization: false"}
	}
	return nil
}

// plainHTTP tells a network of one's own from the Internet.
func (x *examination) plainHTTP() []Finding {
	c := x.Config
	if !c.PlainHTTP {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil // a socket
	}
	f := Finding{
		Level: Warning, Seen: "the server speaks plain HTTP at " + c.Listen + ", which is not this machine alone",
		Why: "passwords and tokens cross the network in the clear", Where: inConfig,
		Fix: []string{"plain_http: false", "tls: {cert: /etc/latchkey/tls/fullchain.pem, key: /etc/latchkey/tls/privkey.pem}"},
	}
	listens := []netip.Addr{}
	switch addr, err := netip.ParseAddr(host); {
	case host == "" || err == nil && addr.IsUnspecified():
		listens = x.Addresses()
	case err == nil && addr.IsLoopback(), host == "localhost":
		return nil
	case err == nil:
		listens = append(listens, addr)
	}
	for _, a := range listens {
		if public(a) {
			f.Level, f.Seen = Problem, fmt.Sprintf("the server speaks plain HTTP at %s, where the Internet can reach it (%s)", c.Listen, a)
			break
		}
	}
	return []Finding{f}
}

// public reports whether an address is one of the Internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}

// shared is what providers use within their own networks (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// wideProxies looks for networks in which there are more than proxies (S85).
func wideProxies(c config.Config) []Finding {
	var list []Finding
	for _, p := range c.TrustedProxies {
		hosts := p.Addr().BitLen() - p.Bits()
		f := Finding{
			Why: "each of them can say which client it speaks for and, at /latchkey/verify, which request: limits, networks of tokens " +
				"and the audit log are worth nothing against it", Where: inConfig,
			Fix: []string{fmt.Sprintf("trusted_proxies: [%s]", p.Addr())},
		}
		switch {
		case hosts > 0 && public(p.Addr()):
			f.Level, f.Seen = Problem, fmt.Sprintf("trusted_proxies has %s, addresses of the Internet", p)
		case hosts > 8:
			f.Level, f.Seen = Warning, fmt.Sprintf("trusted_proxies has %s, which is more machines than proxies", p)
		default:
			continue
		}
		f.Fix = append(f.Fix, "# with the addresses of the proxies themselves")
		list = append(list, f)
	}
	return list
}

func passedPasswords(c config.Config) []Finding {
	var list []Finding
	for i, r := range c.Routes {
		if r.Passwords == "pass" && r.Auth != "none" {
			list = append(list, Finding{
				Level: Warning, Seen: fmt.Sprintf("routes[%d] (%s) passes passwords on to its service", i, r.Prefix),
				Why:   "who has a password gets past Latchkey there: no scope, no throttling of guesses and no audit event; the service alone decides",
				Where: inConfig, Fix: []string{"passwords: check   # or refuse"},
			})
		}
	}
	return list
}

// withoutEffect lists what is set and not used.
func withoutEffect(c config.Config) []Finding {
	postgres := strings.HasPrefix(c.Database.Reveal(), "postgres")
	idle := []struct {
		keys []string
		off  bool
		why  string
	}{
		{[]string{"database_max_conns", "database_pooler"}, !postgres, "the database is SQLite"},
		{[]string{"tls.min_version"}, !c.TLS.On(), "there is no tls.cert"},
		{[]string{"pulp.api_root", "pulp.content_path_prefix", "pulp.identity_header", "pulp.audit"}, c.Pulp.API == "", "there is no pulp.api"},
		{[]string{"dialects.drf.path", "dialects.drf.form", "dialects.drf.lifetime", "dialects.drf.idle"}, !c.Dialects.DRF.Enabled, "dialects.drf.enabled is false"},
		{[]string{"traces.percent"}, c.Traces.Endpoint == "", "there is no traces.endpoint"},
		{[]string{"verify.assertion_header"}, c.Verify.AssertionAudience == "", "there is no verify.assertion_audience"},
		{[]string{"secret_file"}, !c.Secret.Empty(), "the secret itself is set"},
	}
	var list []Finding
	for _, group := range idle {
		for _, key := range group.keys {
			if at := c.Origin(key); group.off && at.Layer != config.FromDefault {
				list = append(list, Finding{
					Level: Warning, Seen: fmt.Sprintf("%s is set (%s) and has no effect: %s", key, at, group.why),
					Why: "whoever set it meant something by it", Where: inConfig, Fix: []string{"# remove " + key},
				})
			}
		}
	}
	return list
}
