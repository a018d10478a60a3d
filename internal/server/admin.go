package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"time"

	"github.com/latchkey-auth/latchkey/internal/metrics"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// AdminOptions say what those who operate a server can see of it. Metrics and
// Log are needed.
type AdminOptions struct {
	Metrics *metrics.Metrics
	Build   metrics.Build
	Pprof   bool // profiles, too (S112)
	Log     *slog.Logger
}

// ServeAdmin shows metrics on a listener of its own, to whoever can reach it,
// until ctx ends.
func ServeAdmin(ctx context.Context, l net.Listener, o AdminOptions) error {
	srv := &http.Server{
		Handler:           adminHandler(o),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	return ignoreClosed(srv.Serve(l))
}

func adminHandler(o AdminOptions) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", o.Metrics.Handler(o.Build))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusOK, "Latchkey shows its metrics at /metrics.\n")
	})
	if o.Pprof {
		for path, handler := range map[string]http.HandlerFunc{
			"/debug/pprof/": pprof.Index, "/debug/pprof/profile": pprof.Profile,
			"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
		} {
			mux.Handle("GET "+path, addressed(handler))
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		web.NoStore(w.Header())
		mux.ServeHTTP(w, r)
	})
}

// addressed refuses requests that name the server by anything but an address or
// "localhost": a page in somebody's browser can give a name of its own the
// address of this machine, and would be taken for a page of ours.
func addressed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if _, err := netip.ParseAddr(host); err != nil && host != "localhost" {
			http.Error(w, "name this server by its address", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
