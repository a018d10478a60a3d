package proctest

import (
	"os"
	"testing"
)

// Missing ends a test that cannot run because something is not installed: it skips the test on a developer's machine,
// and fails it where the environment variable CI is "true", so that a test is never left out there unnoticed. The
// reason should say what to install.
func Missing(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("not installed, and with CI=true nothing may be left out: %s", reason)
	}
	t.Skipf("not installed: %s", reason)
}

// Forbidden ends a test that needs what the system does not allow here, such as mounting without being root. As with
// Missing, that is a failure where CI is "true". The reason says what was not allowed.
func Forbidden(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("not allowed on this machine, and with CI=true nothing may be left out: %s", reason)
	}
	t.Skipf("not allowed on this machine: %s", reason)
}
