//go:build e2e && linux

// Package e2e has the slow tests: the real program in a process of its own,
// with the real services and clients that it was made for. What one package can
// show about itself is shown there; here is what only the whole can show.
//
// Each test starts what it needs, on loopback, with ports and folders of its
// own, and leaves nothing behind. Pulp comes from package pulptest.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// built is the program under test. It has to be a package variable: TestMain
// and the tests have nothing else in common.
var built struct {
	once   sync.Once
	folder *proctest.Folder
	path   string
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, folder := range []*proctest.Folder{built.folder, registryPrograms.folder} {
		if folder == nil {
			continue
		}
		if err := folder.Remove(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// program returns the path of the program, which the first call builds.
func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() { built.err = build() })
	if built.err != nil {
		t.Fatalf("building the program: %v", built.err)
	}
	return built.path
}

func build() (err error) {
	if built.folder, err = proctest.NewFolder("latchkey-e2e-"); err != nil {
		return err
	}
	built.path = built.folder.Join("latchkey")
	cmd := exec.Command("go", "build", "-o", built.path, "./cmd/latchkey")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// root is the repository, seen from where the tests run.
const root = ".."
