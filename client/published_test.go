package client_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/client"
)

// For how long the public keys may be kept is what the headers say (RFC 9111),
// less the time that they have been under way.
func TestPublished(t *testing.T) {
	const hour, date = time.Hour, "Sun, 01 Mar 2026 12:00:00 GMT"
	for _, tt := range []struct {
		cache, age, date string
		want             time.Duration
		said             bool
	}{
		{"public, max-age=300", "", date, 5 * time.Minute, true},
		{"Max-Age=300,public", "60", date, 4 * time.Minute, true},
		{`max-age="300"`, "", "", 5 * time.Minute, false},
		{"max-age=300", "301", "yesterday", 0, false},
		{"max-age=300, no-cache", "", date, 0, true},
		{"no-store", "", date, 0, true},
		{"", "", date, 0, true},
		{"max-age=-1", "", date, 0, true},
		{"max-age=soon", "", date, 0, true},
		{"max-age=2000000000", "", date, 24 * hour, true},
		{"max-age=99999999999999999999", "", date, 0, true},
		{"s-maxage=300", "", date, 0, true},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Cache-Control") != "no-cache" || r.Header.Get("Authorization") != "" {
				t.Errorf("the keys are asked for with %v, want no credential, and no cache to answer", r.Header)
			}
			h := w.Header()
			h.Set("Content-Type", "application/json")
			for name, value := range map[string]string{"Cache-Control": tt.cache, "Age": tt.age, "Date": tt.date} {
				if h[name] = nil; value != "" {
					h.Set(name, value)
				}
			}
			_, _ = w.Write([]byte(`{"keys":[]}`))
		}))
		c, err := client.New(srv.URL, client.Options{Token: "lkp_planted"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Keys.Published(t.Context())
		if err != nil || string(got.Document) != `{"keys":[]}` || got.MaxAge != tt.want || got.At.IsZero() == tt.said {
			t.Errorf("Published() with %+v = %s, %s, %s, %v", tt, got.Document, got.MaxAge, got.At, err)
		}
		srv.Close()
	}
}
