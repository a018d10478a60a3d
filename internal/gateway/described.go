package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/scope"
)

// Question is what a proxy asks about one request that came to it.
type Question struct {
	// Peer is who asks: what it tells of the request counts only if it is one of
	// the [VerifierOptions].Peers (S85). An address that is not valid never is.
	Peer netip.Addr

	// Method and Target describe the request: the target is its path and query
	// as the client sent them (RFC 9112 section 3.2.1). Both are empty where the
	// proxy tells nothing of the request; Asked must say what is wanted then.
	Method, Target string

	Host string // that the request was for; only written down

	Header http.Header // of the request, with its credential
	Asked  scope.Set   // rules that must be covered besides

	assertion []string // what goes into the answer, once it is known to be a yes
}

// described reports whether the question is about a certain request.
func (q *Question) described() bool { return q.Method != "" || q.Target != "" }

// path returns the path of the request, as the client sent it.
func (q *Question) path() string {
	path, _, _ := strings.Cut(q.Target, "?")
	return path
}

// Codes of refusals that only forward-auth has.
const (
	codeUndescribed = "request_not_described"
	codeDescription = "invalid_description"
	codeUnlisted    = "proxy_not_trusted"
)

// Errors about descriptions. The texts are for whoever sets up the proxy.
var (
	errRepeated     = errors.New("is there more than once: the proxy must set it, and not add to what the client sent")
	errAlone        = errors.New("is there without")
	errContradicts  = errors.New("X-Original-Method and X-Original-URI say something else than X-Forwarded-Method and X-Forwarded-Uri: the proxy must remove the ones that it does not set")
	errMethodForm   = errors.New("the request's method, as the proxy describes it, is not a method")
	errTargetForm   = errors.New("the request's URI, as the proxy describes it, is not a path with an optional query")
	undescribedText = "the proxy does not say which request this is about: have it send X-Original-Method and X-Original-URI, " +
		"or X-Forwarded-Method and X-Forwarded-Uri, or ask for /latchkey/verify?scope=RULE; `latchkey proxy` prints configurations that do"
	unlistedText = "this request describes another one, but does not come from one of trusted_proxies: " +
		"if it is from your proxy, add the proxy's address to the setting trusted_proxies of Latchkey; if it is not, the proxy lets clients reach this path"
)

// descriptionOf reads how a proxy describes the request that it asks about: by
// X-Original-Method and X-Original-URI, as it is usual with nginx, or by
// X-Forwarded-Method and X-Forwarded-Uri, which Caddy and Traefik send. Without
// any of them it returns nothing. Half a description, a repeated or an empty
// field, and two descriptions that differ are errors: who reads the wrong one
// of them lets in the wrong request (S88).
func descriptionOf(h http.Header) (method, target string, err error) {
	method, target, err = describedBy(h, "X-Original-Method", "X-Original-Uri")
	if err != nil {
		return "", "", err
	}
	other, otherTarget, err := describedBy(h, "X-Forwarded-Method", "X-Forwarded-Uri")
	switch {
	case err != nil:
		return "", "", err
	case other == "":
		return method, target, nil
	case method == "":
		return other, otherTarget, nil
	case method != other || target != otherTarget:
		return "", "", errContradicts
	}
	return method, target, nil
}

// describedBy reads one of the pairs of fields.
func describedBy(h http.Header, methodField, targetField string) (method, target string, err error) {
	methods, targets := h[methodField], h[targetField]
	switch {
	case methods == nil && targets == nil:
		return "", "", nil
	case len(methods) > 1:
		return "", "", fmt.Errorf("%s %w", methodField, errRepeated)
	case len(targets) > 1:
		return "", "", fmt.Errorf("%s %w", targetField, errRepeated)
	case len(methods) == 0:
		return "", "", fmt.Errorf("%s %w %s", targetField, errAlone, methodField)
	case len(targets) == 0:
		return "", "", fmt.Errorf("%s %w %s", methodField, errAlone, targetField)
	case methods[0] == "":
		return "", "", errMethodForm
	case targets[0] == "":
		return "", "", errTargetForm
	}
	return methods[0], targets[0], nil
}

// believe reports why a description is not taken: because of who tells it, its
// form, or a target that servers read in different ways.
func (v *Verifier) believe(q *Question) *refusal {
	switch {
	case !v.peers.Trusts(q.Peer):
		v.warnUnlisted(q.Peer)
		return &refusal{status: http.StatusBadRequest, code: codeUnlisted, detail: unlistedText}
	case !isMethod(q.Method):
		return badDescription(errMethodForm)
	case !isOriginForm(q.Target):
		return badDescription(errTargetForm)
	case refusesMethod(q.Method):
		return methodRefused()
	}
	if err := checkPath(q.path()); err != nil {
		return targetRefused(err)
	}
	return nil
}

func badDescription(err error) *refusal {
	return &refusal{status: http.StatusBadRequest, code: codeDescription, detail: err.Error()}
}

// undescribed refuses a question about nothing.
func undescribed() *refusal {
	return &refusal{status: http.StatusBadRequest, code: codeUndescribed, detail: undescribedText}
}

// maxMethod bounds the name of a method, in bytes.
const maxMethod = 32

// isMethod reports whether a text can be a method: a token of RFC 9110 section
// 5.6.2.
func isMethod(s string) bool {
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= maxMethod
}

// isOriginForm reports whether a text can be the target of a request in origin
// form. Bytes outside ASCII are no part of one, but servers take them; blanks
// end it, or join two of them.
func isOriginForm(s string) bool {
	if s == "" || s[0] != '/' {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// question reads what a proxy asks by a request of its own. The context is the
// request's, without the client's address where the proxy does not say it: its
// own is not the client's (S84).
func (v *Verifier) question(r *http.Request) (context.Context, Question, *refusal) {
	ctx := r.Context()
	q := Question{Peer: peerOf(r), Header: r.Header}
	var err error
	if r.URL.RawQuery != "" {
		if q.Asked, err = v.asked.parse(r.URL.RawQuery); err != nil {
			return ctx, q, &refusal{status: http.StatusBadRequest, code: api.CodeInvalid, detail: err.Error()}
		}
	}
	if q.Method, q.Target, err = descriptionOf(r.Header); err != nil {
		return ctx, q, badDescription(err)
	}
	if q.described() {
		if hosts := r.Header["X-Forwarded-Host"]; len(hosts) == 1 {
			q.Host = hosts[0]
		}
		if len(r.Header["X-Forwarded-For"]) == 0 {
			from := audit.FromContext(ctx)
			from.Addr = netip.Addr{}
			ctx = audit.NewContext(ctx, from)
		}
	}
	return ctx, q, nil
}
