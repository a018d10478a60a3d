//go:build e2e && linux

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// operated is a server with TLS, a configuration file that can be written anew,
// and metrics.
type operated struct {
	*latchkey
	config    string // the file
	metrics   string // where metrics are
	cert, key string
	roots     *x509.CertPool
}

// serveOperated starts a server with a service behind it.
func serveOperated(t *testing.T, more string) *operated {
	t.Helper()
	home := t.TempDir()
	s := &operated{
		config: filepath.Join(home, "latchkey.yaml"),
		cert:   filepath.Join(home, "cert.pem"), key: filepath.Join(home, "key.pem"), roots: x509.NewCertPool(),
	}
	s.certify(t, 1)
	metrics, on := reserve(t), reserve(t)
	s.metrics = metrics.address
	s.write(t, more)
	metrics.release()
	s.latchkey = &latchkey{t: t, url: "https://" + on.address, home: home, data: filepath.Join(home, "latchkey-data")}
	s.hide(adminPassword)
	on.release()
	s.process = start(t, command{
		path: program(t), args: []string{"serve", "--listen", on.address, "--config", s.config}, dir: home,
		env: []string{"HOME=" + home, "LATCHKEY_ADMIN_PASSWORD=" + adminPassword},
	})
	t.Cleanup(s.stop)
	within(t, 30*time.Second, "the server to be ready", func(context.Context) error {
		if s.process.ended() {
			t.Fatalf("latchkey serve has ended: %s", s.process.stderr(t))
		}
		return wants(s.get(t, s.client(0), "/latchkey/readyz"), 200)
	})
	return s
}

func wants(got seen, status int) error {
	if got.err != nil || got.status != status {
		return fmt.Errorf("%d %s, %v, want %d", got.status, got.body, got.err, status)
	}
	return nil
}

// write writes the configuration with something more in it.
func (s *operated) write(t *testing.T, more string) {
	t.Helper()
	text := fmt.Sprintf("tls: {cert: %s, key: %s}\nmetrics: {listen: %q, pprof: true}\n%s", s.cert, s.key, s.metrics, more)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// certify puts a new certificate where the server's is.
func (s *operated) certify(t *testing.T, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(240 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.roots.AppendCertsFromPEM(certificate)
	for path, content := range map[string][]byte{s.cert: certificate, s.key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// client makes an HTTP client, of HTTP/1.1 or HTTP/2, or whichever for 0.
func (s *operated) client(version int) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(version != 2)
	protocols.SetHTTP2(version != 1)
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.roots}, Protocols: protocols,
	}}
}

type seen struct {
	status int
	proto  string
	serial int64 // of the certificate
	body   string
	err    error
}

func (s *operated) get(t *testing.T, c *http.Client, path string, header ...string) seen {
	t.Helper()
	target := s.url + path
	if strings.HasPrefix(path, "http://") {
		target = path
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		return seen{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	a := seen{status: res.StatusCode, proto: res.Proto, body: string(body), err: err}
	if res.TLS != nil {
		a.serial = res.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	return a
}

// reload sends SIGHUP and waits until the server has done so many reloads of an
// outcome.
func (s *operated) reload(t *testing.T, outcome string, count int) {
	t.Helper()
	if err := s.process.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("latchkey_config_reloads_total{outcome=%q} %d\n", outcome, count)
	within(t, 30*time.Second, "a reload", func(context.Context) error {
		if body := s.get(t, s.client(1), "http://"+s.metrics+"/metrics").body; !strings.Contains(body, want) {
			return fmt.Errorf("there is no %s", want)
		}
		return nil
	})
}

func behindIt(t *testing.T) string {
	t.Helper()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "behind, for %s", r.Header.Get("X-Forwarded-For"))
	}))
	t.Cleanup(service.Close)
	return service.URL
}

// A hundred reloads with a new certificate each, while requests come in over
// HTTP/1.1 and HTTP/2: none of them fails.
func TestReloadsUnderLoad(t *testing.T) {
	service := behindIt(t)
	with := fmt.Sprintf("routes: [{name: stays, prefix: /stays, upstream: %q, auth: optional}, {name: goes, prefix: /goes, upstream: %q, auth: optional}]\n", service, service)
	without := fmt.Sprintf("routes: [{name: stays, prefix: /stays, upstream: %q, auth: optional}]\nlog: {format: json}\n", service)
	s := serveOperated(t, with)
	stop := make(chan struct{})
	var group sync.WaitGroup
	var answered atomic.Int64
	for version, proto := range map[int]string{1: "HTTP/1.1", 2: "HTTP/2.0"} {
		for _, path := range []string{"/stays/x", "/latchkey/healthz"} {
			group.Go(func() {
				c := s.client(version)
				defer c.CloseIdleConnections()
				for {
					select {
					case <-stop:
						return
					default:
					}
					if a := s.get(t, c, path); a.err != nil || a.status != 200 || a.proto != proto {
						t.Errorf("GET %s over %s while reloading = %+v, want 200", path, proto, a)
						return
					}
					answered.Add(1)
				}
			})
		}
	}
	for i := range 100 {
		s.write(t, []string{without, with}[i%2])
		before := answered.Load()
		s.reload(t, "ok", i+1)
		within(t, 30*time.Second, "requests to go on", func(context.Context) error {
			if answered.Load() < before+4 && !t.Failed() {
				return fmt.Errorf("%d requests were answered", answered.Load()-before)
			}
			return nil
		})
	}
	close(stop)
	group.Wait()
	t.Logf("%d requests were answered during 100 reloads", answered.Load())
}

func TestReloadTakesEffectOrNot(t *testing.T) {
	service := behindIt(t)
	route := fmt.Sprintf("routes: [{name: app, prefix: /app, upstream: %q, auth: optional}]\n", service)
	s := serveOperated(t, route)
	fresh := func(path string, header ...string) seen {
		c := s.client(0)
		defer c.CloseIdleConnections()
		return s.get(t, c, path, header...)
	}
	if a := fresh("/app/", "X-Forwarded-For", "192.0.2.9"); a.body != "behind, for 127.0.0.1" || a.serial != 1 || a.proto != "HTTP/2.0" {
		t.Fatalf("GET /app/ = %+v, want it without the client's claim, over HTTP/2", a)
	}

	// What is changed acts on the next request (S85), and what needs a restart is named.
	s.certify(t, 2)
	s.write(t, route+"trusted_proxies: [127.0.0.1]\ndata: ./elsewhere\n")
	s.reload(t, "ok", 1)
	if a := fresh("/app/", "X-Forwarded-For", "192.0.2.9"); a.body != "behind, for 192.0.2.9, 127.0.0.1" || a.serial != 2 {
		t.Errorf("GET /app/ after the reload = %+v, want what the trusted proxy says, under the new certificate", a)
	}
	log := s.process.stderr(t)
	if !strings.Contains(log, "needs a restart") || !strings.Contains(log, "keys=data") || !strings.Contains(log, "trusted_proxies") {
		t.Errorf("the log does not say what became of the changes:\n%s", log)
	}

	// A mistake anywhere changes nothing: the route would be gone.
	for i, broken := range []string{
		"routes: []\ncheck: {bound: 1y}\n",
		"routes: []\nlisten: 0.0.0.0:80\nplain_http: true\n",
		"routes: [\n",
	} {
		s.write(t, broken)
		s.reload(t, "failed", i+1)
		if a := fresh("/app/", "X-Forwarded-For", "192.0.2.9"); a.body != "behind, for 192.0.2.9, 127.0.0.1" {
			t.Errorf("GET /app/ after a reload of %q = %+v, want all as it was", broken, a)
		}
	}
	if log := s.process.stderr(t); !strings.Contains(log, "latchkey.yaml:4: check.bound: want") {
		t.Errorf("the log does not say where the mistake is:\n%s", log)
	}

	// S76: neither does a key that others can read.
	s.write(t, "trusted_proxies: [127.0.0.1]\n")
	if err := os.Chmod(s.key, 0o644); err != nil {
		t.Fatal(err)
	}
	s.reload(t, "failed", 4)
	if a := fresh("/app/"); a.status != 200 || a.serial != 2 {
		t.Errorf("GET /app/ after a reload with an open key = %+v, want all as it was", a)
	}
	if err := os.Chmod(s.key, 0o640); err != nil {
		t.Fatal(err)
	}
	s.reload(t, "ok", 2)
	if a := fresh("/app/"); a.status != 404 {
		t.Errorf("GET /app/ without its route = %+v, want 404", a)
	}

	// The files are looked at without being asked to, too.
	s.certify(t, 3)
	within(t, time.Minute, "the new certificate", func(context.Context) error {
		if a := fresh("/latchkey/healthz"); a.serial != 3 {
			return fmt.Errorf("the certificate has the number %d, %v", a.serial, a.err)
		}
		return nil
	})
}

// S76: a server does not start with a key that others can read.
func TestOpenKeyStopsTheStart(t *testing.T) {
	home := t.TempDir()
	s := &operated{cert: filepath.Join(home, "cert.pem"), key: filepath.Join(home, "key.pem"), roots: x509.NewCertPool()}
	s.certify(t, 1)
	if err := os.Chmod(s.key, 0o604); err != nil {
		t.Fatal(err)
	}
	p := start(t, command{path: program(t), args: []string{"serve", "--listen", "127.0.0.1:0"}, dir: home,
		env: []string{"HOME=" + home, "LATCHKEY_TLS_CERT=" + s.cert, "LATCHKEY_TLS_KEY=" + s.key}})
	<-p.done
	if stderr := p.stderr(t); p.err == nil || !strings.Contains(stderr, "others than its owner have access to the key") {
		t.Errorf("latchkey serve = %v, %q, want a refusal about the key", p.err, stderr)
	}
}

// S112, S116: metrics, profiles and the version are on the listener of their
// own, and nowhere else.
func TestMetricsAreApart(t *testing.T) {
	s := serveOperated(t, "")
	c := s.client(1)
	defer c.CloseIdleConnections()
	for range 3 {
		s.get(t, c, "/latchkey/verify?scope=path:/x:read", "Authorization", "Bearer lkp_nonsense")
	}
	body := s.get(t, c, "http://"+s.metrics+"/metrics").body
	for _, want := range []string{
		`latchkey_requests_total{code="4xx",door="verify"} 3`,
		`latchkey_checks_total{from="form",result="malformed"} 3`,
		`latchkey_ready 1`, `latchkey_build_info{`, `go_goroutines `, `process_open_fds `,
		`latchkey_store_commit_callers_count `, `latchkey_tls_certificate_not_after_timestamp_seconds `,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("GET /metrics has no %q", want)
		}
	}
	if a := s.get(t, c, "http://"+s.metrics+"/debug/pprof/goroutine?debug=1"); a.status != 200 {
		t.Errorf("GET /debug/pprof/goroutine = %+v, want 200", a)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/latchkey/metrics", "/latchkey/debug/pprof/heap"} {
		if a := s.get(t, c, path); a.status != 404 {
			t.Errorf("GET %s where users come in = %d, want 404", path, a.status)
		}
	}
}
