package main

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/latchkey-auth/latchkey/client"
)

func TestAskHealth(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/good" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	socket := httptest.NewUnstartedServer(handler)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = socket.Listener.Close()
	socket.Listener = l
	socket.Start()
	defer socket.Close()
	_, port, err := net.SplitHostPort(plain.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		listen string
		secure bool
		path   string
		want   error
	}{
		{plain.Listener.Addr().String(), false, "/good", nil},
		{"0.0.0.0:" + port, false, "/good", nil},
		{":" + port, false, "/good", nil},
		{plain.Listener.Addr().String(), false, "/bad", client.ErrUnavailable},
		{secure.Listener.Addr().String(), true, "/good", nil},
		{secure.Listener.Addr().String(), true, "/bad", client.ErrUnavailable},
		{secure.Listener.Addr().String(), false, "/good", client.ErrUnavailable}, // 400: HTTP to an HTTPS server
		{"unix:" + path, false, "/good", nil},
		{"unix:" + path + ".gone", false, "/good", client.ErrUnreachable},
	} {
		if err := askHealth(t.Context(), tt.listen, tt.secure, tt.path); !errors.Is(err, tt.want) {
			t.Errorf("askHealth(%s, %v, %s) = %v, want %v", tt.listen, tt.secure, tt.path, err, tt.want)
		}
	}
}
