package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// jwksPath is where verifiers get the public keys.
const jwksPath = ownPrefix + ".well-known/jwks.json"

// jwks answers with the public keys, to be kept by caches for less than new
// ones are published before they are used (S49).
func (s *Server) jwks(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		web.WriteProblem(w, s.log, web.ErrMethod)
		return
	}
	body, etag, err := s.keyring.JWKS(r.Context())
	if err != nil {
		web.WriteProblem(w, s.log, fault.FromStore(err))
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(s.keyring.MaxAge()/time.Second)))
	h.Set("Etag", etag)
	h.Set("X-Content-Type-Options", "nosniff")
	if matches(r.Header.Values("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // the client may be gone
}

// matches reports whether a cache has what an entity tag names (RFC 9110
// section 13.1.2). Proxies that compress on the way mark tags as weak.
func matches(lines []string, etag string) bool {
	for _, line := range lines {
		for tag := range strings.SplitSeq(line, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}
