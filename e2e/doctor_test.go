//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/pulptest"
)

// report is what `latchkey doctor -o json` prints.
type report struct {
	Problems int
	Findings []struct {
		Check, Level, Seen string
		Fix                []string
	}
}

// problems lists what is wrong.
func (r report) problems() (seen, fixes []string) {
	for _, f := range r.Findings {
		if f.Level == "problem" {
			seen, fixes = append(seen, f.Seen), append(fixes, f.Fix...)
		}
	}
	return seen, fixes
}

// examine runs the doctor, whose exit status must fit what it says.
func examine(t *testing.T, home string, args ...string) report {
	t.Helper()
	cmd := exec.Command(program(t), append([]string{"doctor", "-o", "json"}, args...)...)
	cmd.Dir, cmd.Env = home, []string{"HOME=" + home}
	out, err := cmd.Output()
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("latchkey doctor %q printed %q: %v", args, out, err)
	}
	if (err != nil) != (r.Problems > 0) {
		t.Errorf("latchkey doctor %q ended with %v and %d problems, want a failure if there is one", args, err, r.Problems)
	}
	return r
}

// users counts the users of a Pulp.
func users(t *testing.T, p *pulptest.Pulp) int {
	t.Helper()
	var list struct{ Count int }
	must(t, p.Admin(t.Context(), http.MethodGet, "users/", nil, &list))
	return list.Count
}

// testDoctor has a Pulp looked at that was set up by the page, beside the
// running server and through it: nothing is wrong, and nothing is left behind.
func testDoctor(t *testing.T, b *behind) {
	before := users(t, b.pulp)
	r := examine(t, b.home, "--listen", strings.TrimPrefix(b.url, "http://"), "--data", b.data,
		"--pulp", b.pulp.APIURL, "--pulp-content", b.pulp.ContentURL, "--url", b.url, "--timeout", "30s")
	if seen, _ := r.problems(); len(seen) > 0 {
		t.Errorf("latchkey doctor found %q, want nothing wrong", seen)
	}
	for _, want := range []string{
		"Pulp believes the header Latchkeyuser, and makes no user of a name that it does not know",
		"and looks up the user that the header Latchkeyuser names",
		"lets nobody in by forged headers",
		"is alive and ready",
		"this machine's clock agrees with that of Pulp's API server, Pulp's content server, the running server, the proxy in front",
		"Pulp's API server (" + b.pulp.APIURL + ") takes no connections on",
	} {
		found := false
		for _, f := range r.Findings {
			found = found || f.Level == "ok" && strings.Contains(f.Seen, want)
		}
		if !found {
			t.Errorf("latchkey doctor does not say %q: %+v", want, r.Findings)
		}
	}
	// A public address that leads to Pulp, past the gateway (S86).
	seen, _ := examine(t, b.home, "--listen", "127.0.0.1:0", "--pulp", b.pulp.APIURL, "--pulp-content", b.pulp.ContentURL,
		"--url", b.pulp.ContentURL, "--timeout", "30s").problems()
	if len(seen) != 1 || !strings.Contains(seen[0], "passes on to Pulp, from anybody, the header Latchkeyuser, latchkeyuser, LATCHKEYUSER,") {
		t.Errorf("latchkey doctor, asking Pulp itself, found %q, want that it believes anybody", seen)
	}
	if after := users(t, b.pulp); after != before {
		t.Errorf("Pulp has %d users, and had %d before the doctor came", after, before)
	}
}

// TestDoctorFinds has Pulps looked at that are set up wrongly.
func TestDoctorFinds(t *testing.T) {
	tests := []struct {
		name     string
		options  pulptest.Options
		problems []string
		fix      string
	}{
		{
			// S85: both servers take connections from everybody.
			"open to all", pulptest.Options{AllAddresses: true, Settings: `
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend", "django.contrib.auth.backends.RemoteUserBackend", "pulpcore.backends.ObjectRolePermissionBackend",
]
TOKEN_AUTH_DISABLED = True
`},
			[]string{"makes a user of every name", "asks for no token", "Pulp's API server can be reached at", "Pulp's content server can be reached at"},
			"pulpcore-api --bind 127.0.0.1:",
		},
		{
			"no settings", pulptest.Options{Settings: `
REST_FRAMEWORK__DEFAULT_AUTHENTICATION_CLASSES = (
    "pulpcore.app.authentication.BasicAuthentication", "rest_framework.authentication.SessionAuthentication",
)
CONTENT_ORIGIN = "http://192.0.2.80"
`},
			[]string{"Pulp does not believe the header Latchkeyuser"},
			"PulpRemoteUserAuthentication",
		},
		{
			"another header", pulptest.Options{Settings: `REMOTE_USER_ENVIRON_NAME = "HTTP_X_FORWARDED_USER"
`},
			[]string{"Pulp believes the header X-Forwarded-User", "Pulp does not believe the header Latchkeyuser"},
			`REMOTE_USER_ENVIRON_NAME = "HTTP_LATCHKEYUSER"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := pulptest.Start(t, tt.options)
			home := t.TempDir()
			args := []string{"--listen", "127.0.0.1:0", "--pulp", p.APIURL, "--pulp-content", p.ContentURL, "--timeout", "30s"}
			var before int
			counts := tt.name == "open to all" // the others do not believe how the test asks
			if counts {
				before = users(t, p)
			}
			seen, fixes := examine(t, home, args...).problems()
			if tt.options.AllAddresses && !hasNetwork(t) {
				tt.problems, tt.fix = tt.problems[:2], "PulpNoCreateRemoteUserBackend"
			}
			if !slices.EqualFunc(seen, tt.problems, strings.Contains) {
				t.Errorf("latchkey doctor found %q, want %q", seen, tt.problems)
			}
			if !slices.ContainsFunc(fixes, func(line string) bool { return strings.Contains(line, tt.fix) }) {
				t.Errorf("latchkey doctor says to change %q, want %q in it", fixes, tt.fix)
			}
			if counts && users(t, p) != before {
				t.Errorf("Pulp has %d users, and had %d before the doctor came", users(t, p), before)
			}
		})
	}
}

// hasNetwork reports whether this machine has an address besides loopback, by
// which alone it can be seen that a server listens on all.
func hasNetwork(t *testing.T) bool {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	must(t, err)
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.To4() != nil && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast()
	})
}
