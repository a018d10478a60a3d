package pulptest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// errMissing is returned when something is not installed that only an administrator can install.
var errMissing = errors.New("Pulp cannot be installed for tests")

// installLimit bounds the installation, which downloads about 100 MB.
const installLimit = 10 * time.Minute

// exitMissing is what scripts/pulp-venv.sh exits with if a program it needs is missing.
const exitMissing = 3

// venv says where the Python environments are.
type venv struct {
	cache     string // the folder that holds both, and what is worth keeping for these very versions
	pulp, cli string
}

// prepareVenv installs Pulp and its client unless that has been done before.
func prepareVenv(ctx context.Context) (venv, error) {
	script, err := findScript("pulp-venv.sh")
	if err != nil {
		return venv{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, installLimit)
	defer cancel()
	// The script gets the whole environment: how the package registry is reached is the developer's affair.
	stdout, stderr, err := proctest.Run(ctx, proctest.Spec{Name: "pulp-venv.sh", Path: script, Env: os.Environ()})
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitMissing {
		return venv{}, fmt.Errorf("%w: %s", errMissing, strings.TrimSpace(stderr))
	}
	if err != nil {
		return venv{}, fmt.Errorf("installing Pulp for tests: %w", err)
	}
	folder := strings.TrimSpace(stdout)
	return venv{cache: folder, pulp: filepath.Join(folder, "pulp"), cli: filepath.Join(folder, "cli")}, nil
}

// findScript looks for a script of the repository from the folder of the test upwards.
func findScript(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "scripts", name), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the test does not run inside the repository")
		}
		dir = parent
	}
}
