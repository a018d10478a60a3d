// Package extauthz speaks Envoy's external authorization, over HTTP and over
// gRPC: it turns what Envoy's filter asks into a question to forward-auth, and
// the answer into what the filter reads. It decides nothing itself.
//
// Of gRPC it has just what the one unary method of
// envoy/service/auth/v3/external_auth.proto needs, and of the messages the
// fields that matter here; the official library and messages, which the tests
// use, would make the program a third larger.
package extauthz

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// Answerer answers questions about requests; [gateway.Verifier] is one. It sets
// the fields of the answer and returns its status, which is 200 only for a
// yes, and the text of a refusal.
type Answerer interface {
	Answer(ctx context.Context, q gateway.Question, h http.Header) (status int, text string)
}

// Prefix is the path under which [HTTP] is asked: Envoy's path_prefix, behind
// which it puts the path and the query of the request that it asks about.
const Prefix = "/latchkey/envoy"

// HTTP answers Envoy's filter where it is set to http_service: the method is
// the request's own, and so is the path behind [Prefix].
func HTTP(answers Answerer, peers web.Peers) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := gateway.Question{Peer: peerOf(r), Method: r.Method, Host: r.Host, Header: r.Header}
		target, ok := strings.CutPrefix(r.RequestURI, Prefix)
		if q.Target = target; !ok || target == "" {
			q.Target = notPath
		}
		ctx := r.Context()
		if from := audit.FromContext(ctx); !knowsClient(r.Header, peers, from.Addr) {
			from.Addr = netip.Addr{}
			ctx = audit.NewContext(ctx, from)
		}
		audit.Ask(ctx, q.Method, pathOf(q.Target))
		h := w.Header()
		status, text := answers.Answer(ctx, q, h)
		if status != http.StatusOK {
			h.Set("Content-Type", "text/plain; charset=utf-8")
			h.Set("X-Content-Type-Options", "nosniff")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text) // Envoy may be gone
	})
}

// notPath is a target that every reading refuses.
const notPath = "-"

// knowsClient reports whether an address, read from X-Forwarded-For, is the
// client's. Older Envoys add their own to that field when they ask, and all of
// them pass on what was in it, the client's, only if they are told to: one of a
// proxy's that stands there alone is nobody's (S84).
func knowsClient(h http.Header, peers web.Peers, addr netip.Addr) bool {
	field := strings.Join(h["X-Forwarded-For"], ",")
	return field != "" && (!peers.Trusts(addr) || strings.Contains(field, ","))
}

func pathOf(target string) string {
	path, _, _ := strings.Cut(target, "?")
	return path
}

// peerOf returns the address that a request came from, which is not valid where
// it came through a socket.
func peerOf(r *http.Request) netip.Addr {
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return from.Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
