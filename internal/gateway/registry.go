package gateway

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/scope"
)

// everything is what only a token that is not limited at all may do.
var everything = scope.Request{Type: "*", Name: "*", Action: "*"}

// registryCovered reports whether a token's own scope reaches as far as the
// registry token that a target's query asks for, or else what is missing. An
// upstream that gives out registry tokens knows only the user, and would hand
// out all that the user may do (S78).
//
// Pulp's /token/ reads "scope" parameters of type, name and actions with two
// colons, and gives "pull" with every "push"
// (pulp_container/app/token_verification.py, authorization.py).
func registryCovered(own scope.Set, target string) (missing string, ok bool) {
	if own.Allows(everything) {
		return "", true
	}
	_, query, _ := strings.Cut(target, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return everything.String(), false
	}
	for _, value := range values["scope"] {
		for _, asked := range strings.Fields(value) {
			parts := strings.Split(asked, ":")
			if len(parts) != 3 {
				return asked, false
			}
			for _, action := range withPull(parts[2]) {
				q := scope.Request{Type: parts[0], Name: parts[1], Action: action}
				if !own.Allows(q) {
					return q.String(), false
				}
			}
		}
	}
	return "", true
}

// withPull splits a list of actions and adds the one that push brings along.
func withPull(list string) []string {
	actions := strings.Split(list, ",")
	for _, a := range actions {
		if a == "push" {
			return append(actions, "pull")
		}
	}
	return actions
}

// registryBody returns a refusal in the form that clients of registries show to
// people (distribution, registry/api/errcode), who read nothing but
// application/json, beside what any other client reads.
func (r *refusal) registryBody(requestID string) []byte {
	type problem struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body, _ := json.Marshal(struct { // strings and numbers can always be encoded
		api.Problem
		Errors []problem `json:"errors"`
	}{
		api.Problem{
			Type: "about:blank", Title: http.StatusText(r.status), Status: r.status, Code: r.problemCode(),
			Detail: r.detail, Scope: r.missing, RequestID: requestID,
		},
		[]problem{{registryCode(r.status), r.detail}},
	})
	return body
}

// registryCode words a status as registries do.
func registryCode(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "UNAUTHORIZED"
	case http.StatusForbidden:
		return "DENIED"
	case http.StatusTooManyRequests:
		return "TOOMANYREQUESTS"
	case http.StatusServiceUnavailable:
		return "UNAVAILABLE"
	}
	if status < http.StatusInternalServerError {
		return "UNSUPPORTED"
	}
	return "UNKNOWN"
}
