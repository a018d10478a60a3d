package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const httpTime = http.TimeFormat

// reply is what a server says at a path.
type reply struct {
	status int
	body   string
	header map[string]string
}

// serverSaying starts a server and returns its host and port.
func serverSaying(t *testing.T, replies map[string]reply) string {
	t.Helper()
	s := httptest.NewServer(saying(replies))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func saying(replies map[string]reply) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer, ok := replies[r.URL.Path]
		if !ok {
			answer = reply{status: 404}
		}
		for name, value := range answer.header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(answer.status)
		_, _ = w.Write([]byte(answer.body))
	}
}

func TestRunningServer(t *testing.T) {
	alive := reply{200, "alive\n", nil}
	build := func(v string) reply {
		return reply{200, "# TYPE latchkey_build_info gauge\nlatchkey_build_info{commit=\"c\",go=\"go1\",version=\"" + v + "\"} 1\n", nil}
	}
	tests := []struct {
		name    string
		replies map[string]reply
		metrics map[string]reply
		want    []string
	}{
		{"ready", map[string]reply{alivePath: alive, readyPath: {200, "ready\n", nil}}, nil, nil},
		{"not ready", map[string]reply{alivePath: alive, readyPath: {503, "the database does not answer\n", nil}}, nil, []string{"problem: not ready: the database does not answer"}},
		{"another program", map[string]reply{"/": {200, "hello", nil}}, nil, []string{"problem: is not Latchkey"}},
		{"same version", map[string]reply{alivePath: alive, readyPath: {200, "", nil}}, map[string]reply{"/metrics": build("v2")}, nil},
		{"other version", map[string]reply{alivePath: alive, readyPath: {200, "", nil}}, map[string]reply{"/metrics": build("v1")}, []string{"warning: has version v1, this program has v2"}},
		{"no metrics", map[string]reply{alivePath: alive, readyPath: {200, "", nil}}, map[string]reply{}, []string{"warning: shows no metrics"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := examining(loadConfig(t, ""), func(o *Options) { o.Version = "v2" })
			x.Config.Listen = serverSaying(t, tt.replies)
			if tt.metrics != nil {
				x.Config.Metrics.Listen = serverSaying(t, tt.metrics)
			}
			want(t, runningServer(t.Context(), x), tt.want...)
		})
	}
	x := examining(loadConfig(t, ""), nil)
	x.Config.Listen = free(t)
	want(t, runningServer(t.Context(), x)) // it need not run
}

// pair is a certificate for some names, with its files.
type pair struct {
	cert, key string
	tls       tls.Certificate
	pool      *x509.CertPool
}

func makePair(t *testing.T, begins, ends time.Time, names ...string) pair {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: begins, NotAfter: ends,
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	folder := privateFolder(t)
	p := pair{cert: filepath.Join(folder, "cert.pem"), key: filepath.Join(folder, "key.pem"), pool: x509.NewCertPool()}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	for path, content := range map[string][]byte{p.cert: certPEM, p.key: keyPEM} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if p.tls, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	p.pool.AddCert(p.tls.Leaf)
	return p
}

func TestOwnCertificate(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Now()
	good := makePair(t, now.Add(-day), now.Add(90*day), "pulp.example.com")
	other := makePair(t, now.Add(-day), now.Add(90*day), "pulp.example.com")
	tests := []struct {
		name      string
		cert, key string
		roots     *x509.CertPool
		want      []string
	}{
		{"good", good.cert, good.key, good.pool, nil},
		{"unknown authority", good.cert, good.key, x509.NewCertPool(), []string{"warning: does not trust"}},
		{"halves of two", good.cert, other.key, good.pool, []string{"problem: cannot be used"}},
		{"missing", good.cert + "x", good.key, good.pool, []string{"problem: cannot be read"}},
	}
	for _, p := range []struct {
		name         string
		begins, ends time.Time
		host         string
		want         string
	}{
		{"ended", now.Add(-9 * day), now.Add(-day), "pulp.example.com", "problem: ended at"},
		{"ends soon", now.Add(-80 * day), now.Add(9 * day), "pulp.example.com", "warning: ends at"},
		{"short-lived", now.Add(-day), now.Add(5 * day), "pulp.example.com", ""},
		{"not yet", now.Add(day), now.Add(90 * day), "pulp.example.com", "problem: not good before"},
		{"other name", now.Add(-day), now.Add(90 * day), "other.example.com", "problem: public_url is https://pulp.example.com"},
	} {
		made := makePair(t, p.begins, p.ends, p.host)
		var texts []string
		if p.want != "" {
			texts = []string{p.want}
		}
		tests = append(tests, struct {
			name      string
			cert, key string
			roots     *x509.CertPool
			want      []string
		}{p.name, made.cert, made.key, made.pool, texts})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := loadConfig(t, "{public_url: 'https://pulp.example.com', tls: {cert: "+tt.cert+", key: "+tt.key+"}}")
			want(t, ownCertificate(t.Context(), examining(c, func(o *Options) { o.Roots = tt.roots })), tt.want...)
		})
	}
}

// The certificate in use is compared with the one in the file.
func TestStaleCertificate(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Now()
	inUse := makePair(t, now.Add(-day), now.Add(90*day), "a.example.com")
	renewed := makePair(t, now.Add(-day), now.Add(90*day), "a.example.com")
	s := httptest.NewUnstartedServer(saying(map[string]reply{alivePath: {200, "alive\n", nil}, readyPath: {200, "", nil}}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{inUse.tls}}
	s.StartTLS()
	t.Cleanup(s.Close)
	for file, texts := range map[*pair][]string{&inUse: nil, &renewed: {"warning: another certificate"}} {
		c := loadConfig(t, "{tls: {cert: "+file.cert+", key: "+file.key+"}}")
		c.Listen = strings.TrimPrefix(s.URL, "https://")
		want(t, runningServer(t.Context(), examining(c, nil)), texts...)
	}
}

// All checks together, on a right Pulp and without a server: nothing is wrong,
// and each check is named.
func TestExamine(t *testing.T) {
	c := rightPulp().serve(t, "")
	c.Data, c.Listen = privateFolder(t), free(t)
	r := Examine(t.Context(), Options{
		Config: c, Origin: origin, Synced: func() (bool, bool) { return true, true },
		Database: func(context.Context) (Database, error) { return Database{}, ErrNoDatabase },
	})
	want(t, r.Findings)
	names := map[string]bool{}
	for _, f := range r.Findings {
		names[f.Check] = true
	}
	for _, name := range []string{"configuration", "files", "database", "clock", "server", "pulp", "pulp content", "around the gateway"} {
		if !names[name] {
			t.Errorf("Examine() says nothing about %q: %+v", name, r.Findings)
		}
	}
	if r.Problems != 0 || r.Warnings != 0 {
		t.Errorf("Examine() = %d problems and %d warnings, want none", r.Problems, r.Warnings)
	}
}
