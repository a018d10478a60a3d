package gateway

import (
	"net/http"
	"strings"
	"testing"
)

// TestPulpRoutes walks the paths of a Pulp: where they go, and what becomes of a
// request without and one with a token.
func TestPulpRoutes(t *testing.T) {
	const (
		apiSide     = "api"
		contentSide = "content"
	)
	tests := []struct {
		method, path string
		route        string
		side         string
		anonymous    int  // status of a request without credential
		named        bool // a token's owner is named to Pulp
	}{
		{"GET", "/pulp/api/v3/", "pulp-api", apiSide, 200, false},
		{"GET", "/pulp/api/v3/status/", "pulp-api", apiSide, 200, false},
		{"GET", "/pulp/api/v3/livez/", "pulp-api", apiSide, 200, false},
		{"GET", "/pulp/api/v3/docs/", "pulp-api", apiSide, 200, false},
		{"GET", "/pulp/api/v3/docs/api.json", "pulp-api", apiSide, 200, false},
		{"GET", "/pulp/api/v3/docs/api.yaml", "pulp-api", apiSide, 200, false},
		{"GET", "/pulp/api/v3/swagger/", "pulp-api", apiSide, 200, false},
		{"GET", "/pulp/default/api/v3/status/", "pulp-domain-api", apiSide, 200, false},
		{"POST", "/pulp/api/v3/status/", "pulp-api", apiSide, 401, true},
		{"GET", "/pulp/api/v3/users/", "pulp-api", apiSide, 401, true},
		{"POST", "/pulp/api/v3/login/", "pulp-api", apiSide, 401, true},
		{"GET", "/pulp/api/v4/", "pulp-api", apiSide, 401, true},
		{"GET", "/pulp/team-a/api/v3/users/", "pulp-domain-api", apiSide, 401, true},
		{"GET", "/pulp/content/prod/a.rpm", "pulp-content", contentSide, 200, true},
		{"HEAD", "/pulp/content/team-a/api/v3/x", "pulp-content", contentSide, 200, true},
		{"GET", "/pulp/content/api/v3/x", "pulp-content", contentSide, 200, true},
		{"GET", "/pulp/container/img/blobs/sha256:0?expires=1&validate_token=a:b", "pulp-blobs", contentSide, 200, false},
		{"GET", "/v2/", "pulp-registry", apiSide, 200, false},
		{"PATCH", "/v2/img/blobs/uploads/1", "pulp-registry", apiSide, 200, false},
		{"GET", "/extensions/v2/img/signatures/sha256:0", "pulp-registry-extensions", apiSide, 200, false},
		{"GET", "/token/?service=h", "pulp-registry-token", apiSide, 200, true},
		{"GET", "/pulp_ansible/galaxy/prod/api/", "pulp-ansible", apiSide, 401, true},
		{"POST", "/pulp_ansible/galaxy/prod/api/v3/artifacts/collections/", "pulp-ansible", apiSide, 401, true},
		{"GET", "/pypi/prod/simple/", "pulp-python", apiSide, 200, true},
		{"POST", "/pypi/prod/legacy/", "pulp-python", apiSide, 401, true},
		{"GET", "/auth/login/", "pulp-login", apiSide, 200, false},
		{"GET", "/assets/rest_framework/a.css", "pulp-assets", apiSide, 200, false},
		{"GET", "/index/static", "pulp-flatpak", apiSide, 200, false},
		{"GET", "/pulp/", "", "", 404, false},
		{"GET", "/admin/", "", "", 404, false},
		{"GET", "/", "", "", 404, false},
	}
	sides := map[string]*mirror{apiSide: newMirror(t), contentSide: newMirror(t)}
	for _, m := range sides {
		m.next = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Set-Cookie", "sessionid=1") }
	}
	h := open(t, Options{Routes: PulpRoutes(sides[apiSide].url(t), sides[contentSide].url(t), PulpOptions{})})
	for _, tt := range tests {
		call := tt.method + " " + tt.path
		path, _, _ := strings.Cut(tt.path, "?")
		r, err := h.gateway.table.pick(path)
		if err != nil || nameOf(r) != tt.route {
			t.Errorf("%s takes the route %q, %v, want %q", call, nameOf(r), err, tt.route)
			continue
		}
		if res, body := h.send(t, tt.method, tt.path, nil, nil); res.StatusCode != tt.anonymous {
			t.Errorf("%s without credential = %d %s, want %d", call, res.StatusCode, body, tt.anonymous)
		}
		if tt.route == "" {
			continue
		}
		m := sides[tt.side]
		before := len(m.all())
		header := bearer(aliceToken)
		header.Set("Cookie", "sessionid=2")
		res, body := h.send(t, tt.method, tt.path, header, nil)
		if res.StatusCode != http.StatusOK || len(m.all()) != before+1 {
			t.Errorf("%s as alice = %d %s, want 200 from the %s side", call, res.StatusCode, body, tt.side)
			continue
		}
		got := m.all()[before]
		if got.Target != tt.path {
			t.Errorf("%s arrives as %q", call, got.Target)
		}
		if named := got.Header.Get("Latchkeyuser") == "alice"; named != tt.named {
			t.Errorf("%s as alice: named to Pulp: %t, want %t", call, named, tt.named)
		}
		untouched := r.Auth == Off
		if kept := got.Header.Get("Authorization") != ""; kept != untouched {
			t.Errorf("%s as alice: Authorization reaches Pulp: %t, want %t", call, kept, untouched)
		}
		cookies := got.Header.Get("Cookie") != "" && res.Header.Get("Set-Cookie") != ""
		if cookies != untouched {
			t.Errorf("%s as alice: cookies pass: %t, want %t", call, cookies, untouched)
		}
	}
}

// A guarded path asks anonymous clients for credentials, which Pulp's content
// app does not (pulp/pulpcore#7994).
func TestPulpContentChallenges(t *testing.T) {
	api, content := newMirror(t), newMirror(t)
	content.next = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	h := open(t, Options{Routes: PulpRoutes(api.url(t), content.url(t), PulpOptions{}), Realm: "Pulp"})
	res, _ := h.send(t, "GET", "/pulp/content/prod/a.rpm", nil, nil)
	if res.StatusCode != http.StatusUnauthorized || res.Header.Get("Www-Authenticate") != `Basic realm="Pulp"` {
		t.Errorf("GET = %d %v, want 401 with a Basic challenge first", res.StatusCode, res.Header["Www-Authenticate"])
	}
	if res, _ := h.send(t, "GET", "/pulp/content/prod/a.rpm", bearer(aliceToken), nil); res.StatusCode != http.StatusForbidden {
		t.Errorf("GET as alice = %d, want 403", res.StatusCode)
	}
	if res, _ := h.send(t, "GET", "/pulp/content/prod/a.rpm", bearer(revokedToken), nil); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("GET with a revoked token = %d, want 401", res.StatusCode)
	}
}

func TestPulpOptions(t *testing.T) {
	api, content := newMirror(t), newMirror(t)
	h := open(t, Options{Routes: PulpRoutes(api.url(t), content.url(t), PulpOptions{
		APIRoot: "/", ContentPrefix: "/files/", UserHeader: "Remoteuser", Passwords: PassPasswords,
	})})
	for path, want := range map[string]string{
		"/api/v3/users/": "pulp-api", "/team/api/v3/users/": "pulp-domain-api", "/files/x": "pulp-content",
	} {
		if r, err := h.gateway.table.pick(path); err != nil || nameOf(r) != want {
			t.Errorf("%s takes the route %q, %v, want %q", path, nameOf(r), err, want)
		}
	}
	h.send(t, "GET", "/api/v3/users/", bearer(aliceToken), nil)
	h.send(t, "GET", "/api/v3/users/", basic("alice", "hers"), nil)
	got := api.all()
	if len(got) != 2 || got[0].Header.Get("Remoteuser") != "alice" || got[1].Header.Get("Authorization") == "" {
		t.Errorf("the upstream got %v, want Remoteuser: alice, then the password", got)
	}
}
