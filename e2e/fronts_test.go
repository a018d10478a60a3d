//go:build e2e && linux

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// frontKinds are the proxies that `latchkey proxy` prints a configuration for;
// Envoy asks in two ways.
var frontKinds = []string{"nginx", "caddy", "haproxy", "traefik", "envoy", "envoy-http"}

// front is a real proxy that asks a Latchkey about each request and stands in
// front of a service, with the configuration that `latchkey proxy` prints and
// nothing besides.
type front struct {
	kind, address string
	service       *service
}

// service is what a front protects. It keeps what it gets.
type service struct {
	*httptest.Server
	mu  sync.Mutex
	got []served
}

type served struct {
	method, target, host string
	header               http.Header
	body                 int // bytes
}

func newService(t *testing.T) *service {
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.got = append(s.got, served{r.Method, r.RequestURI, r.Host, r.Header.Clone(), int(size)})
		s.mu.Unlock()
		_, _ = fmt.Fprintf(w, "%s %d bytes\n", r.Method, size)
	}))
	t.Cleanup(s.Close)
	return s
}

// take returns what came since it was last called.
func (s *service) take() []served {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

// startFront starts a proxy of a kind. It is skipped when it is not installed.
func startFront(t *testing.T, kind, latchkeyURL, grpc string) *front {
	t.Helper()
	path := frontProgram(t, kind)
	f := &front{kind: kind, service: newService(t)}
	folder, on := t.TempDir(), reserve(t)
	f.address = on.address
	args := []string{"--upstream", f.service.URL, "--latchkey", latchkeyURL, "--listen", f.address, "--timeout", "1s"}
	c := command{path: path, dir: folder, env: []string{"HOME=" + folder}}
	switch kind {
	case "traefik":
		dynamic := filepath.Join(folder, "dynamic.yaml")
		args = []string{"--upstream", f.service.URL, "--latchkey", latchkeyURL, "--listen", f.address, "--file", dynamic}
		c.args = []string{"--configFile=" + printed(t, folder, "traefik.yaml", kind, with(args, "--static")...)}
		printed(t, folder, "dynamic.yaml", kind, args...)
	case "envoy":
		c.args = envoyArgs(printed(t, folder, "envoy.yaml", kind, with(args, "--grpc", grpc)...))
	case "envoy-http":
		c.args = envoyArgs(printed(t, folder, "envoy.yaml", "envoy", with(args, "--http")...))
	case "nginx":
		c.args = []string{"-c", nginxAround(t, folder, printed(t, folder, "latchkey.conf", kind, args...))}
	case "caddy":
		c.args = []string{"run", "--config", caddyWithoutAdmin(t, path, folder, printed(t, folder, "Caddyfile", kind, args...))}
	case "haproxy":
		lua := printed(t, folder, "latchkey.lua", kind, with(args, "--lua")...)
		c.args = []string{"-db", "-f", printed(t, folder, "haproxy.cfg", kind, with(args, "--file", lua)...)}
	}
	on.release()
	p := start(t, c)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", kind, tail(p.stderr(t), 3000))
		}
	})
	within(t, 20*time.Second, kind+" to listen", func(context.Context) error {
		if p.ended() {
			t.Fatalf("%s has ended: %v\n%s", kind, p.err, p.stderr(t))
		}
		conn, err := net.Dial("tcp", f.address)
		if err == nil {
			conn.Close()
		}
		return err
	})
	if kind == "traefik" { // listens before it has read what to do
		within(t, 20*time.Second, kind+" to read its routes", func(context.Context) error {
			if a := f.get(t, "/x", ""); a.status == http.StatusNotFound {
				return errors.New("it has none")
			}
			return nil
		})
	}
	return f
}

// envoyArgs are those besides the file: no shared memory with other Envoys, and
// two threads.
func envoyArgs(file string) []string {
	return []string{"-c", file, "--use-dynamic-base-id", "--concurrency", "2", "--log-level", "warning"}
}

// fetched is the folder of the proxies that are not Debian's.
var fetched = sync.OnceValues(func() (string, error) {
	var stderr strings.Builder
	cmd := exec.Command("../scripts/proxies.sh")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("scripts/proxies.sh: %w: %s", err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
})

// frontProgram finds a proxy. Debian keeps some of them where only root looks,
// and does not have others.
func frontProgram(t *testing.T, kind string) string {
	t.Helper()
	if name, _, _ := strings.Cut(kind, "-"); name == "traefik" || name == "envoy" {
		folder, err := fetched()
		if err != nil {
			proctest.Missing(t, err.Error())
		}
		return filepath.Join(folder, name)
	}
	for _, name := range []string{kind, "/usr/sbin/" + kind} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	proctest.Missing(t, kind+"; on Debian: apt-get install nginx-light caddy haproxy")
	return ""
}

// printed keeps what `latchkey proxy` prints in a file.
func printed(t *testing.T, folder, name, kind string, args ...string) string {
	t.Helper()
	cmd := command{path: program(t), args: append([]string{"proxy", kind}, args...)}.build()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("latchkey proxy %s: %v", kind, err)
	}
	file := filepath.Join(folder, name)
	if err := os.WriteFile(file, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// nginxAround writes what a distribution has around a file in conf.d.
func nginxAround(t *testing.T, folder, site string) string {
	t.Helper()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n" // the folder is nobody else's
	}
	var temp strings.Builder
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "  %s_temp_path %s;\n", name, filepath.Join(folder, name))
	}
	text := fmt.Sprintf("%sdaemon off;\npid %s;\nerror_log stderr info;\nevents {}\nhttp {\n  access_log off;\n%s  include %s;\n}\n",
		user, filepath.Join(folder, "pid"), &temp, site)
	file := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// caddyWithoutAdmin has Caddy read a Caddyfile, and adds that it shall not
// listen for orders at its usual port, which another test may use.
func caddyWithoutAdmin(t *testing.T, path, folder, caddyfile string) string {
	t.Helper()
	cmd := command{path: path, args: []string{"adapt", "--adapter", "caddyfile", "--config", caddyfile}, env: []string{"HOME=" + folder}}.build()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("caddy adapt: %v", err)
	}
	config := map[string]any{}
	if err := json.Unmarshal(out, &config); err != nil {
		t.Fatal(err)
	}
	config["admin"] = map[string]any{"disabled": true, "config": map[string]any{"persist": false}}
	if out, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "caddy.json")
	if err := os.WriteFile(file, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// send writes a request as it stands and reads the answer. The status is 0 when
// there is none.
func (f *front) send(t *testing.T, method, target string, lines []string, body string) answer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", f.address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	lines = append([]string{method + " " + target + " HTTP/1.1", "Host: " + hostOf(f.address, target)}, lines...)
	// A proxy that has heard enough closes the connection before all is written.
	_, _ = io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"+body)
	r := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return answer{}
		}
		if res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
			continue // it announces the answer
		}
		defer res.Body.Close()
		content, _ := io.ReadAll(res.Body) // what there is of it
		return answer{status: res.StatusCode, header: res.Header, body: string(content)}
	}
}

// hostOf returns the host of a target that has one, which the field must repeat
// (RFC 9112 section 3.2.2), or else the given one.
func hostOf(address, target string) string {
	if _, rest, found := strings.Cut(target, "://"); found && !strings.HasPrefix(target, "/") {
		if end := strings.IndexAny(rest, "/?"); end >= 0 {
			rest = rest[:end]
		}
		return rest
	}
	return address
}

// get sends a GET with a token, or without one if it is empty.
func (f *front) get(t *testing.T, target, token string, lines ...string) answer {
	t.Helper()
	return f.send(t, http.MethodGet, target, with(authorization(token), lines...), "")
}

func authorization(token string) []string {
	if token == "" {
		return nil
	}
	return []string{"Authorization: Bearer " + token}
}

// only returns the one request that the service got since the last time.
func (f *front) only(t *testing.T, what string) served {
	t.Helper()
	got := f.service.take()
	if len(got) != 1 {
		t.Fatalf("%s: the service got %d requests, want 1", what, len(got))
	}
	return got[0]
}

// wantRefused checks that an answer is a no and that the service got nothing.
func (f *front) wantRefused(t *testing.T, what string, a answer, statuses ...int) {
	t.Helper()
	good := len(statuses) == 0 && (a.status == 0 || a.status >= 400)
	for _, status := range statuses {
		good = good || a.status == status
	}
	if !good {
		t.Errorf("%s = %d %.200q, want %v", what, a.status, a.body, statuses)
	}
	if got := f.service.take(); len(got) > 0 {
		t.Errorf("%s: the service got %+v, want nothing", what, got)
	}
}
