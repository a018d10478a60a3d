package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/dialect/drf"
	"github.com/latchkey-auth/latchkey/internal/metrics"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
)

func ask(h http.Handler, method, host, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://"+host+path, nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// S112: profiles are there only when they are switched on, and not for a page
// in a browser that has given its name our address.
func TestAdminHandler(t *testing.T) {
	options := AdminOptions{Metrics: metrics.New(), Build: metrics.Build{Version: "v9"}, Log: slog.New(slog.DiscardHandler)}
	without := adminHandler(options)
	options.Pprof = true
	with := adminHandler(options)
	for _, tt := range []struct {
		handler            http.Handler
		method, host, path string
		status             int
		body               string // what is in it
	}{
		{without, "GET", "127.0.0.1:9464", "/metrics", 200, `latchkey_build_info{commit="",go="",version="v9"} 1`},
		{without, "GET", "metrics.example.org", "/metrics", 200, "latchkey_requests_total"},
		{without, "GET", "127.0.0.1:9464", "/", 200, "/metrics"},
		{without, "POST", "127.0.0.1:9464", "/metrics", 405, ""},
		{without, "GET", "127.0.0.1:9464", "/debug/pprof/", 404, ""},
		{without, "GET", "127.0.0.1:9464", "/latchkey/verify", 404, ""},
		{with, "GET", "127.0.0.1:9464", "/debug/pprof/", 200, "goroutine"},
		{with, "GET", "[::1]:9464", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
		{with, "GET", "localhost", "/debug/pprof/heap?debug=1", 200, "heap profile"},
		{with, "GET", "evil.example.org", "/debug/pprof/", 403, ""},
		{with, "GET", "127.0.0.1.evil.example.org:9464", "/debug/pprof/heap", 403, ""},
		{with, "GET", "127.0.0.1:9464", "/debug/pprof/cmdline", 404, ""}, // flags may have a password in them
		{with, "TRACE", "127.0.0.1:9464", "/metrics", 405, ""},
	} {
		w := ask(tt.handler, tt.method, tt.host, tt.path)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.body) {
			t.Errorf("%s %s%s = %d %.200q, want %d and %q", tt.method, tt.host, tt.path, w.Code, w.Body, tt.status, tt.body)
		}
	}
}

// S112, S116: what operators see is not to be had where users come in.
func TestDoorsHaveNoAdmin(t *testing.T) {
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: sqlite.Memory})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := New(Options{Store: db, Keys: coretest.NewKeys(t), Log: slog.New(slog.DiscardHandler), DRF: &drf.Options{}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, path := range []string{
		"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/latchkey/metrics", "/latchkey/debug/pprof/", "/latchkey/api/v1/metrics",
	} {
		if w := ask(s, "GET", "127.0.0.1", path); w.Code != http.StatusNotFound && w.Code != http.StatusUnauthorized {
			t.Errorf("GET %s = %d %.100q, want nothing there", path, w.Code, w.Body)
		}
	}
	for _, method := range []string{"GET", "POST", "OPTIONS", "TRACE", "PUT"} {
		for _, path := range []string{verifyPath, alivePath, readyPath, drf.DefaultPath, "/latchkey/api/v1/whoami", "/latchkey/api/v1/nothing", "/", "/latchkey/"} {
			w := ask(s, method, "127.0.0.1", path)
			text := strings.ToLower(w.Body.String() + strings.Join(w.Header().Values("Server"), " ") + strings.Join(w.Header().Values("X-Powered-By"), " "))
			for _, told := range []string{"go1.", "devel", "goroutine", ".go:", "sqlite", "select ", w.Header().Get("Server")} {
				if told != "" && strings.Contains(text, told) {
					t.Errorf("%s %s tells %q: %s", method, path, told, text)
				}
			}
			if method == "TRACE" && w.Code < 400 && path != verifyPath {
				t.Errorf("TRACE %s = %d, want a refusal", path, w.Code)
			}
		}
	}
}
