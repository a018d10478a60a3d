package server_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/dialect/drf"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/server"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
)

const adminPassword = "a planted password"

// running is a server that listens.
type running struct {
	url     string
	made    secret.Text
	handler http.Handler
	stop    func() error // ends it and waits
}

func open(t testing.TB, path string) store.Store {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// start runs a server on a store until the test ends. It puts the server where
// the test wants it, if it does.
func start(t testing.TB, db store.Store, keys *serverkey.Ring, change func(*server.Options), to ...**server.Server) running {
	t.Helper()
	o := server.Options{
		Store: db, Keys: keys, Log: slog.New(slog.DiscardHandler),
		Passwords: password.Options{Memory: 64, Passes: 1},
		DRF:       &drf.Options{},
	}
	if change != nil {
		change(&o)
	}
	srv, err := server.New(o)
	if err != nil {
		t.Fatalf("New() = %v", err)
	}
	t.Cleanup(srv.Close)
	for _, place := range to {
		*place = srv
	}
	made, err := srv.Start(t.Context(), secret.New(adminPassword))
	if err != nil {
		t.Fatalf("Start() = %v", err)
	}
	l, err := server.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l, server.HTTPOptions{Drain: 5 * time.Second}) }()
	stop := func() error {
		cancel()
		select {
		case err := <-done:
			done <- err
			return err
		case <-time.After(time.Minute):
			return errors.New("the server does not stop")
		}
	}
	t.Cleanup(func() { _ = stop() })
	s := running{url: "http://" + l.Addr().String(), made: made, handler: srv.Handler(), stop: stop}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if status, body, _ := get(t, s.url+"/latchkey/readyz"); status == 200 {
			return s
		} else if time.Now().After(deadline) {
			t.Fatalf("the server is not ready: %s", body)
		}
	}
}

func get(t testing.TB, target string, header ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequest("GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req) // no redirects
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body), res.Header
}

func login(t testing.TB, base string) string {
	t.Helper()
	res, err := http.PostForm(base+"/api-token-auth/", url.Values{"username": {"admin"}, "password": {adminPassword}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	_, token, found := strings.Cut(strings.Trim(string(body), "\"}\n"), `:"`)
	if res.StatusCode != 200 || !found {
		t.Fatalf("login = %d %s", res.StatusCode, body)
	}
	return token
}

func TestTree(t *testing.T) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "behind "+r.Header.Get("Latchkeyuser")+" "+r.RequestURI)
	}))
	t.Cleanup(behind.Close)
	upstream, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, open(t, sqlite.Memory), coretest.NewKeys(t), func(o *server.Options) {
		o.Routes = []gateway.Route{{Prefix: "/", Upstream: upstream, Auth: gateway.Optional}}
	})
	token := "Token " + login(t, s.url)
	for _, c := range []struct {
		path   string
		status int
		body   string // what it begins with
	}{
		{"/latchkey/healthz", 200, "alive"},
		{"/latchkey/readyz", 200, "ready"},
		{"/latchkey/verify?scope=path:/x:read", 200, ""},
		{"/latchkey/verify", 400, "the proxy does not say which request"},
		{"/latchkey/api/v1/whoami", 200, `{"account":"admin"`},
		{"/api-token-auth/", 405, `{"detail":"Method`},
		{"/api-token-auth", 405, `{"detail":"Method`},
		{"/", 200, "behind admin /"},
		{"/anything?x=%2F", 200, "behind admin /anything?x=%2F"},
		// What is ours is never passed on, however it is written.
		{"/latchkey", 404, `{"type"`},
		{"/latchkey/", 404, `{"type"`},
		{"/latchkey/nothing", 404, `{"type"`},
		{"/%6Catchkey/verify/x", 404, `{"type"`},
		{"/latchkey/api/v1", 404, `{"type"`},
		{"/latchkey/api/v1/../x", 404, `{"type"`},
	} {
		status, body, _ := get(t, s.url+c.path, "Authorization", token)
		if status != c.status || !strings.HasPrefix(body, c.body) {
			t.Errorf("GET %s = %d %.100q, want %d %q", c.path, status, body, c.status, c.body)
		}
	}
}

func TestRequestsHaveIDs(t *testing.T) {
	s := start(t, open(t, sqlite.Memory), coretest.NewKeys(t), nil)
	_, _, h := get(t, s.url+"/latchkey/healthz", "Correlation-ID", "from-elsewhere-1")
	if h.Get("Correlation-ID") != "from-elsewhere-1" || len(h.Get("Latchkey-Request-Id")) != 32 {
		t.Errorf("ids = %q and %q, want the client's and 32 digits", h.Get("Correlation-ID"), h.Get("Latchkey-Request-Id"))
	}
	_, _, h = get(t, s.url+"/latchkey/healthz", "Correlation-ID", "with space")
	if got := h.Get("Correlation-ID"); got == "with space" || len(got) != 32 {
		t.Errorf("Correlation-ID = %q, want one of our own for one that cannot be kept (S110)", got)
	}
}

// What was collected in memory is written when the server stops, and a second
// start finds everything.
func TestStopWritesAndRestartFinds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	keys := coretest.NewKeys(t)
	db := open(t, path)
	s := start(t, db, keys, nil)
	if s.made.Reveal() != adminPassword {
		t.Errorf("the first start made %q, want the given password", s.made.Reveal())
	}
	token := login(t, s.url)
	if status, _, _ := get(t, s.url+"/latchkey/verify?scope=path:/x:read", "Authorization", "Bearer "+token); status != 200 {
		t.Fatalf("verify = %d", status)
	}
	if err := s.stop(); err != nil {
		t.Fatalf("the server ended with %v", err)
	}
	list, err := db.Tokens(t.Context(), store.TokenQuery{Limit: 10})
	if err != nil || len(list) != 1 || list[0].LastUse.At.IsZero() {
		t.Errorf("Tokens() = %+v, %v, want one with its last use", list, err)
	}
	events, err := db.Events(t.Context(), store.EventQuery{Action: "login", Limit: 10})
	if err != nil || len(events) != 1 {
		t.Errorf("Events() = %+v, %v, want the login", events, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	again := start(t, open(t, path), keys, nil)
	if !again.made.Empty() {
		t.Error("the second start made an administrator again")
	}
	if status, _, _ := get(t, again.url+"/latchkey/verify?scope=path:/x:read", "Authorization", "Bearer "+token); status != 200 {
		t.Errorf("after a restart the token gives %d, want 200", status)
	}
}

func TestForeignSecretIsRefused(t *testing.T) {
	db := open(t, sqlite.Memory)
	keys := coretest.NewKeys(t)
	start(t, db, keys, nil)
	other, err := server.New(server.Options{Store: db, Keys: coretest.NewKeys(t), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Start(t.Context(), secret.Text{}); !errors.Is(err, server.ErrForeignSecret) {
		t.Errorf("Start() under another secret = %v, want ErrForeignSecret", err)
	}
	rotated, err := serverkey.NewRing(coretest.NewKeys(t).Current(), keys.Current())
	if err != nil {
		t.Fatal(err)
	}
	start(t, db, rotated, nil) // knows the old one too
}

func TestReadyNeedsTheStore(t *testing.T) {
	inner := open(t, sqlite.Memory)
	s := start(t, inner, coretest.NewKeys(t), nil)
	if status, body, _ := get(t, s.url+"/latchkey/readyz"); status != 200 {
		t.Errorf("readyz = %d %q", status, body)
	}
	if err := inner.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // an answer counts for a second
		status, body, _ := get(t, s.url+"/latchkey/readyz")
		if status == 503 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("readyz without a database = %d %q, want 503", status, body)
		}
	}
	if status, _, _ := get(t, s.url+"/latchkey/healthz"); status != 200 {
		t.Errorf("healthz without a database = %d, want 200: the process is alive", status)
	}
}

// S99: a restart gives nobody new guesses.
func TestFailedLoginsSurviveRestart(t *testing.T) {
	dir := t.TempDir()
	db, keys := open(t, filepath.Join(dir, "latchkey.db")), coretest.NewKeys(t)
	keep := func(o *server.Options) { o.ThrottleFile = filepath.Join(dir, "throttle.state") }
	guess := func(s running) int {
		res, err := http.PostForm(s.url+"/api-token-auth/", url.Values{"username": {"admin"}, "password": {"wrong"}})
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	s := start(t, db, keys, keep)
	for guess(s) != 429 {
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if got := guess(start(t, db, keys, keep)); got != 429 {
		t.Errorf("a guess after the restart = %d, want 429", got)
	}
	if info, err := os.Stat(filepath.Join(dir, "throttle.state")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode = %v, %v, want 0600 (S76)", info, err)
	}
}

func TestListenOnSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // as a killed server leaves it
	_ = dead.Close()
	l, err := server.Listen(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatalf("Listen() on a socket that nobody serves = %v", err)
	}
	defer l.Close()
	if _, err := server.Listen(t.Context(), "unix:"+path); err == nil {
		t.Error("Listen() on a socket that somebody serves succeeded")
	}
}
