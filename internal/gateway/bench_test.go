package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strconv"
	"testing"
)

// BenchmarkGateway compares the gateway with a reverse proxy that does nothing
// else, for small answers and for streams.
func BenchmarkGateway(b *testing.B) {
	for _, size := range []int64{64, 1 << 20, 64 << 20} {
		block := make([]byte, min(size, 64<<10)) // all sizes are multiples of it
		upstream := rawHandler(b, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
			for range size / int64(len(block)) {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		})
		target := mustURL(b, upstream)
		transport := &http.Transport{MaxIdleConnsPerHost: idlePerUpstream, DisableCompression: true}
		bare := httptest.NewServer(&httputil.ReverseProxy{
			Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(target); pr.Out.Host = pr.In.Host },
			Transport: transport,
		})
		b.Cleanup(func() { bare.Close(); transport.CloseIdleConnections() })
		h := open(b, Options{Routes: one(target, nil)})
		for name, url := range map[string]string{"bare": bare.URL, "gateway": h.URL} {
			b.Run(strconv.FormatInt(size, 10)+"/"+name, func(b *testing.B) {
				b.SetBytes(size)
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) { fetch(b, pb, url) })
			})
		}
	}
}

func fetch(b *testing.B, pb *testing.PB, url string) {
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	buffer := make([]byte, 64<<10)
	for pb.Next() {
		req, err := http.NewRequest(http.MethodGet, url+"/pulp/content/prod/file", nil)
		if err != nil {
			b.Error(err)
			return
		}
		req.Header = bearer(aliceToken)
		res, err := client.Do(req)
		if err != nil {
			b.Error(err)
			return
		}
		_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, buffer)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			b.Errorf("status %d, %v", res.StatusCode, err)
			return
		}
	}
}

// BenchmarkPick is the choice of a route, for plain and for odd paths.
func BenchmarkPick(b *testing.B) {
	u := mustURL(b, "http://127.0.0.1:1")
	g, err := New(Options{Check: newFakeChecker(b), Routes: PulpRoutes(u, u, PulpOptions{})})
	if err != nil {
		b.Fatal(err)
	}
	for name, path := range map[string]string{"plain": "/pulp/content/prod/Packages/a/a-1.0.rpm", "encoded": "/pulp/content/prod/a%2B1.rpm"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r, err := g.table.pick(path); err != nil || r == nil {
					b.Fatal("no route")
				}
			}
		})
	}
}
