package web

import (
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

// Recover answers a panic with fail, or, when an answer was begun already, cuts
// the connection, so that what was sent cannot be taken for all of it. A panic
// never becomes a success (S89).
//
// What the handler leaves of a body is waited for no longer than a body that is
// read, unless the handler set a limit of its own.
func Recover(log *slog.Logger, fail http.HandlerFunc, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noted := noting(w)
		defer noted.limitRest(r)
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // it is panicked with as it is
				panic(v)
			}
			log.Error("a handler panicked", "panic", v, "method", secret.Scrub(r.Method), "path", secret.Scrub(r.URL.Path),
				"request_id", RequestID(w), "stack", string(debug.Stack()))
			if noted.status != 0 {
				panic(http.ErrAbortHandler)
			}
			fail(w, r)
		}()
		next.ServeHTTP(noted, r)
	})
}
