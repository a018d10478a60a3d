//go:build e2e && linux

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// adminPassword is what the administrator of each server under test gets.
const adminPassword = "password-of-the-administrator"

// serveOptions are the choices at the start of a server. The zero value is a
// server with nothing behind it.
type serveOptions struct {
	args   []string // of `latchkey serve`, besides where to listen
	config string   // the text of a configuration file, if any
	on     *port    // where to listen; nil: a free port
	data   string   // the data folder; "": one of its own
}

// latchkey is a running `latchkey serve`.
type latchkey struct {
	t       *testing.T
	url     string
	home    string // its home and working folder
	data    string // its data folder
	command command
	process *process

	mu      sync.Mutex
	secrets []string
}

// serve starts a server and waits until it is ready. At the end of the test it
// is stopped as an operator does it, and has to have kept all secrets.
func serve(t *testing.T, o serveOptions) *latchkey {
	t.Helper()
	if o.on == nil {
		o.on = reserve(t)
	}
	s := &latchkey{t: t, url: "http://" + o.on.address, home: t.TempDir()}
	s.hide(adminPassword)
	if s.data = o.data; s.data == "" {
		s.data = filepath.Join(s.home, "latchkey-data") // the default
	}
	args := append([]string{"serve", "--listen", o.on.address, "--data", s.data}, o.args...)
	if o.config != "" {
		file := filepath.Join(s.home, "latchkey.yaml")
		if err := os.WriteFile(file, []byte(o.config), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", file)
	}
	o.on.release()
	s.command = command{
		path: program(t), args: args, dir: s.home,
		env: []string{"HOME=" + s.home, "LATCHKEY_ADMIN_PASSWORD=" + adminPassword, "LATCHKEY_LOG_LEVEL=debug"},
	}
	s.process = launch(t, s.command)
	t.Cleanup(s.stop)
	s.awaitReady()
	return s
}

func (s *latchkey) awaitReady() {
	s.t.Helper()
	c := s.client(client.Options{})
	within(s.t, 30*time.Second, s.url+" to be ready", func(ctx context.Context) error {
		if s.process.ended() {
			s.t.Fatalf("latchkey serve has ended: %v\n%s", s.process.err, s.process.stderr(s.t))
		}
		return c.Ready(ctx)
	})
}

// crash kills the server, without a chance to do anything more.
func (s *latchkey) crash() { s.process.kill() }

// restart starts a server that has ended, with the same data and address.
func (s *latchkey) restart() {
	s.t.Helper()
	s.process = launch(s.t, s.command)
	s.awaitReady()
}

// stop stops the server and looks at what it leaves behind.
func (s *latchkey) stop() {
	defer s.process.kill()
	if err := s.process.terminate(); err != nil {
		s.t.Errorf("latchkey serve after SIGTERM: %v, want exit status 0", err)
	}
	stderr := s.process.stderr(s.t)
	if s.t.Failed() {
		s.t.Logf("the end of the log of latchkey serve:\n%s", tail(stderr, 3000))
	}
	s.keptSecrets("its log", []byte(stderr))
	s.keptSecrets("its output", []byte(s.process.stdout(s.t)))
	s.keptSecretsIn(s.data)
}

// keptSecretsIn looks for secrets in all files of a folder.
func (s *latchkey) keptSecretsIn(folder string) {
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		s.keptSecrets(path, content)
		return err
	})
	if err != nil {
		s.t.Errorf("looking through %s: %v", folder, err)
	}
}

// hide names secrets that the server must not show or store as they are.
func (s *latchkey) hide(secrets ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = append(s.secrets, secrets...)
}

// keptSecrets looks for secrets, also as HTTP Basic carries them.
func (s *latchkey) keptSecrets(where string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.secrets {
		for _, form := range append(inBase64(secret), secret) {
			if bytes.Contains(content, []byte(form)) {
				s.t.Errorf("the secret %.6s… is in %s, want it nowhere", secret, where)
				break
			}
		}
	}
}

// inBase64 lists what the encoding of a longer text that holds the secret has
// in it: that depends on where the secret begins.
func inBase64(secret string) []string {
	var forms []string
	for before := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte("xx"[:before] + secret))
		forms = append(forms, encoded[(before*8+5)/6:(before+len(secret))*8/6])
	}
	return forms
}

// client makes a client of the native API.
func (s *latchkey) client(o client.Options) *client.Client {
	s.t.Helper()
	o.Transport = &http.Transport{Proxy: nil, DisableKeepAlives: true}
	c, err := client.New(s.url, o)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// admin makes a client for the server's administrator.
func (s *latchkey) admin() *client.Client {
	return s.client(client.Options{User: "admin", Password: adminPassword})
}

// user makes a client for somebody with a password.
func (s *latchkey) user(name, password string) *client.Client {
	s.hide(password)
	return s.client(client.Options{User: name, Password: password})
}

// token makes a token.
func (s *latchkey) token(t *testing.T, c *client.Client, r api.CreateToken) api.NewToken {
	t.Helper()
	if r.Name == "" {
		r.Name = t.Name()
	}
	made, err := c.Tokens.Create(t.Context(), r)
	if err != nil {
		t.Fatalf("making the token %+v: %v", r, err)
	}
	s.hide(made.Secret)
	return made
}

// port is a port of 127.0.0.1 that is kept from others until it is released.
type port struct {
	address string
	holder  net.Listener
}

// reserve finds a free port. It is below those that the kernel hands out by
// itself, so that nobody gets it by chance after it was released.
func reserve(t *testing.T) *port {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err != nil {
			continue
		}
		p := &port{address: l.Addr().String(), holder: l}
		t.Cleanup(p.release)
		return p
	}
	t.Fatal("no free port was found")
	return nil
}

func (p *port) release() { p.holder.Close() }

// within repeats what returns an error until it does not.
func within(t *testing.T, limit time.Duration, what string, try func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waiting %v for %s: %v", limit, what, err)
		}
	}
}

// events lists what the audit log has of a correlation id, oldest first.
func (s *latchkey) events(t *testing.T, correlationID string) []api.Event {
	t.Helper()
	page, err := s.admin().Audit.List(t.Context(), client.AuditQuery{CorrelationID: correlationID})
	if err != nil {
		t.Fatalf("reading the audit log: %v", err)
	}
	slices.Reverse(page.Items)
	return page.Items
}
