package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/dialect/drf"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/server"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// reloadable is a server that listens and takes other options.
type reloadable struct {
	running
	srv     *server.Server
	options server.Options
}

// startReloadable runs a server with a service behind it.
func startReloadable(t *testing.T) reloadable {
	t.Helper()
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "behind for "+r.Header.Get("X-Forwarded-For"))
	}))
	t.Cleanup(behind.Close)
	upstream, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	var s reloadable
	s.running = start(t, open(t, sqlite.Memory), coretest.NewKeys(t), func(o *server.Options) {
		o.Routes = []gateway.Route{
			{Name: "stays", Prefix: "/stays", Upstream: upstream, Auth: gateway.Optional},
			{Name: "goes", Prefix: "/goes", Upstream: upstream, Auth: gateway.Optional},
		}
		s.options = *o
	}, &s.srv)
	return s
}

// with returns the options with something changed.
func (s reloadable) with(change func(*server.Options)) server.Options {
	o := s.options
	change(&o)
	return o
}

// A hundred reloads while requests come in through every door, and not one of
// them fails.
func TestReloadUnderLoad(t *testing.T) {
	s := startReloadable(t)
	token := "Bearer " + login(t, s.url)
	stop := make(chan struct{})
	var group sync.WaitGroup
	var answered atomic.Int64
	for _, path := range []string{"/latchkey/verify?scope=path:/x:read", "/stays/x", "/latchkey/api/v1/whoami", "/latchkey/healthz"} {
		group.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				req, _ := http.NewRequest("GET", s.url+path, nil)
				req.Header.Set("Authorization", token)
				res, err := client.Do(req)
				if err != nil {
					t.Errorf("GET %s while reloading: %v", path, err)
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if res.StatusCode != 200 || err != nil {
					t.Errorf("GET %s while reloading = %d %q, %v, want 200", path, res.StatusCode, body, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	without := s.with(func(o *server.Options) { o.Routes = o.Routes[:1] })
	for i := range 100 {
		o := s.options
		if i%2 == 0 {
			o = without
		}
		before := answered.Load()
		if err := s.srv.Reload(o); err != nil {
			t.Fatalf("Reload() = %v", err)
		}
		for deadline := time.Now().Add(time.Minute); answered.Load() < before+8 && !t.Failed(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("no request is answered any more")
			}
		}
	}
	close(stop)
	group.Wait()
}

func TestReloadActsOnTheNextRequest(t *testing.T) {
	s := startReloadable(t)
	token := "Bearer " + login(t, s.url)
	status := func(path string) int {
		code, _, _ := get(t, s.url+path, "Authorization", token)
		return code
	}
	seenAs := func() string {
		_, body, _ := get(t, s.url+"/stays/", "Authorization", token, "X-Forwarded-For", "192.0.2.9")
		return body
	}
	if got := status("/goes/"); got != 200 {
		t.Fatalf("GET /goes/ = %d, want 200", got)
	}
	if got := seenAs(); got != "behind for 127.0.0.1" {
		t.Errorf("the service sees %q, want the peer alone", got)
	}
	mustReload(t, s, s.with(func(o *server.Options) {
		o.Routes = o.Routes[:1]
		o.Peers = web.Peers{netip.MustParsePrefix("127.0.0.1/32")}
		o.DRF = &drf.Options{Path: "/elsewhere/"}
	}))
	for path, want := range map[string]int{"/goes/": 404, "/stays/": 200, "/api-token-auth/": 404, "/elsewhere/": 405} {
		if got := status(path); got != want {
			t.Errorf("GET %s after the reload = %d, want %d", path, got, want)
		}
	}
	if got := seenAs(); got != "behind for 192.0.2.9, 127.0.0.1" {
		t.Errorf("the service sees %q, want what the trusted proxy says", got)
	}
	mustReload(t, s, s.options) // S85: who is no proxy any more is not believed
	if got := seenAs(); got != "behind for 127.0.0.1" {
		t.Errorf("the service sees %q, want the peer alone again", got)
	}
}

func TestReloadChangesRulesOfLife(t *testing.T) {
	s := startReloadable(t)
	create := func() int {
		req, _ := http.NewRequest("POST", s.url+"/latchkey/api/v1/tokens", strings.NewReader(`{"name":"x","expires_in":86400}`))
		req.Header.Set("Content-Type", "application/json")
		req.SetBasicAuth("admin", adminPassword)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if got := create(); got != 201 {
		t.Fatalf("a token of a day = %d, want 201", got)
	}
	hour := tokens.Policy{Classes: map[tokens.Class]tokens.Life{tokens.Personal: {Default: time.Hour, Max: time.Hour}}}
	mustReload(t, s, s.with(func(o *server.Options) { o.Tokens.Policy = hour }))
	if got := create(); got != 400 {
		t.Errorf("a token of a day where an hour is the most = %d, want 400", got)
	}
}

func TestReloadThatFailsChangesNothing(t *testing.T) {
	s := startReloadable(t)
	for name, o := range map[string]server.Options{
		"a route without an upstream": s.with(func(o *server.Options) { o.Routes = []gateway.Route{{Prefix: "/"}} }),
		"a policy that is none":       s.with(func(o *server.Options) { o.Routes, o.Tokens.Policy.MaxOverlap = nil, -1 }),
		"checks that are none":        s.with(func(o *server.Options) { o.Routes, o.Tokens.Checks = nil, "some" }),
		"a realm that is none":        s.with(func(o *server.Options) { o.Routes, o.Realm = nil, `a"b` }),
	} {
		if err := s.srv.Reload(o); err == nil {
			t.Errorf("Reload() with %s succeeded", name)
		}
		for _, path := range []string{"/goes/", "/stays/"} {
			if status, _, _ := get(t, s.url+path); status != 200 {
				t.Errorf("GET %s after %s = %d, want 200", path, name, status)
			}
		}
	}
}

// A request that is under way ends as it began, whatever is put into force
// meanwhile.
func TestReloadLeavesRequestsAlone(t *testing.T) {
	arrived, goOn := make(chan struct{}), make(chan struct{})
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "begun ")
		_ = http.NewResponseController(w).Flush()
		close(arrived)
		<-goOn
		_, _ = io.WriteString(w, "and ended")
	}))
	t.Cleanup(behind.Close)
	upstream, _ := url.Parse(behind.URL)
	var srv *server.Server
	s := start(t, open(t, sqlite.Memory), coretest.NewKeys(t), func(o *server.Options) {
		o.Routes = []gateway.Route{{Prefix: "/", Upstream: upstream, Auth: gateway.Optional}}
	}, &srv)
	body := make(chan string, 1)
	go func() {
		res, err := http.Get(s.url + "/slow")
		if err != nil {
			body <- err.Error()
			return
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			text = []byte(err.Error())
		}
		body <- string(text)
	}()
	<-arrived
	if err := srv.Reload(server.Options{}); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := get(t, s.url+"/slow"); status != 404 {
		t.Errorf("a new request = %d, want 404: the route is gone", status)
	}
	close(goOn)
	if got := <-body; got != "begun and ended" {
		t.Errorf("the request under way got %q, want all of it", got)
	}
}

func mustReload(t *testing.T, s reloadable, o server.Options) {
	t.Helper()
	if err := s.srv.Reload(o); err != nil {
		t.Fatalf("Reload() = %v", err)
	}
}
