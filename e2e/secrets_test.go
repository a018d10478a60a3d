//go:build e2e && linux

package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/postgres"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
)

// canary stands where clients leave something that is no secret. Wherever it
// arrives a secret would, so that is where to look.
const canary = "canary-in-the-mine"

// TestSecretsStaySecret has a server with everything switched on meet secrets
// of every kind in every place, right and wrong, and then looks for them in all
// that it wrote, sent and answered: database, log of the database, backup, logs,
// metrics, profiles, traces, audit export, answers, the output of commands, and
// what a crash prints.
// S69, S74, S112
func TestSecretsStaySecret(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { secretsStaySecret(t, nil) })
	t.Run("PostgreSQL", func(t *testing.T) { secretsStaySecret(t, newTalkative(t)) })
}

// newTalkative starts a PostgreSQL that logs every statement with all of its
// parameters.
func newTalkative(t *testing.T) *database {
	t.Helper()
	cluster, err := pgtest.Start(pgtest.Options{Settings: map[string]string{
		"log_statement": "all", "log_parameter_max_length": "-1", "log_parameter_max_length_on_error": "-1",
		"log_connections": "on", "log_min_error_statement": "debug5",
	}})
	if errors.Is(err, pgtest.ErrNotInstalled) {
		proctest.Missing(t, err.Error())
	}
	must(t, err)
	t.Cleanup(func() { must(t, cluster.Stop()) })
	dsn, err := cluster.CreateDatabase(t.Context(), "latchkey")
	must(t, err)
	return &database{cluster, dsn}
}

// mine is a server under test with all that it talks to.
type mine struct {
	*operated
	*hunt
	db      *database // nil: SQLite
	network *relay    // to it
	gateway http.Client
	envoy   string // where it is asked over gRPC

	mu        sync.Mutex
	collected bytes.Buffer // traces
	answers   bytes.Buffer // to all requests that make no secret
	said      bytes.Buffer // by commands
	asserted  string       // the last proof that the service got
}

func secretsStaySecret(t *testing.T, db *database) {
	m := newMine(t, db)
	m.exercise(t, "first")
	m.write(t, "log: {format: json, level: debug}\n"+m.settings(t))
	before := len(m.process.stderr(t))
	must(t, m.process.cmd.Process.Signal(syscall.SIGHUP))
	within(t, 20*time.Second, "the reload", func(context.Context) error {
		if !strings.Contains(m.process.stderr(t)[before:], "the configuration was reloaded") {
			return errors.New("the log does not tell of it")
		}
		return nil
	})
	m.exercise(t, "second")
	m.reloadMistake(t)
	m.losesDatabase(t)
	m.commands(t)
	m.look(t)
	m.crashes(t)
	m.lookAtFiles(t)
}

// newMine starts the server.
func newMine(t *testing.T, db *database) *mine {
	t.Helper()
	home := t.TempDir()
	m := &mine{hunt: newHunt(), db: db, operated: &operated{
		config: filepath.Join(home, "latchkey.yaml"),
		cert:   filepath.Join(home, "cert.pem"), key: filepath.Join(home, "key.pem"), roots: x509.NewCertPool(),
	}}
	m.certify(t, 1)
	metrics, on, envoy := reserve(t), reserve(t), reserve(t)
	m.metrics, m.envoy = metrics.address, envoy.address
	m.latchkey = &latchkey{t: t, url: "https://" + on.address, home: home, data: filepath.Join(home, canary)}
	m.plant("the administrator's password", adminPassword)
	m.write(t, "log: {format: text, level: debug}\n"+m.settings(t))
	for _, p := range []*port{metrics, on, envoy} {
		p.release()
	}
	m.command = command{
		path: program(t), args: []string{"serve", "--listen", on.address, "--config", m.config, "--data", m.data}, dir: home,
		env: []string{"HOME=" + home, "LATCHKEY_ADMIN_PASSWORD=" + adminPassword, "GOTRACEBACK=all"},
	}
	m.gateway = http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: m.roots}}}
	m.process = start(t, m.command)
	c := m.as(t, client.Options{})
	within(t, 30*time.Second, "the server to be ready", func(ctx context.Context) error {
		if m.process.ended() {
			t.Fatalf("latchkey serve has ended: %s", m.process.stderr(t))
		}
		return c.Ready(ctx)
	})
	m.plantKeys(t)
	return m
}

// settings switches everything on. It makes what the server talks to when it
// is called first.
func (m *mine) settings(t *testing.T) string {
	t.Helper()
	if kept := filepath.Join(m.home, "settings"); exists(kept) {
		return readFile(t, kept)
	}
	service := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if proof := r.Header.Get("Latchkey-Assertion"); proof != "" {
			m.asserted = proof
		}
	})
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		_, _ = io.Copy(&m.collected, r.Body)
	}))
	t.Cleanup(collector.Close)
	authorization := m.plant("the collector's authorization", "collector-authorization-planted")
	text := fmt.Sprintf(`trusted_proxies: [127.0.0.1]
audit: {checks: all}
envoy: {listen: %q}
traces: {endpoint: %q, authorization: "Bearer %s"}
verify: {assertion_audience: "https://verified.example.org"}
routes:
  - {name: %s, prefix: /files, upstream: %q, audit: all, assertion_audience: "https://files.example.org"}
  - {name: optional, prefix: /optional, upstream: %q, audit: all, auth: optional}
  - {name: gone, prefix: /gone, upstream: "http://127.0.0.1:1", audit: all}
`, m.envoy, collector.URL, authorization, canary, service, service)
	if m.db != nil {
		var dsn string
		m.network, dsn = newRelay(t, m.db.dsn)
		text += fmt.Sprintf("database: %q\n", dsn)
		_, after, _ := strings.Cut(m.db.dsn, "://")
		user, _, _ := strings.Cut(after, "@")
		_, password, _ := strings.Cut(user, ":")
		m.plant("the database's password", password)
	}
	must(t, os.WriteFile(filepath.Join(m.home, "settings"), []byte(text), 0o600))
	return text
}

// plantKeys has the server's own keys looked for.
func (m *mine) plantKeys(t *testing.T) {
	t.Helper()
	file := filepath.Join(m.data, "server.key")
	raw, err := hex.DecodeString(regexp.MustCompile(`\b[0-9a-f]{64}\b`).FindString(readFile(t, file)))
	if err != nil || len(raw) != 32 {
		t.Fatalf("%s has not the digits of a secret: %v", file, err)
	}
	m.plantBytes("the server's secret", raw)
	block, _ := pem.Decode([]byte(readFile(t, m.key)))
	m.plantPrivate(t, "the key of the certificate", block.Bytes)
	ring, err := serverkey.Load(file, false)
	must(t, err)
	db := m.open(t)
	defer db.Close()
	keys, err := db.SigningKeys(t.Context())
	must(t, err)
	opened := 0
	for _, k := range keys {
		if plain, err := ring.Open("signing key "+k.ID, k.Sealed); err == nil {
			m.plantPrivate(t, "a signing key", plain)
			opened++
		}
	}
	if opened == 0 {
		t.Fatalf("none of the %d signing keys could be opened", len(keys))
	}
}

func (m *mine) plantPrivate(t *testing.T, what string, der []byte) {
	t.Helper()
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	must(t, err)
	scalar, err := parsed.(*ecdsa.PrivateKey).Bytes()
	must(t, err)
	m.plantBytes(what, scalar)
	m.plant("the encoded form of "+what, string(der[:60])) // with the scalar's first half in it
}

// open opens the server's database beside it.
func (m *mine) open(t *testing.T) store.Store {
	t.Helper()
	if m.db != nil {
		db, err := postgres.Open(t.Context(), postgres.Options{DSN: m.db.dsn})
		must(t, err)
		return db
	}
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(m.data, "latchkey.db")})
	must(t, err)
	return db
}

// as makes a client of the native API.
func (m *mine) as(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	o.Transport, o.UserAgent = m.gateway.Transport, canary
	c, err := client.New(m.url, o)
	must(t, err)
	return c
}

// reloadMistake reloads a configuration with a secret and a mistake beside it.
func (m *mine) reloadMistake(t *testing.T) {
	t.Helper()
	secret := m.plant("a secret beside a mistake", "beside-a-mistake-planted")
	m.write(t, fmt.Sprintf("traces: {authorization: %q, percent: %q}\nsecret: {%s: 1}\n", secret, "many "+canary, secret))
	must(t, m.process.cmd.Process.Signal(syscall.SIGHUP))
	within(t, 20*time.Second, "the refusal of the configuration", func(context.Context) error {
		if !strings.Contains(m.process.stderr(t), "the configuration was not reloaded") {
			return errors.New("the log does not tell of it")
		}
		return nil
	})
	m.write(t, "log: {format: json, level: debug}\n"+m.settings(t))
}

// losesDatabase has every door asked while the database cannot be reached.
func (m *mine) losesDatabase(t *testing.T) {
	t.Helper()
	token, password := m.native("while the database is away"), m.plant("a password while the database is away", "away-password-planted")
	var restore func()
	if m.db != nil {
		m.network.cut(true)
		restore = func() { m.network.cut(false) }
	} else {
		m.limitFiles("0")(t)
		restore = func() { m.limitFiles("unlimited")(t) }
	}
	for _, path := range []string{"/files/x", "/latchkey/verify?scope=path:/x:read", "/latchkey/api/v1/whoami"} {
		m.ask(t, "GET", path, "", "Authorization", "Bearer "+token)
		m.ask(t, "GET", path, "", "Authorization", basic("nobody", password))
	}
	m.ask(t, "POST", "/api-token-auth/", `{"username": "nobody", "password": "`+password+`"}`, "Content-Type", "application/json")
	m.ask(t, "POST", "/latchkey/api/v1/revoke", `{"token": "`+token+`"}`, "Content-Type", "application/json")
	restore()
	c := m.as(t, client.Options{})
	within(t, 30*time.Second, "the server to have its database again", func(ctx context.Context) error { return c.Ready(ctx) })
}

// look looks at all that a running server shows.
func (m *mine) look(t *testing.T) {
	t.Helper()
	admin := m.as(t, client.Options{User: "admin", Password: adminPassword})
	var export bytes.Buffer
	within(t, 20*time.Second, "the audit log to have all", func(ctx context.Context) error {
		export.Reset()
		if err := admin.Audit.Export(ctx, &export, time.Time{}, time.Time{}); err != nil {
			return err
		}
		if !bytes.Contains(export.Bytes(), []byte(canary)) {
			return errors.New("it has not the canary")
		}
		return nil
	})
	m.clean(t, "the audit export", canary, export.Bytes())
	shown := &http.Client{Timeout: time.Minute}
	for path, known := range map[string]string{
		"/metrics":                       canary,
		"/debug/pprof/goroutine?debug=2": "latchkey/internal/",
		"/debug/pprof/heap?debug=1":      "heap profile",
	} {
		res, err := shown.Get("http://" + m.metrics + path)
		must(t, err)
		body, err := io.ReadAll(res.Body)
		must(t, err)
		_ = res.Body.Close()
		m.clean(t, path, known, body)
	}
	folder := fmt.Sprintf("/proc/%d/", m.process.pid())
	m.clean(t, "the arguments of the process", canary, []byte(readFile(t, folder+"cmdline")))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clean(t, "the traces", canary, m.collected.Bytes())
	if !strings.Contains(m.answers.String(), canary) { // each was looked at when it came
		t.Error("no answer has the canary in it")
	}
	m.clean(t, "the output of commands", canary, m.said.Bytes())
}

// crashes ends the server as a fault in the Go runtime would, with requests
// under way, and looks at what it prints.
func (m *mine) crashes(t *testing.T) {
	t.Helper()
	password := m.plant("a password in a request that is under way", "under-way-password-planted")
	body, under := io.Pipe()
	defer under.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.url+"/api-token-auth/", body)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+m.native("a request that is under way"))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if res, err := m.gateway.Do(req); err == nil {
			_ = res.Body.Close()
		}
	}()
	_, err = io.WriteString(under, `{"username": "ann", "password": "`+password)
	must(t, err)
	within(t, 20*time.Second, "the request to be read", func(context.Context) error {
		res, err := http.Get("http://" + m.metrics + "/debug/pprof/goroutine?debug=2")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if dump, err := io.ReadAll(res.Body); err != nil || !bytes.Contains(dump, []byte("dialect")) {
			return fmt.Errorf("no goroutine reads it: %v", err)
		}
		return nil
	})
	must(t, m.process.cmd.Process.Signal(syscall.SIGQUIT))
	select {
	case <-m.process.done:
	case <-time.After(stopLimit):
		t.Fatal("the server is still there after SIGQUIT")
	}
	under.Close()
	<-sent
	log := m.process.stderr(t)
	at := strings.Index(log, "SIGQUIT: quit")
	if at < 0 {
		t.Fatalf("the server printed no goroutines:\n%s", tail(log, 1000))
	}
	m.clean(t, "what the crash prints", "internal/dialect", []byte(log[at:]))
	text, json, _ := strings.Cut(log[:at], "\n{")
	m.clean(t, "the log as text", canary, []byte(text))
	m.clean(t, "the log as JSON", canary, []byte(json))
	if found := m.found([]byte(m.process.stdout(t))); len(found) > 0 {
		t.Errorf("the output has %q, want no secret", found)
	}
}

// lookAtFiles looks at all that the server has left on disks.
func (m *mine) lookAtFiles(t *testing.T) {
	t.Helper()
	if found := m.found(files(t, m.data, "server.key")); len(found) > 0 {
		t.Errorf("the data folder has %q, want no secret", found)
	}
	if m.db == nil {
		m.clean(t, "the write-ahead log", canary, []byte(readFile(t, filepath.Join(m.data, "latchkey.db-wal"))))
		db := m.open(t) // takes over what is in that log
		must(t, db.Close())
		m.clean(t, "the database file", canary, []byte(readFile(t, filepath.Join(m.data, "latchkey.db"))))
		return
	}
	folder, log := m.db.cluster.Files()
	if folder == "" {
		t.Log("the PostgreSQL is not the test's own: its files are not looked at")
		return
	}
	m.clean(t, "the log of PostgreSQL", canary, []byte(readFile(t, log)))
	m.clean(t, "the folder of PostgreSQL", canary, files(t, folder, filepath.Base(log)))
}
