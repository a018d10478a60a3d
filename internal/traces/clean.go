package traces

import (
	"net/http"
	"net/url"
	"strings"
)

// method returns a method that everybody knows, or "_OTHER", as OpenTelemetry's
// conventions for HTTP have it: clients can send any word there.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodTrace, http.MethodConnect:
		return m
	}
	return "_OTHER"
}

// left stands for a segment of a path that was left out.
const left = "hidden"

// cleanPath returns a path that was unescaped, escaped and cut to a length,
// without the segments that may be a secret: somebody may have put a token where
// none belongs (S69).
func cleanPath(path string) string {
	if len(path) > 4*maxValue {
		path = path[:4*maxValue]
		path = path[:strings.LastIndexByte(path, '/')+1] // half of a token is not seen to be one
	}
	clean := url.URL{Path: hideSecretive(path)}
	path = hideSecretive(clean.EscapedPath()) // escapes have digits too; ASCII, so it can be cut anywhere
	return path[:min(len(path), maxValue)]
}

// hideSecretive replaces the segments of a path that may be a secret.
func hideSecretive(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if secretive(s) {
			segments[i] = left
		}
	}
	return strings.Join(segments, "/")
}

// secretive reports whether a segment looks like a token of any kind that is in
// use: a JSON Web Token, or a word of letters and digits that is longer than
// anybody would read, as our own are and Django's. Digests of content are among
// them, which is no loss.
func secretive(segment string) bool {
	if strings.HasPrefix(segment, "eyJ") {
		return true
	}
	run := 0
	for i := range len(segment) {
		c := segment[i]
		if (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') {
			if run++; run >= 32 {
				return true
			}
			continue
		}
		run = 0
	}
	return false
}
