//go:build e2e && linux

package e2e

import (
	"net/http"
	"testing"
)

// testOpenPaths asks for what Pulp shows to everybody.
func testOpenPaths(t *testing.T, b *behind) {
	for path, inBody := range map[string]string{
		"":              "repositories",
		"status/":       `"online_workers"`,
		"livez/":        "",
		"docs/":         "",
		"docs/api.json": `"openapi"`,
		"docs/api.yaml": "openapi",
		"swagger/":      "",
	} {
		b.get(t, apiRoot+path).want(t, "GET "+path+" without a credential", http.StatusOK, inBody)
		b.get(t, apiRoot+path, bearer("junk")...).want(t, "GET "+path+" with a bad token", http.StatusOK, inBody)
	}
	if a := b.get(t, apiRoot+"status/", "--head"); a.status != http.StatusOK {
		t.Errorf("HEAD status/ without a credential = %d, want 200", a.status)
	}
	for _, path := range []string{"users/", "login/", "repositories/file/file/", "status", "status/x", "docs/api.json/x"} {
		a := b.get(t, apiRoot+path)
		a.want(t, "GET "+path+" without a credential", http.StatusUnauthorized, "Authentication credentials were not provided.")
		a.wantChallenge(t, "GET "+path+" without a credential")
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		a := b.get(t, apiRoot+"status/", "--request", method)
		a.want(t, method+" status/ without a credential", http.StatusUnauthorized, "")
	}
	for _, path := range []string{"/", "/nothing", "/pulp", "/latchkey", "/latchkey/nothing", "/latchkey/api/v2/tokens"} {
		b.get(t, path).want(t, "GET "+path, http.StatusNotFound, `"code":"not_found"`)
	}
}
