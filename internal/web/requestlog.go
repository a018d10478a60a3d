package web

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/secret"
)

// LogRequests logs each request and what became of it, at the level debug. The
// query is left out, and tokens in the path are hidden.
func LogRequests(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !log.Enabled(r.Context(), slog.LevelDebug) {
			next.ServeHTTP(w, r)
			return
		}
		began := Began(w)
		noted := &statusWriter{ResponseWriter: w, began: began}
		defer func() {
			from := audit.FromContext(r.Context())
			log.Debug("request", "method", secret.Scrub(r.Method), "path", secret.Scrub(r.URL.EscapedPath()), "status", noted.status,
				"took", time.Since(began), "addr", from.Addr, "request_id", from.RequestID)
		}()
		next.ServeHTTP(noted, r)
		noted.note(http.StatusOK) // what the server says for a handler that said nothing; a panic leaves 0
	})
}
