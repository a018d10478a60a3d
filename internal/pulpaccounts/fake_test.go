package pulpaccounts

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
)

// fakePulp is Pulp's endpoint for users, as far as it is asked: a list that is
// filtered by the exact name, and the making of one.
type fakePulp struct {
	mu     sync.Mutex
	active map[string]bool // by name
	calls  []string
	before func(r *http.Request) (status int) // answers in its place, if not 0
}

func (p *fakePulp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.before != nil {
		if status := p.before(r); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path != "/pulp/api/v3/users/":
		http.NotFound(w, r)
	case r.Header.Get("Latchkeyuser") == "":
		w.WriteHeader(http.StatusUnauthorized)
	case r.Header.Get("Latchkeyuser") != "admin":
		w.WriteHeader(http.StatusForbidden)
	case r.Method == http.MethodGet:
		p.list(w, r.URL.Query().Get("username"))
	case r.Method == http.MethodPost:
		p.create(w, r)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (p *fakePulp) list(w http.ResponseWriter, name string) {
	p.calls = append(p.calls, "look for "+name)
	results := []map[string]any{}
	if active, there := p.active[name]; there {
		results = append(results, map[string]any{"pulp_href": "/pulp/api/v3/users/7/", "prn": "prn:auth.user:7", "id": 7, "username": name, "is_active": active})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"count": len(results), "next": nil, "previous": nil, "results": results})
}

func (p *fakePulp) create(w http.ResponseWriter, r *http.Request) {
	var user map[string]any
	if err := json.NewDecoder(r.Body).Decode(&user); err != nil || r.Header.Get("Content-Type") != "application/json" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	name, _ := user["username"].(string)
	p.calls = append(p.calls, "make "+name)
	password, given := user["password"]
	_, there := p.active[name]
	switch {
	case there:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"username":["This field must be unique."]}`))
	case !given || password != nil:
		w.WriteHeader(http.StatusBadRequest)
	default:
		p.active[name] = true
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"pulp_href":"/pulp/api/v3/users/8/","username":"` + name + `"}`))
	}
}

// asked returns what was asked for since the last time.
func (p *fakePulp) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = nil
	return calls
}

// newPulp starts a Pulp with some users.
func newPulp(t *testing.T, active map[string]bool) (*fakePulp, *url.URL) {
	t.Helper()
	p := &fakePulp{active: active}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return p, at
}
