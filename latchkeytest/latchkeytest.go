// Package latchkeytest starts a real Latchkey server for anybody's tests:
//
//	srv := latchkeytest.Start(t)
//	g, err := guard.New(guard.Options{Server: srv.URL, Token: srv.Service(t, "reports")})
//	…
//	alice := srv.Token(t, "alice", "path:/reports/*:read")
//	srv.Revoke(t, alice)
//
// It is the server that is shipped, on a database in a temporary file, behind
// a listener on loopback, and ends with the test. Only its password hashes are
// quicker, so it must never be more than a test's.
package latchkeytest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/server"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
)

// AdminName and AdminPassword are those of the administrator.
const (
	AdminName     = "admin"
	AdminPassword = "a password for tests alone"
)

// patience is how long a server may take to start, on a machine that has much
// else to do.
const patience = time.Minute

// longestAccess is how long signed access tokens may live.
const longestAccess = time.Hour

// Server is a Latchkey server that runs for the time of a test.
type Server struct {
	// URL is where it answers, such as http://127.0.0.1:34567.
	URL string

	// Admin may do everything.
	Admin *client.Client

	store   store.Store
	keys    *serverkey.Ring
	address string

	mu   sync.Mutex
	stop func() // nil: it does not run
}

// Start starts a server that ends with the test. The test fails when it cannot.
func Start(t testing.TB) *Server {
	t.Helper()
	db, err := sqlite.Open(context.Background(), sqlite.Options{Path: sqlite.Memory})
	if err != nil {
		t.Fatalf("latchkeytest: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("latchkeytest: closing the database: %v", err)
		}
	})
	key, err := serverkey.Generate()
	if err != nil {
		t.Fatalf("latchkeytest: %v", err)
	}
	keys, err := serverkey.NewRing(key)
	if err != nil {
		t.Fatalf("latchkeytest: %v", err)
	}
	s := &Server{store: db, keys: keys, address: "127.0.0.1:0"}
	s.Resume(t)
	s.URL = "http://" + s.address
	s.Admin, err = client.New(s.URL, client.Options{User: AdminName, Password: AdminPassword})
	if err != nil {
		t.Fatalf("latchkeytest: %v", err)
	}
	t.Cleanup(func() {
		s.Admin.CloseIdleConnections()
		s.Stop()
	})
	s.ready(t)
	return s
}

// Stop stops the server, as a restart or an outage does. [Server.Resume] starts
// it again, at the same address and with the same data.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
}

// Resume starts the server again after [Server.Stop].
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		t.Fatal("latchkeytest: the server runs already")
	}
	srv, err := server.New(server.Options{
		Store: s.store, Keys: s.keys, Log: slog.New(slog.DiscardHandler),
		Passwords:   password.Options{Memory: 64, Passes: 1},
		SigningKeys: keyring.Policy{Longest: longestAccess},
	})
	if err != nil {
		t.Fatalf("latchkeytest: %v", err)
	}
	if _, err := srv.Start(t.Context(), secret.New(AdminPassword)); err != nil {
		t.Fatalf("latchkeytest: %v", err)
	}
	l := s.listen(t)
	s.address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(ctx, l, server.HTTPOptions{Drain: time.Second}) // cut off is cut off
	}()
	s.stop = func() {
		cancel()
		<-ended
		srv.Close()
	}
}

// listen opens the server's address, which may be in use for a moment when it
// was just left.
func (s *Server) listen(t testing.TB) net.Listener {
	t.Helper()
	var l net.Listener
	var err error
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if l, err = net.Listen("tcp", s.address); err == nil {
			return l
		}
		if time.Now().After(deadline) {
			t.Fatalf("latchkeytest: %v", err)
		}
	}
}

// ready waits until the server answers as it should.
func (s *Server) ready(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		err := s.Admin.Ready(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) || errors.Is(err, context.Canceled) {
			t.Fatalf("latchkeytest: the server does not get ready: %v", err)
		}
	}
}
