package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// ServeEnvoy answers Envoy's external authorization over gRPC, which is HTTP/2
// without TLS here, until ctx ends. Requests under way may go on for the drain
// time.
func (s *Server) ServeEnvoy(ctx context.Context, l net.Listener, o HTTPOptions) error {
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serving.Load().envoy.ServeHTTP(w, r) }),
		Protocols:         protocols,
		ReadHeaderTimeout: orDefault(o.ReadHeaderTimeout, 10*time.Second),
		ReadTimeout:       time.Minute,
		MaxHeaderBytes:    orDefault(o.MaxHeaderBytes, 64<<10),
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Drain)
	defer cancel()
	if srv.Shutdown(drain) != nil {
		_ = srv.Close() // Envoy keeps its connections; what it asks then is refused
	}
	return ignoreClosed(<-failed)
}
