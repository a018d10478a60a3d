package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// HTTPOptions bound what clients may do with connections. Zero values are
// replaced by the defaults named.
type HTTPOptions struct {
	ReadHeaderTimeout time.Duration // default 10 s
	IdleTimeout       time.Duration // default 2 min
	MaxHeaderBytes    int           // default 64 KiB
	Drain             time.Duration // how long requests may go on after ctx ended

	TLS *tls.Config // nil: plain HTTP
}

// Listen opens a listener on host:port, or on a Unix socket for unix:/path. A
// socket that a killed server left behind is replaced.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	path, isSocket := strings.CutPrefix(address, "unix:")
	if !isSocket {
		return lc.Listen(ctx, "tcp", address)
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("listen on %s: another server listens there", path)
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("listen on %s: %w", path, err)
		}
	}
	return lc.Listen(ctx, "unix", path)
}

// Serve answers requests on the listener and does what goes on beside them,
// until ctx ends. Then it takes no new requests, lets those under way finish
// within the drain time, and writes what waits in memory.
func (s *Server) Serve(ctx context.Context, l net.Listener, o HTTPOptions) error {
	beside, stopBeside := context.WithCancel(context.WithoutCancel(ctx))
	besideDone := make(chan struct{})
	go func() {
		defer close(besideDone)
		s.Run(beside)
	}()
	defer func() {
		stopBeside()
		<-besideDone
	}()

	srv := &http.Server{
		Handler:           s,
		ConnState:         s.countConnection,
		ReadHeaderTimeout: orDefault(o.ReadHeaderTimeout, 10*time.Second),
		IdleTimeout:       orDefault(o.IdleTimeout, 2*time.Minute),
		MaxHeaderBytes:    orDefault(o.MaxHeaderBytes, 64<<10),
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- serve(srv, l, o.TLS) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.stopOnce.Do(func() { close(s.stopping) })
	s.log.Info("stopping", "drain", o.Drain)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Drain)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		s.log.Warn("requests were cut off", "err", err)
		return errors.Join(srv.Close(), ignoreClosed(<-failed))
	}
	return ignoreClosed(<-failed)
}

// serve answers on the listener, with HTTP/1.1 and, in TLS, HTTP/2.
func serve(srv *http.Server, l net.Listener, conf *tls.Config) error {
	if conf == nil {
		return srv.Serve(l)
	}
	srv.TLSConfig = conf
	return srv.ServeTLS(l, "", "")
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}
