package web

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
)

// LogRequests logs each request and what became of it, at the level debug. The
// query is left out: it may hold a secret.
func LogRequests(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !log.Enabled(r.Context(), slog.LevelDebug) {
			next.ServeHTTP(w, r)
			return
		}
		began := time.Now()
		noted := &statusWriter{ResponseWriter: w}
		defer func() {
			from := audit.FromContext(r.Context())
			log.Debug("request", "method", r.Method, "path", r.URL.EscapedPath(), "status", noted.status,
				"took", time.Since(began), "addr", from.Addr, "request_id", from.RequestID)
		}()
		next.ServeHTTP(noted, r)
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Write notes the status that goes without saying.
func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
