package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// place is a service behind the gateway.
type place struct {
	what, key, at string
	path          string   // to tell it by
	bind          []string // how to keep it to this machine
}

// places lists the services behind the gateway whose caller it vouches for.
func (x *examination) places() []place {
	var list []place
	if p := x.Config.Pulp; p.API != "" {
		list = append(list,
			place{"Pulp's API server", "pulp.api", p.API, x.pulpPath("status/"), pulpBind("pulpcore-api", p.API)},
			place{"Pulp's content server", "pulp.content", p.Content, p.ContentPathPrefix, pulpBind("pulpcore-content", p.Content)})
	}
	for i, r := range x.Config.Routes {
		if r.Auth == "none" || slices.ContainsFunc(list, func(p place) bool { return p.at == r.Upstream }) {
			continue
		}
		port := portOf(r.Upstream)
		list = append(list, place{
			fmt.Sprintf("the service of routes[%d]", i), fmt.Sprintf("routes[%d].upstream", i), r.Upstream, "/",
			[]string{"# have the service listen on 127.0.0.1:" + port + " only; with compose:", fmt.Sprintf(`ports: ["127.0.0.1:%s:%s"]`, port, port)},
		})
	}
	return list
}

func pulpBind(program, at string) []string {
	port := portOf(at)
	return []string{
		program + " --bind 127.0.0.1:" + port,
		"# in a systemd unit: ExecStart=…/" + program + " --bind 127.0.0.1:" + port,
		fmt.Sprintf(`# with compose: ports: ["127.0.0.1:%s:%s"]`, port, port),
	}
}

func portOf(at string) string {
	u, err := url.Parse(at)
	switch {
	case err != nil:
		return "…"
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// around looks for ways to the services behind the gateway that do not lead
// through it: whoever finds one is any user there.
func around(ctx context.Context, x *examination) []Finding {
	var list []Finding
	for _, p := range x.places() {
		if socket, ok := strings.CutPrefix(p.at, "unix:"); ok {
			list = append(list, openSocket(p, socket))
			continue
		}
		list = append(list, x.aroundHost(ctx, p))
	}
	return list
}

const anyUser = "whoever can reach it past the gateway sends the identity header himself and is any user there, the administrator included"

func (x *examination) aroundHost(ctx context.Context, p place) Finding {
	u, err := url.Parse(p.at)
	if err != nil {
		return Finding{Level: Warning, Seen: p.key + " is no URL", Why: "nothing is known about it"}
	}
	resolving, cancel := context.WithTimeout(ctx, x.Timeout)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(resolving, "ip", u.Hostname())
	if err != nil {
		return Finding{Level: Warning, Seen: fmt.Sprintf("the name %s of %s is not known", u.Hostname(), p.key), Why: "the gateway answers 502",
			Where: inConfig, Fix: []string{"# " + p.key + ": an address, or a name that this machine knows"}}
	}
	mine := x.Addresses()
	for _, a := range addrs {
		a = a.Unmap()
		switch {
		case a.IsLoopback():
		case slices.Contains(mine, a):
			return Finding{Level: Problem, Seen: fmt.Sprintf("%s listens on %s, an address of the network", p.what, a), Why: anyUser, Where: "how it is started", Fix: p.bind}
		default:
			return Finding{
				Level: Warning, Seen: fmt.Sprintf("%s is on another machine (%s)", p.what, a), Why: anyUser + "; from here it cannot be seen who that is",
				Where: "the firewall of " + u.Hostname(), Fix: []string{fmt.Sprintf("# let only this machine connect to port %s", portOf(p.at))},
			}
		}
	}
	return x.aroundLocal(ctx, p, mine)
}

// aroundLocal tries this machine's other addresses.
func (x *examination) aroundLocal(ctx context.Context, p place, mine []netip.Addr) Finding {
	port := portOf(p.at)
	for _, a := range mine {
		at := net.JoinHostPort(a.String(), port)
		if !x.reachable(ctx, at) {
			continue
		}
		scheme, _, _ := strings.Cut(p.at, "://")
		f := Finding{Level: Problem, Seen: fmt.Sprintf("%s can be reached at %s, past the gateway", p.what, at), Why: anyUser, Where: "how it is started", Fix: p.bind}
		if !x.alike(ctx, p, scheme+"://"+at) {
			f.Level, f.Seen = Warning, fmt.Sprintf("something answers at %s, the port of %s, but not in the same way", at, p.what)
			f.Why = "if it is the same service, " + anyUser
		}
		return f
	}
	return fine("%s (%s) takes no connections on %d other addresses of this machine", p.what, p.at, len(mine))
}

// alike reports whether the same service seems to answer at two addresses.
func (x *examination) alike(ctx context.Context, p place, other string) bool {
	here, err := x.prober(p.at)
	if err != nil {
		return false
	}
	there, err := x.prober(other)
	if err != nil {
		return false
	}
	a, errHere := here.get(ctx, p.path)
	b, errThere := there.get(ctx, p.path)
	return errHere == nil && errThere == nil && a.status == b.status && a.header.Get("Server") == b.header.Get("Server") &&
		a.header.Get("Content-Type") == b.header.Get("Content-Type")
}

// openSocket looks at who can connect to a Unix socket: who can write to it,
// and enter every folder above it.
func openSocket(p place, path string) Finding {
	info, err := os.Stat(path)
	if err != nil {
		return Finding{Level: Problem, Seen: fmt.Sprintf("the socket %s of %s cannot be looked at: %v", path, p.what, reasonOf(err)), Why: "the gateway answers 502",
			Where: atCommand, Fix: []string{"# start the service that makes it"}}
	}
	open := info.Mode().Perm()&0o002 != 0
	for dir := filepath.Dir(path); open; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrPermission) || err == nil && info.Mode().Perm()&0o001 == 0 {
			open = false
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if !open {
		return fine("the socket %s of %s is not open to everybody on this machine", path, p.what)
	}
	return Finding{
		Level: Problem, Seen: fmt.Sprintf("everybody on this machine can connect to the socket %s of %s", path, p.what), Why: anyUser,
		Where: atCommand, Fix: []string{"chmod o= " + path + "   # and have the service make it so: gunicorn --umask 007"},
	}
}

// routes asks the services behind the other routes whether they are there.
func routes(ctx context.Context, x *examination) []Finding {
	var list []Finding
	var asked []string
	for i, r := range x.Config.Routes {
		if slices.Contains(asked, r.Upstream) {
			continue
		}
		asked = append(asked, r.Upstream)
		to, err := x.prober(r.Upstream)
		if err == nil {
			_, err = to.get(ctx, "/")
		}
		if err != nil {
			list = append(list, Finding{
				Level: Problem, Seen: fmt.Sprintf("the service of routes[%d] (%s) does not answer at %s: %v", i, r.Prefix, r.Upstream, err),
				Why: "the gateway answers 502 for it", Where: inConfig, Fix: []string{"upstream: http://127.0.0.1:9000   # where the service is; and see that it runs"},
			})
			continue
		}
		list = append(list, fine("the service of routes[%d] (%s) answers at %s", i, r.Prefix, r.Upstream))
	}
	return list
}
