// Package web is the HTTP plumbing that everything served shares: who the peer
// is, ids of requests, bounded reading of bodies, writing of answers and
// errors, and what happens when a handler panics. It knows nothing of tokens.
package web

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
)

// Headers that name requests.
const (
	RequestIDHeader     = "Latchkey-Request-Id"
	CorrelationIDHeader = "Correlation-Id" // Pulp's; in the form that Go's maps of headers have
)

// Peers are the proxies whose X-Forwarded-For header is believed. The zero
// value believes nobody (S85).
type Peers []netip.Prefix

// Trusts reports whether the address belongs to a listed proxy.
func (p Peers) Trusts(addr netip.Addr) bool {
	for _, n := range p {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// ClientAddr returns the address that a request came from: the peer's, or,
// where the peer is a listed proxy, the rightmost address in X-Forwarded-For
// that is not one itself. Where a listed proxy passed on what cannot be read,
// nothing is known and the address is not valid, which is within no network
// (S84).
func (p Peers) ClientAddr(r *http.Request) netip.Addr {
	return p.clientAddr(parseAddr(r.RemoteAddr), r)
}

func (p Peers) clientAddr(addr netip.Addr, r *http.Request) netip.Addr {
	lines := r.Header["X-Forwarded-For"]
	if !p.Trusts(addr) || len(lines) == 0 || len(lines) == 1 && strings.TrimSpace(lines[0]) == "" {
		return addr
	}
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			hop, last := rest, strings.LastIndexByte(rest, ',')
			if more = last >= 0; more {
				rest, hop = rest[:last], rest[last+1:]
			}
			addr = parseAddr(strings.TrimSpace(hop))
			if !p.Trusts(addr) {
				return addr
			}
		}
	}
	return addr
}

// parseAddr reads an address with or without a port, without zone and with
// IPv4 in IPv6 unwrapped. What it cannot read is an address that is not valid.
func parseAddr(s string) netip.Addr {
	if end := len(s); end > 0 && s[end-1] >= '0' && s[end-1] <= '9' && strings.IndexByte(s, ':') >= 0 {
		if with, err := netip.ParseAddrPort(s); err == nil {
			return plain(with.Addr())
		}
	}
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return plain(addr)
}

func plain(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if addr.Zone() != "" {
		addr = addr.WithZone("")
	}
	return addr
}

// exchange is what is kept of a request while it is answered. It is one piece
// of memory, since one is made for each.
type exchange struct {
	noted statusWriter
	ctx   audit.Context
	ids   [2]string // the values of headers
}

// Identify is the outermost step: it gives the request an id, keeps or makes a
// correlation id, and puts both with the client's address where the audit log
// finds them. Both ids are in the answer's headers. A correlation id that was
// sent is replaced in the request's if it is not kept.
func Identify(peers Peers, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		id := newID(began)
		x := &exchange{noted: statusWriter{ResponseWriter: w, began: began}, ids: [2]string{id, id}}
		if given, sent := r.Header[CorrelationIDHeader]; sent {
			if len(given) > 0 && goodCorrelationID(given[0]) {
				x.ids[1] = given[0]
			}
			r.Header[CorrelationIDHeader] = x.ids[1:2:2]
		}
		h := w.Header()
		h[RequestIDHeader] = x.ids[0:1:1]
		h[CorrelationIDHeader] = x.ids[1:2:2]
		peer := parseAddr(r.RemoteAddr)
		x.ctx = audit.Context{Context: r.Context(), Request: audit.Request{
			Addr: peers.clientAddr(peer, r), Peer: peer, Agent: r.UserAgent(),
			RequestID: id, CorrelationID: x.ids[1], Method: r.Method, Path: writtenPath(r.URL),
		}}
		next.ServeHTTP(&x.noted, r.WithContext(&x.ctx))
	})
}

// writtenPath returns a path as the client wrote it, at no cost where that is
// how it is decoded.
func writtenPath(u *url.URL) string {
	if u.RawPath != "" {
		return u.RawPath
	}
	return u.Path
}

// newID returns 32 hexadecimal digits, the form that Pulp's correlation ids
// have: 48 bits of milliseconds, so that the ids of events lie side by side in
// a database's indexes, and 80 random ones. They are to be different, and no
// secret; the generator is the runtime's, ChaCha8 with a seed of the system's.
func newID(now time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16|rand.Uint64()>>48)
	binary.BigEndian.PutUint64(b[8:], rand.Uint64())
	var text [32]byte
	hex.Encode(text[:], b[:])
	return string(text[:])
}

// goodCorrelationID reports whether a client's id can go into logs and headers
// as it is.
func goodCorrelationID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("-_.:/+=@", r)
	})
}

// RequestID returns the id of the request that an answer belongs to.
func RequestID(w http.ResponseWriter) string { return w.Header().Get(RequestIDHeader) }
