// Package proxyconfig writes configurations of other reverse proxies, with
// which they ask Latchkey about each request (forward-auth). It is text alone:
// it reads no configuration of Latchkey and starts nothing.
package proxyconfig

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// File names one of the files that can be written.
type File string

// Files. HAProxy and Traefik want two each.
const (
	Nginx         File = "nginx.conf"
	Caddy         File = "Caddyfile"
	HAProxy       File = "haproxy.cfg"
	HAProxyLua    File = "latchkey.lua"
	Traefik       File = "traefik-dynamic.yaml"
	TraefikStatic File = "traefik.yaml"
	Envoy         File = "envoy.yaml"      // which asks over gRPC
	EnvoyHTTP     File = "envoy-http.yaml" // which asks over HTTP
)

// Options say what stands where. Upstream is needed; see [Options.Complete] for
// the rest.
type Options struct {
	Upstream   string // the service that is protected: http://host:port
	Latchkey   string // http://host:port; default http://127.0.0.1:8080
	Listen     string // where the proxy listens: host:port or :port; default 127.0.0.1:8081
	ServerName string // the host that it answers for; "": every one

	Certificate, Key string // absolute paths of PEM files; "": plain HTTP

	// UserHeader is the header in which the service is told the account's name;
	// default Latchkeyuser, the only one that Traefik and Envoy can be told.
	UserHeader string

	Timeout time.Duration // for an answer of Latchkey, in whole seconds; default 10 s

	LuaFile     string // where HAProxy finds its script; default /etc/haproxy/latchkey.lua
	GRPC        string // where Latchkey listens for Envoy (envoy.listen): host:port; default 127.0.0.1:9191
	DynamicFile string // where Traefik finds its routes; default /etc/traefik/latchkey.yaml
}

// Headers that Latchkey's answer has and the service gets, beside UserHeader.
var passedOn = []string{"Latchkeytoken", "Latchkeyscope"}

// Headers that clients must not be able to send to the service: they name the
// method or the path of the request anew, past the rule that it was judged by,
// or say where it came from.
var (
	overriding = []string{
		"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL",
		"X-Original-Method", "X-Original-URI", "X-Forwarded-Method", "X-Forwarded-Uri",
	}
	claiming = []string{
		"Forwarded", "X-Real-IP", "X-Client-IP", "X-Client-Cert", "X-SSL-Client-Cert", "SSL-Client-Cert", "Client-Cert", "Client-Cert-Chain",
		"X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-User", "X-Forwarded-Scheme", "X-Forwarded-Ssl",
	}
)

//go:embed templates
var templates embed.FS

// values is what the templates see.
type values struct {
	Options
	LatchkeyAddr, UpstreamAddr string // host:port
	Host, Port                 string // of Listen
	Seconds                    int
	Remote                     bool // what comes to Listen crosses a network
	Overriding, Claiming       []string
	PassedOn                   []string

	// For Envoy, which has hosts and ports apart.
	OverHTTP                   bool
	BareHost                   string // of Listen, without brackets
	UpstreamHost, UpstreamPort string
	LatchkeyHost, LatchkeyPort string
	GRPCAddr                   string
	GRPCHost, GRPCPort         string
}

// Write writes a file. What is wrong with the options is said in words for the
// person who gave them, and nothing is written then.
func Write(w io.Writer, file File, o Options) error {
	v, err := o.complete(file)
	if err != nil {
		return err
	}
	name := string(file)
	if v.OverHTTP = file == EnvoyHTTP; v.OverHTTP {
		name = string(Envoy)
	}
	t, err := template.New("").Delims("<<", ">>").Funcs(template.FuncMap{"lower": strings.ToLower}).
		ParseFS(templates, "templates/"+name)
	if err != nil {
		return err
	}
	return t.ExecuteTemplate(w, name, v)
}

// complete fills in what was left out and checks everything, since none of it
// is quoted in what is written.
func (o Options) complete(file File) (values, error) {
	for field, fallback := range map[*string]string{
		&o.Latchkey: "http://127.0.0.1:8080", &o.Listen: "127.0.0.1:8081", &o.UserHeader: "Latchkeyuser",
		&o.LuaFile: "/etc/haproxy/latchkey.lua", &o.DynamicFile: "/etc/traefik/latchkey.yaml",
		&o.GRPC: "127.0.0.1:9191",
	} {
		if *field == "" {
			*field = fallback
		}
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	v := values{Options: o, Seconds: int(o.Timeout / time.Second), Overriding: overriding, Claiming: claiming, PassedOn: passedOn}
	var err error
	if v.UpstreamAddr, err = address("the upstream", o.Upstream); err != nil {
		return v, err
	}
	if v.LatchkeyAddr, err = address("Latchkey", o.Latchkey); err != nil {
		return v, err
	}
	v.Upstream, v.Latchkey = "http://"+v.UpstreamAddr, "http://"+v.LatchkeyAddr
	if v.Host, v.Port, err = listener(o.Listen); err != nil {
		return v, err
	}
	v.Remote = !isLoopback(v.Host)
	if v.GRPCHost, v.GRPCPort, err = listener(o.GRPC); err != nil || v.GRPCHost == "" {
		return v, fmt.Errorf("where Latchkey listens for Envoy: %q: want host:port", o.GRPC)
	}
	v.GRPCHost, v.BareHost, v.GRPCAddr = strings.Trim(v.GRPCHost, "[]"), strings.Trim(v.Host, "[]"), o.GRPC
	v.UpstreamHost, v.UpstreamPort, _ = net.SplitHostPort(v.UpstreamAddr) // as address has joined them
	v.LatchkeyHost, v.LatchkeyPort, _ = net.SplitHostPort(v.LatchkeyAddr)
	return v, v.check(file)
}

// Errors about options.
var (
	errUpstream = errors.New("want http://host:port")
	errListen   = errors.New("want host:port or :port to listen at")
)

func (v *values) check(file File) error {
	switch {
	case v.ServerName != "" && !isHost(v.ServerName):
		return fmt.Errorf("the server name %q is not a host name", v.ServerName)
	case !isHeader(v.UserHeader):
		return fmt.Errorf("the header %q: want a name of letters, digits and hyphens that means nothing else", v.UserHeader)
	case (file == Traefik || file == Envoy || file == EnvoyHTTP) && v.UserHeader != "Latchkeyuser":
		return errors.New("this proxy cannot rename the header of the user: leave it at Latchkeyuser")
	case v.Timeout < time.Second || v.Timeout > time.Minute || v.Timeout%time.Second != 0:
		return errors.New("want a time limit of 1s to 60s, in whole seconds")
	case (v.Certificate == "") != (v.Key == ""):
		return errors.New("a certificate and its key go together")
	}
	for _, path := range []string{v.Certificate, v.Key, v.LuaFile, v.DynamicFile} {
		if path != "" && !isPath(path) {
			return fmt.Errorf("the path %q: want an absolute one of letters, digits and ._-/", path)
		}
	}
	return nil
}

// address returns the host and port of a URL that has nothing else.
func address(what, text string) (string, error) {
	if text == "" {
		return "", fmt.Errorf("%s is missing: %w", what, errUpstream)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%s: %q: %w", what, text, errUpstream)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	if !isHost(u.Hostname()) || !isPort(port) {
		return "", fmt.Errorf("%s: %q: %w", what, text, errUpstream)
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// listener splits an address to listen at. An IPv6 address comes in brackets.
func listener(text string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(text)
	if err != nil || (host != "" && !isHost(host)) || !isPort(port) {
		return "", "", fmt.Errorf("%q: %w", text, errListen)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host, port, nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// isHost reports whether a text is an address or a name that can be in DNS.
func isHost(text string) bool {
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr.Zone() == ""
	}
	if text == "" || len(text) > 253 || text[0] == '-' || text[0] == '.' || strings.Contains(text, "..") {
		return false
	}
	return only(text, "-.")
}

// isHeader reports whether a header can be the one that names the user.
func isHeader(text string) bool {
	switch strings.ToLower(text) {
	case "", "authorization", "connection", "content-length", "content-type", "cookie", "host", "te", "trailer", "transfer-encoding", "upgrade":
		return false
	}
	for _, taken := range append(append(overriding[:len(overriding):len(overriding)], claiming...), passedOn...) {
		if strings.EqualFold(taken, text) {
			return false
		}
	}
	return only(text, "-")
}

func isPath(text string) bool { return filepath.IsAbs(text) && only(text, "._-/") }

// only reports whether a text has nothing but letters, digits and some others.
func only(text, others string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune(others, r)
	})
}
