package pulptest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// Client is the real `pulp` command line client with a home folder of its own, so that neither the developer's
// configuration nor a schema cached from another Pulp gets in.
type Client struct {
	// Home is the client's home folder. Its configuration is in .config/pulp/cli.toml below, its copies of API schemas
	// are in .cache/squeezer.
	Home string
	// Env is added to the client's environment, as "KEY=value", such as REQUESTS_CA_BUNDLE for a server with a
	// certificate of a test.
	Env []string

	program string
}

// NewClient makes a client whose configuration file has the given TOML text, for example
//
//	[cli]
//	base_url = "https://127.0.0.1:8443"
//	username = "any"
//	password = "the token"
//
// Its home folder is removed at the end of the test.
func (p *Pulp) NewClient(t testing.TB, config string) *Client {
	t.Helper()
	c, err := p.newClient(t.TempDir(), config)
	if err != nil {
		t.Fatalf("pulptest: making a client: %v", err)
	}
	return c
}

func (p *Pulp) newClient(home, config string) (*Client, error) {
	file := filepath.Join(home, ".config", "pulp", "cli.toml")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return &Client{Home: home, program: filepath.Join(p.venv.cli, "bin", "pulp")}, nil
}

// Program returns the path of the client, for tests that run it in a way of their own.
func (c *Client) Program() string { return c.program }

// Run runs the client and returns what it wrote. The error holds the end of its error output and wraps *exec.ExitError
// if the client failed.
func (c *Client) Run(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	return proctest.Run(ctx, proctest.Spec{
		Name: "pulp", Path: c.program, Args: args, Dir: c.Home,
		Env: append([]string{
			"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "HOME=" + c.Home,
			"XDG_CONFIG_HOME=" + filepath.Join(c.Home, ".config"), "XDG_CACHE_HOME=" + filepath.Join(c.Home, ".cache"),
		}, c.Env...),
	})
}

// CLI runs the real client as admin, directly against this Pulp. For any other server or user see NewClient.
func (p *Pulp) CLI(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	return p.cli.Run(ctx, args...)
}

// adminConfig is the configuration of the client that CLI uses.
func (p *Pulp) adminConfig() string {
	return fmt.Sprintf("[cli]\nbase_url = %q\nusername = \"admin\"\npassword = %q\n", p.APIURL, p.AdminPassword)
}
