//go:build e2e && linux

package e2e

import (
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// pulpPage is docs/pulp.md, which an operator follows to the letter. What it says
// at its beginning about its blocks of code is done here.
const pulpPage = "docs/pulp.md"

// pageOrigin is where the page has the gateway.
const pageOrigin = "http://127.0.0.1:8080"

// theBlock is the only one of its kind on the page.
func theBlock(t *testing.T, kind string) string {
	t.Helper()
	found := blocks(t, pulpPage, kind)
	if len(found) != 1 {
		t.Fatalf("%s has %d blocks of the kind %s, want one", pulpPage, len(found), kind)
	}
	return found[0].text
}

// settingsOfPage is what the page adds to the settings of a Pulp that has its
// defaults.
func settingsOfPage(t *testing.T, origin string) string {
	t.Helper()
	const defaults = `
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend", "pulpcore.backends.ObjectRolePermissionBackend",
]
REST_FRAMEWORK__DEFAULT_AUTHENTICATION_CLASSES = (
    "pulpcore.app.authentication.BasicAuthentication", "rest_framework.authentication.SessionAuthentication",
)
REMOTE_USER_ENVIRON_NAME = "REMOTE_USER"
CONTENT_ORIGIN = None
`
	return defaults + printedSettings(t, origin)
}

// printedSettings is what the page's command prints, of which it says that it
// goes into Pulp's settings.
func printedSettings(t *testing.T, origin string) string {
	t.Helper()
	for _, b := range blocks(t, pulpPage, "sh") {
		rest, found := strings.CutPrefix(b.text, "latchkey ")
		args, _, redirected := strings.Cut(rest, " >> /etc/pulp/settings.py\n")
		if !found || !redirected {
			continue
		}
		stdout, _, err := proctest.Run(t.Context(), proctest.Spec{
			Name: "latchkey pulp settings", Path: program(t), Args: strings.Fields(strings.ReplaceAll(args, pageOrigin, origin)),
		})
		must(t, err)
		return stdout
	}
	t.Fatalf("%s says nowhere how to print Pulp's settings", pulpPage)
	return ""
}

// testPage runs the page's commands.
func testPage(t *testing.T, b *behind) {
	f := newFollower(t)
	f.means("http://127.0.0.1:24817", b.pulp.APIURL, "http://127.0.0.1:24816", b.pulp.ContentURL)
	f.install("pulp", b.pulpClient(t, "").Program())
	f.collect(blocks(t, pulpPage, ""), nil)
	if len(f.want) < 10 {
		t.Fatalf("%s has %d blocks to run; has its form changed?", pulpPage, len(f.want))
	}
	f.run([]typed{
		{"Password of admin:", b.pulp.AdminPassword}, // latchkey login
		{"Password of alice:", alicesPassword},       // latchkey token create laptop
		{"Password of admin:", adminPassword},        // latchkey robot create
		{"Password of admin:", adminPassword},        // latchkey token create nightly
		{"Password of admin:", adminPassword},        // latchkey user revoke-tokens
		{"End all tokens of user alice?", "y"},
	})
	f.check(b.pulp.AdminPassword, alicesPassword)
}

// alicesPassword is what the page has alice choose.
const alicesPassword = "a horse and a staple"
