package web

import (
	"log/slog"
	"net/http"
	"runtime/debug"
)

// Recover answers a panic with fail, or, when an answer was begun already, cuts
// the connection, so that what was sent cannot be taken for all of it. A panic
// never becomes a success (S89).
func Recover(log *slog.Logger, fail http.HandlerFunc, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watched := &watchedWriter{ResponseWriter: w}
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // it is panicked with as it is
				panic(v)
			}
			log.Error("a handler panicked", "panic", v, "method", r.Method, "path", r.URL.Path,
				"request_id", RequestID(w), "stack", string(debug.Stack()))
			if watched.begun {
				panic(http.ErrAbortHandler)
			}
			fail(w, r)
		}()
		next.ServeHTTP(watched, r)
	})
}

// watchedWriter remembers whether an answer was begun.
type watchedWriter struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader begins the answer.
func (w *watchedWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.begun = true
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write begins the answer, if nothing did before.
func (w *watchedWriter) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
