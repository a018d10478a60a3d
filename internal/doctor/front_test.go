package doctor

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// fakeFront is a proxy in front. The zero value refuses everybody.
type fakeFront struct {
	believes string // a header whose value it takes for a user
	verify   int    // what it answers at /latchkey/verify, as Latchkey; 0: 404 of its own
	open     bool
	hsts     bool
	creds    bool // a credential was sent
}

func (f *fakeFront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
		f.creds = true
	}
	if f.hsts {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
	}
	switch {
	case r.URL.Path == verifyPath && f.verify != 0:
		w.Header().Set("Latchkey-Request-Id", "x")
		w.WriteHeader(f.verify)
	case r.URL.Path == verifyPath:
		w.WriteHeader(http.StatusNotFound)
	case f.open, f.believes != "" && r.Header[f.believes] != nil:
		_, _ = w.Write([]byte("in"))
	default:
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// S85, S86: what a client says of itself is tried in each way, and a proxy that
// lets one through is found.
func TestFront(t *testing.T) {
	tests := []struct {
		name  string
		front fakeFront
		want  []string
	}{
		{"closed", fakeFront{}, nil},
		{"gateway", fakeFront{verify: http.StatusBadRequest}, nil},
		{"identity", fakeFront{believes: "Latchkeyuser"}, []string{
			"problem: the identity header as Latchkeyuser (status 200), the identity header as latchkeyuser (status 200), the identity header as LATCHKEYUSER (status 200)",
		}},
		{"underscore", fakeFront{believes: "Latchkey_user"}, []string{"problem: the identity header as Latchkey_user"}},
		{"other identity", fakeFront{believes: "X-Forwarded-User"}, []string{"problem: X-Forwarded-User"}},
		{"description", fakeFront{believes: "X-Original-Uri"}, []string{"problem: a description of another request by X-Original-Method"}},
		{"described by the other", fakeFront{believes: "X-Forwarded-Uri"}, []string{"problem: a description of another request by X-Forwarded-Method"}},
		{"URL", fakeFront{believes: "X-Rewrite-Url"}, []string{"problem: X-Rewrite-URL"}},
		{"address", fakeFront{believes: "X-Forwarded-For"}, []string{"problem: an address of its own choice"}},
		{"verify", fakeFront{verify: http.StatusUnauthorized}, []string{"problem: judges requests that clients describe"}},
		{"open", fakeFront{open: true}, []string{"warning: answers 200 to a request without a credential"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(&tt.front)
			t.Cleanup(s.Close)
			x := examining(loadConfig(t, ""), func(o *Options) { o.URL, o.Path = s.URL, "/private" })
			want(t, front(t.Context(), x), tt.want...)
			if tt.front.creds {
				t.Error("a credential was sent")
			}
		})
	}
}

func TestFrontTLS(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Now()
	good := makePair(t, now.Add(-day), now.Add(90*day), "localhost")
	old := makePair(t, now.Add(-80*day), now.Add(5*day), "localhost")
	tests := []struct {
		name  string
		pair  pair
		hsts  bool
		roots bool
		want  []string
	}{
		{"good", good, true, true, nil},
		{"no HSTS", good, false, true, []string{"warning: Strict-Transport-Security"}},
		{"ends soon", old, true, true, []string{"warning: the certificate of"}},
		{"unknown authority", good, true, false, []string{"problem: certificate"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(&fakeFront{hsts: tt.hsts})
			s.TLS = &tls.Config{Certificates: []tls.Certificate{tt.pair.tls}}
			s.StartTLS()
			t.Cleanup(s.Close)
			x := examining(loadConfig(t, ""), func(o *Options) {
				o.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
				if tt.roots {
					o.Roots = tt.pair.pool
				}
			})
			want(t, front(t.Context(), x), tt.want...)
		})
	}
}

// S86: a proxy that leads past the gateway to Pulp is found by what Pulp's
// content server does with a header.
func TestFrontLeaks(t *testing.T) {
	p := rightPulp()
	c := p.serve(t, "")
	for _, tt := range []struct {
		name  string
		front http.HandlerFunc
		want  []string
	}{
		{"past the gateway", func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/pulp/content/") {
				p.content(w, r)
				return
			}
			w.WriteHeader(http.StatusUnauthorized)
		}, []string{"problem: passes on to Pulp, from anybody, the header Latchkeyuser, latchkeyuser, LATCHKEYUSER, which Pulp believes"}},
		{"through the gateway", func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Latchkeyuser")
			if strings.HasPrefix(r.URL.Path, "/pulp/content/") {
				p.content(w, r)
				return
			}
			w.WriteHeader(http.StatusUnauthorized)
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(tt.front)
			t.Cleanup(s.Close)
			want(t, front(t.Context(), examining(c, func(o *Options) { o.URL = s.URL })), tt.want...)
		})
	}
}

// A proxy that was not asked is no finding, and one that is not there is.
func TestFrontIsAsked(t *testing.T) {
	x := examining(loadConfig(t, "trusted_proxies: [127.0.0.1]"), nil)
	want(t, front(t.Context(), x))
	x.URL = "http://" + free(t)
	want(t, front(t.Context(), x), "problem: no answer")
	// In the clear, anywhere but on this machine.
	x.URL = "http://pulp.example.com"
	want(t, x.transport(answer{}), "problem: has no TLS")
}
