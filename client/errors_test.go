package client_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// kinds are all sentinels that an *Error can be of.
func kinds() map[string]error {
	return map[string]error{
		"invalid": client.ErrInvalid, "unauthenticated": client.ErrUnauthenticated, "forbidden": client.ErrForbidden,
		"not found": client.ErrNotFound, "conflict": client.ErrConflict, "limit": client.ErrLimit,
		"throttled": client.ErrThrottled, "unavailable": client.ErrUnavailable, "foreign": client.ErrForeign,
	}
}

func TestErrorKinds(t *testing.T) {
	for _, tt := range []struct {
		status int
		code   string // "": an HTML page
		want   []string
	}{
		{400, api.CodeInvalid, []string{"invalid"}},
		{401, api.CodeUnauthenticated, []string{"unauthenticated"}},
		{403, api.CodeForbidden, []string{"forbidden"}},
		{404, api.CodeNotFound, []string{"not found"}},
		{405, api.CodeMethod, []string{"invalid"}},
		{409, api.CodeConflict, []string{"conflict"}},
		{409, api.CodeLimit, []string{"limit"}},
		{413, api.CodeTooLarge, []string{"invalid"}},
		{415, api.CodeMediaType, []string{"invalid"}},
		{429, api.CodeThrottled, []string{"throttled"}},
		{503, api.CodeUnavailable, []string{"unavailable"}},
		{500, api.CodeInternal, nil},
		{403, "from_the_future", []string{"forbidden"}},
		{401, "", []string{"unauthenticated", "foreign"}},
		{403, "", []string{"forbidden", "foreign"}},
		{404, "", []string{"foreign"}},
		{429, "", []string{"throttled", "foreign"}},
		{500, "", []string{"foreign"}},
		{502, "", []string{"unavailable", "foreign"}},
		{503, "", []string{"unavailable", "foreign"}},
		{504, "", []string{"unavailable", "foreign"}},
	} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if tt.code == "" {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				w.WriteHeader(tt.status)
				io.WriteString(w, "<html><h1>nginx")
				return
			}
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(tt.status)
			fmt.Fprintf(w, `{"type":"about:blank","code":%q,"detail":"No."}`, tt.code)
		})
		_, err := c.WhoAmI(t.Context())
		got := map[string]bool{}
		for name, kind := range kinds() {
			if errors.Is(err, kind) {
				got[name] = true
			}
		}
		want := map[string]bool{}
		for _, name := range tt.want {
			want[name] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("kinds of %d %q (-want +got):\n%s", tt.status, tt.code, diff)
		}
	}
}

func TestErrorTells(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"type":"about:blank","title":"Forbidden","status":403,"code":"forbidden","detail":"You may not.","scope":"latchkey:tokens:read","request_id":"r1"}`)
	})
	_, err := c.Tokens.Get(t.Context(), "tok1")
	var got *client.Error
	if !errors.As(err, &got) {
		t.Fatalf("Get: got %v, want *client.Error", err)
	}
	want := &client.Error{
		Method: "GET", URL: got.URL, Status: 403, RetryAfter: 7 * time.Second,
		Problem: api.Problem{
			Type: "about:blank", Title: "Forbidden", Status: 403, Code: "forbidden",
			Detail: "You may not.", Scope: "latchkey:tokens:read", RequestID: "r1",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	if got, want := err.Error(), "GET "+got.URL+": 403 Forbidden: You may not."; got != want {
		t.Errorf("text: got %q, want %q", got, want)
	}
}

func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	err = newClient(t, "http://"+address, client.Options{}).Healthy(t.Context())
	if !errors.Is(err, client.ErrUnreachable) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Healthy where nobody listens: got %v, want ErrUnreachable and ECONNREFUSED", err)
	}
}
