package doctor

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/config"
)

// loadConfig makes a valid configuration of a file's text.
func loadConfig(t *testing.T, text string) config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "latchkey.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Options{File: file})
	if err != nil {
		t.Fatalf("config.Load(%s) = %v", text, err)
	}
	return c
}

// examining makes an examination that sees no network but what a test gives it.
func examining(c config.Config, change func(*Options)) *examination {
	o := Options{
		Config: c, Timeout: 5 * time.Second,
		Addresses: func() []netip.Addr { return nil },
		Synced:    func() (bool, bool) { return true, true },
	}
	if change != nil {
		change(&o)
	}
	x := &examination{Options: o}
	x.setDefaults()
	x.database = func() (Database, error) { return x.askDatabase(context.Background()) }
	return x
}

// want checks that exactly the findings above ok are those that begin with, or
// hold, the texts: "problem: text" or "warning: text".
func want(t *testing.T, found []Finding, texts ...string) {
	t.Helper()
	var got []string
	for _, f := range found {
		if f.Level == OK {
			continue
		}
		got = append(got, string(f.Level)+": "+f.Seen)
		if f.Why == "" || len(f.Fix) == 0 || f.Where == "" {
			t.Errorf("the finding %q says not why it matters, or what to change: %+v", f.Seen, f)
		}
	}
	if len(got) != len(texts) {
		t.Errorf("got the findings %q, want %q", got, texts)
		return
	}
	for i, text := range texts {
		level, part, _ := strings.Cut(text, ": ")
		if !strings.HasPrefix(got[i], level+": ") || !strings.Contains(got[i], part) {
			t.Errorf("finding %d is %q, want %q", i, got[i], text)
		}
	}
}

// wantFix checks that some finding has a line to change.
func wantFix(t *testing.T, found []Finding, line string) {
	t.Helper()
	for _, f := range found {
		for _, l := range f.Fix {
			if strings.Contains(l, line) {
				return
			}
		}
	}
	t.Errorf("no finding has the line %q: %+v", line, found)
}

// fakePulp answers as a real one of version 3.123 was seen to, as far as the
// doctor asks. The zero value has no remote-user settings.
type fakePulp struct {
	header    string // that names the user; "": none does
	creating  bool   // users that it does not know
	jsonName  string // of the header of JSONHeaderRemoteAuthentication
	challenge string // of a refusal; "": 403
	everybody bool   // is admin
	origin    string
	prefix    string
	apiRoot   string
	noWorker  bool
	noDB      bool
	registry  string // the realm; "": the plugin is not there
	open      bool   // TOKEN_AUTH_DISABLED
	domains   bool
	stubborn  bool // the content server believes nobody

	mu    sync.Mutex
	asked []http.Header
}

func rightPulp() *fakePulp {
	return &fakePulp{header: "Latchkeyuser", challenge: `Basic realm="api"`, origin: "http://127.0.0.1:8080", registry: "http://127.0.0.1:8080/token/"}
}

func (p *fakePulp) root() string { return orElse(p.apiRoot, "/pulp/") + "api/v3/" }

func (p *fakePulp) api(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Header)
	p.mu.Unlock()
	w.Header().Set("Server", "gunicorn")
	switch r.URL.Path {
	case p.root() + "status/":
		p.status(w)
	case p.root() + "login/":
		p.login(w, r)
	case p.root() + "docs/api.json":
		names := `"basicAuth"`
		if p.header != "" {
			names += `,"remoteUserAuthentication"`
		}
		_, _ = w.Write([]byte(`{"security":[` + names + `]}`))
	case "/v2/":
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+p.registry+`",service="x"`)
		if p.open {
			w.Header().Set("WWW-Authenticate", `Basic realm="api"`)
		}
		w.WriteHeader(http.StatusUnauthorized)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (p *fakePulp) status(w http.ResponseWriter) {
	versions := []map[string]string{{"component": "core", "version": "3.123.1"}}
	if p.registry != "" {
		versions = append(versions, map[string]string{"component": "container", "version": "2.30.0"})
	}
	workers := []any{map[string]string{"name": "w"}}
	if p.noWorker {
		workers = nil
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"versions": versions, "online_workers": workers, "database_connection": map[string]bool{"connected": !p.noDB}, "domain_enabled": p.domains,
		"content_settings": map[string]string{"content_origin": p.origin, "content_path_prefix": orElse(p.prefix, "/pulp/content/")},
	})
}

func (p *fakePulp) login(w http.ResponseWriter, r *http.Request) {
	user := ""
	if p.header != "" {
		user = r.Header.Get(p.header)
	}
	if p.everybody {
		user = "admin"
	}
	switch {
	case p.jsonName != "" && r.Header.Get(p.jsonName) != "":
		http.Error(w, `{"detail":"Access denied."}`, http.StatusForbidden)
	case p.creating && len(user) > 150:
		w.WriteHeader(http.StatusInternalServerError)
	case p.creating && user != "", user == "admin":
		_ = json.NewEncoder(w).Encode(map[string]string{"username": user})
	case p.challenge == "":
		w.WriteHeader(http.StatusForbidden)
	default:
		w.Header().Set("WWW-Authenticate", p.challenge)
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (p *fakePulp) content(w http.ResponseWriter, r *http.Request) {
	inDomain := !p.domains || strings.HasPrefix(r.URL.Path, "/pulp/content/default/")
	if !p.stubborn && inDomain && p.header != "" && strings.Contains(r.Header.Get(p.header), "\xff") {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNotFound)
}

// serve starts both servers and returns a configuration for them, with more
// lines below pulp.
func (p *fakePulp) serve(t *testing.T, more string) config.Config {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(p.api))
	t.Cleanup(api.Close)
	content := httptest.NewServer(http.HandlerFunc(p.content))
	t.Cleanup(content.Close)
	return loadConfig(t, "pulp:\n  api: "+api.URL+"\n  content: "+content.URL+"\n"+more)
}

// portIn is the port of a URL.
func portIn(t *testing.T, at string) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// free is an address at which nothing listens.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
