package gateway

import "net/http"

// writer is the way back to the client. [httputil.ReverseProxy] empties the
// header after each informational answer (1xx) of the upstream; the writer puts
// back what was there before the request went on.
type writer struct {
	http.ResponseWriter
	x        *exchange
	informed bool
}

// WriteHeader sends a status. An upstream's 100 is not passed on: it sets the
// transport reading the client's body, at which net/http sends the client one.
func (w *writer) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		if w.informed {
			w.x.mark(w.Header())
		}
	} else {
		w.informed = true
		if status == http.StatusContinue {
			return
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
