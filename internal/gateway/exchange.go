package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// exchange is one request on its way.
type exchange struct {
	g  *Gateway
	in *http.Request

	target, path string // as the client wrote them
	route        *route
	peer         netip.Addr
	trusted      bool // the peer is a proxy that is believed

	identity        *identity.Identity // nil: nobody is named to the upstream
	name            string             // by which the upstream is told of the identity
	assertion       []string           // the value of its header; nil: there is none
	bare            bool               // the route looks for a credential and there is none
	offered         bool               // there is a password that the upstream judges
	dropsCredential bool               // Authorization ends here

	// Headers of the answer that were set before; a 1xx answer loses them.
	requestID, correlationID []string

	sent  bool // the proxy found nothing wrong with the request
	body  *requestBody
	watch *watch

	passed func(status int) // tells the observer what came of it; nil: done, or nobody is told

	// For the audit log.
	status  int
	outcome string
	reason  string
	missing string
	always  bool // whatever the route's mode
	nobody  bool // refused without a credential that the core has judged
}

// mark sets the headers that every answer has, whoever it is by.
func (x *exchange) mark(h http.Header) {
	if closesAfter(x.in) {
		h["Connection"] = []string{"close"}
	}
	if x.identity != nil && x.identity.Stale {
		h["Latchkey-Stale"] = []string{"true"}
	}
	if x.requestID != nil {
		h[web.RequestIDHeader] = x.requestID
	}
	if x.correlationID != nil {
		h[web.CorrelationIDHeader] = x.correlationID
	}
}

// forward sends the request on and the answer back.
func (x *exchange) forward(w http.ResponseWriter) {
	x.peer = peerOf(x.in)
	x.trusted = x.peer.IsValid() && x.g.peers.Trusts(x.peer)
	x.mark(w.Header())
	x.outcome, x.reason = audit.Failed, "interrupted" // if the answer ends in a panic
	ctx, cancel := context.WithCancelCause(x.in.Context())
	defer cancel(nil)
	x.watch = &watch{limit: x.route.upstream.patience, cancel: cancel, client: http.NewResponseController(w)}
	defer x.watch.rest()
	defer x.answered(0)
	proxy := httputil.ReverseProxy{
		Rewrite: x.rewrite, ModifyResponse: x.receive, ErrorHandler: x.fail,
		Transport: x.route.upstream.transport, BufferPool: x.g.buffers,
		FlushInterval: -1, ErrorLog: x.g.proxyLog,
	}
	proxy.ServeHTTP(&writer{ResponseWriter: w, x: x}, x.in.WithContext(ctx))
	if x.reason == "interrupted" {
		x.outcome, x.reason = outcomeOf(x.status), ""
	}
}

// rewrite makes the request that the upstream gets.
func (x *exchange) rewrite(pr *httputil.ProxyRequest) {
	x.sent = true
	out := pr.Out
	// Opaque goes out as it is, where a parsed path and query would be written
	// anew.
	out.URL = &url.URL{Scheme: x.route.upstream.scheme, Host: x.route.upstream.host, Opaque: x.target}
	x.cleanHeader(out.Header)
	x.forwarded(out.Header)
	if x.dropsCredential {
		delete(out.Header, "Authorization")
	}
	if id := x.identity; id != nil {
		out.Header[x.route.UserHeader] = []string{x.name}
		if x.route.TokenHeader != "" && id.TokenID != "" {
			out.Header[x.route.TokenHeader] = []string{id.TokenID}
		}
		if x.route.ScopeHeader != "" && len(id.EffectiveText) <= maxScopeHeader {
			out.Header[x.route.ScopeHeader] = []string{id.EffectiveText}
		}
		if x.assertion != nil {
			out.Header[x.route.Assertion.Header] = x.assertion
		}
	}
	if out.Body != nil {
		x.body = newRequestBody(out.Body, x.watch, x.in.Trailer, x.passedTrailer)
		out.Body, out.Trailer = x.body, x.body.passed
	}
	x.passes(out.Header)
}

// passedTrailer reports whether a trailer field is passed on: what would mean
// something as a header field is not, since some servers merge the two (RFC
// 9110 section 6.5.1; S86).
func (x *exchange) passedTrailer(name string) bool {
	switch name {
	case "Authorization", "Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type",
		"Cookie", "Correlation-Id", "Expect", "Host", "Keep-Alive", "Max-Forwards", "Proxy-Authorization", "Proxy-Connection",
		"Range", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return false
	}
	return !x.dropped(name) && !proxyClaim(foldName(name))
}

// receive looks at the upstream's answer before it is sent on.
func (x *exchange) receive(res *http.Response) error {
	x.answered(res.StatusCode)
	delete(res.Header, web.RequestIDHeader)
	delete(res.Header, "Latchkey-Stale")
	if x.correlationID != nil {
		delete(res.Header, web.CorrelationIDHeader) // ours is the same, or the right one
	}
	if x.route.DropCookies {
		delete(res.Header, "Set-Cookie")
	}
	if res.StatusCode == http.StatusForbidden && x.route.Challenge401 && x.bare {
		x.challenge(res)
	}
	x.status = res.StatusCode
	x.watch.rest()
	if res.StatusCode != http.StatusSwitchingProtocols {
		res.Body = &responseBody{ReadCloser: res.Body, watch: x.watch}
	}
	return nil
}

// challenge makes an upstream's refusal of an anonymous request one that asks
// for a credential, in the words of the gateway's own.
func (x *exchange) challenge(res *http.Response) {
	const body = `{"detail":"` + noCredential + `"}`
	_ = res.Body.Close() // what it says is about a 403
	res.StatusCode = http.StatusUnauthorized
	for _, name := range []string{"Content-Encoding", "Content-Range", "Etag", "Last-Modified", "Transfer-Encoding"} {
		delete(res.Header, name)
	}
	res.Header["Www-Authenticate"] = x.g.challenge.plainLines
	res.Header["Content-Type"] = []string{"application/json"}
	res.Header["Content-Length"] = []string{strconv.Itoa(len(body))}
	res.ContentLength = int64(len(body))
	res.Body = io.NopCloser(strings.NewReader(body))
}

// fail answers when there is nothing to send on.
func (x *exchange) fail(w http.ResponseWriter, _ *http.Request, err error) {
	x.answered(0)
	r := x.failure(err)
	x.status, x.outcome = r.status, audit.Failed
	if r.code == codeUpstream || r.code == codeUpstreamTimeout {
		x.g.log.Warn("an upstream failed", "route", x.route.Name, "upstream", x.route.upstream.label,
			"request_id", web.RequestID(w), "err", err)
	}
	x.reason = r.code
	x.g.answer(w, r)
}

// failure tells whose fault it was.
func (x *exchange) failure(err error) *refusal {
	var timeout net.Error
	late, stalled := x.watch.fault()
	switch {
	case !x.sent:
		return &refusal{status: http.StatusBadRequest, code: api.CodeInvalid, detail: "the request cannot be passed on"}
	case late:
		return &refusal{status: http.StatusRequestTimeout, code: codeRequestTimeout, detail: "the body of the request did not come in time"}
	case stalled:
		return timedOut()
	case x.body != nil && x.body.broken():
		// The rest of the connection cannot be made sense of; net/http closes it.
		return &refusal{status: http.StatusBadRequest, code: "broken_body", detail: "the body of the request could not be read"}
	case x.in.Context().Err() != nil && !errors.Is(context.Cause(x.in.Context()), context.DeadlineExceeded):
		return &refusal{status: http.StatusBadGateway, code: "client_gone", detail: "the request was given up"}
	case errors.As(err, &timeout) && timeout.Timeout():
		return timedOut()
	}
	return &refusal{status: http.StatusBadGateway, code: codeUpstream, detail: "the service behind this gateway cannot be reached or does not answer properly"}
}

func timedOut() *refusal {
	return &refusal{status: http.StatusGatewayTimeout, code: codeUpstreamTimeout, detail: "the service behind this gateway does not answer in time"}
}
