package doctor

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const origin = "http://127.0.0.1:8080"

func TestPulpAPI(t *testing.T) {
	tests := []struct {
		name   string
		change func(*fakePulp)
		more   string
		want   []string
		fix    string
	}{
		{"right", func(*fakePulp) {}, "", nil, ""},
		{"no settings", func(p *fakePulp) { p.header = "" }, "", []string{"problem: does not believe the header Latchkeyuser"}, "PulpRemoteUserAuthentication"},
		{"other header", func(p *fakePulp) { p.header = "Remote-User" }, "", []string{"problem: believes the header Remote-User", "problem: does not believe the header Latchkeyuser"}, `REMOTE_USER_ENVIRON_NAME = "HTTP_LATCHKEYUSER"`},
		{"header of nobody's list", func(p *fakePulp) { p.header = "Whoisit" }, "", []string{"problem: did not take a request with the header Latchkeyuser for one of the user admin"}, "REMOTE_USER_ENVIRON_NAME"},
		{"header of the configuration", func(p *fakePulp) { p.header = "Remoteuser" }, "  identity_header: Remoteuser\n", nil, ""},
		{"creates users", func(p *fakePulp) { p.creating = true }, "", []string{"problem: makes a user of every name"}, "PulpNoCreateRemoteUserBackend"},
		{"creates users by another header", func(p *fakePulp) { p.creating, p.header = true, "X-Forwarded-User" }, "", []string{"problem: believes the header X-Forwarded-User", "problem: does not believe"}, ""},
		{"a JSON header", func(p *fakePulp) { p.jsonName = "X-Rh-Identity" }, "", []string{"problem: X-Rh-Identity (AUTHENTICATION_JSON_HEADER)"}, ""},
		{"Basic is not first", func(p *fakePulp) { p.challenge = "" }, "", []string{"warning: BasicAuthentication is not the first"}, "BasicAuthentication"},
		{"everybody is admin", func(p *fakePulp) { p.everybody = true }, "", []string{`problem: without a credential for the user "admin"`}, ""},
		{"no worker", func(p *fakePulp) { p.noWorker = true }, "", []string{"warning: no worker"}, ""},
		{"no database", func(p *fakePulp) { p.noDB = true }, "", []string{"problem: no connection to its database"}, ""},
		{"other API root", func(p *fakePulp) { p.apiRoot = "/hub/" }, "", []string{"problem: is no status page of Pulp (status 404)"}, "api_root"},
		{"API root of the configuration", func(p *fakePulp) { p.apiRoot = "/hub/" }, "  api_root: /hub/\n", nil, ""},
		{"other content path", func(p *fakePulp) { p.prefix = "/content/" }, "", []string{"problem: CONTENT_PATH_PREFIX is /content/"}, "content_path_prefix: /content/"},
		{"other origin", func(p *fakePulp) { p.origin = "http://other.example.com" }, "", []string{"warning: CONTENT_ORIGIN"}, `CONTENT_ORIGIN = "http://127.0.0.1:8080"`},
		{"other origin than the public one", func(p *fakePulp) { p.registry = "https://p.example.com/token/" }, "public_url: https://p.example.com\ntrusted_proxies: [127.0.0.1]\n",
			[]string{"problem: CONTENT_ORIGIN"}, `CONTENT_ORIGIN = "https://p.example.com"`},
		{"other realm", func(p *fakePulp) { p.registry = "http://127.0.0.1:24817/token/" }, "", []string{"warning: TOKEN_SERVER"}, `TOKEN_SERVER = "http://127.0.0.1:8080/token/"`},
		{"open registry", func(p *fakePulp) { p.open = true }, "", []string{"problem: asks for no token"}, "TOKEN_AUTH_DISABLED = False"},
		{"no registry", func(p *fakePulp) { p.registry = "" }, "", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := rightPulp()
			tt.change(p)
			x := examining(p.serve(t, tt.more), func(o *Options) { o.Origin = origin })
			found := pulpAPI(t.Context(), x)
			want(t, found, tt.want...)
			if tt.fix != "" {
				wantFix(t, found, tt.fix)
			}
		})
	}
}

// The doctor creates no user, also in a Pulp that makes one of every name, and
// sends no credential.
func TestPulpAsksWithoutTraces(t *testing.T) {
	for _, creating := range []bool{false, true} {
		p := rightPulp()
		p.creating = creating
		x := examining(p.serve(t, ""), nil)
		pulpAPI(t.Context(), x)
		if len(p.asked) < 5 {
			t.Fatalf("Pulp was asked %d times, want more", len(p.asked))
		}
		for _, h := range p.asked {
			if h.Get("Authorization") != "" || h.Get("Cookie") != "" {
				t.Errorf("Pulp was sent a credential: %v", h)
			}
			if user := h.Get("Latchkeyuser"); creating && user != "" && len(user) <= 150 {
				t.Errorf("a Pulp that makes users was sent the name %q, which it can make", user)
			}
		}
	}
}

func TestPulpIsNotThere(t *testing.T) {
	c := loadConfig(t, "pulp: {api: http://"+free(t)+", content: http://"+free(t)+"}\n")
	want(t, pulpAPI(t.Context(), examining(c, nil)), "problem: Pulp's API does not answer")
	want(t, pulpContent(t.Context(), examining(c, nil)), "problem: Pulp's content server does not answer")
	want(t, pulpAPI(t.Context(), examining(loadConfig(t, ""), nil)))
	want(t, pulpContent(t.Context(), examining(loadConfig(t, ""), nil)))
}

// Another server than Pulp is not taken for it.
func TestNoPulp(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("welcome")) }))
	t.Cleanup(other.Close)
	c := loadConfig(t, "pulp: {api: "+other.URL+", content: "+other.URL+"}\n")
	want(t, pulpAPI(t.Context(), examining(c, nil)), "problem: is no status page of Pulp")
	want(t, pulpContent(t.Context(), examining(c, nil)), "warning: answers with status 200 for content that cannot be there")
}

func TestPulpContent(t *testing.T) {
	tests := []struct {
		name   string
		change func(*fakePulp)
		want   []string
	}{
		{"right", func(*fakePulp) {}, nil},
		{"with domains", func(p *fakePulp) { p.domains = true }, nil},
		{"not restarted", func(p *fakePulp) { p.stubborn = true }, []string{"warning: does not seem to believe the header Latchkeyuser"}},
		{"other header", func(p *fakePulp) { p.header = "Remote_User" }, []string{"problem: believes the header Remote_User", "warning: does not seem to believe"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := rightPulp()
			tt.change(p)
			want(t, pulpContent(t.Context(), examining(p.serve(t, ""), nil)), tt.want...)
		})
	}
}

// S85: nobody but the gateway may reach the services that believe it.
func TestAround(t *testing.T) {
	p := rightPulp()
	c := p.serve(t, "")
	mine := func(addrs ...string) func(*Options) {
		return func(o *Options) {
			o.Addresses = func() (list []netip.Addr) {
				for _, a := range addrs {
					list = append(list, netip.MustParseAddr(a))
				}
				return list
			}
		}
	}
	want(t, around(t.Context(), examining(c, mine())))

	// 127.0.0.1 in the place of an address of the network, since nothing else is
	// sure to be there: it leads to the same servers.
	found := around(t.Context(), examining(c, mine("127.0.0.1")))
	want(t, found, "problem: Pulp's API server can be reached at 127.0.0.1:", "problem: Pulp's content server can be reached at 127.0.0.1:")
	wantFix(t, found, "pulpcore-api --bind 127.0.0.1:"+portIn(t, c.Pulp.API))
	wantFix(t, found, `ports: ["127.0.0.1:`+portIn(t, c.Pulp.Content))

	// Another service on the same port is told from it.
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	t.Cleanup(other.Close)
	x := examining(c, nil)
	if x.alike(t.Context(), x.places()[0], other.URL) {
		t.Error("alike(another service) = true, want false")
	}

	c = loadConfig(t, "routes:\n- {prefix: /a, upstream: 'http://192.0.2.77:9'}\n- {prefix: /b, upstream: 'http://198.51.100.4:9'}\n- {prefix: /c, upstream: 'http://198.51.100.4:8', auth: none}\n")
	found = around(t.Context(), examining(c, mine("192.0.2.77")))
	want(t, found, "problem: routes[0] listens on 192.0.2.77", "warning: routes[1] is on another machine")
}

func TestRoutes(t *testing.T) {
	there := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(there.Close)
	c := loadConfig(t, "routes:\n- {prefix: /a, upstream: '"+there.URL+"'}\n- {prefix: /b, upstream: 'http://"+free(t)+"'}\n")
	found := routes(t.Context(), examining(c, nil))
	want(t, found, "problem: routes[1] (/b) does not answer")
	if len(found) != 2 || !strings.Contains(found[0].Seen, "routes[0] (/a) answers") {
		t.Errorf("routes() = %+v, want the first to answer", found)
	}
}

// A socket is open to whoever can write to it and enter the folders above.
func TestSocket(t *testing.T) {
	folder := privateFolder(t)
	path := filepath.Join(folder, "api.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c := loadConfig(t, "routes: [{prefix: /a, upstream: 'unix:"+path+"'}]")
	x := examining(c, nil)
	mode := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	mode(path, 0o777)
	want(t, around(t.Context(), x)) // nobody enters the folder
	for dir := folder; dir != os.TempDir() && len(dir) > 1; dir = filepath.Dir(dir) {
		mode(dir, 0o755)
	}
	found := around(t.Context(), x)
	want(t, found, "problem: everybody on this machine can connect to the socket")
	wantFix(t, found, "chmod o= "+path)
	mode(path, 0o770)
	want(t, around(t.Context(), x))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, around(t.Context(), x), "problem: cannot be looked at")
}
