package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// prober asks one HTTP server. It follows no redirect, keeps no cookie, goes by
// no proxy of the environment and sends nothing but what it is told to.
type prober struct {
	base   string
	client *http.Client
	now    func() time.Time
}

// prober makes one for http://host:port, https://host or unix:/path.
func (x *examination) prober(base string) (*prober, error) {
	return x.proberWith(base, &tls.Config{RootCAs: x.Roots, MinVersion: tls.VersionTLS12})
}

func (x *examination) proberWith(base string, conf *tls.Config) (*prober, error) {
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true, TLSClientConfig: conf}
	if socket, ok := strings.CutPrefix(base, "unix:"); ok {
		base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}
	}
	if u, err := url.Parse(base); err != nil || u.Host == "" {
		return nil, errors.New("the address is not a URL")
	}
	return &prober{base: strings.TrimSuffix(base, "/"), now: x.Now, client: &http.Client{
		Transport: transport, Timeout: x.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// answer is what came back.
type answer struct {
	status        int
	header        http.Header
	body          []byte
	date          time.Time // in the answer; zero if there is none
	before, after time.Time // of our clock
	tls           *tls.ConnectionState
}

// get asks for a path, with header fields given as names and values in turn.
// Names go out as they are written.
func (p *prober) get(ctx context.Context, path string, fields ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+path, nil)
	if err != nil {
		return answer{}, errors.New("the path cannot be asked for")
	}
	for i := 0; i+1 < len(fields); i += 2 {
		req.Header[fields[i]] = append(req.Header[fields[i]], fields[i+1])
	}
	req.Header.Set("User-Agent", "latchkey-doctor")
	a := answer{before: p.now()}
	resp, err := p.client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return answer{}, fmt.Errorf("no answer: %w", err)
	}
	defer resp.Body.Close()
	a.after = p.now()
	a.status, a.header, a.tls = resp.StatusCode, resp.Header, resp.TLS
	a.date, _ = http.ParseTime(resp.Header.Get("Date"))
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return answer{}, fmt.Errorf("the answer broke off: %w", err)
	}
	return a, nil
}

// reachable reports whether something takes connections at an address.
func (x *examination) reachable(ctx context.Context, address string) bool {
	d := net.Dialer{Timeout: min(x.Timeout, 2*time.Second)}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// interfaceAddresses lists the addresses by which others may reach this
// machine.
func interfaceAddresses() []netip.Addr {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []netip.Addr
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		// Who reaches a server by a link-local address reaches it by others, too.
		if addr, ok := netip.AddrFromSlice(n.IP); ok && !addr.IsLoopback() && !addr.Unmap().IsLinkLocalUnicast() {
			list = append(list, addr.Unmap())
		}
	}
	return list
}
