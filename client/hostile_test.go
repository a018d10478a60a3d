package client_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/client"
)

// serve starts a server with one handler for everything.
func serve(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return newClient(t, server.URL, client.Options{Token: "lkp_test"})
}

func asJSON(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
}

// endless writes until the other side hangs up, and gives up after far more
// than a client may read.
func endless(t *testing.T, w io.Writer) {
	chunk := []byte(strings.Repeat(" ", 1<<20))
	for range 100 {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
	t.Error("the client read 100 MiB")
}

func TestForeignAnswers(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"endless body": func(w http.ResponseWriter, r *http.Request) {
			asJSON(w)
			io.WriteString(w, `{"account":"alice"}`) // complete, if the rest were cut off
			endless(t, w)
		},
		"endless error": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusBadRequest)
			endless(t, w)
		},
		"small body that unpacks to a huge one": func(w http.ResponseWriter, r *http.Request) {
			asJSON(w)
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for range 20 {
				z.Write(make([]byte, 1<<20))
			}
			z.Close()
		},
		"HTML with 200": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<html>Welcome to the hotel WiFi")
		},
		"JSON under another name": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, `{"account":"alice"}`)
		},
		"two documents": func(w http.ResponseWriter, r *http.Request) {
			asJSON(w)
			io.WriteString(w, `{"account":"alice"}{"account":"bob"}`)
		},
		"half a document": func(w http.ResponseWriter, r *http.Request) {
			asJSON(w)
			io.WriteString(w, `{"account":"al`)
		},
		"nothing": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		},
		"a problem without a code": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"title":"no such thing"}`)
		},
		"a plain 404": http.NotFound,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := serve(t, h).WhoAmI(t.Context())
			if !errors.Is(err, client.ErrForeign) {
				t.Errorf("WhoAmI: got %v, want ErrForeign", err)
			}
			if errors.Is(err, client.ErrNotFound) {
				t.Errorf("WhoAmI: %v is ErrNotFound, want only ErrForeign", err)
			}
		})
	}
}

func TestContentWhereNoneIsExpected(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") })
	if err := c.Tokens.Revoke(t.Context(), "tok1", ""); !errors.Is(err, client.ErrForeign) {
		t.Errorf("Revoke answered with a page: got %v, want ErrForeign", err)
	}
}

func TestRedirectElsewhereIsRefused(t *testing.T) {
	var leaked bool
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked = true
		asJSON(w)
		io.WriteString(w, `{}`)
	}))
	t.Cleanup(other.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, status)
		})
		_, err := c.WhoAmI(t.Context())
		if !errors.Is(err, client.ErrRedirect) || leaked {
			t.Errorf("WhoAmI with %d to another host: got %v, arrived there: %t; want ErrRedirect, false", status, err, leaked)
		}
		if err != nil && !strings.Contains(err.Error(), other.URL) {
			t.Errorf("WhoAmI with %d to another host: %q does not say where to", status, err)
		}
	}
}

func TestRedirectLoopEnds(t *testing.T) {
	count := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		count++
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
	})
	if _, err := c.WhoAmI(t.Context()); !errors.Is(err, client.ErrRedirect) {
		t.Errorf("WhoAmI in a loop: got %v, want ErrRedirect", err)
	}
	if count > 10 {
		t.Errorf("WhoAmI in a loop: got %d requests, want at most 10", count)
	}
}

func TestRedirectMustKeepTheMethod(t *testing.T) {
	var methods []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		methods = append(methods, r.Method)
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	err := c.Tokens.RevokeSecret(t.Context(), "lkp_x")
	if !errors.Is(err, client.ErrRedirect) || len(methods) != 1 {
		t.Errorf("RevokeSecret: got %v after %v, want ErrRedirect after one POST", err, methods)
	}
}

func TestRedirectOnTheSameHostIsFollowed(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/tidy" {
			http.Redirect(w, r, "/tidy", http.StatusPermanentRedirect)
			return
		}
		asJSON(w)
		io.WriteString(w, `{"account":"`+r.Header.Get("Authorization")+`"}`)
	})
	me, err := c.WhoAmI(t.Context())
	if err != nil || me.Account != "Bearer lkp_test" {
		t.Errorf("WhoAmI: got %q, %v; want the credential to arrive", me.Account, err)
	}
}

func TestSilentServerTimesOut(t *testing.T) {
	hold := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "readyz") { // the header comes, the body does not
			w.(http.Flusher).Flush()
		}
		<-hold
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(hold) })
	c := newClient(t, server.URL, client.Options{Timeout: 20 * time.Millisecond})
	for name, ask := range map[string]func(context.Context) error{"no answer": c.Healthy, "half an answer": c.Ready} {
		if err := ask(t.Context()); !errors.Is(err, client.ErrUnreachable) {
			t.Errorf("%s: got %v, want ErrUnreachable", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Healthy(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, client.ErrUnreachable) {
		t.Errorf("cancelled: got %v, want only context.Canceled", err)
	}
}
