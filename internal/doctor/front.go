package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// front asks through the public address, as anybody on the Internet can, and
// tries what a forger would: nothing that a client says of itself may count.
func front(ctx context.Context, x *examination) []Finding {
	if x.URL == "" {
		if len(x.Config.TrustedProxies) > 0 {
			return []Finding{fine("the proxy in front was not asked; latchkey doctor --url %s does", orElse(x.Config.PublicURL, "https://…"))}
		}
		return nil
	}
	to, err := x.prober(x.URL)
	if err != nil {
		return []Finding{{Level: Problem, Seen: "--url is no URL", Why: "nothing was asked", Where: atCommand, Fix: []string{"latchkey doctor --url https://host"}}}
	}
	first, err := to.get(ctx, "/")
	if err != nil {
		return []Finding{{
			Level: Problem, Seen: fmt.Sprintf("%s: %v", x.URL, err), Why: "clients cannot use it either, if this machine reaches it as they do",
			Where: atCommand, Fix: []string{"curl -v " + x.URL},
		}}
	}
	list := x.transport(first)
	list = append(list, x.describeFromOutside(ctx, to)...)
	list = append(list, x.forged(ctx, to)...)
	list = append(list, x.leaked(ctx, to)...)
	if len(list) == 0 {
		list = append(list, fine("%s lets nobody in by forged headers", x.URL))
	}
	return list
}

// transport looks at TLS.
func (x *examination) transport(a answer) []Finding {
	if a.tls == nil {
		u, err := url.Parse(x.URL)
		if err == nil && (u.Hostname() == "localhost" || strings.HasPrefix(u.Hostname(), "127.")) {
			return nil
		}
		return []Finding{{
			Level: Problem, Seen: x.URL + " has no TLS", Why: "passwords and tokens cross the network in the clear",
			Where: "the proxy's configuration", Fix: []string{"# listen with TLS, and redirect http:// to https://"},
		}}
	}
	list := ending("the certificate of "+x.URL, a.tls.PeerCertificates[0], x.Now())
	if maxAge(a.header.Get("Strict-Transport-Security")) <= 0 {
		list = append(list, Finding{
			Level: Warning, Seen: x.URL + " sends no Strict-Transport-Security", Why: "a browser that was told http:// once sends its first request, with what is in it, in the clear",
			Where: "the proxy's configuration", Fix: []string{`add_header Strict-Transport-Security "max-age=31536000" always;   # nginx`},
		})
	}
	return list
}

func maxAge(hsts string) int {
	for part := range strings.SplitSeq(hsts, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(name, "max-age") {
			n, err := strconv.Atoi(strings.Trim(value, `"`))
			if err == nil {
				return n
			}
		}
	}
	return 0
}

// describeFromOutside asks at /latchkey/verify with a description of another
// request. Only a listed proxy may describe one (S85): Latchkey refuses others
// with 400, and a proxy that keeps the path to itself says something else than
// Latchkey does.
func (x *examination) describeFromOutside(ctx context.Context, to *prober) []Finding {
	for _, fields := range descriptions("/latchkey-doctor") {
		a, err := to.get(ctx, verifyPath, fields...)
		if err != nil || a.header.Get("Latchkey-Request-Id") == "" && a.header.Get("Latchkeyuser") == "" {
			continue // it is not Latchkey that answers
		}
		if a.status != http.StatusBadRequest {
			return []Finding{{
				Level: Problem, Seen: fmt.Sprintf("%s%s judges requests that clients describe (%s; status %d)", x.URL, verifyPath, fields[0], a.status),
				Why:   "the proxy passes on what clients say of requests, and Latchkey believes the proxy: a client can ask about requests that nobody made, and get proofs of identity for them",
				Where: "the proxy's configuration", Fix: []string{"location ^~ /latchkey/verify { return 404; }   # nginx; for others see docs/proxies.md"},
			}}
		}
	}
	return nil
}

// descriptions are the two ways to describe a request to Latchkey.
func descriptions(path string) [][]string {
	return [][]string{
		{"X-Original-Method", http.MethodGet, "X-Original-URI", path},
		{"X-Forwarded-Method", http.MethodGet, "X-Forwarded-Uri", path},
	}
}

// forgery is a request that pretends something.
type forgery struct {
	what   string
	fields []string
}

// forgeries lists what clients may send that must not count.
func (x *examination) forgeries() []forgery {
	var list []forgery
	for _, name := range x.spellings() {
		list = append(list, forgery{"the identity header as " + name, []string{name, x.PulpUser}})
	}
	for _, name := range []string{"Remote-User", "X-Remote-User", "X-Forwarded-User"} {
		list = append(list, forgery{"the header " + name, []string{name, x.PulpUser}})
	}
	for _, fields := range descriptions(alivePath) {
		list = append(list, forgery{"a description of another request by " + fields[0], fields})
	}
	return append(list,
		forgery{"X-Original-URL", []string{"X-Original-URL", alivePath}},
		forgery{"X-Rewrite-URL", []string{"X-Rewrite-URL", alivePath}},
		forgery{"an address of its own choice", []string{"X-Forwarded-For", "127.0.0.1", "X-Real-IP", "127.0.0.1", "Forwarded", "for=127.0.0.1"}},
		forgery{"Connection: " + x.Config.Pulp.IdentityHeader, []string{"Connection", x.Config.Pulp.IdentityHeader, x.Config.Pulp.IdentityHeader, x.PulpUser}},
	)
}

// spellings lists ways to write the identity headers, which servers may take
// for the same (S86).
func (x *examination) spellings() []string {
	var list []string
	seen := map[string]bool{}
	names := []string{x.Config.Pulp.IdentityHeader}
	for _, r := range x.Config.Routes {
		names = append(names, r.IdentityHeader)
	}
	for _, n := range names {
		half := len(n) / 2
		for _, s := range []string{n, strings.ToLower(n), strings.ToUpper(n), n[:half] + "-" + n[half:], n[:half] + "_" + n[half:]} {
			if s != "" && !seen[s] {
				seen[s] = true
				list = append(list, s)
			}
		}
	}
	for _, s := range []string{"Latchkey-User", "Latchkey_user", "HTTP_LATCHKEYUSER"} {
		if !seen[s] {
			list = append(list, s)
		}
	}
	return list
}

// forged compares the answer to a plain request without a credential with those
// to forged ones.
func (x *examination) forged(ctx context.Context, to *prober) []Finding {
	path := x.guardedPath()
	plain, err := to.get(ctx, path)
	if err != nil {
		return []Finding{{Level: Warning, Seen: fmt.Sprintf("%s%s: %v", x.URL, path, err), Why: "it was not tried what forged headers do",
			Where: atCommand, Fix: []string{"latchkey doctor --url " + x.URL + " --path /a/path/that/needs/a/token"}}}
	}
	if !anonymous(plain.status) && (plain.status < 300 || plain.status >= 400) {
		return []Finding{{
			Level: Warning, Seen: fmt.Sprintf("%s%s answers %d to a request without a credential", x.URL, path, plain.status),
			Why:   "where nothing is refused, forged headers cannot be told from honest ones, so none were tried; if this path should need a token, it does not",
			Where: atCommand, Fix: []string{"latchkey doctor --url " + x.URL + " --path /a/path/that/needs/a/token"},
		}}
	}
	var through []string
	for _, f := range x.forgeries() {
		a, err := to.get(ctx, path, f.fields...)
		refused := err != nil || a.status == plain.status || anonymous(a.status) || a.status == http.StatusBadRequest || a.status == http.StatusTooManyRequests
		if !refused {
			through = append(through, fmt.Sprintf("%s (status %d)", f.what, a.status))
		}
	}
	if len(through) == 0 {
		return nil
	}
	return []Finding{{
		Level: Problem, Seen: fmt.Sprintf("%s%s, which answers %d to everybody else, lets clients through that send %s", x.URL, path, plain.status, strings.Join(through, ", ")),
		Why:   "a client can say who it is, or which request it makes, and is believed",
		Where: "the proxy's configuration", Fix: []string{"# take these headers off, or set them, in every request; `latchkey proxy` prints configurations that do"},
	}}
}

// leaked sends identity headers to where a request without a credential gets
// through to Pulp, its content, with the name by which a server that reads it
// gives itself away; see notText.
func (x *examination) leaked(ctx context.Context, to *prober) []Finding {
	if x.Config.Pulp.Content == "" {
		return nil
	}
	path := x.missingContent(ctx)
	plain, err := to.get(ctx, path)
	if err != nil || plain.status >= http.StatusInternalServerError {
		return nil // said by the check of the content server
	}
	var through []string
	for _, name := range append(x.spellings(), "Remote-User", "X-Remote-User", "X-Forwarded-User") {
		a, err := to.get(ctx, path, name, notText)
		if err == nil && a.status == http.StatusInternalServerError {
			through = append(through, name)
		}
	}
	if len(through) == 0 {
		return nil
	}
	return []Finding{{
		Level: Problem, Seen: fmt.Sprintf("%s passes on to Pulp, from anybody, the header %s, which Pulp believes", x.URL, strings.Join(through, ", ")),
		Why:   "every client can be any user of Pulp",
		Where: "the proxy's configuration", Fix: []string{"# pass everything on to Latchkey, and nothing to Pulp itself"},
	}}
}

// nowhere is a name that nothing has.
func (x *examination) nowhere() string {
	return "latchkey-doctor-" + strconv.FormatInt(x.Now().UnixNano()/int64(time.Millisecond), 10) + "/"
}

// guardedPath is a path that needs a credential.
func (x *examination) guardedPath() string {
	switch {
	case x.Path != "":
		return x.Path
	case x.Config.Pulp.API != "":
		return x.pulpPath("login/")
	}
	for _, r := range x.Config.Routes {
		if r.Auth == "required" {
			return strings.TrimSuffix(strings.ReplaceAll(r.Prefix, "*", "latchkey-doctor"), "/") + "/" + x.nowhere()
		}
	}
	return "/"
}
