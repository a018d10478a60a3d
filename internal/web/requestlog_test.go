package web

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// requestLine serves one request and returns the log's line about it.
func requestLine(t *testing.T, h http.HandlerFunc) map[string]any {
	t.Helper()
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := httptest.NewRequest(http.MethodPost, "/a%20b/c?token=planted#planted", nil)
	r.Header.Set("Authorization", "Bearer planted")
	func() {
		defer func() { _ = recover() }()
		Identify(nil, LogRequests(log, h)).ServeHTTP(httptest.NewRecorder(), r)
	}()
	if strings.Contains(out.String(), "planted") {
		t.Errorf("the log has the query or the credential: %s", &out)
	}
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("Unmarshal(%s) = %v", &out, err)
	}
	return line
}

// S62: a query is never logged, as it may hold a token.
func TestLogRequests(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		status  float64
	}{
		{"nothing", func(http.ResponseWriter, *http.Request) {}, 200},
		{"body", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }, 200},
		{"status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); _, _ = io.WriteString(w, "x") }, 404},
		{"early hints", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(503) }, 503},
		{"two", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401); w.WriteHeader(200) }, 401},
		{"flush", func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			w.WriteHeader(500)
		}, 200},
		{"panic", func(http.ResponseWriter, *http.Request) { panic("oh") }, 0},
		{"panic after the header", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202); panic("oh") }, 202},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line := requestLine(t, tt.handler)
			for key, want := range map[string]any{
				"status": tt.status, "method": "POST", "path": "/a%20b/c", "addr": "192.0.2.1", "level": "DEBUG",
			} {
				if line[key] != want {
					t.Errorf("%s = %v, want %v", key, line[key], want)
				}
			}
			if id, _ := line["request_id"].(string); !idForm.MatchString(id) {
				t.Errorf("request_id = %q, want an id", id)
			}
		})
	}
}

func TestLogRequestsOff(t *testing.T) {
	var out bytes.Buffer
	h := LogRequests(slog.New(slog.NewTextHandler(&out, nil)), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, wrapped := w.(*statusWriter); wrapped {
			t.Error("the writer is wrapped for nothing")
		}
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	if out.Len() > 0 {
		t.Errorf("the log has %s, want nothing", &out)
	}
}

// S69: neither is a token in a path or in place of a method, by a request or by a panic.
func TestLogsHideTokens(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	fail := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	h := Identify(nil, LogRequests(log, Recover(log, fail, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh") }))))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("lkp_abc123"+strings.Repeat("Z", 32), "/a/lkp_abc123"+strings.Repeat("Z", 32)+"/b", nil))
	if got := out.String(); strings.Contains(got, "ZZZ") || strings.Count(got, `"path":"/a/lkp_abc123[hidden]/b"`) != 2 {
		t.Errorf("the log has %s, want the path twice, without the token", got)
	}
}
